"""Federation reaches what pooled data reach, without anybody pooling data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from fedledger.training import Examples, TaskDefinition, concatenate, evaluate, load_task
from fedledger.training.baselines import train_alone, train_federated, train_pooled
from fedledger.training.weights import Float32Array

SEEDS = (1, 2, 3, 4, 5)
Training = Callable[[TaskDefinition, Mapping[str, Examples]], list[Float32Array]]


def mean_auc(task: TaskDefinition, train: Training) -> float:
    """AUC over all sites' held-out records together, mean over five seeds."""
    figures = []
    for seed in SEEDS:
        seeded = task.override(seed=seed)
        splits = {site: seeded.load_data(site) for site in seeded.sites}
        weights = train(seeded, {site: split.train for site, split in splits.items()})
        auc = evaluate(seeded, weights, concatenate([split.test for split in splits.values()])).auc
        assert auc is not None
        figures.append(auc)
    return float(np.mean(figures))


@pytest.fixture(scope="module")
def task() -> TaskDefinition:
    return load_task("heart-disease").override(no_dp=True)


@pytest.fixture(scope="module")
def federated(task: TaskDefinition) -> float:
    return mean_auc(task, train_federated)


def test_ten_rounds_end_within_a_hundredth_of_pooled_training(task: TaskDefinition, federated: float) -> None:
    assert task.training.rounds == 10
    assert abs(federated - mean_auc(task, train_pooled)) < 0.01


def test_the_smallest_hospital_gains_from_taking_part(task: TaskDefinition, federated: float) -> None:
    alone = mean_auc(task, lambda seeded, sites: train_alone(seeded, sites["switzerland"], site="switzerland"))
    assert federated > alone + 0.05


def test_the_default_privacy_budget_costs_less_than_three_hundredths(federated: float) -> None:
    # One run of noise moves this by about 0.006 (standard deviation of the mean of five).
    assert mean_auc(load_task("heart-disease"), train_federated) > federated - 0.03
