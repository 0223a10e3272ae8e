"""From the thresholds that task.toml states for updates without noise to those that the ledger applies.

Proposer and approvers derive them alike from the package (thresholds, honest norm, number of records) and from what is
agreed (mechanism, optimiser, clip norm, dimension): only by arithmetic and square roots, which IEEE 754 rounds the same
everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedledger.privacy.agreement import LocalSteps, agreement_factor, update_deviation
from fedledger.training.settings import MICRO
from fedledger_chaincode.messages.task import LEAST_AGREEMENT_FACTOR

if TYPE_CHECKING:
    from fedledger.training.task import TaskDefinition


def honest_deviation(task: TaskDefinition) -> float:
    """sigma: standard deviation of the noise in each coordinate of an update of ``honest_examples`` records, or devices
    with dp-fedavg; 0 without DP.
    """
    if task.mechanism is None:
        return 0.0
    optimizer, examples = task.client_optimizer, task.settings.robustness.honest_examples
    assert examples is not None
    if task.privacy.mechanism == "dp-fedavg":
        # Noise is added to the mean of the devices' updates, after their optimiser.
        steps = LocalSteps(1.0)
    else:
        steps = LocalSteps(optimizer.learning_rate, optimizer.momentum, task.training.effective_mu)
    return update_deviation(task.mechanism, task.privacy.record_clip_norm, steps, examples)


def threshold_factor(task: TaskDefinition) -> float:
    """What is left of an honest update's agreement with the task's noise, in (0, 1]; 1 without DP."""
    if task.mechanism is None:
        return 1.0
    honest_norm = task.settings.robustness.honest_norm
    assert honest_norm is not None
    return agreement_factor(honest_norm, honest_deviation(task), task.parameter_count, task.aggregation.clip_norm)


def agreement_factor_of(task: TaskDefinition, msp: str) -> int:
    """Agreement to expect with the noise of an organisation's own mechanism over that with the task's, in micro-units;
    at least what the ledger allows.
    """
    if task.settings.robustness.trust_weighting == "off":
        return MICRO
    return max(
        LEAST_AGREEMENT_FACTOR, round(threshold_factor(task.of_organisation(msp)) / threshold_factor(task) * MICRO)
    )


def ledger_thresholds(task: TaskDefinition) -> tuple[int, int]:
    """``no_trust`` and ``full_trust`` as the ledger applies them, in micro-units."""
    factor, robustness = threshold_factor(task), task.settings.robustness
    return round(robustness.no_trust * factor * MICRO), round(robustness.full_trust * factor * MICRO)
