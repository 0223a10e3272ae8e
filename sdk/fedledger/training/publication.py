"""What a participant tells of how a model does on its held-out records: no more than was agreed, and nothing of few.

Rounded figures hide how many records there are within a step of the agreed one; what they tell of a record is not
bounded. Figures with noise are: they are computed from one sum over records, or over devices, of

    (right, wrong, min(loss, L) / L)    of L2 norm at most sqrt(2), with L = LARGEST_LOSS

on the integer grid and with the discrete Gaussian of training (``privacy.grid``). A held-out record is never trained
on, so that its epsilon is that of evaluations, and a training record's is that of training: both against one budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fedledger.privacy.grid import deviation_on_grid, off_grid, on_grid
from fedledger.privacy.noise import Integers, discrete_gaussian
from fedledger.training.evaluation import Metrics, evaluate, predict
from fedledger.training.examples import Examples
from fedledger.training.weights import Float32Array
from fedledger_chaincode.messages.round import EvaluationReport
from fedledger_chaincode.messages.task import EvaluationTerms, TaskSpec
from fedledger_chaincode.rules.evaluations import figure_step, told_records

if TYPE_CHECKING:
    from fedledger.training.task import TaskDefinition

MICRO = 1_000_000
LARGEST_LOSS = 4.0
"""Nats; of a record whose right class has a probability below 2 per cent no more is counted."""
_NORM = math.sqrt(2.0)


def report_of(
    task: TaskDefinition, spec: TaskSpec, version: int, weights: bytes | Sequence[Float32Array], test: Examples
) -> EvaluationReport | None:
    """What is published of a model version that is due under ``spec``; None where that is nothing.

    With noise each call draws it anew, and costs what an evaluation costs once its report has left the site.
    """
    terms = spec.agreement.evaluations
    if terms.published == "noisy":
        noise = discrete_gaussian(3, deviation_on_grid(terms.noise_multiplier / MICRO))
        figures = noisy_figures(clipped_sum(task, weights, test) + noise)
    else:
        figures = evaluate(task, weights, test) if len(test) else None
    return None if figures is None else rounded_report(spec.task, version, figures, terms)


def clipped_sum(task: TaskDefinition, weights: bytes | Sequence[Float32Array], test: Examples) -> Integers:
    """int64[3] steps of the grid: right, wrong and loss of all held-out records, or devices where those are protected.

    A device counts with the means over its records.
    """
    parts = np.zeros((0, 3))
    if len(test):
        # One by one, so that a record's numbers do not depend on the others.
        probabilities = np.concatenate([predict(task, weights, features[np.newaxis]) for features in test.x])
        own = probabilities[np.arange(len(test)), test.y]
        right = (probabilities.argmax(axis=1) == test.y).astype(np.float64)
        loss = np.minimum(-np.log(np.maximum(own, math.exp(-LARGEST_LOSS))), LARGEST_LOSS) / LARGEST_LOSS
        parts = np.column_stack([right, 1.0 - right, loss])
        if task.privacy.mechanism == "dp-fedavg" and test.devices is not None:
            parts = _means(parts, test.devices)
    return np.asarray(on_grid(parts, _NORM).sum(axis=0))


def noisy_figures(sums: Integers) -> Metrics | None:
    """Figures from noisy sums, int64[3]; None where noise leaves less than one record."""
    right, wrong, loss = off_grid(sums, _NORM)
    number = right + wrong
    if number < 1.0:
        return None
    return Metrics(
        auc=None,
        accuracy=min(max(right / number, 0.0), 1.0),
        loss=min(max(loss / number, 0.0), 1.0) * LARGEST_LOSS,
        n=round(number),
    )


def rounded_report(task: str, version: int, figures: Metrics, terms: EvaluationTerms) -> EvaluationReport | None:
    """Figures as they are told; None of fewer records than one step."""
    told = told_records(terms, figures.n)
    if not told:
        return None
    step = figure_step(terms, told)

    def rounded(figure: float) -> int:
        return round(figure * MICRO / step) * step

    def within_one(figure: float) -> int:
        return min(rounded(figure), MICRO // step * step)

    return EvaluationReport(
        task=task,
        version=version,
        examples=told,
        auc=None if figures.auc is None else within_one(figures.auc),
        accuracy=within_one(figures.accuracy),
        loss=rounded(figures.loss),
    )


def _means(parts: npt.NDArray[np.float64], devices: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    _, inverse, counts = np.unique(devices, return_inverse=True, return_counts=True)
    totals = np.zeros((len(counts), parts.shape[1]))
    np.add.at(totals, inverse, parts)
    return np.asarray(totals / counts[:, np.newaxis])
