"""Ledgers of version 1 are audited by whatever version is installed, with the contract that made them.

``vectors/README.md`` says what they hold and how they were made. They are never made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fabric_protos.common import common_pb2

from fedledger.audit import Archive, AuditReport, Check, Outcome, verify_file
from fedledger.audit.findings import CheckName
from fedledger.cli.audit import lines
from fedledger.cli.main import run
from fedledger.errors import ExitCode
from fedledger.gateway.blocks import EndorserTransaction, parse_block, parse_envelope_header, validation_codes
from fedledger.validation.state import VALID
from fedledger_chaincode.messages import protocol1, records
from fedledger_chaincode.messages.base import Record, canonical
from fedledger_chaincode.signatures import is_signed

CHAINCODE = "fedledger"
EMBEDDED, FABRIC = "embedded-contract-1.0", "fabric-contract-1.0"
KINDS: Mapping[str, type[Record]] = {
    "aggregate": records.AggregateShareRecord,
    "allowance": records.AllowanceRecord,
    "amendment": records.AmendmentRecord,
    "attestation": records.AttestationRecord,
    "balance": records.BalanceRecord,
    "cohort": records.CohortRecord,
    "consent": records.ConsentRecord,
    "equivocation": records.EquivocationRecord,
    "evaluation": records.EvaluationRecord,
    "fixed": records.FixedSetRecord,
    "head": records.HeadRecord,
    "member": records.MemberRecord,
    "mint": records.MintRecord,
    "model": records.ModelRecord,
    "report": records.ReportRecord,
    "roster": records.RosterRecord,
    "round": records.RoundRecord,
    "settlement": records.SettlementRecord,
    "standing": records.StandingRecord,
    "supply": records.SupplyRecord,
    "suspension": records.SuspensionRecord,
    "task": records.TaskRecord,
    "update": records.UpdateRecord,
    "use": records.ModelUseRecord,
    "validator": records.ValidatorRecord,
}
OF_ITS_ROUNDS_ALONE = {"disputes", "judgement", "reference", "reveal"}
"""Kinds of records that nothing reads when the round is over."""


@dataclass(frozen=True)
class Kept:
    """A ledger that is kept, what it holds, and what the audit says of it."""

    path: Path
    calls: tuple[str, ...]
    """The functions of the contract's valid transactions, in order."""
    writes: tuple[tuple[str, Any], ...]
    """Keys and the JSON that was written to them, in order."""
    report: AuditReport

    def check(self, name: CheckName) -> Check:
        return self.report.check(name.value)

    def of_kind(self, kind: str) -> Iterator[Any]:
        return (document for key, document in self.writes if key.partition("/")[0] == kind)


def file_of(name: str) -> Path:
    return Path(__file__).parent / "vectors" / f"{name}.fedledger"


@pytest.fixture(scope="module", params=[EMBEDDED, FABRIC])
def kept(request: pytest.FixtureRequest) -> Kept:
    path = file_of(request.param)
    with Archive.open(path) as archive:
        transactions = [each for block in archive.blocks() for each in valid_transactions(block)]
    writes = [
        (write.key, json.loads(write.value))
        for transaction in transactions
        for entry in transaction.read_write_sets
        if entry.namespace == CHAINCODE
        for write in entry.writes
        if write.value is not None
    ]
    calls = tuple(transaction.function for transaction in transactions)
    return Kept(path, calls, tuple(writes), verify_file(path))


def valid_transactions(block_bytes: bytes) -> Iterator[EndorserTransaction]:
    block = parse_block(block_bytes)
    for envelope, code in zip(block.data.data, validation_codes(block), strict=True):
        if code == VALID and parse_envelope_header(envelope).type == common_pb2.ENDORSER_TRANSACTION:
            transaction = EndorserTransaction.parse(envelope)
            if transaction.chaincode_name == CHAINCODE:
                yield transaction


