"""Reputations are explained from the ledger alone, and the explanation is what the contract stored in every round."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.cli.reputation import document
from fedledger.ledger.reputation import Explanation, explain
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import StandingRecord
from fedledger_chaincode.messages.task import RobustnessSpec, TaskSpec
from fedledger_chaincode.messages.views import ReputationHistory
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.reputation import Terms
from fedledger_chaincode.state import standing_key
from tests.unit.contract.histories import ACTS, AMOUNTS, Step, faulty_spec
from tests.unit.contract.ledger import MSPS, WITHIN_NORM, Consortium, task_spec


def strict_spec() -> TaskSpec:
    """Quarantine comes soon, and memory and weights do not divide evenly."""
    return task_spec(
        training={"rounds": 6},
        privacy={"epsilon_budget": 9_000_000, "epsilon_schedule": [1_000_000 * count for count in range(1, 10)]},
        aggregation={"proof": "norm", "minimum_accepted": 3},
        reputation={
            "memory": 666_667,
            "agreement_weight": 333_334,
            "reliability_weight": 333_333,
            "honesty_weight": 333_333,
            "quarantine_threshold": 400_000,
            "quarantine_rounds": 2,
        },
    )


def explained(consortium: Consortium, msp: str) -> Explanation:
    pseudonym = consortium.participants[msp].pseudonym
    governor = consortium.governors[MSPS[0]]
    return explain(consortium.ledger.evaluate(governor, ReputationHistory, "GetReputation", "heart", pseudonym))


def standing(consortium: Consortium, msp: str) -> StandingRecord:
    key = standing_key("heart", consortium.participants[msp].pseudonym)
    return StandingRecord.decode(consortium.ledger.world[key])


def test_every_round_is_what_the_contract_stored() -> None:
    consortium = Consortium.active(strict_spec())
    stored: dict[str, list[int]] = {msp: [] for msp in MSPS}
    for number in range(1, 5):
        consortium.through(number, submitting=MSPS if number == 1 else MSPS[:3])
        for msp in MSPS:
            stored[msp].append(standing(consortium, msp).reputation)
    for msp in MSPS:
        found = explained(consortium, msp)
        assert found.differences == ()
        assert [each.after for each in found.rounds] == stored[msp]
        assert found.initial == 500_000
    slow = explained(consortium, MSPS[3])
    assert [each.scored.update.verdict for each in slow.rounds] == ["accepted", *["absent"] * 3]
    assert [each.scored.quarantined for each in slow.rounds] == [False, False, False, False]
    assert "no update arrived in time" in slow.rounds[1].reason


def test_the_printed_arithmetic_gives_the_printed_result() -> None:
    consortium = Consortium.active(strict_spec())
    for number in range(1, 4):
        consortium.through(number, submitting=MSPS[:3])
    printed = document(explained(consortium, MSPS[3]))
    rules = {name: round(value * MICRO) for name, value in printed["rules"].items()}
    for line in printed["rounds"]:
        terms = [(f"{name}_weight", value) for name, value in line["terms"].items()]
        score = sum(Fraction(rules[weight]) * round(value * MICRO) for weight, value in terms) // MICRO
        before = round(line["before"] * MICRO)
        after = (Fraction(rules["memory"]) * before + (MICRO - rules["memory"]) * score) // MICRO
        assert (score, after) == (round(line["score"] * MICRO), round(line["after"] * MICRO))


def agreeing_round(consortium: Consortium, number: int, agreements: dict[str, float]) -> None:
    """A round in which updates agree with the reference direction that much, by organisation."""
    consortium.open(number)
    for msp in MSPS:
        consortium.submit(msp, number)
    consortium.close(number)
    square = consortium.spec.aggregation.quantised_norm**2
    openings = {
        consortium.participants[msp].pseudonym: WITHIN_NORM.model_copy(
            update={"inner_product": f"{int(value * square) % MODULUS:016x}"}
        )
        for msp, value in agreements.items()
    }
    for msp in MSPS:
        attestation = consortium.attestation(number, openings=openings).model_copy(update={"reference": "used"})
        consortium.ledger.submit(consortium.validators[msp], "AttestUpdates", attestation)
    consortium.settle(number)
    for msp in MSPS:
        consortium.post_share(msp, number)
        consortium.report(msp, number)
    consortium.finalise(number)


def test_agreement_with_the_direction_is_explained_and_so_is_a_round_that_says_nothing() -> None:
    trusting = strict_spec().model_copy(
        update={"robustness": RobustnessSpec(trust_weighting="last-step", no_trust=100_000, full_trust=400_000)}
    )
    consortium = Consortium.active(trusting)
    agreeing_round(consortium, 1, dict(zip(MSPS, (0.5, 0.4, 0.25, -0.3), strict=True)))
    agreeing_round(consortium, 2, dict.fromkeys(MSPS, 0.01))
    for msp in MSPS:
        assert explained(consortium, msp).differences == ()
    partly, against = explained(consortium, MSPS[2]), explained(consortium, MSPS[3])
    assert partly.rounds[0].terms == Terms(533_333, MICRO, MICRO)
    assert "its agreement of 0.250 is trust 8 of 15" in partly.rounds[0].reason
    assert "its agreement of -0.300 is trust 0 of 15" in against.rounds[0].reason
    silent = against.rounds[1]
    assert silent.terms is None and silent.before == silent.score == silent.after
    assert "the direction says nothing" in silent.reason
    assert document(against)["rounds"][1]["terms"] is None


def test_a_changed_standing_is_told() -> None:
    consortium = Consortium.active(strict_spec())
    consortium.through(1)
    key = standing_key("heart", consortium.participants[MSPS[0]].pseudonym)
    changed = standing(consortium, MSPS[0]).model_copy(update={"reputation": 999_999})
    consortium.ledger.world[key] = changed.canonical()
    assert explained(consortium, MSPS[0]).differences == ("now: reputation 999999 is stored",)


def test_who_has_not_joined_has_no_reputation() -> None:
    consortium = Consortium.active()
    with pytest.raises(ContractError, match="There is no participant"):
        consortium.ledger.evaluate(consortium.governors[MSPS[0]], ReputationHistory, "GetReputation", "heart", "0" * 64)


organisation = st.sampled_from(MSPS)
faults = st.sampled_from(
    ["equivocate", "all attest that one is too long", "all attest and one lies", "leave", "join again", "withdraw"]
)
step = st.builds(Step, st.one_of(st.just("go on"), faults), organisation, organisation, st.sampled_from(AMOUNTS))


@settings(max_examples=40, deadline=None)
@given(st.lists(step, min_size=8, max_size=25))
def test_whatever_happens_every_reputation_follows_from_the_ledger(steps: list[Step]) -> None:
    consortium = Consortium.active(faulty_spec(proof=True))
    for each in steps:
        try:
            ACTS[each.name](consortium, each)
        except ContractError as refusal:
            assert refusal.status < 500
    for msp in MSPS:
        found = explained(consortium, msp)
        assert found.differences == ()
        assert found.history.standing.reputation == standing(consortium, msp).reputation
