"""Model versions are computed again from aggregate shares; what is missing is said, what is wrong is named."""

from __future__ import annotations

import json
import sys

import pytest

from fedledger.audit import CheckName, Outcome, verify
from fedledger.audit.report import AuditReport
from fedledger_chaincode.messages.records import ModelRecord
from fedledger_chaincode.messages.round import AggregateShare, ModelReport
from fedledger_chaincode.rules.dealing import aggregate_bytes
from fedledger_chaincode.state import model_key
from tests.unit.audit.members import TrainingConsortium, consortium
from tests.unit.contract.ledger import MSPS, digest


def record(members: TrainingConsortium, version: int) -> ModelRecord:
    return ModelRecord.decode(members.ledger.world[model_key(members.task, version)])


def until_settled(members: TrainingConsortium, number: int) -> None:
    members.open(number)
    for msp in MSPS:
        members.submit(msp, number)
    members.close(number)
    for msp in MSPS:
        members.attest(msp, number)
    members.settle(number)


def only_failure(report: AuditReport) -> tuple[str, int | None]:
    (failed,) = [check for check in report.checks if check.outcome is Outcome.FAILED]
    return failed.name, failed.first_bad_block


class TestArtifacts:
    def test_one_missing_share_is_made_up_for_by_the_others(self, members: TrainingConsortium) -> None:
        for version in (1, 2):
            del members.artifacts[record(members, version).aggregate_shares[2].digest]
        assert verify(members.ledger.blocks, members.artifacts.get).complete

    def test_two_missing_shares_leave_a_version_unchecked(self, members: TrainingConsortium) -> None:
        for reference in record(members, 2).aggregate_shares[:2]:
            del members.artifacts[reference.digest]
        report = verify(members.ledger.blocks, members.artifacts.get)
        assert report.ok
        for name in ("aggregates", "models"):
            check = report.check(name)
            assert check.outcome is Outcome.SKIPPED and check.count == 1
            assert "version 2 of heart, artifact missing: the aggregate share of ClevelandMSP" in check.detail

    def test_model_files_are_not_needed_where_they_can_be_computed(self, members: TrainingConsortium) -> None:
        for version in (1, 2):
            del members.artifacts[record(members, version).model_digest]
        assert verify(members.ledger.blocks, members.artifacts.get).complete

    def test_without_the_initial_model_nothing_can_be_computed(self, members: TrainingConsortium) -> None:
        for version in (0, 1, 2):
            del members.artifacts[record(members, version).model_digest]
        report = verify(members.ledger.blocks, members.artifacts.get)
        assert report.ok and report.check("models").outcome is Outcome.SKIPPED
        assert "the model file of version 0" in report.check("models").detail

    def test_a_damaged_share_is_named(self, members: TrainingConsortium) -> None:
        reference = record(members, 2).aggregate_shares[1]
        damaged = bytearray(members.artifacts[reference.digest])
        damaged[-1] ^= 1
        members.artifacts[reference.digest] = bytes(damaged)
        report = verify(members.ledger.blocks, members.artifacts.get)
        assert only_failure(report) == ("aggregates", members.ledger.block_of("FinaliseRound", 1))
        assert f"aggregate share of {reference.validator}" in report.check("aggregates").detail
        assert reference.digest[:16] in report.check("aggregates").detail

    def test_a_damaged_model_is_named(self, members: TrainingConsortium) -> None:
        name = record(members, 1).model_digest
        members.artifacts[name] += b"\0"
        report = verify(members.ledger.blocks, members.artifacts.get)
        assert only_failure(report) == ("models", members.ledger.block_of("FinaliseRound", 0))
        assert name[:16] in report.check("models").detail


class TestValidatorsThatCollude:
    def test_cannot_publish_another_model_than_the_sum_leads_to(self, members: TrainingConsortium) -> None:
        until_settled(members, 3)
        for msp in MSPS:
            members.post_share(msp, 3)
            members.report(msp, 3, model="of their own making")
        members.finalise(3)
        report = verify(members.ledger.blocks, members.artifacts.get)
        assert only_failure(report) == ("models", len(members.ledger.blocks) - 1)
        assert "version 3 of heart" in report.check("models").detail

    def test_cannot_claim_another_sum(self, members: TrainingConsortium) -> None:
        until_settled(members, 3)
        for msp in MSPS:
            members.post_share(msp, 3)
            size = members.spec.model.initial_weights_size
            claim = ModelReport(
                task=members.task,
                round=3,
                aggregate_digest=digest("another sum"),
                model_digest=members.keep(bytes(size)),
                model_size=size,
                liars=(),
            )
            members.ledger.submit(members.validators[msp], "ReportModel", claim)
        members.finalise(3)
        report = verify(members.ledger.blocks, members.artifacts.get)
        assert only_failure(report) == ("aggregates", len(members.ledger.blocks) - 1)

    def test_cannot_post_shares_of_nothing(self, members: TrainingConsortium) -> None:
        until_settled(members, 3)
        size = aggregate_bytes(members.spec.model.parameter_count)
        for msp in MSPS:
            nothing = msp.encode().ljust(size)
            share = AggregateShare(task=members.task, round=3, digest=members.keep(nothing), size=size)
            members.ledger.submit(members.validators[msp], "PostAggregateShare", share)
            members.report(msp, 3)
        members.finalise(3)
        report = verify(members.ledger.blocks, members.artifacts.get)
        assert only_failure(report) == ("aggregates", len(members.ledger.blocks) - 1)
        assert "cannot be decoded" in report.check("aggregates").detail

    def test_cannot_call_an_honest_one_a_liar(self, members: TrainingConsortium) -> None:
        until_settled(members, 3)
        for msp in MSPS:
            members.post_share(msp, 3)
            members.report(msp, 3, liars=(MSPS[3],))
        members.finalise(3)
        report = verify(members.ledger.blocks, members.artifacts.get)
        assert only_failure(report) == ("aggregates", len(members.ledger.blocks) - 1)
        assert f"the share of {MSPS[3]} is right" in report.check("aggregates").detail


