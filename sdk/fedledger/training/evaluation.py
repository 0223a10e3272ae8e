"""How well a model does on held-out records; refuses to call a figure what one class cannot give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fedledger.training.examples import Examples, check_examples
from fedledger.training.weights import Float32Array, weights_of

if TYPE_CHECKING:
    from fedledger.training.task import TaskDefinition


@dataclass(frozen=True)
class Metrics:
    """Figures of one model on ``n`` records."""

    auc: float | None
    """Area under the ROC curve; with k > 2 classes the mean of one-against-rest. None with one class only."""
    accuracy: float
    """Share of records whose most probable class is the right one."""
    loss: float
    """Mean cross-entropy in nats."""
    n: int


def evaluate(task: TaskDefinition, weights: bytes | Sequence[Float32Array], examples: Examples) -> Metrics:
    """Metrics of ``weights`` (a model file, or arrays) on ``examples``.

    Raises BadInputError DATASET_EMPTY, DATASET_*, WEIGHTS_*.
    """
    check_examples(examples, input_shape=task.input_shape, classes=task.classes, origin="The test data")
    return metrics_of(predict(task, weights, examples.x), examples.y)


def predict(
    task: TaskDefinition, weights: bytes | Sequence[Float32Array], features: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Class probabilities float64[n, k] of ``features``; column 1 is the positive class of two."""
    from fedledger.training.model import trainable_model

    logits = trainable_model(task).logits(weights_of(weights, task.tensors), features).astype(np.float64)
    if task.classes == 2:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def metrics_of(probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int32]) -> Metrics:
    """Metrics from class probabilities float64[n, k] and labels int32[n], n >= 1."""
    right = np.maximum(probabilities[np.arange(len(labels)), labels], np.finfo(np.float64).tiny)
    if probabilities.shape[1] == 2:
        curves = [roc_auc(probabilities[:, 1], labels == 1)]
    else:
        curves = [roc_auc(probabilities[:, k], labels == k) for k in range(probabilities.shape[1])]
    known = [curve for curve in curves if curve is not None]
    return Metrics(
        auc=sum(known) / len(known) if known else None,
        accuracy=float((probabilities.argmax(axis=1) == labels).mean()),
        loss=float(-np.log(right).mean()),
        n=len(labels),
    )


def roc_auc(scores: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> float | None:
    """Probability that a positive record scores above a negative one, ties counting half (Hanley and McNeil 1982).

    None when all records are of one class.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if positives == 0 or negatives == 0:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2.0
    rank_sum = float(mean_rank[inverse][positive].sum())
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)
