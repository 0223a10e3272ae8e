"""The task of many devices: records are computed, pumps are whole, and the model learns though each pump is hidden."""

from __future__ import annotations

import numpy as np
import pytest

from fedledger.training import Split, TaskDefinition, concatenate, evaluate, load_task
from fedledger.training.baselines import train_federated

PUMPS = {"harbour": (66, 24), "waterworks": (103, 37), "refinery": (46, 14), "district_heating": (30, 10)}
"""Pumps of each operator that are trained on, and that are held back."""
SMALL = ("district_heating", "refinery")


@pytest.fixture(scope="module")
def task() -> TaskDefinition:
    return load_task("bearing-wear")


@pytest.fixture(scope="module")
def splits(task: TaskDefinition) -> dict[str, Split]:
    return {operator: task.load_data(operator) for operator in task.sites}


def test_each_pump_is_on_one_side_with_all_of_its_records(splits: dict[str, Split]) -> None:
    for operator, (trained_on, held_back) in PUMPS.items():
        split = splits[operator]
        assert split.train.devices is not None and split.test.devices is not None
        train, test = set(split.train.devices), set(split.test.devices)
        assert (len(train), len(test)) == (trained_on, held_back)
        assert not train & test
        _, records = np.unique(np.concatenate([split.train.devices, split.test.devices]), return_counts=True)
        assert records.min() >= 5 and records.max() <= 20


def test_everybody_computes_the_same_records(task: TaskDefinition, splits: dict[str, Split]) -> None:
    again = task.load_data("refinery")
    np.testing.assert_array_equal(again.train.x, splits["refinery"].train.x)
    assert not np.array_equal(splits["refinery"].train.x[:20], splits["harbour"].train.x[:20])


def test_the_agreement_protects_devices_within_its_budget(task: TaskDefinition) -> None:
    spec = task.to_spec(organisations=("AMSP", "BMSP", "CMSP", "DMSP"))
    assert spec.privacy.mechanism == "dp-fedavg"
    assert spec.privacy.allowed_contributions() == spec.training.rounds
    assert 3_950_000 < spec.privacy.epsilon_schedule[-1] <= spec.privacy.epsilon_budget == 4_000_000


def test_the_shared_model_finds_worn_bearings_of_pumps_it_has_never_seen(
    task: TaskDefinition, splits: dict[str, Split]
) -> None:
    # Two rounds of the two smallest operators, with the noise of all twelve.
    test = concatenate([splits[operator].test for operator in splits])
    start = evaluate(task, task.initial_weights(), test).auc
    seen: list[float] = []

    def after_round(_: int, weights: list[np.ndarray]) -> None:
        auc = evaluate(task, weights, test).auc
        assert auc is not None
        seen.append(auc)

    sites = {operator: splits[operator].train for operator in SMALL}
    train_federated(task.override(rounds=2), sites, after_round=after_round)
    assert start is not None and max(seen) > max(start, 0.7)
