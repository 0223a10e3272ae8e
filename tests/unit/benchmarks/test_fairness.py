"""The fairness benchmark's parts: the coefficient is Gini's, payments are the contract's, the floor holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.fairness import SETTINGS, SIZES, Setting, gini, play
from fedledger_chaincode.messages.base import MICRO
from tests.unit.contract.ledger import task_spec

SPEC = task_spec()
ROUNDS = 20


@pytest.mark.parametrize(
    ("amounts", "expected"), [([5, 5, 5], 0), ([0, 0, 12, 0], 0.75), ([1, 3], 0.25), ([1, 2, 3, 4], 0.25)]
)
def test_the_coefficient_is_ginis(amounts: list[int], expected: float) -> None:
    assert gini(amounts) == pytest.approx(expected)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_nothing_is_paid_that_was_not_promised_and_nearly_all_is(setting: Setting) -> None:
    result = play(SPEC, setting, ROUNDS, seed=1)
    assert result.promised - ROUNDS * 100 <= sum(result.paid) <= result.promised
    assert result == play(SPEC, setting, ROUNDS, seed=1)


@pytest.mark.parametrize("equal_share", [0, 250_000, 500_000, MICRO])
def test_the_smallest_site_gets_its_floor_and_more_than_by_size(equal_share: int) -> None:
    result = play(SPEC, Setting("", equal_share=equal_share), ROUNDS, seed=1)
    assert result.paid[0] >= result.floor - 2 * ROUNDS
    assert result.share(0) >= SIZES[0] / sum(SIZES)


def test_a_site_that_is_late_in_every_second_round_earns_half() -> None:
    setting = SETTINGS[3]
    late = next(each for each in SETTINGS if each.delivers < 1)
    in_time, half = play(SPEC, setting, ROUNDS, seed=1), play(SPEC, late, ROUNDS, seed=1)
    assert half.paid[0] == pytest.approx(in_time.paid[0] / 2, rel=0.02)


def test_more_names_bring_nothing_where_no_cap_is_evaded() -> None:
    uncapped = replace(SETTINGS[3], max_share=MICRO)
    one, eight = play(SPEC, uncapped, ROUNDS, 1), play(SPEC, replace(uncapped, pseudonyms=8), ROUNDS, 1)
    assert eight.paid[-1] <= one.paid[-1]
    by_name = play(SPEC, replace(uncapped, pseudonyms=8, floor_by_name=True), ROUNDS, 1)
    assert by_name.paid[-1] > 1.5 * one.paid[-1]
