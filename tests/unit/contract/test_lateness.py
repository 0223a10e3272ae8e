"""No clock decides a round: claims of lateness do, t + 1 to go on and n - t to destroy."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.round import AbortRequest, LateClaim, Phase
from fedledger_chaincode.messages.task import TaskSpec
from tests.unit.contract.histories import ACTS, AMOUNTS, BEGINNINGS, Step, beginning, faulty_spec
from tests.unit.contract.ledger import MSPS, START, Consortium, Ledger, Sent, seven_organisations, task_spec
from tests.unit.contract.test_tasks import refused

SPECS = [task_spec(), seven_organisations()]
BOTH = pytest.mark.parametrize("spec", SPECS, ids=["4-1", "7-2"])


def contributions(consortium: Consortium) -> list[int]:
    return [view.standing.contributions for view in consortium.members().members]


class TestUpdates:
    @BOTH
    def test_t_claims_change_nothing_and_one_more_closes_the_round(self, spec: TaskSpec) -> None:
        consortium = Consortium.active(spec)
        consortium.open(1)
        for msp in spec.organisations[:-1]:
            consortium.submit(msp, 1)
        consortium.late(1, "updates", consortium.most_faulty)
        with refused("TOO_EARLY"):
            consortium.close(1)
        assert contributions(consortium) == [0] * len(spec.organisations)
        consortium.late(1, "updates", consortium.most_faulty + 1)
        assert consortium.close(1).state == "closed"
        assert sum(contributions(consortium)) == len(spec.organisations) - 1

    @BOTH
    def test_below_the_minimum_it_takes_n_minus_t_and_until_then_nobody_is_charged(self, spec: TaskSpec) -> None:
        consortium = Consortium.active(spec)
        consortium.open(1)
        for msp in spec.organisations[: spec.aggregation.minimum_accepted - 1]:
            consortium.submit(msp, 1)
        for count in range(consortium.quorum):
            consortium.late(1, "updates", count)
            with refused("TOO_EARLY"):
                consortium.close(1)
        assert contributions(consortium) == [0] * len(spec.organisations)
        consortium.late(1, "updates", consortium.quorum)
        assert consortium.close(1).state == "aborted"
        assert sum(contributions(consortium)) == spec.aggregation.minimum_accepted - 1

    @BOTH
    def test_when_everybody_has_submitted_nobody_needs_to_claim_anything(self, spec: TaskSpec) -> None:
        consortium = Consortium.active(spec)
        consortium.opened(1)
        assert consortium.round(1).record.state == "closed"
        assert consortium.round(1).late == ()

    def test_a_validator_that_says_it_again_and_again_counts_once(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        for msp in MSPS[:3]:
            consortium.submit(msp, 1)
        for _ in range(4):
            consortium.claim(MSPS[0], 1, "updates")
        with refused("TOO_EARLY"):
            consortium.close(1)


class TestAttestations:
    @BOTH
    def test_t_claims_do_not_settle_without_the_others_and_one_more_does(self, spec: TaskSpec) -> None:
        consortium = Consortium.active(spec)
        consortium.opened(1)
        for msp in spec.organisations[: consortium.quorum]:
            consortium.attest(msp, 1)
        consortium.late(1, "attestations", consortium.most_faulty)
        with refused("TOO_EARLY"):
            consortium.settle(1)
        consortium.late(1, "attestations", consortium.most_faulty + 1)
        assert len(consortium.settle(1).attested) == consortium.quorum

    @BOTH
    def test_no_claims_settle_with_fewer_than_n_minus_t(self, spec: TaskSpec) -> None:
        consortium = Consortium.active(spec)
        consortium.opened(1)
        for msp in spec.organisations[: consortium.quorum - 1]:
            consortium.attest(msp, 1)
        consortium.late(1, "attestations", len(spec.organisations))
        with refused("TOO_EARLY"):
            consortium.settle(1)

    def test_what_comes_after_the_settlement_changes_nothing(self) -> None:
        consortium = Consortium.active()
        consortium.opened(1)
        for msp in MSPS[:3]:
            consortium.attest(msp, 1)
        consortium.late(1, "attestations")
        consortium.settle(1)
        with refused("ROUND_STATE"):
            consortium.attest(MSPS[3], 1)


class TestAborting:
    @pytest.mark.parametrize(("state", "phase"), [("closed", "attestations"), ("settled", "aggregates")])
    @BOTH
    def test_takes_n_minus_t_claims_and_quorums_that_are_not_there(
        self, spec: TaskSpec, state: str, phase: Phase
    ) -> None:
        consortium = Consortium.active(spec)
        consortium.opened(1)
        if state == "settled":
            for msp in spec.organisations:
                consortium.attest(msp, 1)
            consortium.settle(1)
        request = AbortRequest(task=consortium.task, round=1, reason="nobody is there")
        validator = consortium.validators[spec.organisations[0]]
        for count in range(consortium.quorum):
            consortium.late(1, phase, count)
            with refused("TOO_EARLY"):
                consortium.ledger.submit(validator, "AbortRound", request)
        consortium.late(1, phase, consortium.quorum)
        consortium.ledger.submit(validator, "AbortRound", request)
        assert consortium.round(1).record.state == "aborted"

    def test_an_open_round_is_closed_and_never_aborted(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        consortium.late(1, "updates", 4)
        with refused("ROUND_STATE"):
            request = AbortRequest(task="heart", round=1, reason="We do not like it.")
            consortium.ledger.submit(consortium.validators[MSPS[0]], "AbortRound", request)


def _idle(consortium: Consortium) -> None:
    pass


def _called(consortium: Consortium) -> None:
    consortium.call(1)


def _open(consortium: Consortium) -> None:
    consortium.open(1)


def _closed(consortium: Consortium) -> None:
    consortium.opened(1)


def _settled(consortium: Consortium) -> None:
    consortium.opened(1)
    for msp in MSPS:
        consortium.attest(msp, 1)
    consortium.settle(1)


def _finalised(consortium: Consortium) -> None:
    consortium.through(1)


def _stopped(consortium: Consortium) -> None:
    for msp in MSPS[:3]:
        consortium.ledger.submit(consortium.governors[msp], "StopTask", "heart", "Because.")


PHASES: tuple[Phase, ...] = ("updates", "reference", "attestations", "aggregates", "agreement", "idle")
WAITING: list[tuple[Callable[[Consortium], None], set[tuple[int, Phase]]]] = [
    (_idle, {(1, "agreement"), (1, "idle")}),
    (_called, {(1, "agreement"), (1, "idle")}),
    (_open, {(1, "updates")}),
    (_closed, {(1, "attestations")}),
    (_settled, {(1, "aggregates")}),
    (_finalised, {(2, "agreement"), (2, "idle")}),
    (_stopped, set()),
]


class TestClaims:
    @pytest.mark.parametrize(("reach", "waiting"), WAITING, ids=[reach.__name__[1:] for reach, _ in WAITING])
    def test_are_taken_in_their_phase_alone(
        self, reach: Callable[[Consortium], None], waiting: set[tuple[int, Phase]]
    ) -> None:
        consortium = Consortium.active()
        reach(consortium)
        taken = set()
        for number in (1, 2, 3):
            for phase in PHASES:
                try:
                    consortium.claim(MSPS[0], number, phase)
                    taken.add((number, phase))
                except ContractError as refusal:
                    assert refusal.code == "NOT_IN_PHASE"
        assert taken == waiting

    def test_saying_it_again_writes_nothing_even_when_the_phase_is_over(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        first = consortium.claim(MSPS[0], 1, "updates")
        before = dict(consortium.ledger.world)
        assert consortium.claim(MSPS[0], 1, "updates") == first
        assert consortium.ledger.world == before
        for msp in MSPS:
            consortium.submit(msp, 1)
        consortium.close(1)
        before = dict(consortium.ledger.world)
        assert consortium.claim(MSPS[0], 1, "updates") == first
        assert consortium.ledger.world == before

    def test_of_different_validators_touch_no_key_of_each_other(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        claim = LateClaim(task="heart", round=1, phase="updates")
        stubs = [consortium.ledger._run(consortium.validators[msp], "ClaimLate", (claim,))[0] for msp in MSPS]
        for stub in stubs:
            for other in stubs:
                if other is not stub:
                    assert not set(stub.writes) & (other.reads | set(other.writes))

    def test_are_for_validators(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        claim = LateClaim(task="heart", round=1, phase="updates")
        for actor in (consortium.governors[MSPS[0]], consortium.participants[MSPS[0]]):
            with refused("WRONG_ROLE"):
                consortium.ledger.submit(actor, "ClaimLate", claim)
        with refused("NOT_A_VALIDATOR"):
            consortium.ledger.submit(consortium.ledger.actor("StrangerMSP", "validator"), "ClaimLate", claim)

    def test_are_shown_with_the_round_and_between_rounds_with_the_task(self) -> None:
        consortium = Consortium.active()
        consortium.claim(MSPS[1], 1, "agreement")
        assert [(each.validator, each.claim.phase) for each in consortium.view().late] == [(MSPS[1], "agreement")]
        consortium.open(1)
        consortium.claim(MSPS[2], 1, "updates")
        assert consortium.view().late == ()
        told = {(each.validator, each.claim.phase) for each in consortium.round(1).late}
        assert told == {(MSPS[1], "agreement"), (MSPS[2], "updates")}


class TestAnEndedTask:
    def test_has_no_round_that_goes_on(self) -> None:
        consortium = Consortium.active()
        _settled(consortium)
        consortium.late(1, "aggregates", 4)
        _stopped(consortium)
        request = AbortRequest(task="heart", round=1, reason="It is over.")
        with refused("TASK_STATE"):
            consortium.ledger.submit(consortium.validators[MSPS[0]], "AbortRound", request)

    def test_takes_nothing_more_of_a_stake_that_is_held(self) -> None:
        """What is slashed after the end would lie in an insurance that nobody burns."""
        consortium = Consortium.active(faulty_spec(proof=True))
        for act in ("open", "all submit", "close", "all attest and one lies", "settle", "all report", "finalise"):
            ACTS[act](consortium, Step(act, MSPS[1], MSPS[2], 0))
        for act in ("open", "all submit", "close", "all attest that one is too long", "stop"):
            ACTS[act](consortium, Step(act, MSPS[1], MSPS[2], 0))
        held = consortium.stake(consortium.pseudonym(MSPS[2]))
        assert held > 0
        with refused("TASK_STATE"):
            consortium.settle(2)
        with refused("TASK_STATE"):
            consortium.ledger.submit(
                consortium.validators[MSPS[0]], "AbortRound", AbortRequest(task="heart", round=2, reason="x")
            )
        assert consortium.stake(consortium.pseudonym(MSPS[2])) == held


INFORMATIONAL = ("proposed_at", "opened_at", "submitted_at", "at", "clock")
"""Times that are recorded and decide nothing but the end of an agreement and of certificates."""


def without_times(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: without_times(value) for name, value in document.items() if name not in INFORMATIONAL}
    if isinstance(document, list):
        return [without_times(each) for each in document]
    return document


def told(outcome: bytes | str) -> Any:
    return outcome if isinstance(outcome, str) else without_times(json.loads(outcome))


def again(journal: list[Sent], shifts: Random) -> Ledger:
    """The same transactions in the same order with other timestamps."""
    ledger = Ledger()
    for sent in journal:
        ledger.count = sent.number - 1
        ledger.now = START + sent.number + shifts.randint(-300, 300)
        try:
            outcome: bytes | str = ledger.submit(sent.actor, sent.function, *sent.arguments)
        except ContractError as refusal:
            outcome = refusal.code
        assert told(outcome) == told(sent.outcome), sent.function
    return ledger


organisation = st.sampled_from(MSPS)
acts = st.one_of(st.just("go on"), st.sampled_from(sorted(ACTS)))
step = st.builds(Step, acts, organisation, organisation, st.sampled_from(AMOUNTS))


@settings(max_examples=25, deadline=None)
@given(st.booleans(), st.sampled_from(sorted(BEGINNINGS)), st.lists(step, min_size=8, max_size=24), st.integers())
def test_timestamps_five_minutes_off_and_running_backwards_change_no_decision(
    proof: bool, start: str, steps: list[Step], seed: int
) -> None:
    consortium = Consortium.active(faulty_spec(proof=proof))
    for each in [*beginning(start), *steps]:
        try:
            ACTS[each.name](consortium, each)
        except ContractError as refusal:
            assert refusal.status < 500
    ledger = again(consortium.ledger.journal, Random(seed))
    worlds = [
        {key: without_times(json.loads(value)) for key, value in world.items()}
        for world in (ledger.world, consortium.ledger.world)
    ]
    assert worlds[0] == worlds[1]
