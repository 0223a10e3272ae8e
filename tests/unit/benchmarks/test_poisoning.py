"""The poisoning benchmark's parts: attacks are what they claim, rounds run through the contract's rules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.poisoning.as_it_runs import Ledger, Settled, Terms, settle_round
from benchmarks.poisoning.attacks import Knowledge, attack_updates
from benchmarks.poisoning.defences import IN_THE_CLEAR, Received
from benchmarks.poisoning.digits import Digits, Floats
from benchmarks.poisoning.learning import Cohort, LocalWork, Network
from benchmarks.poisoning.privacy import Mechanism, with_privacy
from benchmarks.poisoning.simulation import Trust
from benchmarks.poisoning.tables import SETTING, cases
from fedledger_chaincode.messages.base import MICRO

DIMENSION = 2_000
Numbers = npt.NDArray[np.float64]


def _updates(count: int, seed: int = 0) -> Floats:
    random = np.random.default_rng(seed)
    common = random.standard_normal(DIMENSION)
    return np.asarray(common + random.standard_normal((count, DIMENSION)), dtype=np.float32)


def _terms() -> Terms:
    """One bad round alone brings nobody into quarantine."""
    trust = Trust(clip_norm=1.0, no_trust=0.1, full_trust=0.5, max_share=1.0, quarantine_threshold=0.52)
    return trust.terms("last-step")


def _settle(updates: Floats, reference: Floats | None, ledger: Ledger | None = None) -> Settled:
    terms = _terms()
    before = Ledger.new(len(updates), terms.rules.reputation) if ledger is None else ledger
    return settle_round(updates, [80] * len(updates), reference, terms, before)


def test_opposite_updates_count_nothing_and_the_mean_is_that_of_the_others() -> None:
    honest = _updates(8)
    updates = np.concatenate([honest, -4.0 * honest[:2]])
    settled = _settle(updates, honest.mean(axis=0))
    assert [update.trust for update in settled.updates] == [15] * 8 + [0] * 2
    clipped = honest / np.linalg.norm(honest, axis=1, keepdims=True)
    assert settled.mean is not None
    assert np.abs(settled.mean - clipped.mean(axis=0)).max() < 1e-6


def test_who_has_disagreed_for_long_counts_nothing_where_the_direction_says_nothing() -> None:
    honest = _updates(8)
    updates = np.concatenate([honest, -honest[:2]])
    ledger = _settle(updates, honest.mean(axis=0)).ledger
    first = _settle(updates, None, ledger)
    assert [update.weight > 0 for update in first.updates] == [True] * 10
    assert min(update.weight for update in first.updates[:8]) > max(update.weight for update in first.updates[8:])
    for _ in range(6):
        ledger = _settle(updates, honest.mean(axis=0), ledger).ledger
    for direction in (None, -honest.mean(axis=0)):
        silent = _settle(updates, direction, ledger)
        assert [update.weight > 0 for update in silent.updates] == [True] * 8 + [False] * 2
        reputations = [standing.reputation for standing in ledger.standings]
        after = [standing.reputation for standing in silent.ledger.standings]
        assert after == pytest.approx(reputations, abs=1)


def test_a_quarantine_of_the_persistently_bad_has_no_gap() -> None:
    honest = _updates(8)
    updates = np.concatenate([honest, -honest[:2]])
    ledger, quarantined = Ledger.new(10, _terms().rules.reputation), []
    for _ in range(20):
        quarantined.append([entry.quarantined for entry in ledger.cohort()][8:])
        ledger = _settle(updates, honest.mean(axis=0), ledger).ledger
    first = quarantined.index([True, True])
    assert 0 < first < 6
    assert all(each == [True, True] for each in quarantined[first:])


@pytest.mark.parametrize("attack", ["sign flip", "scaled", "Gaussian", "min-max", "min-sum", "ALIE"])
def test_attacks_are_finite_and_differ_from_the_truth(attack: str) -> None:
    honest, own = _updates(12), _updates(3, seed=1)
    known = Knowledge(honest, own, None, 1.0, reference_is_public=False)
    sent = attack_updates(attack, known, np.random.default_rng(2))  # type: ignore[arg-type]
    assert sent.shape == own.shape and np.isfinite(sent).all()
    assert not np.allclose(sent, own)


def test_the_adaptive_attack_has_the_agreement_it_aims_at() -> None:
    honest, own = _updates(12), _updates(3, seed=1)
    step = honest.mean(axis=0)
    known = Knowledge(honest, own, step, 1.0, reference_is_public=True)
    sent = attack_updates("adaptive backdoor", known, np.random.default_rng(2))
    cosines = sent @ step / np.linalg.norm(step) / np.linalg.norm(sent, axis=1)
    usual = np.median(honest @ step / np.linalg.norm(step) / np.linalg.norm(honest, axis=1))
    assert cosines == pytest.approx([usual] * 3, abs=1e-4)


@pytest.mark.parametrize("name", sorted(IN_THE_CLEAR))
def test_known_defences_agree_where_all_are_equal(name: str) -> None:
    same = np.repeat(_updates(1), 10, axis=0)
    received = Received(same, np.full(10, 80), 2, same[0], np.zeros(DIMENSION, dtype=np.float32))
    if name != "centred clipping":
        assert IN_THE_CLEAR[name](received) == pytest.approx(same[0], rel=1e-4, abs=1e-6)
    received = replace(received, momentum=same[0])
    assert IN_THE_CLEAR[name](received) == pytest.approx(same[0], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("hidden", [None, 5])
@pytest.mark.parametrize("clip", [None, 0.5])
def test_local_work_is_gradient_descent_on_each_examples_clipped_gradient(
    hidden: int | None, clip: float | None
) -> None:
    random = np.random.default_rng(0)
    network = Network(hidden)
    base = network.initial(random)
    owners = [Digits(random.random((size, 784), dtype=np.float32), random.integers(0, 10, size)) for size in (4, 6)]
    work = LocalWork(steps=3, sampling=1.0, learning_rate=0.1, record_clip=clip)
    updates = work.updates(network, base, Cohort.of(owners), random)
    for update, owner in zip(updates, owners, strict=True):
        weights = base.astype(np.float64)
        for _ in range(3):
            gradients = [_gradient(network, weights, *example) for example in zip(*_content(owner), strict=True)]
            kept = [1.0 if clip is None else min(1.0, clip / float(np.linalg.norm(each))) for each in gradients]
            weights = weights - 0.1 * np.mean([k * each for k, each in zip(kept, gradients, strict=True)], axis=0)
        assert update == pytest.approx(base - weights, abs=2e-6)


def _content(owner: Digits) -> tuple[Floats, npt.NDArray[np.int64]]:
    return owner.images, owner.labels


def _gradient(network: Network, weights: Numbers, image: Floats, label: int) -> Numbers:
    """Of one example's cross-entropy, by the chain rule."""
    shapes = network.shapes
    split = np.split(weights, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1])
    parts = [part.reshape(shape) for part, shape in zip(split, shapes, strict=True)]
    first = image @ parts[0] + parts[1]
    scores = first if len(parts) == 2 else np.maximum(first, 0) @ parts[2] + parts[3]
    error = np.exp(scores - scores.max())
    error = error / error.sum() - np.eye(10)[label]
    if len(parts) == 2:
        return np.concatenate([np.outer(image, error).reshape(-1), error])
    back = (parts[2] @ error) * (first > 0)
    outer = [np.outer(image, back), back, np.outer(np.maximum(first, 0), error), error]
    return np.concatenate([part.reshape(-1) for part in outer])


