"""Rewards, their floor, and compensation from the insurance: never more than there is, and nobody starved."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.identity.keys import generate_key, public_key_der, sign
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER, MICRO
from fedledger_chaincode.messages.records import SettledUpdate
from fedledger_chaincode.messages.round import AbortRequest, Admission, SignedAdmission
from fedledger_chaincode.messages.task import IncentiveSpec
from fedledger_chaincode.rules.rewards import (
    Share,
    compensate,
    counted_shares,
    floor_part,
    guaranteed_reward,
    move,
    participants_part,
    split_duty,
    split_reward,
)
from fedledger_chaincode.submitter import pseudonym_of
from tests.unit.contract.histories import BEYOND_NORM
from tests.unit.contract.ledger import CHANNEL, MSPS, Consortium, digest, task_spec

LOWEST = 400_000
fraction = st.integers(0, MICRO)
incentives = st.builds(
    lambda reward, validators, equal: (
        task_spec(incentive={"reward_per_round": reward, "validator_share": validators, "equal_share": equal}).incentive
    ),
    st.integers(0, 1 << 50),
    fraction,
    fraction,
)
organisations = st.sampled_from([f"Org{index}MSP" for index in range(6)])
claims = st.lists(
    st.tuples(organisations, st.integers(1, 1 << 50), st.integers(LOWEST, MICRO)), min_size=1, max_size=12
).map(lambda found: [Share(digest(str(index)), *claim) for index, claim in enumerate(found)])


def incentive(**changes: int) -> IncentiveSpec:
    return task_spec(incentive=changes).incentive


def by_msp(payments: tuple[tuple[str, int], ...], shares: list[Share]) -> dict[str, int]:
    owners = {share.participant: share.msp for share in shares}
    totals = dict.fromkeys(owners.values(), 0)
    for participant, amount in payments:
        totals[owners[participant]] += amount
    return totals


@given(incentives, claims, st.integers(1, 64))
def test_no_more_is_paid_than_the_reward(spec: IncentiveSpec, shares: list[Share], validators: int) -> None:
    paid = split_reward(spec, shares)
    duty = split_duty(spec, [f"V{index}" for index in range(validators)], validators)
    assert all(amount > 0 for _, amount in (*paid, *duty))
    total = sum(amount for _, amount in (*paid, *duty))
    assert total <= spec.reward_per_round
    assert spec.reward_per_round - total <= 4 * len(shares) + validators + 2


@given(incentives, claims)
def test_no_organisation_with_an_update_that_counts_is_paid_less_than_the_floor(
    spec: IncentiveSpec, shares: list[Share]
) -> None:
    paid = by_msp(split_reward(spec, shares), shares)
    floor = guaranteed_reward(spec, LOWEST, len(paid))
    # What rounding may take: one unit of the portion, one of each participant, and one of the mean score.
    lost = 2 + len(shares) + participants_part(spec) // LOWEST
    assert min(paid.values()) >= floor - lost


@given(incentives, claims, st.integers(2, 8))
def test_an_organisation_gains_nothing_by_splitting_a_participant_into_several(
    spec: IncentiveSpec, shares: list[Share], parts: int
) -> None:
    first = shares[0]
    whole = Share(first.participant, first.msp, max(first.weight // parts, 1) * parts, first.score)
    pieces = [Share(digest(f"piece {i}"), first.msp, whole.weight // parts, first.score) for i in range(parts)]
    alone = [whole, *(share for share in shares[1:] if share.msp != first.msp)]
    split = [*pieces, *alone[1:]]
    gained = by_msp(split_reward(spec, split), split)[first.msp] - by_msp(split_reward(spec, alone), alone)[first.msp]
    assert gained <= 0


def test_without_a_floor_the_largest_takes_nearly_all_and_with_all_of_it_everybody_gets_the_same() -> None:
    shares = [Share(digest("small"), "A", 20, MICRO), Share(digest("large"), "B", 1_980, MICRO)]
    paid = {equal: split_reward(incentive(equal_share=equal), shares) for equal in (0, 500_000, MICRO)}
    assert [amount for _, amount in paid[0]] == [300_000, 29_700_000]
    assert [amount for _, amount in paid[500_000]] == [7_650_000, 22_350_000]
    assert [amount for _, amount in paid[MICRO]] == [15_000_000, 15_000_000]


def test_validators_that_did_not_do_their_duty_leave_their_portion_in_the_pool() -> None:
    assert split_duty(incentive(), ["A", "C"], 4) == (("A", 2_500_000), ("C", 2_500_000))


@given(st.integers(0, MAXIMUM_INTEGER), st.integers(0, MAXIMUM_INTEGER))
def test_no_balance_passes_the_largest_integer(held: int, amount: int) -> None:
    balances = {"a": MAXIMUM_INTEGER, "b": held}
    try:
        after = move(balances, [("a", "b", amount)])
    except ContractError as refusal:
        assert refusal.code == "BALANCE_LIMIT" and held + amount > MAXIMUM_INTEGER
    else:
        assert after == {"a": MAXIMUM_INTEGER - amount, "b": held + amount}


def test_a_participant_without_a_certificate_earns_for_its_organisation() -> None:
    consortium = Consortium.active()
    key = generate_key()
    admission = Admission(channel=CHANNEL, task="heart", msp=MSPS[0], public_key=public_key_der(key.public_key()).hex())
    signature = base64.b64encode(sign(key, admission.canonical())).decode()
    admitted = SignedAdmission(admission=admission, signature=signature)
    consortium.ledger.submit(consortium.governors[MSPS[0]], "AdmitParticipants", admitted)
    consortium.open(1)
    device = pseudonym_of(public_key_der(key.public_key()))
    signed = consortium.signed(MSPS[0], consortium.manifest(MSPS[0], 1, participant=device), key)
    consortium.ledger.submit(consortium.participants[MSPS[0]], "SubmitUpdates", signed)
    for msp in MSPS:
        consortium.submit(msp, 1)
    before = consortium.balances()
    consortium.conclude(1)
    after = consortium.balances()
    # 10 tokens are the validators', 30 the participants': half of them by organisation, half by weight.
    assert f"participant:{device}" not in after
    assert after[f"org:{MSPS[0]}"] - before[f"org:{MSPS[0]}"] == 2_500_000 + 1_875_000 + 3_000_000
    assert after[f"participant:{consortium.participants[MSPS[0]].pseudonym}"] == 1_875_000 + 3_000_000
    assert after[f"participant:{consortium.participants[MSPS[1]].pseudonym}"] == 3_750_000 + 3_000_000


def settled(*counts: tuple[str, bool], score: int = MICRO) -> tuple[SettledUpdate, ...]:
    """Of a cohort of (organisation, whether its update counted)."""
    return tuple(
        SettledUpdate(
            participant=digest(f"{msp} {index}"),
            msp=msp,
            verdict="accepted" if counted else "refused: norm",
            weight=int(counted),
            score=score if counted else 0,
        )
        for index, (msp, counted) in enumerate(counts)
    )


class TestCompensation:
    def test_has_one_portion_for_each_organisation_of_the_cohort_whoever_failed(self) -> None:
        payments = compensate(incentive(), 3_000_000, settled(("A", True), ("B", False), ("C", True)))
        assert [amount for _, amount in payments] == [1_000_000, 1_000_000]

    def test_does_not_grow_with_pseudonyms(self) -> None:
        payments = compensate(incentive(), 3_000_000, settled(("A", True), ("A", True), ("A", True), ("B", True)))
        assert [amount for _, amount in payments] == [500_000, 500_000, 500_000, 1_500_000]

    def test_is_at_most_the_floor(self) -> None:
        payments = compensate(incentive(), 10**15, settled(("A", True), ("B", True)))
        assert sum(amount for _, amount in payments) == floor_part(incentive()) == 15_000_000
        assert compensate(incentive(equal_share=0), 10**15, settled(("A", True), ("B", True))) == ()

    def test_is_less_for_who_agrees_less(self) -> None:
        payments = compensate(incentive(), 3_000_000, settled(("A", True), ("B", True), score=600_000))
        assert [amount for _, amount in payments] == [900_000, 900_000]

    @given(
        incentives,
        st.integers(0, 1 << 50),
        st.lists(st.tuples(organisations, st.booleans()), max_size=12),
        st.integers(0, MICRO),
    )
    def test_exceeds_neither_the_insurance_nor_what_a_finalised_round_pays(
        self, spec: IncentiveSpec, insured: int, cohort: list[tuple[str, bool]], score: int
    ) -> None:
        updates = settled(*cohort, score=score)
        payments = compensate(spec, insured, updates)
        assert sum(amount for _, amount in payments) <= min(insured, floor_part(spec))
        assert all(amount > 0 for _, amount in payments)
        finalised = dict(split_reward(spec, counted_shares(updates)))
        assert all(amount <= finalised[participant] for participant, amount in payments)

    def test_is_paid_from_slashed_stake_when_too_few_updates_are_accepted(self) -> None:
        consortium = faulty_round()
        honest = [consortium.participants[msp].pseudonym for msp in MSPS[2:]]
        # Two stakes of 100 tokens, half of each; the floor is 15 tokens, a quarter for each organisation.
        assert all(consortium.balances()[f"participant:{pseudonym}"] == 3_750_000 for pseudonym in honest)
        assert consortium.balances()["insurance:heart"] == 100_000_000 - 7_500_000
        assert consortium.round(1).record.state == "aborted"

    def test_is_no_way_to_get_ones_own_stake_back(self) -> None:
        consortium = faulty_round()
        faulty = [consortium.participants[msp].pseudonym for msp in MSPS[:2]]
        assert all(consortium.balances().get(f"participant:{pseudonym}", 0) == 0 for pseudonym in faulty)
        assert all(consortium.balances()[f"stake:heart:{pseudonym}"] == 50_000_000 for pseudonym in faulty)

    def test_is_paid_when_validators_do_not_report(self) -> None:
        consortium = Consortium.active()
        consortium.ledger.submit(consortium.governors[MSPS[0]], "Transfer", "insurance:heart", 4_000_000)
        consortium.open(1)
        for msp in MSPS:
            consortium.submit(msp, 1)
        consortium.close(1)
        for msp in MSPS:
            consortium.attest(msp, 1)
        consortium.settle(1)
        consortium.late(1, "aggregates", consortium.quorum)
        request = AbortRequest(task="heart", round=1, reason="nobody reports")
        for _ in range(2):
            consortium.ledger.submit(consortium.validators[MSPS[0]], "AbortRound", request)
        balances = consortium.balances()
        paid = [balances[f"participant:{consortium.participants[msp].pseudonym}"] for msp in MSPS]
        assert (paid, balances["insurance:heart"], balances["pool:heart"]) == ([1_000_000] * 4, 0, 80_000_000)


def faulty_round() -> Consortium:
    """Two of four updates are proven to be too long, so that the round is aborted."""
    consortium = Consortium.active(task_spec(aggregation={"proof": "norm"}, incentive={"slashing_norm": 500_000}))
    consortium.open(1)
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.close(1)
    openings = {consortium.participants[msp].pseudonym: BEYOND_NORM for msp in MSPS[:2]}
    for msp in MSPS:
        attestation = consortium.attestation(1, openings=openings)
        consortium.ledger.submit(consortium.validators[msp], "AttestUpdates", attestation)
    consortium.settle(1)
    return consortium


def test_who_agrees_better_than_the_middle_is_paid_like_the_middle() -> None:
    incentive = task_spec(incentive={"equal_share": MICRO}).incentive
    scores = {"a": 200_000, "b": 600_000, "c": 800_000, "d": MICRO}
    shares = [Share(f"{msp:0>64}", msp, 100, score) for msp, score in scores.items()]
    paid = dict(zip(scores, (amount for _, amount in split_reward(incentive, shares)), strict=True))
    assert paid["b"] == paid["c"] == paid["d"]
    assert paid["a"] * 3 == pytest.approx(paid["b"], abs=3)
