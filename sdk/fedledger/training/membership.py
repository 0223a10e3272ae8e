"""Membership inference against a model of a task; the attacker has the model and the site's records.

Members are the training part of a site, others its test part, or a device each where the task protects devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedledger.errors import BadInputError
from fedledger.privacy.membership import Attack, Signals, advantage_by_chance, membership_attacks, signals_of
from fedledger.training.evaluation import predict
from fedledger.training.examples import Examples, Split
from fedledger.training.weights import Float32Array

if TYPE_CHECKING:
    from fedledger.training.task import TaskDefinition


@dataclass(frozen=True)
class MembershipReport:
    """What three attacks found."""

    unit: str
    """``record`` or ``device``: whose membership is guessed, and whose epsilon counts."""
    members: int
    others: int
    attacks: tuple[Attack, ...]
    chance: float
    """Mean advantage of an attack that knows nothing, with so few members and others."""


def attack_model(task: TaskDefinition, weights: bytes | Sequence[Float32Array], split: Split) -> MembershipReport:
    """Run the attacks on ``weights`` (a model file, or arrays) with one site's records.

    Raises BadInputError TOO_FEW_RECORDS, DEVICES_MISSING, WEIGHTS_*.
    """
    members, others = _signals(task, weights, split.train), _signals(task, weights, split.test)
    return MembershipReport(
        unit="device" if task.privacy.mechanism == "dp-fedavg" else "record",
        members=len(members),
        others=len(others),
        attacks=membership_attacks(members, others),
        chance=advantage_by_chance(len(members), len(others)),
    )


def _signals(task: TaskDefinition, weights: bytes | Sequence[Float32Array], examples: Examples) -> Signals:
    by_device = task.privacy.mechanism == "dp-fedavg"
    if by_device and examples.devices is None:
        raise BadInputError(
            "DEVICES_MISSING",
            "The records do not say from which devices they are, and the task protects devices (dp-fedavg).",
            "Give Examples its devices in data.py.",
        )
    if len(examples) == 0:
        raise BadInputError(
            "TOO_FEW_RECORDS", "A part of the records is empty.", "Hold back records for the test part in data.py."
        )
    return signals_of(predict(task, weights, examples.x), examples.y, examples.devices if by_device else None)
