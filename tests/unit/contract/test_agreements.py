"""Terms of the data-sharing agreement, amendments of it, its end, and what models may be used for."""

from __future__ import annotations

from typing import Any

import pytest

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import AmendmentRecord, ModelRecord, TaskRecord
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import ModelUseRecords
from tests.unit.contract.ledger import MSPS, START, Consortium, digest, task_spec
from tests.unit.contract.test_tasks import refused


def amended(consortium: Consortium, **changes: Any) -> TaskSpec:
    """The task's specification with changes, proposed by the first organisation."""
    spec = task_spec(**changes)
    consortium.ledger.submit(consortium.governors[MSPS[0]], "ProposeAmendment", spec)
    return spec


def approve(consortium: Consortium, spec: TaskSpec, *msps: str) -> None:
    for msp in msps:
        consortium.ledger.submit(consortium.governors[msp], "ApproveTask", "heart", spec.sha256())


class TestTerms:
    def test_an_update_of_too_few_examples_is_refused(self) -> None:
        consortium = Consortium.active(task_spec(agreement={"minimum_examples": 100}))
        consortium.open(1)
        consortium.submit(MSPS[0], 1, num_examples=100)
        with refused("TOO_FEW_EXAMPLES"):
            consortium.submit(MSPS[1], 1, num_examples=99)

    def test_numbers_of_examples_are_told_in_steps(self) -> None:
        consortium = Consortium.active(task_spec(agreement={"example_step": 50}))
        consortium.open(1)
        consortium.submit(MSPS[0], 1, num_examples=150)
        with refused("EXAMPLES_NOT_ROUNDED"):
            consortium.submit(MSPS[1], 1, num_examples=149)

    def test_an_update_names_the_agreement_under_which_it_is_given(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        with refused("AGREEMENT_VERSION"):
            consortium.submit(MSPS[0], 1, agreement=digest("another"))

    def test_an_agreement_that_ends_in_a_round_takes_no_further_update_and_the_round_ends(self) -> None:
        consortium = Consortium.active(task_spec(agreement={"ends_at": START + 60}))
        consortium.open(1)
        for msp in MSPS[:3]:
            consortium.submit(msp, 1)
        consortium.ledger.now = START + 60
        with refused("AGREEMENT_ENDED"):
            consortium.submit(MSPS[3], 1)
        consortium.late(1, "updates")
        consortium.conclude(1)
        assert consortium.open(2).reason == f"the agreement ended at {START + 60}"

    def test_no_clock_that_goes_back_revives_an_agreement_that_has_ended_for_certain(self) -> None:
        consortium = Consortium.active(task_spec(agreement={"ends_at": START + 60}))
        consortium.open(1)
        for msp in MSPS[:3]:
            consortium.submit(msp, 1)
        consortium.late(1, "updates")
        consortium.ledger.now = START + 61
        consortium.conclude(1)
        consortium.ledger.now = START + 10
        assert consortium.open(2).reason == f"the agreement ended at {START + 60}"

    @pytest.mark.parametrize("purposes", [[], ["b", "a"], ["a", "a"], ["Research"]])
    def test_purposes_are_sorted_short_names(self, purposes: list[str]) -> None:
        with pytest.raises(ValueError, match="purposes"):
            task_spec(agreement={"purposes": purposes})

    def test_payments_do_not_rest_on_agreement_alone(self) -> None:
        trust = {"robustness": {"trust_weighting": "last-step"}, "aggregation": {"proof": "norm"}}
        task_spec(incentive={"equal_share": 250_000}, **trust)
        with pytest.raises(ValueError, match="payments do not rest on it alone"):
            task_spec(incentive={"equal_share": 249_999}, **trust)
        task_spec(incentive={"equal_share": 0})


class TestTheEnd:
    def test_a_task_whose_agreement_has_ended_is_concluded_and_stakes_go_back(self) -> None:
        consortium = Consortium.active(task_spec(agreement={"ends_at": START + 60}))
        consortium.late(1, "agreement", consortium.quorum - 1)
        with refused("TOO_EARLY"):
            consortium.ledger.submit(consortium.governors[MSPS[0]], "ConcludeTask", "heart")
        consortium.late(1, "agreement", consortium.quorum)
        result = consortium.ledger.submit(consortium.validators[MSPS[0]], "ConcludeTask", "heart")
        record = TaskRecord.decode(result)
        assert (record.state, record.reason) == ("completed", f"The agreement ended at {START + 60}.")
        assert all(consortium.balances()[f"org:{msp}"] == 1_000_000_000 + 20_000_000 for msp in MSPS)

    def test_no_transaction_s_time_ends_it(self) -> None:
        consortium = Consortium.active(task_spec(agreement={"ends_at": START + 60}))
        consortium.ledger.now = START + 1_000
        for actor in (consortium.governors[MSPS[0]], consortium.validators[MSPS[0]]):
            with refused("TOO_EARLY"):
                consortium.ledger.submit(actor, "ConcludeTask", "heart")

    def test_what_was_said_of_an_earlier_round_is_not_said_of_a_later_one(self) -> None:
        consortium = Consortium.active(task_spec(agreement={"ends_at": START + 60}))
        consortium.late(1, "agreement", 4)
        consortium.through(1)
        with refused("TOO_EARLY"):
            consortium.ledger.submit(consortium.governors[MSPS[0]], "ConcludeTask", "heart")

    def test_it_is_not_concluded_while_a_round_is_under_way(self) -> None:
        consortium = Consortium.active(task_spec(agreement={"ends_at": START + 60}))
        consortium.open(1)
        with refused("ROUND_STATE"):
            consortium.ledger.submit(consortium.governors[MSPS[0]], "ConcludeTask", "heart")

    def test_nobody_concludes_a_task_that_can_go_on(self) -> None:
        consortium = Consortium.active()
        consortium.late(1, "agreement", 4)
        with refused("NOT_OVER"):
            consortium.ledger.submit(consortium.governors[MSPS[0]], "ConcludeTask", "heart")

    def test_a_task_whose_budgets_are_spent_is_concluded(self) -> None:
        consortium = Consortium.active(task_spec(privacy={"epsilon_budget": 1_000_000}))
        consortium.through(1)
        assert consortium.view().outlook == "over"
        assert "privacy budget of 4 is spent" in consortium.open(2).reason
        with refused("TOO_EARLY"):
            consortium.ledger.submit(consortium.governors[MSPS[0]], "ConcludeTask", "heart")
        consortium.late(3, "agreement", consortium.quorum)
        consortium.ledger.submit(consortium.governors[MSPS[0]], "ConcludeTask", "heart")
        assert consortium.view().record.state == "completed"
        assert "budgets of 4 organisations are spent" in consortium.view().record.reason

    def test_a_task_that_lacks_participants_for_another_reason_goes_on(self) -> None:
        consortium = Consortium.active()
        for msp in MSPS[:3]:
            consortium.ledger.submit(consortium.participants[msp], "LeaveTask", "heart")
        with refused("NOT_OVER"):
            consortium.ledger.submit(consortium.governors[MSPS[0]], "ConcludeTask", "heart")


class TestAmendments:
    def test_a_majority_changes_terms_from_the_next_round_on(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        spec = amended(consortium, agreement={"minimum_examples": 200}, training={"rounds": 5})
        approve(consortium, spec, *MSPS)
        for msp in MSPS:
            consortium.submit(msp, 1)
        consortium.conclude(1)
        assert consortium.view().record.spec == task_spec()
        pool = consortium.balances()["pool:heart"]
        consortium.open(2)
        view = consortium.view()
        assert (view.record.spec, view.record.spec_hash, view.record.amendments) == (spec, spec.sha256(), 1)
        assert view.amendments[0].state == "adopted"
        assert consortium.balances()["pool:heart"] == pool + 3 * 40_000_000
        with refused("AGREEMENT_VERSION"):
            consortium.submit(MSPS[0], 2)
        consortium.spec = spec
        with refused("TOO_FEW_EXAMPLES"):
            consortium.submit(MSPS[0], 2)
        consortium.submit(MSPS[0], 2, num_examples=200)

    def test_who_has_not_approved_takes_no_part_until_it_does(self) -> None:
        consortium = Consortium.active()
        spec = amended(consortium, title="Another title", training={"rounds": 3})
        approve(consortium, spec, *MSPS[:3])
        consortium.spec = spec
        consortium.through(1, submitting=MSPS[:3])
        assert {entry.msp for entry in consortium.round(1).cohort.participants} == set(MSPS[:3])
        newcomer = consortium.ledger.actor(MSPS[3], "participant")
        with refused("NO_CONSENT"):
            consortium.participants[MSPS[3]], old = newcomer, consortium.participants[MSPS[3]]
            consortium.join(MSPS[3])
        consortium.participants[MSPS[3]] = old
        approve(consortium, spec, MSPS[3])
        consortium.open(2)
        assert len(consortium.round(2).cohort.participants) == 4

    def test_an_amendment_that_a_majority_cannot_approve_any_more_is_rejected_and_another_may_follow(self) -> None:
        consortium = Consortium.active()
        spec = amended(consortium, title="Another title")
        with refused("AMENDMENT_OPEN"):
            amended(consortium, title="A third title")
        approve(consortium, spec, MSPS[0])
        for msp in MSPS[1:3]:
            consortium.ledger.submit(consortium.governors[msp], "RejectTask", "heart", "We like the old one.")
        assert consortium.view().amendments[0].state == "rejected"
        with refused("SPEC_HASH"):
            approve(consortium, spec, MSPS[3])
        amended(consortium, title="A third title")

    def test_an_approval_is_counted_once_and_the_last_word_of_an_organisation_counts(self) -> None:
        consortium = Consortium.active()
        spec = amended(consortium, title="Another title")
        approve(consortium, spec, MSPS[0], MSPS[0], MSPS[0], MSPS[1])
        consortium.ledger.submit(consortium.governors[MSPS[1]], "RejectTask", "heart", "We have thought again.")
        (amendment,) = consortium.view().amendments
        assert (amendment.approved, amendment.rejected) == ((MSPS[0],), (MSPS[1],))
        consortium.open(1)
        assert consortium.view().record.amendments == 0

    def test_who_withdraws_takes_its_approval_back(self) -> None:
        consortium = Consortium.active()
        spec = amended(consortium, title="Another title")
        approve(consortium, spec, *MSPS[:3])
        consortium.ledger.submit(consortium.governors[MSPS[2]], "WithdrawConsent", "heart", "We leave.")
        consortium.open(1)
        assert consortium.view().record.amendments == 0
        assert {entry.msp for entry in consortium.round(1).cohort.participants} == {MSPS[0], MSPS[1], MSPS[3]}

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"aggregation": {"clip_norm": 2_000_000}}, "aggregation.clip_norm"),
            ({"model": {"package_digest": digest("other")}}, "model.package_digest"),
            ({"privacy": {"noise_multiplier": 2_000_000}}, "privacy.noise_multiplier"),
            ({"incentive": {"reward_per_round": 1}}, "incentive.reward_per_round"),
            ({"training": {"rounds": 1}}, "cannot become 1"),
            ({"privacy": {"epsilon_schedule": [900_000, 2_000_000, 3_000_000]}}, "first rounds"),
        ],
    )
    def test_what_shares_and_proofs_and_stakes_rest_on_stays(self, changes: dict[str, Any], named: str) -> None:
        consortium = Consortium.active()
        with pytest.raises(ContractError, match=named) as error:
            amended(consortium, **changes)
        assert error.value.code == "NOT_AMENDABLE"

    def test_proposing_the_same_again_gives_the_first_result(self) -> None:
        consortium = Consortium.active()
        spec = amended(consortium, title="Another title")
        before = dict(consortium.ledger.world)
        again = consortium.ledger.submit(consortium.governors[MSPS[1]], "ProposeAmendment", spec)
        assert AmendmentRecord.decode(again).proposer == MSPS[0]
        assert consortium.ledger.world == before
        with refused("NO_CHANGE"):
            amended(Consortium.active())

    def test_a_longer_schedule_lets_participants_go_on(self) -> None:
        consortium = Consortium.active(task_spec(privacy={"epsilon_budget": 1_000_000}))
        consortium.through(1)
        spec = amended(consortium, privacy={"epsilon_budget": 2_000_000})
        approve(consortium, spec, *MSPS)
        consortium.spec = spec
        consortium.through(2)
        assert consortium.members().members[0].standing.epsilon == 2_000_000


