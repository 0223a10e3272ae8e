"""The direction in which training on a task's reference data goes: what validators compare updates with.

It is deterministic but for the last bits of floating-point sums; who compares two of them allows for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedledger.training.local import train_once
from fedledger.training.weights import Float32Array, load_weights

if TYPE_CHECKING:
    from fedledger.training.task import TaskDefinition

_SITE = "reference"


def reference_update(task: TaskDefinition, base: bytes, round_number: int) -> Float32Array:
    """float32[d], initial minus trained weights of one round of local work on the reference data, without DP.

    Args:
        base: model file that the round starts from.

    Raises BadInputError NO_REFERENCE, WEIGHTS_*, DATASET_*.
    """
    public = task.override(no_dp=True)
    weights = load_weights(base, task.tensors)
    return train_once(public, weights, task.reference_examples(), site=_SITE, round_number=round_number).update
