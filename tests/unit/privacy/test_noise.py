"""Noise and sampling have exactly the stated distribution and come from no seed.

Statistical tests raise a false alarm with a probability below 1e-9 each, and their sample sizes are fixed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Hashable, Iterable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedledger.errors import BadInputError
from fedledger.privacy.noise import Coins, _proposed, discrete_gaussian, noise_of_steps, poisson_sample

FALSE_ALARM = 1e-9
SMALLEST = Fraction(1, 10**7)
"""Courses of coins that are less likely are not followed to their end."""


# --- coins, against rational arithmetic


class Bytes(Coins):
    """Coins from given bytes."""

    def __init__(self, given: bytes) -> None:
        self._given = given

    def read(self, count: int) -> bytes:
        taken, self._given = self._given[:count], self._given[count:]
        assert len(taken) == count
        return taken


class Undecided(Exception):
    """A coin is flipped after the last one whose side was given."""

    def __init__(self, sides: list[tuple[Any, Fraction]]) -> None:
        super().__init__()
        self.sides = sides


class Followed(Coins):
    """Coins of which each shows a given side; the first one beyond says which sides it has, and how likely they are."""

    def __init__(self, sides: list[Any]) -> None:
        self._sides = iter(sides)

    def below(self, bound: int, size: int) -> np.ndarray:
        sides = [(value, Fraction(1, bound)) for value in range(bound)]
        return np.array([self._flip(sides) for _ in range(size)], dtype=np.uint64)

    def one_in(self, bound: int, size: int) -> np.ndarray:
        return np.array([self._flip(coin(Fraction(1, bound))) for _ in range(size)], dtype=bool)

    def ratio(self, numerators: np.ndarray, denominator: int) -> np.ndarray:
        return np.array([self._flip(coin(Fraction(int(n), denominator))) for n in numerators], dtype=bool)

    def _flip(self, sides: list[tuple[Any, Fraction]]) -> Any:
        possible = [side for side in sides if side[1]]
        if len(possible) == 1:
            return possible[0][0]
        for side in self._sides:
            return side
        raise Undecided(possible)


class Exponential(Followed):
    """Coins of probability exp(-g), whose exactness other tests show, in one flip each. Their probabilities here are
    rational, and below the real ones by less than 1e-15.
    """

    def exp_ratio(self, numerators: np.ndarray, denominator: int) -> np.ndarray:
        return self._exponential(Fraction(int(n), denominator) for n in numerators)

    def exp_half_square(self, numerators: np.ndarray, denominator: int) -> np.ndarray:
        return self._exponential(Fraction(int(n), denominator) ** 2 / 2 for n in numerators)

    def exp_half(self, size: int) -> np.ndarray:
        return self._exponential(Fraction(1, 2) for _ in range(size))

    def exp_one(self, size: int) -> np.ndarray:
        return self._exponential(Fraction(1) for _ in range(size))

    def _exponential(self, exponents: Iterable[Fraction]) -> np.ndarray:
        return np.array([self._flip(coin(rounded_exp(exponent))) for exponent in exponents], dtype=bool)


def coin(heads: Fraction) -> list[tuple[Any, Fraction]]:
    return [(True, heads), (False, 1 - heads)]


def masses(
    experiment: Callable[[Coins], Hashable], kind: type[Followed] = Followed
) -> tuple[dict[Hashable, Fraction], Fraction]:
    """The exact probability of every result by the courses of coins that were followed, and that of all others."""
    found: dict[Hashable, Fraction] = {}
    left = Fraction(0)
    courses: list[tuple[list[Any], Fraction]] = [([], Fraction(1))]
    while courses:
        sides, weight = courses.pop()
        if weight < SMALLEST:
            left += weight
            continue
        try:
            result = experiment(kind(sides))
        except Undecided as undecided:
            courses += [([*sides, side], weight * part) for side, part in undecided.sides]
        else:
            found[result] = found.get(result, Fraction(0)) + weight
    assert sum(found.values()) + left == 1
    return found, left


def exp_minus(exponent: Fraction) -> tuple[Fraction, Fraction]:
    """Rational bounds of exp(-exponent), 1e-15 apart, by the exponential of its half, and so on, from its series."""
    halvings = max(0, math.ceil(math.log2(max(exponent, Fraction(1)))))
    small = exponent / 2**halvings
    terms = [Fraction(1)]
    while terms[-1] > Fraction(1, 10**20):
        terms.append(terms[-1] * small / len(terms))
    upper = sum((term if place % 2 == 0 else -term) for place, term in enumerate(terms[: len(terms) // 2 * 2 - 1]))
    lower = sum((term if place % 2 == 0 else -term) for place, term in enumerate(terms[: len(terms) // 2 * 2]))
    return Fraction(lower) ** 2**halvings, Fraction(upper) ** 2**halvings


@cache
def rounded_exp(exponent: Fraction) -> Fraction:
    """exp(-exponent), rounded down to a multiple of 1e-18; 1 of 0."""
    return Fraction(math.floor(exp_minus(exponent)[0] * 10**18), 10**18)


def assert_probability(found: Fraction, left: Fraction, exponent: Fraction, factor: tuple[Fraction, Fraction]) -> None:
    """That a result's probability may be factor x exp(-exponent), by what was followed and what was not."""
    lower, upper = exp_minus(exponent)
    assert found <= upper * factor[1]
    assert lower * factor[0] <= found + left