class TestAProvenLie:
    def test_does_not_hinder_the_others(self, members: TrainingConsortium) -> None:
        until_settled(members, 3)
        for msp in MSPS[:3]:
            members.post_share(msp, 3)
        lie = members.keep(members.artifacts[record(members, 1).aggregate_shares[3].digest])
        share = AggregateShare(task=members.task, round=3, digest=lie, size=len(members.artifacts[lie]))
        members.ledger.submit(members.validators[MSPS[3]], "PostAggregateShare", share)
        for msp in MSPS[:3]:
            members.report(msp, 3, liars=(MSPS[3],))
        members.finalise(3)
        assert record(members, 3).liars == (MSPS[3],)
        assert verify(members.ledger.blocks, members.artifacts.get).complete
        del members.artifacts[record(members, 3).aggregate_shares[0].digest]
        report = verify(members.ledger.blocks, members.artifacts.get)
        assert report.ok
        assert "version 3 of heart, artifact missing" in report.check("aggregates").detail


def test_server_momentum_is_followed_from_version_to_version() -> None:
    optimizer = {"name": "sgd", "learning_rate": 500_000, "momentum": 900_000}
    members = consortium(rounds=3, training={"rounds": 50, "server_optimizer": optimizer})
    report = verify(members.ledger.blocks, members.artifacts.get)
    assert report.complete and report.check("models").count == 3


class TestPrivacy:
    def test_charged_below_what_is_spent_is_refused(self) -> None:
        understated = {"epsilon_budget": 9_000_000, "epsilon_schedule": [2_400_000, 2_400_000, 2_400_000]}
        report = verify(consortium(rounds=0, privacy=understated).ledger.blocks)
        assert only_failure(report) == ("privacy spent", None)
        assert "after 2 rounds epsilon is" in report.check("privacy spent").detail

    def test_below_what_an_organisations_own_mechanism_spends_as_well(self) -> None:
        spec = consortium(rounds=0).spec
        own = {"msp": MSPS[1], "privacy": spec.privacy.model_dump(mode="json") | {"noise_multiplier": 900_000}}
        report = verify(consortium(rounds=0, own_privacy=[own]).ledger.blocks)
        assert only_failure(report) == ("privacy spent", None)
        assert f"task heart, {MSPS[1]}: after 1 rounds epsilon is" in report.check("privacy spent").detail

    def test_of_tasks_without_dp_has_nothing_to_check(self) -> None:
        none = {
            "mechanism": "none",
            "noise_multiplier": 0,
            "record_clip_norm": 0,
            "sampling_rate": 0,
            "steps_per_round": 0,
            "delta_pico": 0,
            "epsilon_budget": 0,
            "epsilon_schedule": [],
        }
        check = verify(consortium(rounds=0, privacy=none).ledger.blocks).check("privacy spent")
        assert check.outcome is Outcome.PASSED and "1 tasks without" in check.detail

    def test_is_skipped_where_dp_accounting_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in sys.modules if name.startswith("dp_accounting")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "dp_accounting", None)
        never_computed = {"noise_multiplier": 1_234_567}
        check = verify(consortium(rounds=0, privacy=never_computed).ledger.blocks).check(CheckName.PRIVACY.value)
        assert check.outcome is Outcome.SKIPPED and "dp_accounting is not installed" in check.detail


def test_a_marked_model_is_still_found_in_its_own_block(members: TrainingConsortium) -> None:
    members.ledger.submit(members.governors[MSPS[0]], "DeprecateModel", members.task, 1, "superseded")
    assert json.loads(members.ledger.world[model_key(members.task, 1)])["deprecated"] == "superseded"
    members.artifacts[record(members, 1).model_digest] += b"\0"
    report = verify(members.ledger.blocks, members.artifacts.get)
    assert only_failure(report) == ("models", members.ledger.block_of("FinaliseRound", 0))
