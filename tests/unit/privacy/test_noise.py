"""Noise and sampling have the stated distribution and come from no seed."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedledger.errors import BadInputError
from fedledger.privacy.noise import gaussian, poisson_sample


def test_noise_is_normal_with_the_given_standard_deviation() -> None:
    sample = gaussian(200_000, 2.5)
    assert sample.dtype == np.float64
    assert abs(sample.mean()) < 6 * 2.5 / np.sqrt(200_000)
    assert abs(sample.std() / 2.5 - 1) < 0.01
    assert stats.kstest(sample / 2.5, "norm").statistic < 2.2 / np.sqrt(200_000)
    # Tails: DP holds by how rarely noise is large.
    assert 0.5 < (np.abs(sample) > 3 * 2.5).mean() / 0.0026998 < 1.5


def test_halves_of_one_draw_are_independent() -> None:
    sample = gaussian(200_000, 1.0)
    first, second = sample[:100_000], sample[100_000:]
    assert abs(np.corrcoef(first, second)[0, 1]) < 6 / np.sqrt(100_000)
    assert abs(np.corrcoef(first**2, second**2)[0, 1]) < 6 / np.sqrt(100_000)


def test_seeding_every_generator_changes_nothing() -> None:
    draws = []
    for _ in range(2):
        random.seed(1)
        np.random.seed(1)
        draws.append((gaussian(8, 1.0).tobytes(), poisson_sample(64, 0.5).tobytes()))
    assert draws[0][0] != draws[1][0]
    assert draws[0][1] != draws[1][1]


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
    assert poisson_sample(size, 1.0).shape == gaussian(size, 1.0).shape == (size,)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(rate: float) -> None:
    with pytest.raises(BadInputError, match="PRIVACY_PARAMETERS"):
        poisson_sample(3, rate)
