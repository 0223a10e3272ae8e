"""A task ends when its organisations want it to, never because one of them rests; nobody's stake is locked for good."""

from __future__ import annotations

from typing import Any

import pytest

from fedledger_chaincode.messages.base import MAXIMUM_INTEGER
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.tokens import MintProposal
from tests.unit.contract.ledger import MSPS, START, Consortium, seven_organisations, task_spec
from tests.unit.contract.test_tasks import refused

A, B, C, D = MSPS
ENDOWMENT = 1_000_000_000
ONE_ROUND = {"epsilon_budget": 1_000_000}


def says(consortium: Consortium, msp: str, function: str, *arguments: str | int) -> None:
    consortium.ledger.submit(consortium.governors[msp], function, consortium.task, *arguments)


def suspend(consortium: Consortium, msp: str, *voters: str) -> None:
    for voter in voters:
        says(consortium, voter, "VoteSuspension", msp, "suspend", "x")


def amended(consortium: Consortium, **changes: Any) -> TaskSpec:
    spec = task_spec(**changes)
    consortium.ledger.submit(consortium.governors[A], "ProposeAmendment", spec)
    return spec


def own(msp: str, budget: int) -> list[dict[str, Any]]:
    """Privacy of its own for one organisation, with so many rounds of budget."""
    privacy = task_spec().privacy.model_dump(mode="json") | {"epsilon_budget": budget * 1_000_000}
    return [{"msp": msp, "privacy": privacy}]


class TestBudgets:
    """One organisation's budget lasts for one round, those of the others for three."""

    def spent(self) -> Consortium:
        consortium = Consortium.active(task_spec(own_privacy=own(A, 1), training={"rounds": 4}))
        consortium.through(1)
        return consortium

    @pytest.mark.parametrize("rests", ["suspends its participant", "withdraws", "is suspended", "leaves"])
    def test_who_can_come_back_counts_as_able(self, rests: str) -> None:
        consortium = self.spent()
        if rests == "suspends its participant":
            says(consortium, D, "SuspendParticipant", consortium.pseudonym(D), "maintenance")
        elif rests == "withdraws":
            says(consortium, D, "WithdrawConsent", "x")
        elif rests == "is suspended":
            suspend(consortium, D, A, B, C)
        else:
            consortium.ledger.submit(consortium.participants[D], "LeaveTask", "heart")
        assert consortium.view().outlook == "waits"
        consortium.late(2, "agreement", 4)
        with refused("NOT_OVER"):
            says(consortium, D, "ConcludeTask")

    def test_who_left_with_its_budget_spent_cannot_come_back_under_another_name(self) -> None:
        consortium = Consortium.active(task_spec(own_privacy=own(A, 1), privacy=ONE_ROUND, training={"rounds": 4}))
        consortium.through(1)
        for msp in MSPS:
            consortium.ledger.submit(consortium.participants[msp], "LeaveTask", "heart")
        assert consortium.view().outlook == "over"

    def test_an_organisation_that_has_brought_nobody_yet_is_able(self) -> None:
        consortium = Consortium.active(task_spec(own_privacy=own(A, 1), training={"rounds": 4}))
        consortium.ledger.submit(consortium.participants[D], "LeaveTask", "heart")
        consortium.through(1, submitting=MSPS[:3])
        assert consortium.view().outlook == "waits"

    def test_ending_it_early_takes_the_majority_of_all_organisations(self) -> None:
        """Four of seven validate; a governor speaks for an organisation that does not."""
        spec = seven_organisations(
            privacy=ONE_ROUND,
            aggregation={"validators": [f"Site{n}MSP" for n in range(1, 5)], "tolerated_faults": 1},
        )
        consortium = Consortium.founded(spec)
        consortium.propose()
        for msp in spec.organisations:
            consortium.approve(msp)
        for msp in spec.organisations:
            consortium.join(msp)
        for msp in spec.aggregation.validators:
            consortium.register(msp)
        consortium.open(1)
        for msp in spec.organisations:
            consortium.submit(msp, 1)
        consortium.close(1)
        for msp in spec.aggregation.validators:
            consortium.attest(msp, 1)
        consortium.settle(1)
        for msp in spec.aggregation.validators:
            consortium.post_share(msp, 1)
            consortium.report(msp, 1)
        consortium.finalise(1)
        consortium.late(2, "agreement", 3)
        with refused("TOO_EARLY"):
            says(consortium, "Site7MSP", "ConcludeTask")
        says(consortium, "Site7MSP", "StopTask", "It is over.")
        says(consortium, "Site7MSP", "ConcludeTask")
        assert consortium.view().record.state == "completed"


