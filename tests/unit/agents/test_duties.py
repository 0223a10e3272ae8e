"""What a validator does next follows from the ledger alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fedledger.agents.duties import Duty, duties
from fedledger_chaincode.messages.round import ReferenceCommitment
from tests.unit.contract.ledger import MSPS, START, Consortium, digest, task_spec


def todo(consortium: Consortium, msp: str, *, seconds: int = 0) -> tuple[Duty, ...]:
    view = consortium.view()
    assert view.head is not None
    current = consortium.round(view.head.round) if view.head.round else None
    return duties(view, current, msp, START + seconds).possible


def steps(consortium: Consortium, msp: str, *, seconds: int = 0) -> list[str]:
    return [duty.step for duty in todo(consortium, msp, seconds=seconds)]


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
        (opened, []),
        (submitted, ["close"]),
        (closed, ["attest"]),
        (attested, ["settle"]),
        (settled, ["share"]),
        (shared, ["report"]),
        (reported, ["finalise"]),
        (finalised, ["open"]),
    ],
)
def test_each_state_of_a_round_has_its_next_step(reach: Callable[[Consortium], None], expected: list[str]) -> None:
    consortium = Consortium.active()
    reach(consortium)
    assert steps(consortium, MSPS[0]) == expected


def test_each_round_has_another_first_validator_and_all_others_wait_their_turn() -> None:
    consortium = Consortium.active()
    assert sorted(duty.rank for msp in MSPS for duty in todo(consortium, msp)) == [0, 1, 2, 3]
    first = next(msp for msp in MSPS if todo(consortium, msp)[0].rank == 0)
    finalised(consortium)
    assert next(msp for msp in MSPS if todo(consortium, msp)[0].rank == 0) != first


def test_a_round_closes_after_its_deadline_although_an_update_is_missing() -> None:
    consortium = Consortium.active()
    opened(consortium)
    assert steps(consortium, MSPS[0], seconds=119) == []
    assert steps(consortium, MSPS[0], seconds=120) == ["close"]


def test_three_attestations_settle_after_the_deadline_and_two_abort() -> None:
    consortium = Consortium.active()
    closed(consortium)
    for msp in MSPS[:2]:
        consortium.attest(msp, 1)
    assert steps(consortium, MSPS[0], seconds=59) == []
    assert steps(consortium, MSPS[0], seconds=60) == ["abort"]
    consortium.attest(MSPS[2], 1)
    assert steps(consortium, MSPS[0], seconds=60) == ["settle"]
    assert steps(consortium, MSPS[3], seconds=60) == ["attest", "settle"]


def test_the_sum_is_decoded_from_three_shares_when_the_fourth_does_not_come() -> None:
    consortium = Consortium.active()
    settled(consortium)
    for msp in MSPS[:3]:
        consortium.post_share(msp, 1)
    (duty,) = todo(consortium, MSPS[0])
    assert (duty.step, duty.rank) == ("report", 1)


def test_a_round_without_agreement_is_aborted_after_its_deadline() -> None:
    consortium = Consortium.active()
    shared(consortium)
    for msp in MSPS[:2]:
        consortium.report(msp, 1, model="one")
    for msp in MSPS[2:]:
        consortium.report(msp, 1, model="another")
    assert steps(consortium, MSPS[0], seconds=59) == []
    assert steps(consortium, MSPS[0], seconds=60) == ["abort"]


def test_nothing_is_to_do_before_all_validators_have_registered() -> None:
    consortium = Consortium.founded()
    consortium.propose()
    for msp in MSPS:
        consortium.approve(msp)
    consortium.register(MSPS[0])
    assert steps(consortium, MSPS[0]) == []


def test_who_is_no_validator_has_nothing_to_do() -> None:
    assert steps(Consortium.active(), "StrangerMSP") == []


def test_a_round_is_not_closed_before_its_reference_is_committed_to_or_late() -> None:
    spec = task_spec(
        aggregation={"proof": "norm"},
        robustness={"trust_weighting": "reference-data", "reference_digest": digest("reference data")},
    )
    consortium = Consortium.active(spec)
    submitted(consortium)
    opener, other = MSPS[0], MSPS[1]
    assert steps(consortium, opener) == ["commit-reference"]
    assert steps(consortium, other) == []
    view = consortium.view()
    assert duties(view, consortium.round(1), other, START).look_again_at == START + spec.deadlines.attestations
    assert steps(consortium, other, seconds=spec.deadlines.attestations) == ["close"]
    commitment = ReferenceCommitment(task=spec.task, round=1, commitment=digest("a direction and its salt"))
    consortium.ledger.submit(consortium.validators[opener], "CommitReference", commitment)
    assert steps(consortium, opener) == steps(consortium, other) == ["close"]


def test_a_reference_is_waited_for_no_longer_than_updates_are() -> None:
    spec = task_spec(
        aggregation={"proof": "norm"},
        robustness={"trust_weighting": "reference-data", "reference_digest": digest("reference data")},
        deadlines={"updates": 5},
    )
    consortium = Consortium.active(spec)
    submitted(consortium)
    assert steps(consortium, MSPS[1], seconds=4) == []
    assert steps(consortium, MSPS[1], seconds=5) == ["close"]
