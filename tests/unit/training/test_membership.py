"""A model that learnt its records by heart gives them away; one that was trained with differential privacy does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fedledger.errors import BadInputError
from fedledger.privacy.accountant import membership_accuracy
from fedledger.privacy.membership import Attack
from fedledger.training import Examples, LocalTrainer, Split, TaskDefinition, evaluate, flatten, unflatten
from fedledger.training.local import train_once
from fedledger.training.membership import MembershipReport, attack_model
from fedledger.training.settings import Optimizer
from fedledger.training.weights import Float32Array

SITE = "long_beach_va"
TOLERANCE = 4
"""Standard errors."""


def best(report: MembershipReport) -> Attack:
    return max(report.attacks, key=lambda attack: attack.auc)


def learnt_by_heart(task: TaskDefinition, records: Examples) -> list[Float32Array]:
    """Weights after 300 epochs of the larger model without DP."""
    public = task.override(no_dp=True, model="mlp")
    training = public.training.model_copy(
        update={"local_epochs": 300, "client_optimizer": Optimizer(name="sgd", learning_rate=0.3, momentum=0.9)}
    )
    longer = dataclasses.replace(public, settings=public.settings.model_copy(update={"training": training}))
    trained = train_once(longer, longer.initial_weights(), records, site=SITE, round_number=1)
    return unflatten(flatten(longer.initial_weights()) - trained.update, longer.tensors)


def privately(task: TaskDefinition, records: Examples) -> list[Float32Array]:
    """Weights after all rounds of the task, of which only this site trains."""
    trainer, weights = LocalTrainer(task, records, site=SITE), task.initial_weights()
    for round_number in range(1, task.training.rounds + 1):
        update = trainer.train(weights, round_number=round_number).update
        weights = unflatten(flatten(weights) - update, task.tensors)
    return weights


def test_an_overfitted_model_tells_who_was_in_it(task: TaskDefinition, splits: dict[str, Split]) -> None:
    public, split = task.override(no_dp=True, model="mlp"), splits[SITE]
    weights = learnt_by_heart(task, split.train)
    assert evaluate(public, weights, split.train).accuracy > 0.97
    report = attack_model(public, weights, split)
    assert (report.unit, report.members, report.others) == ("record", len(split.train), len(split.test))
    assert best(report).auc > 0.5 + 2.5 * best(report).auc_error > 0.58
    assert max(attack.advantage for attack in report.attacks) > 2 * report.chance


def test_with_differential_privacy_the_attack_stays_within_what_the_mechanism_allows(
    task: TaskDefinition, splits: dict[str, Split]
) -> None:
    private, split = task.override(model="mlp"), splits[SITE]
    report = attack_model(private, privately(private, split.train), split)
    assert private.mechanism is not None
    bound = 2 * membership_accuracy(private.mechanism, private.training.rounds) - 1
    for attack in report.attacks:
        assert abs(attack.auc - 0.5) < TOLERANCE * attack.auc_error
        assert attack.advantage < bound + report.chance


def test_a_device_is_the_unit_where_the_task_protects_devices(task: TaskDefinition, splits: dict[str, Split]) -> None:
    privacy = task.settings.privacy.model_copy(update={"mechanism": "dp-fedavg"})
    protecting = dataclasses.replace(task, settings=task.settings.model_copy(update={"privacy": privacy}))
    parts = (splits[SITE].train, splits[SITE].test)
    train, test = (dataclasses.replace(part, devices=np.arange(len(part)) // 5) for part in parts)
    report = attack_model(protecting, task.initial_weights(), Split(train, test))
    assert (report.unit, report.members, report.others) == ("device", -(-len(train) // 5), -(-len(test) // 5))
    with pytest.raises(BadInputError, match="DEVICES_MISSING"):
        attack_model(protecting, task.initial_weights(), splits[SITE])


def test_a_site_that_held_nothing_back_cannot_be_judged(task: TaskDefinition, splits: dict[str, Split]) -> None:
    whole = splits[SITE].train
    with pytest.raises(BadInputError, match="TOO_FEW_RECORDS"):
        attack_model(task, task.initial_weights(), Split(whole, Examples(whole.x[:0], whole.y[:0])))
