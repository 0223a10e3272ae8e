"""What a settled round comes to: the sum that the ledger settled on, the mean update, the next model file.

Validators and auditors compute it alike, from the ledger and public artifacts; nothing here decides or stores.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedledger.secure_aggregation import (
    AggregateError,
    Parameters,
    WeightedSum,
    decode_sum,
    read_aggregate_share,
    reconstruct,
)
from fedledger.training.server_reference import ReferenceServerStep
from fedledger_chaincode.messages.records import SettlementRecord
from fedledger_chaincode.messages.task import TaskSpec

_MICRO = 1_000_000
_AGGREGATE = b"fedledger/aggregate/1"


@dataclass(frozen=True)
class Outcome:
    """The next model, and which validators' shares contradict it."""

    aggregate_digest: str
    """Hex SHA-256 over the decoded weighted sum."""
    model: bytes
    """The model file of the next version."""
    liars: tuple[str, ...]
    """MSP ids in the order of evaluation points."""

    @property
    def model_digest(self) -> str:
        return hashlib.sha256(self.model).hexdigest()


def settled_sum(task: str, number: int, settlement: SettlementRecord, roots: Mapping[str, str]) -> WeightedSum:
    """The weighted sum of a settlement; ``roots`` holds the manifest root of each participant of the fixed set."""
    return WeightedSum(
        task, number, tuple((roots[participant], weight) for participant, weight in settlement.weights())
    )


def outcome(
    spec: TaskSpec,
    wanted: WeightedSum,
    shares: Mapping[str, bytes],
    base: bytes,
    parent: bytes | None,
) -> Outcome:
    """Decode the sum from aggregate share files and apply the server step.

    Args:
        shares: aggregate share files by the validator's MSP id; a file that is none of this sum counts as a lie.
        base: model file that the round started from.
        parent: the version before it, for server momentum; None when ``base`` is version 0.

    Raises:
        AggregateError: too few shares, or more wrong ones than can be told apart.
        BadInputError: ``base`` or ``parent`` is no model file of the task.
    """
    parameters = Parameters.of_task(spec)
    validators = spec.aggregation.validators
    elements = {}
    unreadable = []
    for point, msp in enumerate(validators, start=1):
        if msp not in shares:
            continue
        try:
            elements[point] = read_aggregate_share(shares[msp], parameters, point, wanted)
        except AggregateError:
            unreadable.append(point)
    result = reconstruct(elements, parameters.tolerated_faults)
    mean = decode_sum(
        result.total, wanted.weight_sum, spec.aggregation.clip_norm / _MICRO, spec.aggregation.quantised_norm
    )
    model = ReferenceServerStep(spec.model.tensors, spec.training.server_optimizer).apply(
        base, mean.astype(np.float32), parent
    )
    total = result.total.astype("<i8").tobytes()
    return Outcome(
        hashlib.sha256(_AGGREGATE + wanted.digest() + total).hexdigest(),
        model,
        tuple(validators[point - 1] for point in sorted({*result.liars, *unreadable})),
    )