class TestUses:
    def test_a_use_for_an_agreed_purpose_is_on_the_ledger(self) -> None:
        consortium = Consortium.active(task_spec(agreement={"purposes": ["research", "screening"]}))
        for _ in range(2):
            consortium.ledger.submit(consortium.participants[MSPS[1]], "UseModel", "heart", 0, "screening")
        uses = consortium.ledger.evaluate(consortium.governors[MSPS[0]], ModelUseRecords, "ListModelUses", "heart").uses
        assert [(use.msp, use.version, use.purpose) for use in uses] == [(MSPS[1], 0, "screening")]

    def test_an_amendment_opens_no_version_to_uses_under_which_its_ancestors_were_not_trained(self) -> None:
        consortium = Consortium.active(task_spec(training={"rounds": 5}))
        consortium.through(1)
        spec = amended(consortium, training={"rounds": 5}, agreement={"purposes": ["advertising", "research"]})
        approve(consortium, spec, *MSPS[:3])
        consortium.spec = spec
        consortium.through(2, submitting=MSPS[:3])
        governor = consortium.governors[MSPS[0]]
        for version in (1, 2):
            with refused("PURPOSE"):
                consortium.ledger.submit(governor, "UseModel", "heart", version, "advertising")
            consortium.ledger.submit(governor, "UseModel", "heart", version, "research")
        model = consortium.ledger.evaluate(governor, ModelRecord, "GetModel", "heart", 2)
        assert model.purposes == ("research",)
        # The initial model holds nothing of anybody's records.
        consortium.ledger.submit(governor, "UseModel", "heart", 0, "advertising")

    def test_a_use_that_is_given_up_is_open_to_no_later_descendant(self) -> None:
        wide = {"agreement": {"purposes": ["research", "screening"]}, "training": {"rounds": 5}}
        consortium = Consortium.active(task_spec(**wide))
        consortium.through(1)
        for number, purposes in ((2, ["screening"]), (3, ["research", "screening"])):
            spec = amended(consortium, **wide | {"agreement": {"purposes": purposes}})
            approve(consortium, spec, *MSPS)
            consortium.spec = spec
            consortium.through(number)
        governor = consortium.governors[MSPS[0]]
        consortium.ledger.submit(governor, "UseModel", "heart", 1, "research")
        for version in (2, 3):
            with refused("PURPOSE"):
                consortium.ledger.submit(governor, "UseModel", "heart", version, "research")

    def test_a_use_that_the_agreement_in_force_does_not_allow_is_refused_of_every_version(self) -> None:
        wide = {"agreement": {"purposes": ["research", "screening"]}, "training": {"rounds": 5}}
        consortium = Consortium.active(task_spec(**wide))
        consortium.through(1)
        spec = amended(consortium, **wide | {"agreement": {"purposes": ["screening"]}})
        approve(consortium, spec, *MSPS)
        consortium.open(2)
        with refused("PURPOSE"):
            consortium.ledger.submit(consortium.governors[MSPS[0]], "UseModel", "heart", 1, "research")

    def test_any_other_purpose_is_refused(self) -> None:
        consortium = Consortium.active()
        with pytest.raises(ContractError, match="may not be used for 'marketing'"):
            consortium.ledger.submit(consortium.participants[MSPS[1]], "UseModel", "heart", 0, "marketing")
        stranger = consortium.ledger.actor("StrangerMSP", "participant")
        with refused("NO_CONSENT"):
            consortium.ledger.submit(stranger, "UseModel", "heart", 0, "research")