ONE = (Fraction(1), Fraction(1))


@pytest.mark.parametrize(("numerator", "denominator"), [(0, 1), (1, 1), (1, 2), (1, 3), (2, 3), (5, 7), (99, 100)])
def test_a_coin_shows_heads_with_exactly_exp_minus_a_ratio(numerator: int, denominator: int) -> None:
    found, left = masses(lambda coins: bool(coins.exp_ratio(np.array([numerator], dtype=np.uint64), denominator)[0]))
    assert left < Fraction(1, 10**5)
    assert_probability(found[True], left, Fraction(numerator, denominator), ONE)


@pytest.mark.parametrize(("numerator", "denominator"), [(0, 1), (1, 1), (1, 2), (1, 3), (2, 3), (99, 100)])
def test_a_coin_shows_heads_with_exactly_exp_minus_half_a_square(numerator: int, denominator: int) -> None:
    found, left = masses(
        lambda coins: bool(coins.exp_half_square(np.array([numerator], dtype=np.uint64), denominator)[0])
    )
    assert left < Fraction(1, 10**4)
    assert_probability(found[True], left, Fraction(numerator, denominator) ** 2 / 2, ONE)


@pytest.mark.parametrize(("name", "exponent"), [("exp_half", Fraction(1, 2)), ("exp_one", Fraction(1))])
def test_the_constant_coins_are_exact(name: str, exponent: Fraction) -> None:
    found, left = masses(lambda coins: bool(getattr(coins, name)(1)[0]))
    assert left < Fraction(1, 10**5)
    assert_probability(found[True], left, exponent, ONE)


@pytest.mark.parametrize("sigma", [1, 2, 3, 7])
def test_an_attempt_is_kept_at_each_number_with_exactly_the_discrete_gaussians_weight(sigma: int) -> None:
    def attempt(coins: Coins) -> Hashable:
        kept = _proposed(1, sigma, coins)
        return int(kept[0]) if kept.size else None

    found, left = masses(attempt, Exponential)
    assert left < Fraction(1, 10**4)
    # Of all attempts (1 - 1/e) e^-1/2 / (2 sigma) exp(-x^2 / 2 sigma^2) end in x.
    one, half = exp_minus(Fraction(1)), exp_minus(Fraction(1, 2))
    almost = Fraction(1, 10**12)
    factor = ((1 - one[1]) * half[0] / (2 * sigma) * (1 - almost), (1 - one[0]) * half[1] / (2 * sigma) * (1 + almost))
    assert {number for number in found if number is not None} >= set(range(-2 * sigma, 2 * sigma + 1))
    for number, mass in found.items():
        if number is not None:
            assert isinstance(number, int)
            assert_probability(mass, left, Fraction(number**2, 2 * sigma**2), factor)
            # The other sign is as likely, to the last digit, but for what was not followed.
            assert abs(mass - found.get(-number, Fraction(0))) <= left