def test_it_is_the_one_that_was_made(kept: Kept) -> None:
    page = (kept.path.parent / "README.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith(f"| `{kept.path.name}` |"))
    assert hashlib.sha256(kept.path.read_bytes()).hexdigest() in row


def test_it_holds_what_it_is_kept_for(kept: Kept) -> None:
    both = {"SubmitUpdates", "AttestUpdates", "DisputeRound", "RevealShare", "JudgeReveal", "FinaliseRound", "StopTask"}
    both |= {"CommitReference", "RevealReference", "AdmitParticipants", "VoteMint", "TransferFrom", "DeprecateModel"}
    whole = {"AbortRound", "ProposeAmendment", "VoteSuspension", "WithdrawConsent", "LeaveTask", "RejectTask"}
    assert set(kept.calls) >= (both | whole if EMBEDDED in kept.path.name else both)
    verdicts = {update["verdict"] for settlement in kept.of_kind("settlement") for update in settlement["updates"]}
    if EMBEDDED in kept.path.name:
        refused = {"refused: equivocation", "refused: norm", "refused: dealing", "refused: inconsistent"}
        assert verdicts == {"accepted", "absent", "unreadable"} | refused
        states = {record["state"] for record in kept.of_kind("task")}
        assert states == {"proposed", "active", "completed", "stopped", "rejected"}
        assert {record["state"] for record in kept.of_kind("round")} >= {"disputed", "aborted", "finalised"}


def test_every_check_is_made_and_finds_nothing_wrong(kept: Kept) -> None:
    assert kept.report.ok
    outcomes = {check.name: check.outcome for check in kept.report.checks}
    assert outcomes.keys() == {name.value for name in CheckName}
    assert {name for name, outcome in outcomes.items() if outcome is not Outcome.PASSED} == {"norm bound"}


def test_every_transaction_is_run_again_by_the_contract_that_made_it(kept: Kept) -> None:
    assert kept.check(CheckName.CONTRACT).count == len(kept.calls)
    told = f"{len(kept.calls)} transactions have the results of version 1.0 of the contract"
    assert kept.check(CheckName.VERSION).detail.startswith(told)


def test_sums_and_models_are_computed_again(kept: Kept) -> None:
    versions = sum(1 for model in kept.of_kind("model") if model["version"] and not model["deprecated"])
    assert versions == kept.check(CheckName.AGGREGATES).count == kept.check(CheckName.MODELS).count


def test_its_norm_bound_is_said_not_to_be_proven(kept: Kept) -> None:
    check = kept.check(CheckName.NORM_BOUND)
    assert (check.outcome, check.ok, kept.report.complete) == (Outcome.LIMITED, True, False)
    accepted = {
        key: sum(1 for update in document["updates"] if update["verdict"] == "accepted")
        for key, document in kept.writes
        if key.startswith("settlement/heart/")
    }
    assert check.detail.startswith(
        "NOT PROVEN in heart, which went by protocol 1: its norm proof does not hold against"
    )
    assert "colludes with t validators while an honest validator is late or cannot read its share" in check.detail
    assert f" {sum(accepted.values())} accepted updates rest on it" in check.detail


def test_the_verdict_does_not_claim_more_than_it_shows(kept: Kept) -> None:
    said = lines(kept.report)
    assert said[-1] == (
        f"The ledger of channel fedledger is as the rules of its versions make it: {kept.report.blocks} blocks. "
        "They do not prove everything that it claims: see norm bound."
    )
    assert [line for line in said if line.startswith("LIMITED")] == [
        f"LIMITED  norm bound: {kept.check(CheckName.NORM_BOUND).detail}"
    ]


def test_the_command_needs_no_contract_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "verify", str(file_of(FABRIC))]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "NOT PROVEN in heart" in said and "They do not prove everything that it claims" in said


def test_its_times_run_backwards_once(kept: Kept) -> None:
    detail = kept.check(CheckName.TIME).detail
    assert detail.startswith(f"1 of {len(kept.calls)} transactions are over 300 seconds earlier")


# --- records and messages


def test_every_record_is_read_and_written_again_with_nothing_lost(kept: Kept) -> None:
    kinds = {key.partition("/")[0] for key, _ in kept.writes}
    assert kinds <= KINDS.keys() | OF_ITS_ROUNDS_ALONE
    for key, document in kept.writes:
        kind = key.partition("/")[0]
        if kind in KINDS:
            rewritten = json.loads(KINDS[kind].decode(canonical(document)).canonical())
            assert holds(rewritten, document), key


def test_manifests_are_read_as_they_were_signed(kept: Kept) -> None:
    keys = {member["participant"]: bytes.fromhex(member["public_key"]) for member in kept.of_kind("member")}
    signed = [document["signed"] for document in kept.of_kind("update")]
    signed += [document[which] for document in kept.of_kind("equivocation") for which in ("first", "second")]
    for document in signed:
        message = protocol1.SignedManifest.decode(canonical(document))
        assert message.canonical() == canonical(document)
        manifest = message.manifest
        assert is_signed(keys[manifest.participant], message.signature_bytes(), manifest.canonical())
    tasks = {document["manifest"]["task"]: document["manifest"]["proof"] is not None for document in signed}
    assert tasks == ({"heart": True, "pumps": False} if EMBEDDED in kept.path.name else {"heart": True})


def test_attestations_are_read_as_they_were_made(kept: Kept) -> None:
    made = [document["attestation"] for document in kept.of_kind("attestation")]
    for document in made:
        assert protocol1.Attestation.decode(canonical(document)).canonical() == canonical(document)
    assert any(finding["opening"] is not None for document in made for finding in document["findings"])


def holds(rewritten: Any, stored: Any) -> bool:
    """Whether everything that was stored is there, as it was."""
    if isinstance(stored, dict):
        return all(name in rewritten and holds(rewritten[name], value) for name, value in stored.items())
    if isinstance(stored, list):
        return len(rewritten) == len(stored) and all(map(holds, rewritten, stored))
    return bool(rewritten == stored)
