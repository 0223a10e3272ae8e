"""Attacks find what leaks and no more; what differential privacy promises bounds every one of them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.errors import BadInputError
from fedledger.privacy.accountant import epsilon_micro, membership_accuracy
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.privacy.membership import (
    Attack,
    Signals,
    advantage_by_chance,
    bound_of,
    membership_attacks,
    signals_of,
)

VECTOR = Path(__file__).parents[2] / "vectors" / "membership_inference.json"


def of_losses(losses: np.ndarray) -> Signals:
    return Signals(losses, losses, losses[:, None])


def by_name(attacks: tuple[Attack, ...]) -> dict[str, Attack]:
    return {attack.name: attack for attack in attacks}


def normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def test_tensorflow_privacys_own_code_printed_the_same_figures() -> None:
    vector = json.loads(VECTOR.read_text())
    members, others = (
        signals_of(np.array(part["probabilities"]), np.array(part["labels"], dtype=np.int32))
        for part in (vector["members"], vector["others"])
    )
    found, printed = by_name(membership_attacks(members, others)), vector["results"]
    assert found["loss threshold"].auc == pytest.approx(printed["threshold"]["auc"], abs=1e-9)
    assert found["loss threshold"].advantage == pytest.approx(printed["threshold"]["advantage"], abs=1e-9)
    # Its folds are drawn at random, and its regression looks for its own regularisation.
    assert found["logistic regression"].auc == pytest.approx(printed["logistic_regression"]["auc"], abs=0.05)


def test_losses_apart_by_one_deviation_are_told_apart_as_often_as_in_theory() -> None:
    generator = np.random.default_rng(1)
    members, others = of_losses(generator.normal(size=4_000)), of_losses(generator.normal(loc=1.0, size=4_000))
    attack = by_name(membership_attacks(members, others))["loss threshold"]
    assert abs(attack.auc - normal_cdf(1 / math.sqrt(2))) < 4 * attack.auc_error < 0.03
    assert attack.advantage == pytest.approx(2 * normal_cdf(0.5) - 1, abs=0.04)
    # At the false positive rate 0.01 the threshold is 2.326 deviations below the others' mean.
    assert attack.tpr_at[0.01] == pytest.approx(normal_cdf(-2.326 + 1.0), abs=0.05)


def test_records_of_one_distribution_are_not_told_apart_but_by_chance() -> None:
    generator = np.random.default_rng(2)
    measured = []
    for _ in range(30):
        attacks = membership_attacks(of_losses(generator.normal(size=120)), of_losses(generator.normal(size=80)))
        threshold = by_name(attacks)["loss threshold"]
        assert abs(threshold.auc - 0.5) < 5 * threshold.auc_error
        measured.append(threshold.advantage)
    assert np.mean(measured) == pytest.approx(advantage_by_chance(120, 80), abs=0.03)


def test_an_attacker_who_learns_sees_what_a_threshold_on_the_loss_does_not() -> None:
    generator = np.random.default_rng(3)
    loss = generator.normal(size=400)
    confidence = np.concatenate([generator.normal(loc=2.0, size=200), generator.normal(size=200)])
    halves = [Signals(loss[part], loss[part], confidence[part, None]) for part in (slice(200), slice(200, None))]
    found = by_name(membership_attacks(*halves))
    assert abs(found["loss threshold"].auc - 0.5) < 0.15
    assert found["logistic regression"].auc > 0.85


def test_signals_are_loss_and_entropy_of_the_label() -> None:
    signals = signals_of(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0], dtype=np.int32))
    np.testing.assert_allclose(signals.loss, [-math.log(0.9), -math.log(0.2)])
    # Song and Mittal 2021, equation 8: -(1 - p_y) log p_y - sum over others of p_i log(1 - p_i).
    expected = [-0.1 * math.log(0.9) - 0.1 * math.log(0.9), -0.8 * math.log(0.2) - 0.8 * math.log(0.2)]
    np.testing.assert_allclose(signals.entropy, expected)
    np.testing.assert_allclose(signals.features[:, :2], [[0.9, 0.1], [0.2, 0.8]])


def test_a_device_is_judged_by_the_mean_of_its_records() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    signals = signals_of(probabilities, np.array([0, 1, 1], dtype=np.int32), np.array([7, 3, 7]))
    np.testing.assert_allclose(signals.loss, [-math.log(0.8), -(math.log(0.9) + math.log(0.5)) / 2])
    assert len(signals) == 2


def test_certain_and_impossible_answers_stay_finite() -> None:
    signals = signals_of(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1], dtype=np.int32))
    assert np.isfinite(signals.loss).all() and np.isfinite(signals.entropy).all()


def test_too_few_records_are_refused() -> None:
    with pytest.raises(BadInputError, match="TOO_FEW_RECORDS"):
        membership_attacks(of_losses(np.zeros(9)), of_losses(np.zeros(1)))


@given(st.floats(0.0, 8.0))
def test_randomised_response_reaches_the_bound(epsilon: float) -> None:
    # The answer is true with probability e^eps / (1 + e^eps): nothing with epsilon tells more.
    truth = math.exp(epsilon) / (1 + math.exp(epsilon))
    bound = bound_of(epsilon, 0.0)
    assert bound.advantage == pytest.approx(2 * truth - 1, abs=1e-12)
    assert bound.auc == pytest.approx(truth, abs=1e-12)


@settings(max_examples=20)
@given(st.floats(0.2, 3.0), st.floats(1e-6, 1e-2))
def test_the_best_attack_on_a_gaussian_is_within_the_bound_of_its_epsilon(mu: float, delta: float) -> None:
    # Balle and Wang 2018, theorem 8; Dong et al. 2022, section 2: an attacker of N(0, 1) against N(mu, 1).
    def delta_of(epsilon: float) -> float:
        return normal_cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * normal_cdf(-mu / 2 - epsilon / mu)

    low, high = 0.0, 100.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (low, middle) if delta_of(middle) <= delta else (middle, high)
    bound = bound_of(high, delta)
    assert bound.advantage >= 2 * normal_cdf(mu / 2) - 1 - 1e-9
    assert bound.auc >= normal_cdf(mu / math.sqrt(2)) - 1e-9
    for rate, quantile in ((0.01, -2.3263478740408408), (0.1, -1.2815515655446004)):
        assert bound.tpr_at[rate] >= normal_cdf(quantile + mu) - 1e-9


def test_a_mechanisms_total_variation_is_the_better_bound_of_the_advantage() -> None:
    mechanism = PoissonSampledGaussian(0.2, 2.982, 10)
    epsilon = epsilon_micro(mechanism, 10, 1e-5) / 1e6
    variation = 2 * membership_accuracy(mechanism, 10) - 1
    loose, tight = bound_of(epsilon, 1e-5), bound_of(epsilon, 1e-5, variation)
    assert tight.advantage == pytest.approx(variation) and variation < 0.4 < loose.advantage
    assert tight.tpr_at[0.1] <= 0.1 + variation < loose.tpr_at[0.1]


@given(st.floats(0.0, 2_000.0), st.floats(0.0, 1.0, exclude_max=True))
def test_bounds_are_rates(epsilon: float, delta: float) -> None:
    bound = bound_of(epsilon, delta)
    for rate in (bound.advantage, bound.auc, *bound.tpr_at.values()):
        assert 0.0 <= rate <= 1.0
    assert all(bound.tpr_at[rate] >= rate - 1e-12 for rate in bound.tpr_at)