def test_with_privacy_thresholds_shrink_by_what_noise_leaves_of_agreement() -> None:
    private = with_privacy(SETTING, Mechanism(noise_multiplier=0.5, record_clip=1.0, examples=80, honest_norm=0.4))
    random = np.random.default_rng(0)
    update = random.standard_normal(SETTING.network.dimension)
    update *= 0.4 / np.linalg.norm(update)
    noisy = update + private.noise * random.standard_normal(len(update))
    left = float(noisy @ update / np.linalg.norm(noisy) / np.linalg.norm(update))
    assert private.trust.full_trust == pytest.approx(SETTING.trust.full_trust * left, rel=0.05)
    assert private.trust.no_trust / private.trust.full_trust == pytest.approx(
        SETTING.trust.no_trust / SETTING.trust.full_trust
    )
    assert private.work.record_clip == 1.0


def test_terms_are_those_of_a_task() -> None:
    terms = SETTING.trust.terms("reference-data")
    assert terms.clip_norm == SETTING.trust.clip_norm
    assert terms.rules.robustness.no_trust == round(SETTING.trust.no_trust * MICRO)


def test_every_case_has_its_own_key() -> None:
    keys = [case.key for table in ("attacks", "private", "biscotti", "limits") for case in cases(table, range(2))]
    assert len(set(keys)) == len(keys) > 100