@pytest.mark.parametrize("bound", [1, 2, 3, 5, 7, 100, 128])
def test_one_in_so_many_bytes_shows_heads_and_those_beyond_are_drawn_again(bound: int) -> None:
    shown = [bool(Bytes(bytes([value, 0])).one_in(bound, 1)[0]) for value in range(256 // bound * bound)]
    assert sum(shown) * bound == len(shown)
    for value in range(256 // bound * bound, 256):
        assert not Bytes(bytes([value, 255 // bound])).one_in(bound, 1)[0] or bound == 1


@pytest.mark.parametrize("bound", [1, 3, 10, 2**24, 3 * 2**24 + 1, 2**48 - 1, 2**63])
def test_integers_below_a_bound_are_remainders_of_words_below_a_multiple(bound: int) -> None:
    limit = 2**64 // bound * bound
    for word in (0, 1, bound - 1, bound, 2**63 + 5, limit - 1):
        assert int(Bytes(word.to_bytes(8, "little")).below(bound, 1)[0]) == word % bound
    if limit < 2**64:
        again = limit.to_bytes(8, "little") + (7).to_bytes(8, "little")
        assert int(Bytes(again).below(bound, 1)[0]) == 7 % bound


# --- samples


def weights(sigma: int, reach: int) -> np.ndarray:
    """Probability of -reach .. reach, float64."""
    numbers = np.arange(-reach, reach + 1)
    weight = np.exp(-(numbers.astype(np.float64) ** 2) / (2.0 * sigma**2))
    return np.asarray(weight / weight.sum())


@pytest.mark.parametrize("sigma", [1, 3, 10])
def test_a_sample_has_the_exact_probabilities(sigma: int) -> None:
    size, reach = 200_000, 12 * sigma
    sample = discrete_gaussian(size, sigma)
    assert sample.dtype == np.int64 and sample.shape == (size,)
    expected = weights(sigma, reach) * size
    counts = np.bincount(np.clip(sample, -reach, reach) + reach, minlength=2 * reach + 1)
    common = expected >= 20
    cells = np.append(counts[common], counts[~common].sum())
    hoped = np.append(expected[common], expected[~common].sum())
    assert stats.chisquare(cells, hoped).pvalue > FALSE_ALARM


@pytest.mark.parametrize("sigma", [3 * 2**24, 2**24 + 1, 1_000 * 2**24])
def test_on_a_fine_grid_a_sample_is_normal_to_its_tails(sigma: int) -> None:
    size = 200_000
    sample = discrete_gaussian(size, sigma) / sigma
    edges = stats.norm.ppf(np.linspace(0, 1, 201))
    assert stats.chisquare(np.histogram(sample, edges)[0]).pvalue > FALSE_ALARM
    for deviations in (2.0, 3.0, 4.0):
        beyond = int((np.abs(sample) > deviations).sum())
        assert stats.binomtest(beyond, size, 2 * stats.norm.sf(deviations)).pvalue > FALSE_ALARM
    # The low bits are as even as coins: nothing of what noise is added to shows in them.
    parity = int((np.asarray(sample * sigma).astype(np.int64) & 1).sum())
    assert stats.binomtest(parity, size, 0.5).pvalue > FALSE_ALARM


def test_neighbours_steps_and_squares_are_independent() -> None:
    steps = np.stack(list(noise_of_steps(50, 2_000, 5))) / 5.0
    limit = stats.norm.isf(FALSE_ALARM / 8) / math.sqrt(steps[:, 1:].size)
    for one, other in ((steps[:, 1:], steps[:, :-1]), (steps[1:], steps[:-1])):
        assert abs((one * other).mean()) < limit
        assert abs(((one**2 - 1) * (other**2 - 1)).mean()) < 2 * limit


@given(st.integers(0, 5), st.integers(0, 40), st.integers(1, 2**48))
def test_every_step_has_noise_of_its_own_and_of_the_asked_size(steps: int, size: int, sigma: int) -> None:
    drawn = list(noise_of_steps(steps, size, sigma))
    assert [each.shape for each in drawn] == [(size,)] * steps
    if steps > 1 and size > 10 and sigma > 2**16:
        assert len({each.tobytes() for each in drawn}) == steps


def test_long_steps_are_drawn_one_by_one() -> None:
    drawn: Iterator[np.ndarray] = noise_of_steps(3, 70_000, 2**24)
    first, second, third = drawn
    assert first.shape == second.shape == third.shape == (70_000,)
    assert not np.array_equal(first, second) and not np.array_equal(second, third)


def test_seeding_every_generator_changes_nothing() -> None:
    draws = []
    for _ in range(2):
        random.seed(1)
        np.random.seed(1)
        draws.append((discrete_gaussian(8, 2**24).tobytes(), poisson_sample(64, 0.5).tobytes()))
    assert draws[0][0] != draws[1][0]
    assert draws[0][1] != draws[1][1]


@pytest.mark.parametrize("sigma", [0, -1, 2**48 + 1])
def test_a_deviation_that_cannot_be_drawn_is_refused(sigma: int) -> None:
    with pytest.raises(BadInputError, match="PRIVACY_PARAMETERS"):
        discrete_gaussian(3, sigma)


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.999])
def test_records_enter_each_on_their_own_with_the_given_probability(rate: float) -> None:
    draws = np.stack([poisson_sample(1_000, rate) for _ in range(300)])
    assert abs(draws.mean() - rate) < 6 * np.sqrt(rate * (1 - rate) / draws.size)
    sizes = draws.sum(axis=1)
    assert 0.7 < sizes.var() / (1_000 * rate * (1 - rate)) < 1.4


@given(st.integers(0, 50))
def test_rate_zero_takes_nobody_and_rate_one_everybody(size: int) -> None:
    assert not poisson_sample(size, 0.0).any()
    assert poisson_sample(size, 1.0).all()
    assert poisson_sample(size, 1.0).shape == (size,)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(rate: float) -> None:
    with pytest.raises(BadInputError, match="PRIVACY_PARAMETERS"):
        poisson_sample(3, rate)
