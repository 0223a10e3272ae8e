"""The grid's promises, in exact arithmetic: no vector is longer than the clip norm, and noise is as large as said."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.privacy.grid import SMOOTHING, SMOOTHING_LOSS, UNITS, deviation_on_grid, off_grid, on_grid, squares

float32s = st.floats(width=32, allow_nan=True, allow_infinity=True)
clip_norms = st.floats(1e-6, 1e6)


def exact_square(row: np.ndarray) -> int:
    return sum(int(number) ** 2 for number in row)


@given(st.lists(st.lists(float32s, min_size=5, max_size=5), min_size=1, max_size=4), clip_norms)
def test_no_vector_is_longer_than_the_clip_norm_and_none_depends_on_another(
    vectors: list[list[float]], clip_norm: float
) -> None:
    rows = on_grid(vectors, clip_norm)
    assert rows.dtype == np.int64
    for vector, row in zip(vectors, rows, strict=True):
        assert exact_square(row) <= UNITS**2
        np.testing.assert_array_equal(row, on_grid([vector], clip_norm)[0])
        if not np.isfinite(vector).all():
            assert not row.any()


@given(st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3))
def test_a_vector_within_the_norm_moves_by_half_a_step_or_where_it_would_leave_by_one(vector: list[float]) -> None:
    clip_norm = 2.0
    moved = np.abs(off_grid(on_grid([vector], clip_norm)[0], clip_norm) - np.asarray(vector)) * (UNITS / clip_norm)
    assert moved.max() <= (0.5 if np.linalg.norm(vector) < clip_norm * (1 - 1e-6) else 1.1) + 1e-6


@pytest.mark.parametrize("dimension", [2, 3, 1_000, 200_000])
def test_a_long_vector_is_shortened_to_the_norm_and_keeps_its_direction(dimension: int) -> None:
    generator = np.random.default_rng(dimension)
    vectors = generator.normal(size=(8, dimension))
    rows = on_grid(vectors, 1e-3)
    for vector, row in zip(vectors, rows, strict=True):
        length = math.isqrt(exact_square(row))
        assert 0.999 * UNITS < length <= UNITS
        cosine = float(vector @ row) / (np.linalg.norm(vector) * np.linalg.norm(row))
        assert cosine > 0.999


@pytest.mark.parametrize("vector", [[3.0, 4.0], [0.6, 0.8], [1.0, 1.0, 1.0], [1.0] * 7])
def test_rounding_up_at_the_bound_is_taken_back(vector: list[float]) -> None:
    assert exact_square(on_grid([vector], 1.0)[0]) <= UNITS**2


@given(st.lists(st.lists(st.integers(-(2**23), 2**23), min_size=4, max_size=4), min_size=1, max_size=5))
def test_squares_are_exact(rows: list[list[int]]) -> None:
    found = squares(np.array(rows, dtype=np.int64))
    assert [int(each) for each in found] == [exact_square(np.array(row)) for row in rows]


@given(st.floats(1e-6, 1e4))
def test_the_deviation_is_the_least_that_covers_noise_and_smoothing(noise_multiplier: float) -> None:
    sigma = deviation_on_grid(noise_multiplier)
    needed = (Fraction(noise_multiplier) * UNITS) ** 2 + SMOOTHING**2
    assert (sigma - 1) ** 2 < math.ceil(needed) <= sigma**2
    assert sigma**2 >= needed


def continuous_then_rounded(sigma: float, reach: int, at: float) -> np.ndarray:
    """Probabilities of -reach .. reach of a continuous Gaussian of deviation sqrt(sigma^2 - r^2) around ``at``, rounded
    to k with probability proportional to exp(-(k - x)^2 / 2 r^2); the integral by a sum of fine steps.
    """
    numbers = np.arange(-reach, reach + 1)
    spread = math.sqrt(sigma**2 - SMOOTHING**2)
    x = np.arange(-10 * spread, 10 * spread, 1 / 64)
    density = np.exp(-(x**2) / (2 * spread**2))
    density /= density.sum()
    every = np.arange(-reach - 60, reach + 61)
    kernel = np.exp(-((every[:, None] - at - x) ** 2) / (2 * SMOOTHING**2))
    kernel /= kernel.sum(axis=0)
    return np.asarray((kernel @ density)[60:-60][: len(numbers)])


@pytest.mark.parametrize("sigma", [5, 12])
@pytest.mark.parametrize("at", [0, 3])
def test_the_discrete_gaussian_is_a_continuous_one_after_a_rounding_that_knows_no_data(sigma: int, at: int) -> None:
    reach = 4 * sigma
    numbers = np.arange(-reach, reach + 1)
    exact = np.exp(-((numbers - at) ** 2) / (2.0 * sigma**2))
    exact /= np.exp(-(np.arange(-60 * sigma, 60 * sigma + 1) ** 2) / (2.0 * sigma**2)).sum()
    # The factor of which the decision says that it is below 4e-34, to the precision of these sums.
    np.testing.assert_allclose(continuous_then_rounded(float(sigma), reach, at), exact, rtol=1e-9)


def test_what_all_coordinates_and_steps_may_cost_together_is_within_what_is_added() -> None:
    theta = 2 * sum(math.exp(-2 * math.pi**2 * SMOOTHING**2 * j**2) for j in (1, 2, 3))
    assert theta < 1.1e-34
    assert 2 * 3 * theta * 2**27 * 10**11 < SMOOTHING_LOSS / 100
