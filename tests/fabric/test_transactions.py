"""A real peer judges the table of transactions, made anew: the audit and the embedded node give the same codes."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import pytest
from fabric_protos.peer import transaction_pb2

from fedledger.audit import verify
from fedledger_network.fabric import Programs
from tests.fabric.conftest import free_ports
from tests.fabric.judge.ledger import committed_blocks
from tests.fabric.judge.peer import judging_peer
from tests.fabric.ledger import failures
from tests.fabric.test_certificates import NO_CHAINCODE, REWRITE
from tests.unit.validation.replays import by_audit, by_embedded_node
from tests.unit.validation.transaction_maker import CHAINCODE
from tests.unit.validation.transaction_table import Table, make_table
from tests.unit.validation.transaction_vectors import Vectors

pytestmark = pytest.mark.fabric


@dataclass(frozen=True)
class Judged:
    table: Table
    blocks: list[bytes]


@pytest.fixture(scope="module")
def judged(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    table = make_table(int(time.time()))
    with judging_peer(programs, tmp_path_factory.mktemp("transactions"), free_ports()) as peer:
        found = Judged(table, committed_blocks(peer, table))
    if REWRITE in os.environ:
        Vectors.of(programs.version, table, found.blocks).save()
    return found


def name(code: int) -> str:
    return str(transaction_pb2.TxValidationCode.Name(code))


def test_the_audit_gives_the_codes_that_fabric_gives(judged: Judged) -> None:
    different = {}
    for cases, block in zip(judged.table.blocks, by_audit(judged.blocks), strict=True):
        assert block.commit_hash == block.recorded_hash, block.number
        for case, code, recorded in zip(cases, block.codes, block.recorded, strict=True):
            if code != recorded:
                different[case.name] = (name(code), name(recorded))
    assert not different


def test_the_audit_of_the_ledger_is_right(judged: Judged) -> None:
    report = verify(judged.blocks, chaincode=NO_CHAINCODE)
    assert report.ok, failures(report)
    assert report.blocks == len(judged.blocks)


def test_the_embedded_node_gives_them_to_all_that_it_has(judged: Judged) -> None:
    recorded = [block.recorded for block in by_audit(judged.blocks)]
    different = {
        case.name: (name(code), name(recorded[number - 1][place]))
        for number, codes in by_embedded_node(judged.blocks, CHAINCODE)
        for place, (case, code) in enumerate(zip(judged.table.blocks[number - 1], codes, strict=True))
        if not case.only_fabric and code != recorded[number - 1][place]
    }
    assert not different


def test_the_vectors_are_what_fabric_still_says(judged: Judged) -> None:
    kept = Vectors.load()
    before = {
        entry.name: code
        for entries, block in zip(kept.entries, by_audit(kept.blocks), strict=True)
        for entry, code in zip(entries, block.recorded, strict=True)
    }
    now = {
        case.name: code
        for cases, block in zip(judged.table.blocks, by_audit(judged.blocks), strict=True)
        for case, code in zip(cases, block.recorded, strict=True)
    }
    assert before == now
