"""Ledgers of odd certificates and of odd transactions, as a real peer has committed them, pass the audit.

What each certificate and each transaction is, and how the ledgers were made, say ``tests/unit/identity`` and
``tests/unit/validation``. None of their transactions is of fedledger's contract.
"""

from __future__ import annotations

import pytest

from fedledger.audit import AuditReport, CheckName, Outcome, verify, verify_file
from fedledger.audit.findings import BLOCK_CHECKS
from tests.unit.identity import certificate_vectors
from tests.unit.validation import transaction_vectors

NO_CONTRACT = "none of these"
NOT_MADE = {CheckName.VERSION, CheckName.CONTRACT}


@pytest.fixture(scope="module")
def of_certificates() -> AuditReport:
    return verify_file(certificate_vectors.LEDGER, chaincode=NO_CONTRACT)


@pytest.fixture(scope="module")
def of_transactions() -> AuditReport:
    return verify(transaction_vectors.Vectors.load().blocks, chaincode=NO_CONTRACT)


def failures(report: AuditReport) -> list[str]:
    return [f"{check.name}: {check.detail}" for check in report.checks if check.outcome is Outcome.FAILED]


def test_a_ledger_of_hundreds_of_kinds_of_creators_passes(of_certificates: AuditReport) -> None:
    assert of_certificates.ok, failures(of_certificates)
    members = certificate_vectors.Vectors.load().members
    assert of_certificates.check(CheckName.CREATORS.value).count >= len(members) >= 400
    refused = sum(not member.accepted for member in members)
    assert f"{refused} refusals" in of_certificates.check(CheckName.CODES.value).detail


def test_and_says_how_many_have_signed_outside_their_certificates_times(of_certificates: AuditReport) -> None:
    assert "outside their times" in of_certificates.check(CheckName.CREATORS.value).detail


def test_a_ledger_of_hundreds_of_kinds_of_transactions_passes(of_transactions: AuditReport) -> None:
    assert of_transactions.ok, failures(of_transactions)
    assert of_transactions.blocks == len(transaction_vectors.Vectors.load().blocks)


def test_every_check_of_blocks_was_made_on_both(of_certificates: AuditReport, of_transactions: AuditReport) -> None:
    for report in (of_certificates, of_transactions):
        for name in set(BLOCK_CHECKS) - NOT_MADE:
            assert report.check(name.value).outcome is Outcome.PASSED, name
