"""The poisoning benchmark's parts: attacks are what they claim, rounds run through the contract's rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.poisoning.as_it_runs import Terms, settle_round
from benchmarks.poisoning.attacks import Knowledge, attack_updates
from benchmarks.poisoning.defences import IN_THE_CLEAR, Received
from benchmarks.poisoning.digits import Floats
from benchmarks.poisoning.learning import Network
from benchmarks.poisoning.privacy import expected_agreement, noisy_thresholds
from benchmarks.poisoning.simulation import Trust
from benchmarks.poisoning.tables import cases
from fedledger_chaincode.messages.task import RobustnessSpec

DIMENSION = 2_000
Numbers = npt.NDArray[np.float64]


def _updates(count: int, seed: int = 0) -> Floats:
    random = np.random.default_rng(seed)
    common = random.standard_normal(DIMENSION)
    return np.asarray(common + random.standard_normal((count, DIMENSION)), dtype=np.float32)


def _terms(no_trust: int = 100_000, full_trust: int = 500_000) -> Terms:
    robustness = RobustnessSpec(trust_weighting="last-step", no_trust=no_trust, full_trust=full_trust)
    return Terms(clip_norm=1.0, robustness=robustness, max_examples=80, max_share=1.0)


def test_opposite_updates_count_nothing_and_the_mean_is_that_of_the_others() -> None:
    honest = _updates(8)
    updates = np.concatenate([honest, -4.0 * honest[:2]])
    settled = settle_round(updates, [80] * 10, honest.mean(axis=0), _terms())
    assert settled.trust == (15,) * 8 + (0,) * 2
    clipped = honest / np.linalg.norm(honest, axis=1, keepdims=True)
    assert settled.update is not None
    assert np.abs(settled.update - clipped.mean(axis=0)).max() < 1e-6


def test_a_round_without_trusted_updates_has_no_mean() -> None:
    honest = _updates(5)
    assert settle_round(honest, [80] * 5, -honest.mean(axis=0), _terms()).update is None


@pytest.mark.parametrize("attack", ["sign flip", "scaled", "Gaussian", "min-max", "min-sum", "ALIE"])
def test_attacks_are_finite_and_differ_from_the_truth(attack: str) -> None:
    honest, own = _updates(12), _updates(3, seed=1)
    known = Knowledge(honest, own, None, 1.0, 0.4, reference_is_public=False)
    sent = attack_updates(attack, known, np.random.default_rng(2))  # type: ignore[arg-type]
    assert sent.shape == own.shape and np.isfinite(sent).all()
    assert not np.allclose(sent, own)


def test_the_adaptive_attack_has_the_agreement_it_aims_at() -> None:
    honest, own = _updates(12), _updates(3, seed=1)
    step = honest.mean(axis=0)
    known = Knowledge(honest, own, step, 1.0, 0.4, reference_is_public=True)
    sent = attack_updates("adaptive backdoor", known, np.random.default_rng(2))
    cosines = sent @ step / np.linalg.norm(step) / np.linalg.norm(sent, axis=1)
    assert cosines == pytest.approx([0.4] * 3, abs=1e-4)


@pytest.mark.parametrize("name", sorted(IN_THE_CLEAR))
def test_known_defences_agree_where_all_are_equal(name: str) -> None:
    same = np.repeat(_updates(1), 10, axis=0)
    received = Received(same, np.full(10, 80), 2, same[0], np.zeros(DIMENSION, dtype=np.float32))
    if name != "centred clipping":
        assert IN_THE_CLEAR[name](received) == pytest.approx(same[0], rel=1e-4, abs=1e-6)
    received = replace(received, momentum=same[0])
    assert IN_THE_CLEAR[name](received) == pytest.approx(same[0], rel=1e-4, abs=1e-6)


def test_gradients_are_those_of_the_cross_entropy() -> None:
    random = np.random.default_rng(0)
    network = Network(hidden=5)
    weights = network.initial(random)
    images = random.random((6, 784), dtype=np.float32)
    targets = np.eye(10, dtype=np.float32)[random.integers(0, 10, 6)]

    def loss(at: Numbers) -> float:
        first, bias, second, last = np.split(at, np.cumsum([784 * 5, 5, 5 * 10]))
        scores = np.maximum(images @ first.reshape(784, 5) + bias, 0) @ second.reshape(5, 10) + last
        return float((np.log(np.exp(scores).sum(axis=1)) - (scores * targets).sum(axis=1)).mean())

    gradient = np.concatenate([part.reshape(-1) for part in network.gradients(weights, images, targets)])
    for place in random.integers(0, network.dimension, 20):
        step = np.zeros(network.dimension)
        step[place] = 1e-5
        assert (loss(weights + step) - loss(weights - step)) / 2e-5 == pytest.approx(gradient[place], abs=1e-4)


def test_expected_agreement_is_what_noise_leaves() -> None:
    random = np.random.default_rng(0)
    update = random.standard_normal(20_000)
    update /= np.linalg.norm(update)
    noisy = update + 0.01 * random.standard_normal(20_000)
    expected = expected_agreement(1.0, 0.01, 20_000)
    assert float(noisy @ update / np.linalg.norm(noisy)) == pytest.approx(expected, abs=0.02)
    assert noisy_thresholds(Trust(0.1, 0.4, 1.0), 1.0, 0.01, 20_000).full_trust == pytest.approx(0.4 * expected)


def test_every_case_has_its_own_key() -> None:
    keys = [case.key for table in ("attacks", "private", "biscotti") for case in cases(table, 2)]
    assert len(set(keys)) == len(keys)