class TestADecidedAmendment:
    def test_with_a_larger_budget_keeps_a_task_going(self) -> None:
        consortium = Consortium.active(task_spec(privacy=ONE_ROUND))
        consortium.through(1)
        consortium.late(2, "agreement", 4)
        spec = amended(consortium, privacy={"epsilon_budget": 2_000_000})
        for msp in (A, B, C):
            says(consortium, msp, "ApproveTask", spec.sha256())
        with refused("AMENDMENT_DECIDED"):
            says(consortium, D, "ConcludeTask")
        assert consortium.view().outlook == "ready"
        assert consortium.open(2).state == "open"

    def test_with_a_later_end_keeps_a_task_going(self) -> None:
        consortium = Consortium.active(task_spec(agreement={"ends_at": START + 60}))
        consortium.late(1, "agreement", 4)
        spec = amended(consortium, agreement={"ends_at": START + 900})
        for msp in (A, B, C):
            says(consortium, msp, "ApproveTask", spec.sha256())
        consortium.ledger.now = START + 61
        with refused("AMENDMENT_DECIDED"):
            says(consortium, D, "ConcludeTask")
        assert consortium.open(1).state == "open"

    def test_that_ends_it_at_once_lets_it_be_concluded_after_one_void_round(self) -> None:
        consortium = Consortium.active()
        spec = amended(consortium, agreement={"ends_at": START - 1})
        for msp in (A, B, C):
            says(consortium, msp, "ApproveTask", spec.sha256())
        assert consortium.open(1).void
        consortium.late(2, "agreement", 3)
        says(consortium, D, "ConcludeTask")
        assert consortium.view().record.state == "completed"


class TestAnAmendment:
    def test_past_the_supply_limit_is_refused_when_it_is_approved(self) -> None:
        consortium = Consortium.active()
        spec = amended(consortium, training={"rounds": 3})
        says(consortium, A, "ApproveTask", spec.sha256())
        mint = MintProposal(
            task="heart", recipient=f"org:{A}", amount=MAXIMUM_INTEGER - consortium.supply() - 10, reason="much"
        )
        consortium.ledger.submit(consortium.governors[A], "ProposeMint", mint)
        for msp in (B, C):
            says(consortium, msp, "VoteMint", mint.sha256(), "approve")
        with refused("SUPPLY_LIMIT"):
            says(consortium, B, "ApproveTask", spec.sha256())
        assert consortium.view().amendments[0].approved == (A,)
        assert consortium.open(1).state == "open"

    def test_is_decided_by_none_who_is_suspended_and_everybody_can_take_its_approval_back(self) -> None:
        consortium = Consortium.active()
        spec = amended(consortium, title="Another title")
        for msp in (A, C, D):
            says(consortium, msp, "ApproveTask", spec.sha256())
        suspend(consortium, D, A, B, C)
        consortium.open(1)
        assert consortium.view().record.amendments == 0
        says(consortium, D, "RejectTask", "We have thought again.")
        assert consortium.view().amendments[0].rejected == (D,)


class TestSuspensionByHalf:
    def test_half_of_the_organisations_suspends_nobody(self) -> None:
        consortium = Consortium.active()
        for msp in (C, D):
            suspend(consortium, msp, A, B)
        assert not any(consent.suspended for consent in consortium.view().consents)
        consortium.open(1)
        assert len(consortium.round(1).cohort.participants) == 4

    def test_a_vote_that_is_taken_back_lifts_it(self) -> None:
        consortium = Consortium.active()
        suspend(consortium, D, A, B, C)
        says(consortium, B, "VoteSuspension", D, "reinstate", "We were wrong.")
        assert not any(consent.suspended for consent in consortium.view().consents)

    def test_who_is_suspended_votes_on_stopping(self) -> None:
        consortium = Consortium.active(seven_organisations())
        for index in (4, 5, 6):
            suspend(consortium, consortium.msps[index], *consortium.msps[:4])
        for msp in consortium.msps[3:]:
            says(consortium, msp, "StopTask", "Four of seven want to.")
        assert consortium.view().record.state == "stopped"


