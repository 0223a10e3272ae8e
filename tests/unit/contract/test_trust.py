"""Trust levels and a round's thresholds: what a minority cannot move, and what a silent round is."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.task import RobustnessSpec
from fedledger_chaincode.rules.trust import (
    LEVELS,
    Thresholds,
    agreement,
    median_by_organisation,
    round_thresholds,
    trust_by_reputation,
    trust_level,
)

SPEC = RobustnessSpec(trust_weighting="last-step", no_trust=200_000, full_trust=400_000)
AGREEMENT = st.integers(-MICRO, MICRO)


def each(*agreements: int) -> list[tuple[str, int]]:
    """One update of every organisation."""
    return [(f"Org{index}MSP", value) for index, value in enumerate(agreements)]


def test_thresholds_are_the_tasks_where_the_median_is_high_and_shrink_in_proportion_where_it_is_not() -> None:
    assert round_thresholds(each(*[500_000] * 5), SPEC) == Thresholds(200_000, 400_000)
    assert round_thresholds(each(*[300_000] * 5), SPEC) == Thresholds(150_000, 300_000)


@pytest.mark.parametrize("agreements", [[], [200_000] * 3, [-MICRO, 0, MICRO], [-5, -4, MICRO, MICRO, -3]])
def test_a_round_is_silent_where_the_median_is_no_more_than_what_counts_nothing(agreements: list[int]) -> None:
    assert round_thresholds(each(*agreements), SPEC) is None


def test_of_an_even_number_the_upper_middle_one_is_the_median() -> None:
    assert round_thresholds(each(-MICRO, 0, 300_000, MICRO), SPEC) == Thresholds(150_000, 300_000)


def test_many_names_of_one_organisation_move_the_median_no_more_than_one() -> None:
    others = each(300_000, 320_000, 340_000, 360_000)
    assert median_by_organisation([*others, *[("ManyMSP", MICRO)] * 11]) == 340_000
    assert median_by_organisation([*others, ("ManyMSP", MICRO)]) == 340_000
    assert median_by_organisation([*others, *[("ManyMSP", -MICRO)] * 11]) == 320_000


agreeing = st.tuples(st.sampled_from([f"Org{index}MSP" for index in range(5)]), AGREEMENT)


@given(st.lists(agreeing, min_size=1, max_size=12))
def test_half_of_all_organisations_votes_are_at_or_below_the_median(agreements: list[tuple[str, int]]) -> None:
    median = median_by_organisation(agreements)
    by_owner: dict[str, list[int]] = {}
    for owner, value in agreements:
        by_owner.setdefault(owner, []).append(value)

    def votes(below: int) -> Fraction:
        return sum(
            (Fraction(sum(value <= below for value in values), len(values)) for values in by_owner.values()),
            Fraction(0),
        )

    assert 2 * votes(median) > len(by_owner)
    assert 2 * votes(median - 1) <= len(by_owner)


@given(st.lists(st.integers(200_001, MICRO), min_size=1, max_size=9), st.data())
def test_a_minority_of_organisations_keeps_full_trust_within_the_range_of_the_honest(
    honest: list[int], data: st.DataObject
) -> None:
    names = [f"False{index}MSP" for index in range(len(honest) - 1)]
    false = data.draw(st.lists(st.tuples(st.sampled_from(names), AGREEMENT), max_size=20)) if names else []
    thresholds = round_thresholds([*each(*honest), *false], SPEC)
    assert thresholds is not None
    assert min(*honest, 400_000) <= thresholds.full_trust <= min(max(honest), 400_000)
    assert trust_level(max(honest), thresholds) == LEVELS


@given(st.lists(AGREEMENT, min_size=1, max_size=20), AGREEMENT, AGREEMENT)
def test_more_agreement_never_counts_less(agreements: list[int], one: int, other: int) -> None:
    thresholds = round_thresholds(each(*agreements), SPEC)
    if thresholds is not None:
        low, high = sorted((one, other))
        assert 0 <= trust_level(low, thresholds) <= trust_level(high, thresholds) <= LEVELS
        assert trust_level(thresholds.no_trust, thresholds) == 0
        assert trust_level(thresholds.full_trust, thresholds) == LEVELS


@given(st.integers(1, MICRO))
def test_a_task_without_a_lower_threshold_gives_the_median_full_trust(median: int) -> None:
    spec = RobustnessSpec(trust_weighting="last-step", no_trust=0, full_trust=MICRO)
    thresholds = round_thresholds(each(median), spec)
    assert thresholds == Thresholds(0, median)
    assert trust_level(1, thresholds) >= 1


@given(st.integers(0, MICRO))
def test_reputation_is_rounded_up_to_a_level(reputation: int) -> None:
    level = trust_by_reputation(reputation)
    assert (level - 1) * MICRO < reputation * LEVELS <= level * MICRO or reputation == level == 0


def test_agreement_is_the_cosine_of_full_vectors_and_less_for_shorter_ones() -> None:
    norm = 1 << 24
    assert agreement(norm * norm, norm) == MICRO
    assert agreement(-norm * norm, norm) == -MICRO
    assert agreement(norm * norm // 2, norm) == MICRO // 2
