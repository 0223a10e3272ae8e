"""Shapley values are exact, and estimates are what the ledger would pay."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from benchmarks.contribution.__main__ import DigitSites, all_values, estimates, shapley
from benchmarks.poisoning.digits import load_digits


def game(value: dict[tuple[int, ...], float], players: int) -> dict[frozenset[int], float]:
    return {
        frozenset(members): value.get(members, 0.0)
        for size in range(players + 1)
        for members in combinations(range(players), size)
    }


def test_the_glove_game() -> None:
    """One right glove, two left ones: 4/6 and 1/6 each (Shapley 1953's axioms; a textbook example)."""
    pairs = {(0, 1): 1.0, (0, 2): 1.0, (0, 1, 2): 1.0}
    assert shapley(game(pairs, 3), 3) == pytest.approx([4 / 6, 1 / 6, 1 / 6])


def test_an_additive_game_gives_everybody_its_own() -> None:
    own = (0.5, -0.25, 2.0, 0.0)
    values = {
        frozenset(members): 1.0 + sum(own[member] for member in members)
        for size in range(5)
        for members in combinations(range(4), size)
    }
    assert shapley(values, 4) == pytest.approx(own)


def test_values_add_up_and_estimates_are_parts_of_one() -> None:
    digits = load_digits()
    order = np.random.default_rng(5).permutation(len(digits))
    sites = [digits.at(part) for part in np.split(order[:360], [60, 160])]
    federation = DigitSites(sites, digits.at(order[400:450]), digits.at(order[500:700]), seed=1)
    federation.rounds = 3
    values = all_values(federation)
    exact = shapley(values, 3)
    assert exact.sum() == pytest.approx(values[frozenset({0, 1, 2})] - values[frozenset()])
    for estimate in estimates(federation).values():
        assert estimate.sum() == pytest.approx(1.0) and (estimate >= 0).all()
