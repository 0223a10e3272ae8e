"""What a validator does next follows from the ledger and its own stopwatch alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest

from fedledger.agents.duties import CLAIMS, Duties, Duty, Own, duties, phase_of
from fedledger.agents.steps import Step
from fedledger_chaincode.messages.round import Phase, ReferenceCommitment, RevealedReference
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.commitments import reference_commitment
from tests.unit.contract.ledger import MSPS, Consortium, digest, task_spec

FIRST = MSPS[0]
UPDATES, ATTESTATIONS, AGGREGATES = 120, 60, 60
"""Deadlines of the task in these tests, in seconds."""


def decided(consortium: Consortium, msp: str, **own: Any) -> Duties:
    view = consortium.view()
    assert view.head is not None
    current = consortium.round(view.head.round) if view.head.round else None
    return duties(view, current, msp, Own(**own))


def todo(consortium: Consortium, msp: str, **own: Any) -> tuple[Duty, ...]:
    return decided(consortium, msp, **own).possible


def steps(consortium: Consortium, msp: str, **own: Any) -> list[Step]:
    return [duty.step for duty in todo(consortium, msp, **own)]


def claimed(consortium: Consortium, msp: str, **own: Any) -> list[Phase | None]:
    """What the validator says is late."""
    return [duty.phase for duty in todo(consortium, msp, **own) if duty.step is Step.CLAIM_LATE]


def called(consortium: Consortium) -> None:
    consortium.call(1)


def opened(consortium: Consortium) -> None:
    consortium.open(1)


def submitted(consortium: Consortium) -> None:
    opened(consortium)
    for msp in MSPS:
        consortium.submit(msp, 1)


def closed(consortium: Consortium) -> None:
    submitted(consortium)
    consortium.close(1)


def attested(consortium: Consortium) -> None:
    closed(consortium)
    for msp in MSPS:
        consortium.attest(msp, 1)


def settled(consortium: Consortium) -> None:
    attested(consortium)
    consortium.settle(1)


def shared(consortium: Consortium) -> None:
    settled(consortium)
    for msp in MSPS:
        consortium.post_share(msp, 1)


def reported(consortium: Consortium) -> None:
    shared(consortium)
    for msp in MSPS:
        consortium.report(msp, 1)


def finalised(consortium: Consortium) -> None:
    reported(consortium)
    consortium.finalise(1)


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (lambda _: None, [Step.CALL]),
        (called, [Step.OPEN]),
        (opened, []),
        (submitted, [Step.CLOSE]),
        (closed, [Step.ATTEST]),
        (attested, [Step.SETTLE]),
        (settled, [Step.SHARE]),
        (shared, [Step.REPORT]),
        (reported, [Step.FINALISE]),
        (finalised, [Step.CALL]),
    ],
)
def test_each_state_of_a_round_has_its_next_step(reach: Callable[[Consortium], None], expected: list[Step]) -> None:
    consortium = Consortium.active()
    reach(consortium)
    assert steps(consortium, FIRST) == expected


def test_each_round_has_another_first_validator_and_all_others_wait_their_turn() -> None:
    consortium = Consortium.active()
    assert sorted(duty.rank for msp in MSPS for duty in todo(consortium, msp)) == [0, 1, 2, 3]
    first = next(msp for msp in MSPS if todo(consortium, msp)[0].rank == 0)
    finalised(consortium)
    assert next(msp for msp in MSPS if todo(consortium, msp)[0].rank == 0) != first


def test_a_round_that_somebody_has_called_is_opened_by_anybody() -> None:
    consortium = Consortium.active()
    consortium.call(1, by=MSPS[2])
    assert [todo(consortium, msp)[0].step for msp in MSPS] == [Step.OPEN] * len(MSPS)


# Lateness


@pytest.mark.parametrize(
    ("reach", "phase", "seconds"),
    [
        (opened, "updates", UPDATES),
        (lambda c: (closed(c), c.attest(FIRST, 1)), "attestations", ATTESTATIONS),
        (lambda c: (settled(c), c.post_share(FIRST, 1)), "aggregates", AGGREGATES),
    ],
)
def test_what_is_missing_is_late_when_the_phases_seconds_have_passed_on_the_own_stopwatch(
    reach: Callable[[Consortium], None], phase: Phase, seconds: int
) -> None:
    consortium = Consortium.active()
    reach(consortium)
    before = decided(consortium, FIRST, waited=seconds - 1)
    assert (before.possible, before.look_again_in) == ((), 1)
    assert claimed(consortium, FIRST, waited=seconds) == [phase]
    consortium.claim(FIRST, 1, phase)
    assert todo(consortium, FIRST, waited=seconds) == ()


def test_the_ledgers_time_plays_no_part() -> None:
    consortium = Consortium.active()
    opened(consortium)
    consortium.ledger.now += 10 * UPDATES
    assert steps(consortium, FIRST, waited=UPDATES - 1) == []


def test_nobody_calls_others_late_while_its_own_part_can_still_be_done() -> None:
    consortium = Consortium.active()
    closed(consortium)
    assert steps(consortium, FIRST, waited=10 * ATTESTATIONS) == [Step.ATTEST]
    assert steps(consortium, FIRST, waited=10 * ATTESTATIONS, unable={Step.ATTEST}) == [Step.ATTEST, Step.CLAIM_LATE]


def test_as_many_as_are_needed_say_at_once_that_it_is_late_and_the_others_wait_for_them() -> None:
    consortium = Consortium.active()
    opened(consortium)
    for msp in MSPS[:3]:
        consortium.submit(msp, 1)
    ranks = sorted(duty.rank for msp in MSPS for duty in todo(consortium, msp, waited=UPDATES))
    assert ranks == [0, 0, 1, 2], "t + 1"


def test_a_round_closes_with_what_is_there_when_one_honest_validator_must_have_said_that_it_is_late() -> None:
    consortium = Consortium.active()
    opened(consortium)
    for msp in MSPS[:3]:
        consortium.submit(msp, 1)
    consortium.late(1, "updates", 1)
    assert steps(consortium, FIRST) == []
    consortium.claim(MSPS[1], 1, "updates")
    assert steps(consortium, FIRST) == [Step.CLOSE]


def test_a_round_with_too_few_updates_is_ended_by_n_minus_t_and_not_by_fewer() -> None:
    consortium = Consortium.active()
    opened(consortium)
    consortium.submit(MSPS[1], 1)
    consortium.late(1, "updates", 2)
    assert steps(consortium, FIRST, waited=UPDATES) == [Step.CLAIM_LATE]
    consortium.claim(FIRST, 1, "updates")
    assert steps(consortium, FIRST) == [Step.CLOSE]


def test_three_attestations_settle_when_it_is_late_and_two_abort() -> None:
    consortium = Consortium.active()
    closed(consortium)
    for msp in MSPS[:2]:
        consortium.attest(msp, 1)
    consortium.late(1, "attestations", 2)
    assert steps(consortium, FIRST) == []
    consortium.claim(FIRST, 1, "attestations")
    assert steps(consortium, FIRST) == [Step.ABORT]
    consortium.attest(MSPS[2], 1)
    assert steps(consortium, FIRST) == [Step.SETTLE]
    assert steps(consortium, MSPS[3]) == [Step.ATTEST, Step.SETTLE]


def test_the_sum_is_decoded_from_three_shares_when_the_fourth_does_not_come() -> None:
    consortium = Consortium.active()
    settled(consortium)
    for msp in MSPS[:3]:
        consortium.post_share(msp, 1)
    (duty,) = todo(consortium, FIRST)
    assert (duty.step, duty.rank) == (Step.REPORT, 1)


def test_who_holds_no_share_of_some_update_posts_no_sum_and_reports_the_others() -> None:
    consortium = Consortium.active()
    closed(consortium)
    for msp in MSPS:
        consortium.attest(msp, 1, unreadable=[consortium.pseudonym(FIRST)] if msp == MSPS[3] else ())
    settlement = consortium.settle(1)
    assert settlement.summers == MSPS[:3]
    assert steps(consortium, MSPS[3]) == []
    for msp in MSPS[:3]:
        consortium.post_share(msp, 1)
    (duty,) = todo(consortium, MSPS[3])
    assert (duty.step, duty.rank) == (Step.REPORT, 0), "nobody else is waited for"


def test_who_has_lost_its_share_of_the_sum_reports_that_of_the_others() -> None:
    consortium = Consortium.active()
    settled(consortium)
    for msp in MSPS[1:]:
        consortium.post_share(msp, 1)
    assert steps(consortium, FIRST) == [Step.SHARE]
    assert steps(consortium, FIRST, unable={Step.SHARE}) == [Step.SHARE, Step.REPORT]


def test_a_round_without_agreement_is_aborted_when_n_minus_t_have_waited_long_enough() -> None:
    consortium = Consortium.active()
    shared(consortium)
    for msp in MSPS[:2]:
        consortium.report(msp, 1, model="one")
    for msp in MSPS[2:]:
        consortium.report(msp, 1, model="another")
    assert steps(consortium, FIRST, waited=AGGREGATES - 1) == []
    assert claimed(consortium, FIRST, waited=AGGREGATES) == ["aggregates"]
    consortium.late(1, "aggregates", 3)
    assert steps(consortium, FIRST) == [Step.ABORT]


# Between rounds


def test_nothing_is_to_do_before_all_validators_have_registered() -> None:
    consortium = Consortium.founded()
    consortium.propose()
    for msp in MSPS:
        consortium.approve(msp)
    consortium.register(FIRST)
    assert steps(consortium, FIRST) == []


def test_who_is_no_validator_has_nothing_to_do() -> None:
    assert steps(Consortium.active(), "StrangerMSP") == []


def test_a_round_that_could_not_open_is_called_again_when_enough_validators_see_enough_participants() -> None:
    consortium = Consortium.founded()
    consortium.propose()
    for msp in MSPS:
        consortium.approve(msp)
    for msp in MSPS:
        consortium.register(msp)
    assert steps(consortium, FIRST) == [], "nobody has joined"
    consortium.open(1)
    assert consortium.round(1).record.void
    assert steps(consortium, FIRST) == []
    for msp in MSPS:
        consortium.join(msp)
    early = decided(consortium, FIRST, waited=0.25, patience=1.0)
    assert (early.possible, early.look_again_in) == ((), 0.75)
    assert claimed(consortium, FIRST, waited=1.0, patience=1.0) == ["idle"]
    consortium.late(2, "idle")
    assert steps(consortium, FIRST) == [Step.CALL]


def test_a_task_without_budgets_is_ended_by_n_minus_t_validators() -> None:
    consortium = Consortium.active(task_spec(privacy={"epsilon_budget": 1_000_000}, training={"rounds": 2}))
    consortium.through(1)
    assert consortium.view().outlook == "over"
    assert claimed(consortium, FIRST) == ["agreement"]
    consortium.late(2, "agreement", 3)
    assert steps(consortium, FIRST) == [Step.CONCLUDE]


def test_an_agreement_ends_by_the_validators_own_clocks() -> None:
    consortium = Consortium.active(task_spec(agreement={"ends_at": 2_000_000_000}))
    assert steps(consortium, FIRST) == [Step.CALL]
    assert claimed(consortium, FIRST, agreement_is_over=True) == ["agreement"]
    called(consortium)
    assert steps(consortium, FIRST, agreement_is_over=True) == [Step.OPEN], "else membership stays frozen"


def test_a_task_of_an_earlier_protocol_is_left_alone() -> None:
    consortium = Consortium.active()
    view = consortium.view()
    old = view.record.spec.model_copy(update={"schema_": "fedledger/task/1"})
    view = view.model_copy(update={"record": view.record.model_copy(update={"spec": old})})
    assert duties(view, None, FIRST, Own()).possible == ()


# References from data


def with_reference() -> TaskSpec:
    return task_spec(
        aggregation={"proof": "norm"},
        robustness={"trust_weighting": "reference-data", "reference_digest": digest("reference data")},
    )


SALT = bytes(16)


def commit(consortium: Consortium, *msps: str) -> None:
    for msp in msps:
        commitment = ReferenceCommitment(
            task=consortium.task, round=1, commitment=reference_commitment(SALT, digest(f"direction of {msp}"))
        )
        consortium.ledger.submit(consortium.validators[msp], "CommitReference", commitment)


def reveal(consortium: Consortium, *msps: str) -> None:
    size = 8 * consortium.spec.model.parameter_count
    for msp in msps:
        revealed = RevealedReference(
            task=consortium.task, round=1, salt=SALT.hex(), digest=digest(f"direction of {msp}"), size=size
        )
        consortium.ledger.submit(consortium.validators[msp], "RevealReference", revealed)


def test_every_validator_gives_a_direction_and_the_round_closes_when_more_than_t_have() -> None:
    consortium = Consortium.active(with_reference())
    submitted(consortium)
    assert all(steps(consortium, msp) == [Step.COMMIT_REFERENCE] for msp in MSPS)
    commit(consortium, FIRST)
    assert steps(consortium, FIRST) == []
    commit(consortium, MSPS[1])
    assert steps(consortium, FIRST) == [Step.CLOSE]
    assert steps(consortium, MSPS[2]) == [Step.COMMIT_REFERENCE, Step.CLOSE]


def test_a_round_that_lacks_directions_closes_when_that_is_late() -> None:
    consortium = Consortium.active(with_reference())
    submitted(consortium)
    unable = {Step.COMMIT_REFERENCE}
    assert steps(consortium, FIRST, waited=UPDATES - 1, unable=unable) == [Step.COMMIT_REFERENCE]
    assert claimed(consortium, FIRST, waited=UPDATES, unable=unable) == ["updates"]
    consortium.late(1, "updates")
    assert steps(consortium, FIRST) == [Step.COMMIT_REFERENCE, Step.CLOSE]


def test_updates_are_attested_when_all_directions_are_shown_or_those_missing_are_late() -> None:
    consortium = Consortium.active(with_reference())
    submitted(consortium)
    commit(consortium, *MSPS)
    consortium.close(1)
    assert all(steps(consortium, msp) == [Step.REVEAL_REFERENCE] for msp in MSPS)
    reveal(consortium, *MSPS[:3])
    assert phase_of(consortium.view(), consortium.round(1)) == (1, "reference")
    assert steps(consortium, FIRST, waited=ATTESTATIONS - 1) == []
    assert claimed(consortium, FIRST, waited=ATTESTATIONS) == ["reference"]
    assert claimed(consortium, MSPS[3], waited=ATTESTATIONS) == [], "it is the one that is waited for"
    consortium.late(1, "reference")
    assert phase_of(consortium.view(), consortium.round(1)) == (1, "attestations")
    assert all(steps(consortium, msp) == [Step.ATTEST] for msp in MSPS)


def test_directions_that_are_all_shown_are_not_waited_for() -> None:
    consortium = Consortium.active(with_reference())
    submitted(consortium)
    commit(consortium, *MSPS[:2])
    consortium.close(1)
    reveal(consortium, *MSPS[:2])
    assert all(steps(consortium, msp) == [Step.ATTEST] for msp in MSPS)


# Words


def test_every_step_and_every_claim_has_its_words() -> None:
    assert {*get_args(Phase)} == {*CLAIMS}
    words = [Duty(step, 1).words for step in Step] + [Duty(Step.CLAIM_LATE, 1, phase=phase).words for phase in CLAIMS]
    assert all(words) and len({*words}) == len(words)
