"""Norm and agreement of honest noisy updates are what thresholds reckon with, measured on the real encoding."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.privacy.agreement import (
    LocalSteps,
    agreement_deviation,
    agreement_factor,
    noisy_norm,
    update_deviation,
)
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.privacy.noise import discrete_gaussian
from fedledger.secure_aggregation import encode_direction, encode_update
from fedledger_chaincode.rules.trust import agreement

NORM = 1 << 24
RUNS = 400

regimes = pytest.mark.parametrize(
    ("signal", "deviation", "dimension", "clip_norm"),
    [
        pytest.param(0.5, 0.01, 1_000, 0.2, id="clipped even without noise"),
        pytest.param(0.5, 0.0, 1_000, 0.2, id="no noise"),
        pytest.param(0.3, 0.05, 31, 0.3, id="heart disease"),
        pytest.param(0.1, 0.02, 513, 0.3, id="clipped for its noise alone"),
        pytest.param(0.1, 0.002, 513, 0.5, id="never clipped"),
    ],
)


def honest_updates(signal: float, deviation: float, dimension: int, cosine: float) -> tuple[np.ndarray, np.ndarray]:
    """float64[RUNS, d] of noisy updates whose signal has this cosine to the direction float64[d]."""
    direction, across = np.linalg.qr(np.random.default_rng(5).normal(size=(dimension, 2)))[0].T
    update = signal * (cosine * direction + math.sqrt(1 - cosine**2) * across)
    noise = discrete_gaussian(RUNS * dimension, NORM) * (deviation / NORM)
    return update + noise.reshape(RUNS, dimension), direction


@regimes
def test_the_norm_of_a_noisy_update_is_that_of_the_formula(
    signal: float, deviation: float, dimension: int, clip_norm: float
) -> None:
    updates, _ = honest_updates(signal, deviation, dimension, 0.6)
    squares = (updates**2).sum(axis=1)
    assert math.sqrt(squares.mean()) == pytest.approx(noisy_norm(signal, deviation, dimension), rel=0.03)


@regimes
@pytest.mark.parametrize("cosine", [0.6, 0.2])
def test_the_contracts_agreement_of_noisy_updates_shrinks_by_the_factor_and_scatters_by_the_deviation(
    signal: float, deviation: float, dimension: int, clip_norm: float, cosine: float
) -> None:
    updates, direction = honest_updates(signal, deviation, dimension, cosine)
    reference = encode_direction(direction, NORM)
    assert reference is not None
    found = np.array(
        [agreement(int(np.dot(encode_update(u, clip_norm, NORM), reference)), NORM) / 1e6 for u in updates]
    )
    clean = cosine * min(1.0, signal / clip_norm)
    scatter = agreement_deviation(signal, deviation, dimension, clip_norm)
    expected = clean * agreement_factor(signal, deviation, dimension, clip_norm)
    # Five standard errors; the formula neglects how the norm varies with the noise, one part in 2 d.
    assert abs(found.mean() - expected) < 5 * scatter / math.sqrt(RUNS) + abs(expected) / dimension + 1e-5
    norm = noisy_norm(signal, deviation, dimension)
    # To first order in the noise along the update and in the noise's own norm, both of which clipping divides by.
    neglected = expected**2 * (3 - (signal / norm) ** 2) / 2 if norm > clip_norm else 0.0
    assert found.std() == pytest.approx(scatter * math.sqrt(1 - neglected), rel=0.2, abs=1e-5)


@given(
    signal=st.floats(1e-3, 10), deviation=st.floats(0, 10), dimension=st.integers(1, 10**7), clip=st.floats(1e-3, 10)
)
def test_noise_never_raises_thresholds_and_none_leaves_them(
    signal: float, deviation: float, dimension: int, clip: float
) -> None:
    factor = agreement_factor(signal, deviation, dimension, clip)
    assert 0 < factor <= 1 + 1e-12
    assert factor >= agreement_factor(signal, 2 * deviation, dimension, clip)
    assert agreement_factor(signal, 0.0, dimension, clip) == pytest.approx(1.0)
    if signal >= clip:
        shortened = signal / math.sqrt(signal**2 + dimension * deviation**2)
        assert factor == pytest.approx(shortened)


@given(rate=st.floats(1e-4, 1), momentum=st.floats(0, 0.99), mu=st.floats(0, 0.9), steps=st.integers(1, 30))
def test_the_gain_is_that_of_running_the_optimiser_on_each_noise_alone(
    rate: float, momentum: float, mu: float, steps: int
) -> None:
    reached = []
    for noisy_step in range(steps):
        weight, velocity = 0.0, 0.0
        for step in range(steps):
            velocity = momentum * velocity + (1.0 if step == noisy_step else 0.0) + mu * weight
            weight -= rate * velocity
        reached.append(weight)
    assert LocalSteps(rate, momentum, mu).gain(steps) == pytest.approx(float(np.linalg.norm(reached)), rel=1e-9)


def test_the_deviation_of_an_update_by_hand() -> None:
    mechanism = PoissonSampledGaussian(sampling_rate=0.2, noise_multiplier=3.0, steps=16)
    # 3 x 0.5 / (0.2 x 100) in each of 16 steps of rate 0.1.
    assert update_deviation(mechanism, 0.5, LocalSteps(0.1), 100) == pytest.approx(0.075 * 0.1 * 4)
