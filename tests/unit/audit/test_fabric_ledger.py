"""A ledger that Hyperledger Fabric 3.1.5 wrote passes: SmartBFT signatures, definitions, conflicts, a revocation.

``vectors/fabric-3.1.5.fedledger`` was exported from a network of four organisations, each with a peer and a SmartBFT
orderer: genesis, four approvals of the chaincode definition (writes into each organisation's implicit collection) and
its commit, a few transactions of the contract, two that conflict in one block, one with a single endorsement, one with
a range query, a configuration update that revokes a certificate, and a transaction after it. The contract itself is not
run again, for the file stays when the contract changes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fedledger.audit import Archive, AuditReport, CheckName, Outcome, verify, verify_file
from fedledger.audit.findings import BLOCK_CHECKS
from fedledger.gateway.blocks import parse_block, validation_codes
from tests.unit.audit.block_ledger import MVCC_CONFLICT, POLICY_FAILURE

VECTOR = Path(__file__).parent / "vectors" / "fabric-3.1.5.fedledger"
NO_CONTRACT = "none of these"


@pytest.fixture(scope="module")
def blocks() -> list[bytes]:
    with Archive.open(VECTOR) as archive:
        return list(archive.blocks())


@pytest.fixture(scope="module")
def report() -> AuditReport:
    return verify_file(VECTOR, chaincode=NO_CONTRACT)


def test_passes_every_check_of_blocks(report: AuditReport) -> None:
    assert report.ok and report.blocks == 15
    made = {name.value for name in BLOCK_CHECKS} - {"contract version", "contract re-run"}
    assert {check.name for check in report.checks if check.outcome is Outcome.PASSED} >= made


def test_is_signed_by_a_quorum_of_orderers(report: AuditReport) -> None:
    assert report.check("orderer signatures").count >= 3 * (report.blocks - 1)


def test_holds_what_fabric_refused(blocks: list[bytes], report: AuditReport) -> None:
    codes = {code for block in blocks for code in validation_codes(parse_block(block))}
    assert codes == {0, MVCC_CONFLICT, POLICY_FAILURE}
    assert "2 refusals" in report.check("validation codes").detail


def test_holds_an_authorised_configuration(report: AuditReport) -> None:
    assert report.check("channel configuration").count == 2


@pytest.mark.parametrize("number", range(1, 15))
def test_any_changed_block_is_found(blocks: list[bytes], number: int) -> None:
    length = len(blocks[number])
    for position in (length // 3, length - 700, length - 20):
        changed = bytearray(blocks[number])
        changed[position] ^= 1
        found = verify([*blocks[:number], bytes(changed)], chaincode=NO_CONTRACT)
        assert not found.ok and found.first_bad_block == number


def test_the_configuration_cannot_be_left_out(blocks: list[bytes]) -> None:
    number = max(range(1, len(blocks)), key=lambda index: len(blocks[index]))  # it repeats all of genesis
    found = verify([*blocks[:number], *blocks[number + 1 :]], chaincode=NO_CONTRACT)
    assert found.check(CheckName.FORMAT.value).first_bad_block == number  # the next block names it as its configuration
