"""MVCC and phantom validation as Fabric's validator does it, on versions of public and private keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedledger.audit.replayed_state import (
    MVCC_READ_CONFLICT,
    PHANTOM_READ_CONFLICT,
    VALID,
    BlockUpdates,
    ReplayedState,
    supported,
)
from fedledger.gateway.blocks import (
    CollectionReadWriteSet,
    EndorserTransaction,
    HashedRead,
    HashedWrite,
    MerkleSummary,
    NamespaceReadWriteSet,
    RangeQuery,
    Read,
    Version,
    Write,
    parse_block,
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
    updates = BlockUpdates()
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


def _writing(template: EndorserTransaction, key: str, value: bytes | None) -> BlockUpdates:
    updates = BlockUpdates()
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
        assert state.conflict(_with(template, replace(NOTHING, reads=(read,))), BlockUpdates()) == code

    @pytest.mark.parametrize("key", ["a", "b"])
    def test_conflict_with_a_write_of_the_same_block(
        self, template: EndorserTransaction, state: ReplayedState, key: str
    ) -> None:
        read = replace(NOTHING, reads=(Read(key, state.version(("cc", "", key.encode()))),))
        assert state.conflict(_with(template, read), _writing(template, key, b"2")) == MVCC_READ_CONFLICT

    def test_of_private_keys_hold_by_their_hashes(self, template: EndorserTransaction, state: ReplayedState) -> None:
        def reading(version: Version | None) -> EndorserTransaction:
            private = CollectionReadWriteSet("secret", (HashedRead(b"\xff", version),), (), b"")
            return _with(template, replace(NOTHING, collections=(private,)))

        assert state.conflict(reading(FIRST), BlockUpdates()) == VALID
        assert state.conflict(reading(None), BlockUpdates()) == MVCC_READ_CONFLICT

    def test_of_a_deleted_key_find_none(self, template: EndorserTransaction, state: ReplayedState) -> None:
        state.apply(_writing(template, "a", None))
        assert state.version(("cc", "", b"a")) is None
        assert "a" not in state.values("cc")


class TestRanges:
    def test_hold_while_nothing_enters_or_leaves(self, template: EndorserTransaction, state: ReplayedState) -> None:
        for entry in (_range("a", "z", "a", "c", "e"), _range("b", "e", "c"), _range("", "", "a", "c", "e")):
            assert state.conflict(_with(template, entry), BlockUpdates()) == VALID

    @pytest.mark.parametrize(("key", "value"), [("b", b"new"), ("c", None), ("c", b"other")])
    def test_see_what_their_block_did_before(
        self, template: EndorserTransaction, state: ReplayedState, key: str, value: bytes | None
    ) -> None:
        transaction = _with(template, _range("a", "z", "a", "c", "e"))
        assert state.conflict(transaction, _writing(template, key, value)) == PHANTOM_READ_CONFLICT

    def test_see_what_earlier_blocks_did(self, template: EndorserTransaction, state: ReplayedState) -> None:
        state.apply(_writing(template, "d", b"new"))
        transaction = _with(template, _range("a", "z", "a", "c", "e"))
        assert state.conflict(transaction, BlockUpdates()) == PHANTOM_READ_CONFLICT

    def test_exclude_their_end(self, template: EndorserTransaction, state: ReplayedState) -> None:
        transaction = _with(template, _range("a", "e", "a", "c"))
        assert state.conflict(transaction, _writing(template, "e", None)) == VALID

    def test_that_were_not_read_to_the_end_include_the_last_key(
        self, template: EndorserTransaction, state: ReplayedState
    ) -> None:
        transaction = _with(template, _range("a", "c", "a", "c", exhausted=False))
        assert state.conflict(transaction, BlockUpdates()) == VALID
        assert state.conflict(transaction, _writing(template, "d", b"new")) == VALID
        assert state.conflict(transaction, _writing(template, "c", None)) == PHANTOM_READ_CONFLICT

    def test_given_by_merkle_hashes_are_not_judged(self, template: EndorserTransaction) -> None:
        query = RangeQuery("a", "z", True, None, MerkleSummary(50, 1, (b"hash",)))
        assert not supported(_with(template, replace(NOTHING, range_queries=(query,))))
        assert supported(template)
