"""Both accountants reproduce figures that others have published; each names where it stands."""

from __future__ import annotations

import math

import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, rdp
from dp_accounting.pld import privacy_loss_distribution

from fedledger.privacy.accountant import EpsilonBounds, calibrate_noise, epsilon_bounds, epsilon_micro
from fedledger.privacy.mechanism import PoissonSampledGaussian

MICRO = 1_000_000
MNIST = 60_000


def both(rate: float, noise: float, steps: int, delta: float) -> tuple[float, float]:
    """Epsilon by Renyi DP and by privacy loss distributions."""
    bounds = epsilon_bounds(PoissonSampledGaussian(rate, noise, steps), 1, delta)
    assert bounds.rdp is not None and bounds.pld is not None
    return bounds.rdp / MICRO, bounds.pld / MICRO


def moments_accountant(rate: float, noise: float, steps: int, delta: float) -> float:
    """Epsilon as it was converted from Renyi DP until 2020 (Mironov 2017, proposition 3)."""
    accountant = rdp.RdpAccountant().compose(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)
    curve = zip(accountant._orders, accountant._rdp, strict=True)
    return min(float(divergence) + math.log(1 / delta) / (float(order) - 1) for order, divergence in curve if order > 1)


def batch_steps(batch: int, epochs: int) -> int:
    return epochs * MNIST // batch


@pytest.mark.parametrize(
    ("rate", "noise", "steps", "published", "digits"),
    [
        # Abadi et al. 2016, section 5.1: q = 0.01, sigma = 4, delta = 1e-5, 10,000 steps, "epsilon = 1.26".
        pytest.param(0.01, 4.0, 10_000, 1.26, 2, id="Abadi 2016 section 5.1"),
        # tensorflow/privacy, tutorials/README.md, table "Select Parameters" of MNIST, rows 1 and 3, delta = 1e-5.
        pytest.param(256 / MNIST, 1.12, batch_steps(256, 60), 2.92, 2, id="TensorFlow Privacy tutorial, row 1"),
        pytest.param(256 / MNIST, 1.2, batch_steps(256, 10), 1.20, 2, id="TensorFlow Privacy tutorial, row 3"),
    ],
)
def test_published_figures_of_the_moments_accountant_come_back_and_both_of_today_are_below(
    rate: float, noise: float, steps: int, published: float, digits: int
) -> None:
    assert round(moments_accountant(rate, noise, steps, 1e-5), digits) == published
    by_rdp, by_pld = both(rate, noise, steps, 1e-5)
    assert by_pld < by_rdp < published


@pytest.mark.parametrize(
    ("rate", "noise", "steps", "delta", "published_rdp", "published_pld"),
    [
        # tensorflow/privacy 0.9.0, compute_dp_sgd_privacy_test.py, test_compute_dp_sgd_example_privacy:
        # no_microbatching_with_subsampling_{rdp,pld} and no_microbatching_no_subsampling_{rdp,pld}.
        pytest.param(0.01, 0.7, 120, 1e-5, 3.2391922, 2.4612381, id="sampled"),
        pytest.param(1.0, 0.7, 2, 1e-5, 10.8602036, 10.1224946, id="not sampled"),
    ],
)
def test_both_accountants_side_by_side_are_those_of_tensorflow_privacys_own_tests(
    rate: float, noise: float, steps: int, delta: float, published_rdp: float, published_pld: float
) -> None:
    by_rdp, by_pld = both(rate, noise, steps, delta)
    assert by_rdp == pytest.approx(published_rdp, abs=2e-6)
    # Theirs is discretised ten times finer: never above ours, and nearly equal.
    assert published_pld <= by_pld + 1e-6
    assert by_pld == pytest.approx(published_pld, abs=2e-3)


@pytest.mark.parametrize(
    ("rate", "noise", "steps", "delta", "published"),
    [
        # dp_accounting 0.4.3, pld_privacy_accountant_test.py: test_gaussian_basic and
        # test_self_composed_subsampled_gaussian.
        pytest.param(1.0, math.sqrt(3), 3, 0.126936, 1.0, id="Gaussian"),
        pytest.param(0.2, 0.5, 3, 0.15594, 1.0, id="sampled Gaussian"),
    ],
)
def test_privacy_loss_distributions_give_the_exact_figures_of_dp_accountings_tests(
    rate: float, noise: float, steps: int, delta: float, published: float
) -> None:
    by_rdp, by_pld = both(rate, noise, steps, delta)
    assert by_pld == pytest.approx(published, abs=1e-3)
    assert by_rdp > by_pld


def test_an_independent_accountant_agrees_on_delta() -> None:
    # The Fourier accountant of Koskela, Jälkö and Honkela (2019): DPBayes/PLD-Accountant,
    # examples/simple_usage_example.py prints 4.243484e-06 for q = 0.01, sigma = 4, epsilon = 1. The file says 1,000
    # compositions; that figure is of 10,000 (at 1,000 delta is below 1e-14).
    composed = privacy_loss_distribution.from_gaussian_mechanism(
        4.0, value_discretization_interval=1e-4, sampling_prob=0.01
    ).self_compose(10_000)
    assert composed.get_delta_for_epsilon(1.0) == pytest.approx(4.243484e-06, rel=5e-3)
    _, by_pld = both(0.01, 4.0, 10_000, 4.243484e-06)
    assert 1.0 <= by_pld < 1.02


def test_the_conversion_from_renyi_dp_is_that_of_dp_accountings_tests() -> None:
    # dp_accounting 0.4.3, rdp_privacy_accountant_test.py, test_compute_epsilon_delta_gaussian: epsilon 1 at delta 1e-6.
    by_rdp, by_pld = both(1.0, 4.530877117, 1, 1e-6)
    assert by_rdp == pytest.approx(1.0, abs=1e-3)
    assert by_pld < by_rdp


def test_where_rounding_adds_up_over_many_steps_renyi_dp_is_the_better_bound() -> None:
    # The loss of one step is far below the interval to which it is rounded up.
    bounds = epsilon_bounds(PoissonSampledGaussian(0.001, 50.0, 100_000), 1, 1e-5)
    assert bounds.rdp is not None and bounds.pld is not None
    assert bounds.smaller == bounds.rdp < bounds.pld


def test_a_bound_that_is_not_finite_leaves_the_other() -> None:
    assert EpsilonBounds(pld=None, rdp=5).smaller == 5
    assert EpsilonBounds(pld=5, rdp=None).smaller == 5
    assert EpsilonBounds(pld=None, rdp=None).smaller is None


def test_calibrated_noise_is_the_least_by_whichever_accountant_asks_for_less() -> None:
    noise = calibrate_noise(0.02, rounds=1, steps=100_000, sampling_rate=0.001, delta=1e-5)
    bounds = epsilon_bounds(PoissonSampledGaussian(0.001, noise, 100_000), 1, 1e-5)
    assert bounds.rdp is not None and bounds.pld is not None
    assert bounds.rdp <= 20_000 < bounds.pld
    assert epsilon_micro(PoissonSampledGaussian(0.001, noise - 0.001, 100_000), 1, 1e-5) > 20_000
