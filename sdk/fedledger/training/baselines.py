"""What the shared model is compared with: each site alone, all data pooled, and the federation without a ledger.

These need data in one place or updates in the clear; no agent calls them on other people's data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from fedledger.training.examples import Examples, concatenate
from fedledger.training.local import LocalTrainer, train_once
from fedledger.training.server import ServerStep
from fedledger.training.settings import to_micro
from fedledger.training.specification import optimizer_spec
from fedledger.training.task import TaskDefinition
from fedledger.training.weights import Float32Array, flatten, load_weights, unflatten
from fedledger_chaincode.rules.weights import capped_weights


def train_alone(task: TaskDefinition, examples: Examples, *, site: str) -> list[Float32Array]:
    """The task's model trained on one site's records by plain SGD: same model, client optimiser and number of
    rounds, without DP, proximal term or clip.

    A server step that multiplies the mean update by r stands for r times the epochs here: multiplying the update of
    a single site instead would overshoot.
    """
    public = _lengthened(task.override(no_dp=True, algorithm="fedavg"))
    weights = public.initial_weights()
    for round_number in range(1, public.training.rounds + 1):
        trained = train_once(public, weights, examples, site=site, round_number=round_number)
        weights = unflatten(flatten(weights) - trained.update, public.tensors)
    return weights


def train_pooled(task: TaskDefinition, sites: Mapping[str, Examples]) -> list[Float32Array]:
    """As :func:`train_alone` on the records of all sites in one place: what federation would like to reach."""
    return train_alone(task, concatenate([sites[name] for name in sorted(sites)]), site="pooled")


def train_federated(
    task: TaskDefinition,
    sites: Mapping[str, Examples],
    *,
    after_round: Callable[[int, list[Float32Array]], None] | None = None,
) -> list[Float32Array]:
    """All rounds of the task by TFF's client work and server step, updates averaged in the clear without a ledger.

    Weights of sites are the contract's (``capped_weights``); ``after_round`` is called with each round's weights.
    """
    trainers = [LocalTrainer(task, sites[name], site=name) for name in sorted(sites)]
    limits = task.aggregation.max_examples, to_micro(task.aggregation.max_share)
    examples = [trainer.num_examples for trainer in trainers]
    counts = np.array(capped_weights(examples, range(len(trainers)), *limits), dtype=np.float64)
    step = ServerStep(task.tensors, optimizer_spec(task.training.server_optimizer))
    parent, base = None, task.initial_model()
    for round_number in range(1, task.training.rounds + 1):
        updates = [trainer.train(base, round_number=round_number).update for trainer in trainers]
        mean = (counts @ np.stack(updates).astype(np.float64) / counts.sum()).astype(np.float32)
        parent, base = base, step.apply(base, mean, parent)
        if after_round is not None:
            after_round(round_number, load_weights(base, task.tensors))
    return load_weights(base, task.tensors)


def _lengthened(task: TaskDefinition) -> TaskDefinition:
    """``task`` with local epochs multiplied by the server's learning rate, rounded, at least by one."""
    training = task.training
    epochs = training.local_epochs * max(1, round(training.server_optimizer.learning_rate))
    settings = task.settings.model_copy(update={"training": training.model_copy(update={"local_epochs": epochs})})
    return replace(task, settings=settings)
