"""What a demo says about each participant and validator of a round, from the ledger's records."""

from __future__ import annotations

from typing import Any

import pytest

from fedledger.cli.demo.fates import Books, participant_fates, validator_fates
from fedledger.ledger import LedgerEvent
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView
from tests.unit.contract.ledger import MSPS, Consortium, digest, task_spec

SITES = {msp: msp.removesuffix("MSP").lower() for msp in MSPS}
FIRST = MSPS[0]


@pytest.fixture(scope="module")
def spec() -> TaskSpec:
    return task_spec(
        aggregation={"proof": "norm"},
        robustness={"trust_weighting": "reference-data", "reference_digest": digest("reference data")},
    )


@pytest.fixture(scope="module")
def view() -> RoundView:
    """A finalised round in which everybody's update counted."""
    consortium = Consortium.active()
    consortium.through(1)
    return consortium.round(1)


def changed(view: RoundView, *, quarantined: bool = False, **values: Any) -> RoundView:
    """The round with another decision about the first of the cohort."""
    assert view.settlement is not None
    first, *others = view.settlement.updates
    updates = (first.model_copy(update=values), *others)
    entries = view.cohort.participants
    cohort = (entries[0].model_copy(update={"quarantined": quarantined}), *entries[1:])
    return view.model_copy(
        update={
            "settlement": view.settlement.model_copy(update={"updates": updates}),
            "cohort": view.cohort.model_copy(update={"participants": cohort}),
        }
    )


def event(name: str, number: int, *transfers: tuple[str, str, int]) -> LedgerEvent:
    moved = [{"from": source, "to": target, "value": value} for source, target, value in transfers]
    return LedgerEvent(name, "heart", {"round": number, "transfers": moved}, 1, "0" * 64)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"trust": 15, "agreement": 700_000}, "counts fully"),
        ({"trust": 6, "agreement": 150_000}, "counts 6/15: it agrees in part with training on the reference data"),
        ({"trust": 0, "agreement": 20_000}, "counts nothing: it hardly agrees with training on the reference data"),
        ({"trust": 0, "agreement": -20_000}, "counts nothing: it goes against training on the reference data"),
        ({"trust": 0, "agreement": 0}, "counts nothing: it moves nothing"),
        ({"trust": 8, "by_reputation": True}, "counts by its reputation: the reference direction says nothing"),
        ({"trust": 15, "agreement": 700_000, "quarantined": True}, "in quarantine: reputation fell below 0.2"),
        ({"verdict": "absent"}, "no update arrived in time"),
        ({"verdict": "refused: norm", "proven": True}, "its update is not within the clip norm: proven"),
        ({"verdict": "refused: inconsistent"}, "validators' values of its update contradict each other"),
    ],
)
def test_every_decision_has_its_reason(spec: TaskSpec, view: RoundView, values: dict[str, Any], reason: str) -> None:
    first = participant_fates(spec, changed(view, **values), Books("heart"), SITES)[0]
    assert first.reason.startswith(reason)


def test_without_trust_weighting_examples_decide(view: RoundView) -> None:
    told = participant_fates(task_spec(), view, Books("heart"), SITES)
    assert {fate.reason for fate in told} == {"counts by its examples"}
    assert {fate.site for fate in told} == set(SITES.values())
    assert [fate.share for fate in told] == [0.25] * 4
    assert {fate.agreement for fate in told} == {None}


def test_tokens_and_stakes_are_those_of_the_rounds_so_far(spec: TaskSpec, view: RoundView) -> None:
    owner = view.cohort.participants[0].participant
    stake, insurance = f"stake:heart:{owner}", "insurance:heart"
    books = Books("heart")
    books.note(event("RoundSettled", 1, (stake, insurance, 50_000_000)))
    books.note(event("ModelPublished", 1, ("pool:heart", f"participant:{owner}", 7_500_000)))
    # A later round, and the return of what is left, are no part of the first round.
    books.note(event("RoundSettled", 2, (stake, insurance, 25_000_000)))
    books.note(event("ModelPublished", 2, (stake, f"org:{FIRST}", 25_000_000)))
    first, *others = participant_fates(spec, view, books, SITES)
    assert (first.paid, first.stake) == (7.5, 50.0)
    assert "50.00 tokens of its stake are taken" in first.reason
    assert {(fate.paid, fate.stake) for fate in others} == {(0.0, 100.0)}
    later = view.model_copy(update={"record": view.record.model_copy(update={"round": 2})})
    assert participant_fates(spec, later, books, SITES)[0].stake == 25.0


def test_validators_that_lied_or_were_silent_are_named_and_no_other(spec: TaskSpec, view: RoundView) -> None:
    assert view.settlement is not None
    assert validator_fates(spec, view, Books("heart"), SITES, ()) == ()
    settlement = view.settlement.model_copy(update={"convicted": (MSPS[1],), "attested": MSPS[:3]})
    books = Books("heart")
    books.note(event("RoundSettled", 1, (f"stake:heart:{MSPS[1]}", "insurance:heart", 25_000_000)))
    told = validator_fates(spec, view.model_copy(update={"settlement": settlement}), books, SITES, (MSPS[2],))
    assert [(fate.site, fate.fault, fate.stake) for fate in told] == [
        (SITES[MSPS[1]], "convicted", 75.0),
        (SITES[MSPS[2]], "convicted", 100.0),
        (SITES[MSPS[3]], "silent", 100.0),
    ]


def test_a_round_that_was_never_settled_tells_of_nobody(spec: TaskSpec, view: RoundView) -> None:
    aborted = view.model_copy(update={"settlement": None})
    assert participant_fates(spec, aborted, Books("heart"), SITES) == ()
    assert validator_fates(spec, aborted, Books("heart"), SITES, ()) == ()
