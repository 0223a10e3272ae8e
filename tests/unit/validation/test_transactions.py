"""Transactions get the codes that Fabric gives them: by a ledger of six hundred kinds that a real peer committed."""

from __future__ import annotations

from collections import Counter

import pytest
from fabric_protos.peer import transaction_pb2

from tests.unit.validation.replays import Replayed, by_audit, by_embedded_node
from tests.unit.validation.transaction_maker import CHAINCODE
from tests.unit.validation.transaction_vectors import Vectors

VECTORS = Vectors.load()
NAMES = [entry.name for block in VECTORS.entries for entry in block]
STATELESS = [
    (number, place, entry.name)
    for number, block in enumerate(VECTORS.entries, start=1)
    for place, entry in enumerate(block)
]


@pytest.fixture(scope="module")
def replayed() -> dict[int, Replayed]:
    return {block.number: block for block in by_audit(VECTORS.blocks)}


@pytest.fixture(scope="module")
def committed() -> dict[int, tuple[int, ...]]:
    return dict(by_embedded_node(VECTORS.blocks, CHAINCODE))


def name(code: int) -> str:
    return str(transaction_pb2.TxValidationCode.Name(code))


@pytest.mark.parametrize(("number", "place"), [case[:2] for case in STATELESS], ids=[case[2] for case in STATELESS])
def test_the_audit_gives_each_transaction_the_code_that_fabric_gives_it(
    replayed: dict[int, Replayed], number: int, place: int
) -> None:
    block = replayed[number]
    assert name(block.codes[place]) == name(block.recorded[place]), block.reasons[place]


def test_and_each_block_leaves_the_state_that_it_leaves_at_fabric(replayed: dict[int, Replayed]) -> None:
    assert [block.number for block in replayed.values() if block.commit_hash != block.recorded_hash] == []


def test_the_embedded_node_gives_the_same_codes_to_all_that_it_has(
    replayed: dict[int, Replayed], committed: dict[int, tuple[int, ...]]
) -> None:
    different = {
        entry.name: (name(committed[number][place]), name(replayed[number].recorded[place]))
        for number, block in enumerate(VECTORS.entries, start=1)
        for place, entry in enumerate(block)
        if not entry.only_fabric and committed[number][place] != replayed[number].recorded[place]
    }
    assert not different


def test_there_are_hundreds_and_all_codes_that_a_client_can_bring_about(replayed: dict[int, Replayed]) -> None:
    assert len(set(NAMES)) == len(NAMES) >= 590
    assert sum(not entry.only_fabric for block in VECTORS.entries for entry in block) >= 300
    codes = Counter(name(code) for block in replayed.values() for code in block.recorded)
    assert set(codes) == {
        "VALID",
        "BAD_PAYLOAD",
        "BAD_COMMON_HEADER",
        "BAD_CREATOR_SIGNATURE",
        "INVALID_ENDORSER_TRANSACTION",
        "UNSUPPORTED_TX_PAYLOAD",
        "BAD_PROPOSAL_TXID",
        "DUPLICATE_TXID",
        "ENDORSEMENT_POLICY_FAILURE",
        "MVCC_READ_CONFLICT",
        "PHANTOM_READ_CONFLICT",
        "INVALID_CHAINCODE",
        "ILLEGAL_WRITESET",
        "BAD_RWSET",
        "BAD_RESPONSE_PAYLOAD",
        "BAD_HEADER_EXTENSION",
        "INVALID_OTHER_REASON",
    }