class TestStopping:
    def test_a_vote_to_stop_can_be_taken_back(self) -> None:
        consortium = Consortium.active()
        says(consortium, A, "StopTask", "for now")
        says(consortium, B, "StopTask", "for now")
        says(consortium, A, "ContinueTask", "It goes on.")
        says(consortium, C, "StopTask", "for now")
        assert consortium.view().record.state == "active"
        assert [consent.stop for consent in consortium.view().consents] == [False, True, True, False]
        says(consortium, D, "StopTask", "for now")
        assert consortium.view().record.state == "stopped"

    def test_two_of_four_withdrawn_do_not_lock_the_rest(self) -> None:
        consortium = Consortium.active()
        consortium.through(1)
        for msp in (C, D):
            says(consortium, msp, "WithdrawConsent", "gone")
        says(consortium, A, "StopTask", "We cannot go on.")
        assert consortium.view().record.state == "active"
        says(consortium, B, "StopTask", "We cannot go on.")
        assert consortium.view().record.state == "stopped"
        assert not any(amount for account, amount in consortium.balances().items() if account.startswith("stake:"))

    def test_who_has_withdrawn_counts_as_long_as_rounds_can_begin(self) -> None:
        consortium = Consortium.active()
        says(consortium, D, "WithdrawConsent", "gone")
        for msp in (A, B):
            says(consortium, msp, "StopTask", "x")
        assert consortium.view().record.state == "active"


class TestStakesComeHome:
    def test_of_an_organisation_that_is_suspended_and_its_validator_goes_on_unpaid(self) -> None:
        consortium = Consortium.active(task_spec(training={"rounds": 3}))
        suspend(consortium, D, A, B, C)
        says(consortium, D, "ReclaimStakes")
        assert consortium.balances()[f"org:{D}"] == ENDOWMENT
        stakes = {view.member.msp: view.member.stake for view in consortium.members().members}
        assert stakes == {A: 100_000_000, B: 100_000_000, C: 100_000_000, D: 0}
        consortium.through(1, submitting=MSPS[:3])
        assert consortium.balances()[f"org:{D}"] == ENDOWMENT
        assert consortium.balances()[f"org:{A}"] == ENDOWMENT - 200_000_000 + 2_500_000

    def test_of_an_organisation_that_has_withdrawn_and_are_locked_again_when_it_returns(self) -> None:
        consortium = Consortium.active(task_spec(training={"rounds": 3}))
        says(consortium, D, "WithdrawConsent", "x")
        says(consortium, D, "ReclaimStakes")
        consortium.register(D)
        assert consortium.balances()[f"org:{D}"] == ENDOWMENT
        consortium.approve(D)
        consortium.register(D)
        assert consortium.stake(D) == 100_000_000
        with refused("HAS_LEFT"):
            consortium.join(D)
        before = dict(consortium.ledger.world)
        consortium.register(D)
        assert consortium.ledger.world == before

    def test_not_while_it_takes_part_and_not_in_a_round(self) -> None:
        consortium = Consortium.active()
        with refused("TAKES_PART"):
            says(consortium, D, "ReclaimStakes")
        consortium.open(1)
        says(consortium, D, "WithdrawConsent", "x")
        with refused("ROUND_STATE"):
            says(consortium, D, "ReclaimStakes")

    def test_again_changes_nothing(self) -> None:
        consortium = Consortium.active()
        says(consortium, D, "WithdrawConsent", "x")
        says(consortium, D, "ReclaimStakes")
        before = dict(consortium.ledger.world)
        says(consortium, D, "ReclaimStakes")
        assert consortium.ledger.world == before

    def test_what_an_accusation_holds_stays_until_there_is_a_ruling(self) -> None:
        consortium = Consortium.active(task_spec(training={"rounds": 3}))
        consortium.opened(1)
        for msp in MSPS:
            said = {consortium.pseudonym(C): consortium.contradiction} if msp == D else {}
            consortium.attest(msp, 1, openings=said)
        consortium.sum_up(1)
        says(consortium, D, "WithdrawConsent", "x")
        says(consortium, D, "ReclaimStakes")
        assert consortium.stake(D) == 100_000_000
        assert consortium.stake(consortium.pseudonym(D)) == 0
        for judge in (A, B, C):
            consortium.vote(judge, 1, "denies", (C, D))
        says(consortium, D, "ReclaimStakes")
        assert consortium.stake(D) == 0

    def test_of_a_participant_that_left_during_a_round_after_it(self) -> None:
        consortium = Consortium.active(task_spec(training={"rounds": 3}))
        consortium.open(1)
        for msp in MSPS:
            consortium.submit(msp, 1)
        consortium.ledger.submit(consortium.participants[D], "LeaveTask", "heart")
        consortium.ledger.submit(consortium.participants[D], "LeaveTask", "heart")
        assert consortium.stake(consortium.pseudonym(D)) == 100_000_000
        consortium.conclude(1)
        consortium.ledger.submit(consortium.participants[D], "LeaveTask", "heart")
        assert consortium.stake(consortium.pseudonym(D)) == 0


