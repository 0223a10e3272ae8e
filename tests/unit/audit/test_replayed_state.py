"""MVCC and phantom validation as Fabric's validator does it, on versions of public and private keys."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2

from fedledger.gateway.blocks import (
    CollectionReadWriteSet,
    EndorserTransaction,
    HashedRead,
    HashedWrite,
    MerkleSummary,
    MetadataWrite,
    NamespaceReadWriteSet,
    RangeQuery,
    Read,
    Version,
    Write,
    parse_block,
)
from fedledger.validation.range_summaries import merkle_summary
from fedledger.validation.state import (
    MVCC_READ_CONFLICT,
    PHANTOM_READ_CONFLICT,
    VALID,
    BlockUpdates,
    ReplayedState,
    sets_metadata,
)
from tests.unit.audit.members import TrainingConsortium

NOTHING = NamespaceReadWriteSet("cc", (), (), (), (), ())
FIRST, SECOND = Version(1, 0), Version(1, 1)


@pytest.fixture(scope="module")
def template(audited: TrainingConsortium) -> EndorserTransaction:
    return EndorserTransaction.parse(parse_block(audited.ledger.blocks[1]).data.data[0])


@pytest.fixture
def state(template: EndorserTransaction) -> ReplayedState:
    """Keys a, c and e of version (1, 0), and one private key."""
    state = ReplayedState()
    updates = BlockUpdates(state)
    private = CollectionReadWriteSet("secret", (), (HashedWrite(b"\xff", b"v", False),), b"")
    writes = tuple(Write(key, b"1") for key in "ace")
    updates.add(_with(template, replace(NOTHING, writes=writes, collections=(private,))), FIRST)
    state.apply(updates)
    return state


def _with(template: EndorserTransaction, entry: NamespaceReadWriteSet) -> EndorserTransaction:
    return replace(template, read_write_sets=(entry,))


def _range(start: str, end: str, *keys: str, exhausted: bool = True) -> NamespaceReadWriteSet:
    reads = tuple(Read(key, FIRST) for key in keys)
    return replace(NOTHING, range_queries=(RangeQuery(start, end, exhausted, reads, None),))


def _writing(state: ReplayedState, template: EndorserTransaction, key: str, value: bytes | None) -> BlockUpdates:
    updates = BlockUpdates(state)
    updates.add(_with(template, replace(NOTHING, writes=(Write(key, value),))), SECOND)
    return updates


class TestReads:
    @pytest.mark.parametrize(
        ("read", "code"),
        [
            (Read("a", FIRST), VALID),
            (Read("b", None), VALID),
            (Read("a", None), MVCC_READ_CONFLICT),
            (Read("b", FIRST), MVCC_READ_CONFLICT),
            (Read("a", SECOND), MVCC_READ_CONFLICT),
        ],
    )
    def test_hold_while_the_version_is_the_same(
        self, template: EndorserTransaction, state: ReplayedState, read: Read, code: int
    ) -> None:
        assert BlockUpdates(state).conflict(_with(template, replace(NOTHING, reads=(read,)))) == code

    @pytest.mark.parametrize("key", ["a", "b"])
    def test_conflict_with_a_write_of_the_same_block(
        self, template: EndorserTransaction, state: ReplayedState, key: str
    ) -> None:
        read = replace(NOTHING, reads=(Read(key, state.version(("cc", "", key.encode()))),))
        assert _writing(state, template, key, b"2").conflict(_with(template, read)) == MVCC_READ_CONFLICT

    def test_of_private_keys_hold_by_their_hashes(self, template: EndorserTransaction, state: ReplayedState) -> None:
        def reading(version: Version | None) -> EndorserTransaction:
            private = CollectionReadWriteSet("secret", (HashedRead(b"\xff", version),), (), b"")
            return _with(template, replace(NOTHING, collections=(private,)))

        assert BlockUpdates(state).conflict(reading(FIRST)) == VALID
        assert BlockUpdates(state).conflict(reading(None)) == MVCC_READ_CONFLICT

    def test_of_a_deleted_key_find_none(self, template: EndorserTransaction, state: ReplayedState) -> None:
        state.apply(_writing(state, template, "a", None))
        assert state.version(("cc", "", b"a")) is None
        assert "a" not in state.values("cc")


class TestRanges:
    def test_hold_while_nothing_enters_or_leaves(self, template: EndorserTransaction, state: ReplayedState) -> None:
        for entry in (_range("a", "z", "a", "c", "e"), _range("b", "e", "c"), _range("", "", "a", "c", "e")):
            assert BlockUpdates(state).conflict(_with(template, entry)) == VALID

    @pytest.mark.parametrize(("key", "value"), [("b", b"new"), ("c", None), ("c", b"other")])
    def test_see_what_their_block_did_before(
        self, template: EndorserTransaction, state: ReplayedState, key: str, value: bytes | None
    ) -> None:
        transaction = _with(template, _range("a", "z", "a", "c", "e"))
        assert _writing(state, template, key, value).conflict(transaction) == PHANTOM_READ_CONFLICT

    def test_see_what_earlier_blocks_did(self, template: EndorserTransaction, state: ReplayedState) -> None:
        state.apply(_writing(state, template, "d", b"new"))
        transaction = _with(template, _range("a", "z", "a", "c", "e"))
        assert BlockUpdates(state).conflict(transaction) == PHANTOM_READ_CONFLICT

    def test_exclude_their_end(self, template: EndorserTransaction, state: ReplayedState) -> None:
        transaction = _with(template, _range("a", "e", "a", "c"))
        assert _writing(state, template, "e", None).conflict(transaction) == VALID

    def test_that_were_not_read_to_the_end_include_the_last_key(
        self, template: EndorserTransaction, state: ReplayedState
    ) -> None:
        transaction = _with(template, _range("a", "c", "a", "c", exhausted=False))
        assert BlockUpdates(state).conflict(transaction) == VALID
        assert _writing(state, template, "d", b"new").conflict(transaction) == VALID
        assert _writing(state, template, "c", None).conflict(transaction) == PHANTOM_READ_CONFLICT

    def test_of_many_keys_hold_by_their_merkle_hashes(
        self, template: EndorserTransaction, state: ReplayedState
    ) -> None:
        summary = merkle_summary([Read(key, FIRST) for key in "ace"], 2)
        query = replace(NOTHING, range_queries=(RangeQuery("a", "z", True, None, summary),))
        assert BlockUpdates(state).conflict(_with(template, query)) == VALID
        for key, value in (("b", b"new"), ("c", None), ("c", b"other")):
            assert _writing(state, template, key, value).conflict(_with(template, query)) == PHANTOM_READ_CONFLICT

    def test_with_a_senseless_summary_do_not_hold(self, template: EndorserTransaction, state: ReplayedState) -> None:
        query = replace(NOTHING, range_queries=(RangeQuery("a", "z", True, None, MerkleSummary(0, 1, ())),))
        assert BlockUpdates(state).conflict(_with(template, query)) == PHANTOM_READ_CONFLICT


class TestSeveralWritesOfOneKey:
    """Fabric adds a number for each and takes the sum for something else."""

    @pytest.mark.parametrize(
        ("key", "values", "left"),
        [
            ("a", (b"2", b"3"), b"1"),
            ("b", (b"2", b"3"), None),
            ("a", (b"2", b"3", b"4"), b"4"),
            ("a", (b"2", None), None),
            ("a", (None, b"2"), None),
            ("a", (None, None), b"1"),
        ],
    )
    def test_leave_what_fabric_leaves(
        self, template: EndorserTransaction, state: ReplayedState, key: str, values: tuple[bytes | None], left: bytes
    ) -> None:
        updates = BlockUpdates(state)
        writes = tuple(Write(key, value) for value in values)
        updates.add(_with(template, replace(NOTHING, writes=writes)), SECOND)
        state.apply(updates)
        assert state.values(NOTHING.namespace).get(key) == left
        place = (NOTHING.namespace, "", key.encode())
        assert state.version(place) == (None if left is None else SECOND)


def test_policies_of_keys_are_not_judged(template: EndorserTransaction) -> None:
    assert not sets_metadata(template)
    assert sets_metadata(_with(template, replace(NOTHING, metadata_writes=(MetadataWrite("a", ()),))))


class TestMerkleSummaries:
    """The cases of Fabric's ``query_results_helper_test.go``."""

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_are_not_made_of_few_reads(self, count: int) -> None:
        assert merkle_summary(_reads(count), 3) is None

    def test_have_one_level(self) -> None:
        reads = _reads(9)
        leaves = (_leaf(reads[0:4]), _leaf(reads[4:8]), _leaf(reads[8:]))
        assert merkle_summary(reads, 3) == MerkleSummary(3, 1, leaves)

    def test_have_two_levels(self) -> None:
        leaves = _leaves(_reads(25), 4)
        assert merkle_summary(_reads(25), 3) == MerkleSummary(3, 2, (_node(leaves[:4]), _node(leaves[4:])))

    def test_have_three_levels_and_a_leaf_that_moves_up(self) -> None:
        leaves = _leaves(_reads(65), 4)
        second = [_node(leaves[start : start + 4]) for start in range(0, 16, 4)]
        assert merkle_summary(_reads(65), 3) == MerkleSummary(3, 3, (_node(second), leaves[16]))

    def test_grow_a_level_at_the_end(self) -> None:
        leaves = _leaves(_reads(24), 3)
        second = [_node(leaves[0:3]), _node(leaves[3:6]), _node(leaves[6:8])]
        assert merkle_summary(_reads(24), 2) == MerkleSummary(2, 3, (_node(second),))

    def test_of_no_degree_are_refused(self) -> None:
        with pytest.raises(ValueError, match="degree 1"):
            merkle_summary(_reads(3), 1)


def _reads(count: int) -> list[Read]:
    return [Read(f"key_{number}", Version(1, number)) for number in range(count)]


def _leaves(reads: list[Read], size: int) -> list[bytes]:
    return [_leaf(reads[start : start + size]) for start in range(0, len(reads), size)]


def _leaf(reads: list[Read]) -> bytes:
    message = kv_rwset_pb2.QueryReads()
    for read in reads:
        assert read.version is not None
        version = kv_rwset_pb2.Version(block_num=read.version.block_number, tx_num=read.version.transaction_number)
        message.kv_reads.add(key=read.key, version=version)
    return hashlib.sha256(message.SerializeToString()).digest()


def _node(hashes: list[bytes]) -> bytes:
    return hashlib.sha256(b"".join(hashes)).digest()
