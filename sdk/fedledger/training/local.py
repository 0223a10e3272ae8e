"""One organisation's part of a round: train on its own records, clip, say what it cost in privacy.

Refuses to train on nothing, on one class, from weights that are not finite, and past the privacy budget.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fedledger.errors import BadInputError
from fedledger.training.batches import batch_order, own_order
from fedledger.training.client_work import Trained, client_work
from fedledger.training.device_work import DeviceWork, device_rows
from fedledger.training.examples import Examples, check_examples, require_two_classes
from fedledger.training.model import require_repeatable, trainable_model
from fedledger.training.private_work import private_work
from fedledger.training.weights import Float32Array, weights_of

if TYPE_CHECKING:
    from fedledger.training.task import TaskDefinition

MICRO = 1_000_000
_ROUNDING_MARGIN = 2.0**-22
"""Keeps a clipped update within its norm after rounding to float32."""


@dataclass(frozen=True)
class LocalResult:
    """What a participant submits, and what it keeps for itself."""

    update: Float32Array = field(repr=False)
    """float32[d], initial minus trained weights, of L2 norm at most the task's clip norm."""
    num_examples: int
    """Training records of the site; with dp-fedavg devices, because a device may have any number of records. Public:
    it is in the manifest.
    """
    norm: float
    """L2 norm of ``update``."""
    unclipped_norm: float
    """L2 norm before the final clip."""
    epsilon_micro: int
    """What this contribution adds to the site's cumulative epsilon; 0 without DP."""
    cumulative_epsilon_micro: int
    """Epsilon of the site after this contribution; 0 without DP."""
    metrics: Mapping[str, float]
    """Measured on the training records and not private: for the site's own logs, never for the ledger."""
    seconds: float

    @property
    def was_clipped(self) -> bool:
        """Whether the final clip shortened the update."""
        return self.norm < self.unclipped_norm


class LocalTrainer:
    """Trains for one site; sites of the same task in one process share model and graphs."""

    def __init__(self, task: TaskDefinition, examples: Examples, *, site: str) -> None:
        """``examples`` are the site's training records; ``site`` names it in errors and in the order of batches.

        Raises BadInputError DATASET_EMPTY, DATASET_*, ONE_CLASS, DEVICES_MISSING, DELTA_TOO_LARGE.
        """
        origin = f"The training data of {site}"
        check_examples(examples, input_shape=task.input_shape, classes=task.classes, origin=origin)
        if not task.training.allow_single_class:
            require_two_classes(examples, origin=origin)
        self.task = task
        self.site = site
        self.examples = examples
        protects_devices = task.privacy.mechanism == "dp-fedavg"
        self.num_examples = len(device_rows(examples, origin=origin)) if protects_devices else len(examples)
        if task.is_private and task.privacy.delta * self.num_examples >= 1.0:
            raise BadInputError(
                "DELTA_TOO_LARGE",
                f"Delta {task.privacy.delta} lets one of the {self.num_examples} "
                f"{'devices' if protects_devices else 'records'} of {site} be published outright.",
                f"Set delta in table [privacy] of task.toml well below 1 / {self.num_examples}.",
            )

    def train(
        self,
        base_weights: bytes | Sequence[Float32Array],
        *,
        round_number: int,
        contributed: int | None = None,
    ) -> LocalResult:
        """The site's update for a round that starts from ``base_weights`` (a model file, or arrays).

        ``contributed`` is how many earlier rounds hold an update of this site, by which epsilon is reckoned;
        ``round_number - 1`` unless given. Without DP the same arguments give the same update; with DP no two calls
        do, and each call whose update leaves the site costs epsilon: an update is made once and kept until it is
        submitted, not made again.

        Raises BadInputError WEIGHTS_FILE, WEIGHTS_SHAPE, WEIGHTS_NOT_FINITE, UPDATE_NOT_FINITE, EPSILON_SPENT.
        """
        started = time.perf_counter()
        task = self.task
        weights = weights_of(base_weights, task.tensors)
        before, after = self._epsilon(round_number - 1 if contributed is None else contributed)
        trained = train_once(task, weights, self.examples, site=self.site, round_number=round_number)
        update, unclipped_norm = clip(trained.update, task.aggregation.clip_norm)
        return LocalResult(
            update=update,
            num_examples=self.num_examples,
            norm=l2_norm(update),
            unclipped_norm=unclipped_norm,
            epsilon_micro=after - before,
            cumulative_epsilon_micro=after,
            metrics=trained.metrics,
            seconds=time.perf_counter() - started,
        )

    def _epsilon(self, contributed: int) -> tuple[int, int]:
        """Cumulative micro-epsilon before and after one more contribution."""
        if not self.task.is_private:
            return 0, 0
        schedule = (0, *self.task.epsilon_schedule)
        budget = round(self.task.privacy.epsilon_budget * MICRO)
        if contributed + 1 >= len(schedule) or schedule[contributed + 1] > budget:
            raise BadInputError(
                "EPSILON_SPENT",
                f"{self.site} has contributed to {contributed} rounds and spent epsilon "
                f"{schedule[min(contributed, len(schedule) - 1)] / MICRO:.3f} of {budget / MICRO:.3f}; another round "
                "would exceed the budget.",
                "Take no further part, or agree on a task with a larger epsilon_budget.",
            )
        return schedule[contributed], schedule[contributed + 1]


def train_once(
    task: TaskDefinition, weights: Sequence[Float32Array], examples: Examples, *, site: str, round_number: int
) -> Trained:
    """Local work of one round without the final clip: DP-SGD or DP-FedAvg when the task is private, else FedAvg or
    FedProx.
    """
    model, mechanism, training = trainable_model(task), task.mechanism, task.training
    mu, clip_norm, told = training.effective_mu, task.privacy.record_clip_norm, task.settings.agreement.told
    epochs, seed = training.local_epochs, task.seed
    if mechanism is None:
        order = batch_order(len(examples), epochs, seed=seed, site=site, round_number=round_number)
        return client_work(model, task.client_optimizer, mu).run(weights, examples, order, training.batch_size)
    require_repeatable(model, task)
    if task.privacy.mechanism == "dp-sgd":
        private = private_work(model, task.client_optimizer, mu, clip_norm)
        return private.run(weights, examples, mechanism, told=told(len(examples)))
    devices = device_rows(examples, origin=f"The training data of {site}")
    work = DeviceWork(client_work(model, task.client_optimizer, mu), model.tensors, training.batch_size, clip_norm)

    def order_of(own: Examples) -> npt.NDArray[np.int64]:
        return own_order(own.x, own.y, epochs, seed=seed, site=site, round_number=round_number)

    return work.run(weights, examples, devices, mechanism, order_of, told=told(len(devices)))


def l2_norm(vector: Float32Array) -> float:
    """Euclidean norm in float64. Not ``numpy.linalg.norm``, whose sums depend on how many threads BLAS has."""
    return math.sqrt(float(np.square(vector, dtype=np.float64).sum()))


def clip(update: Float32Array, clip_norm: float) -> tuple[Float32Array, float]:
    """``update`` scaled down to L2 norm ``clip_norm`` where it is longer, and its norm before that."""
    norm = l2_norm(update)
    if norm <= clip_norm:
        return update, norm
    scale = clip_norm / norm * (1.0 - _ROUNDING_MARGIN)
    return (update.astype(np.float64) * scale).astype(np.float32), norm