class TestAStolenKey:
    """What has arrived and is not in a fixed set yet is out, and nobody waits for it."""

    def test_that_is_suspended_takes_its_update_out_of_the_round(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        for msp in MSPS:
            consortium.submit(msp, 1)
        says(consortium, D, "SuspendParticipant", consortium.pseudonym(D), "stolen")
        consortium.close(1)
        fixed = consortium.round(1).fixed
        assert fixed is not None and {update.participant for update in fixed.updates} == {
            consortium.pseudonym(msp) for msp in MSPS[:3]
        }
        assert next(m for m in consortium.members().members if m.member.msp == D).standing.contributions == 0

    def test_stays_out_of_that_round_when_it_is_reinstated(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        for function in ("SuspendParticipant", "ReinstateParticipant"):
            says(consortium, D, function, consortium.pseudonym(D), "x")
        with refused("SUSPENDED"):
            consortium.submit(D, 1)
        for msp in MSPS[:3]:
            consortium.submit(msp, 1)
        assert consortium.close(1).state == "closed"

    def test_with_its_whole_organisation(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        for msp in MSPS:
            consortium.submit(msp, 1)
        suspend(consortium, D, A, B, C)
        consortium.close(1)
        fixed = consortium.round(1).fixed
        assert fixed is not None and len(fixed.updates) == 3
        assert [record.owner for record in consortium.round(1).revoked] == [D]

    def test_changes_nothing_once_the_set_is_fixed(self) -> None:
        consortium = Consortium.active()
        consortium.opened(1)
        says(consortium, D, "SuspendParticipant", consortium.pseudonym(D), "stolen")
        fixed = consortium.round(1).fixed
        assert fixed is not None and len(fixed.updates) == 4


class TestAConvictedValidator:
    def liar(self, *, ruled_first: bool) -> Consortium:
        consortium = Consortium.active(task_spec(training={"rounds": 3}))
        consortium.opened(1)
        for msp in MSPS:
            said = {consortium.pseudonym(C): consortium.contradiction} if msp == D else {}
            consortium.attest(msp, 1, openings=said)
        if not ruled_first:
            consortium.sum_up(1)
        else:
            consortium.settle(1)
        for judge in (A, B, C):
            consortium.vote(judge, 1, "denies", (C, D))
        if ruled_first:
            consortium.sum_up(1)
        return consortium

    @pytest.mark.parametrize("ruled_first", [True, False])
    def test_is_not_paid_for_the_round(self, ruled_first: bool) -> None:
        consortium = self.liar(ruled_first=ruled_first)
        owned = consortium.balances()[f"org:{D}"] + consortium.stake(D)
        assert owned == ENDOWMENT - 100_000_000
        others = consortium.balances()[f"org:{A}"] + consortium.stake(A)
        assert others == ENDOWMENT - 100_000_000 + 2_500_000
