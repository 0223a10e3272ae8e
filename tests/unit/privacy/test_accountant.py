"""Epsilon is what dp_accounting says of the mechanism that runs, rounded the safe way."""

from __future__ import annotations

import math

import dp_accounting
import pytest
from dp_accounting import pld, rdp
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.errors import BadInputError
from fedledger.privacy.accountant import calibrate_noise, covers, epsilon_micro, epsilon_schedule, membership_accuracy
from fedledger.privacy.mechanism import PoissonSampledGaussian

MICRO = 1_000_000
MECHANISM = PoissonSampledGaussian(sampling_rate=0.2, noise_multiplier=2.982, steps=10)


def event(mechanism: PoissonSampledGaussian, rounds: int) -> dp_accounting.DpEvent:
    step = dp_accounting.PoissonSampledDpEvent(
        mechanism.sampling_rate, dp_accounting.GaussianDpEvent(mechanism.noise_multiplier)
    )
    return dp_accounting.SelfComposedDpEvent(step, mechanism.steps * rounds)


@pytest.mark.parametrize(
    ("mechanism", "rounds", "delta"),
    [
        (MECHANISM, 1, 1e-5),
        (MECHANISM, 10, 1e-5),
        (PoissonSampledGaussian(0.064, 1.1, 300), 1, 1e-5),
        (PoissonSampledGaussian(1.0, 5.0, 1), 10, 1e-6),
    ],
)
def test_epsilon_is_that_of_the_library_for_the_same_event(
    mechanism: PoissonSampledGaussian, rounds: int, delta: float
) -> None:
    accountant = pld.PLDAccountant(
        neighboring_relation=dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE, value_discretization_interval=1e-3
    )
    expected = accountant.compose(event(mechanism, rounds)).get_epsilon(delta)
    found = epsilon_micro(mechanism, rounds, delta)
    assert found == math.ceil(expected * MICRO)
    # Renyi accounting is looser, so that it bounds the figure from above.
    assert found / MICRO <= rdp.RdpAccountant().compose(event(mechanism, rounds)).get_epsilon(delta)


def test_a_gaussian_without_sampling_agrees_with_its_closed_form() -> None:
    # Balle and Wang 2018, theorem 8: delta as a function of epsilon, for ten compositions of sigma = 5.
    mechanism = PoissonSampledGaussian(1.0, 5.0, 1)
    epsilon = epsilon_micro(mechanism, 10, 1e-5) / MICRO
    mu = math.sqrt(10) / 5.0

    def normal_cdf(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2))

    delta = normal_cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * normal_cdf(-mu / 2 - epsilon / mu)
    assert 0.95e-5 < delta <= 1e-5


def test_the_schedule_is_cumulative_epsilon_round_by_round() -> None:
    schedule = epsilon_schedule(MECHANISM, 4, 1e-5)
    assert schedule == tuple(epsilon_micro(MECHANISM, rounds, 1e-5) for rounds in (1, 2, 3, 4))
    assert list(schedule) == sorted(set(schedule))


@settings(max_examples=5, deadline=None)
@given(st.floats(0.5, 3.0).map(lambda e: round(e, 3)), st.sampled_from([0.05, 0.2, 1.0]), st.integers(1, 5))
def test_calibrated_noise_is_the_least_that_keeps_the_target(target: float, rate: float, steps: int) -> None:
    noise = calibrate_noise(target, rounds=5, steps=steps, sampling_rate=rate, delta=1e-5)
    assert noise * 1_000 == pytest.approx(round(noise * 1_000))

    def spent(multiplier: float) -> int:
        return epsilon_micro(PoissonSampledGaussian(rate, multiplier, steps), 5, 1e-5)

    assert spent(noise) <= target * MICRO
    if noise > 0.101:
        assert spent(noise - 0.001) > target * MICRO


def test_a_target_out_of_reach_is_refused() -> None:
    with pytest.raises(BadInputError, match="PRIVACY_UNREACHABLE"):
        calibrate_noise(1e-6, rounds=1, steps=1, sampling_rate=1.0, delta=1e-9)


@pytest.mark.parametrize(("rate", "noise", "steps"), [(0.0, 1.0, 1), (1.1, 1.0, 1), (0.5, 0.0, 1), (0.5, 1.0, 0)])
def test_senseless_mechanisms_are_refused(rate: float, noise: float, steps: int) -> None:
    with pytest.raises(BadInputError, match="PRIVACY_PARAMETERS"):
        PoissonSampledGaussian(rate, noise, steps)


def test_a_claim_may_overstate_epsilon_but_not_understate_it() -> None:
    assert covers((100, 200), (100, 200))
    assert covers((150, 200), (100, 200))
    assert covers((99, 199), (100, 200))
    assert not covers((98, 200), (100, 200))
    assert not covers((100,), (100, 200))


def test_the_guess_whether_somebody_took_part_is_bounded() -> None:
    one, ten = membership_accuracy(MECHANISM, 1), membership_accuracy(MECHANISM, 10)
    assert 0.5 < one < ten < 1.0
    # Without sampling: half of 1 + 2 Phi(mu / 2) - 1, with mu = sqrt(10) / 5 (Dong et al. 2022).
    gaussian = membership_accuracy(PoissonSampledGaussian(1.0, 5.0, 1), 10)
    assert gaussian == pytest.approx(0.5 * math.erfc(-math.sqrt(10) / 10 / math.sqrt(2)), abs=2e-3)
