"""Weighted sums of shares, update by update in O(d) memory, and the file in which a validator publishes its sum.

Refuses to add an update twice, and a file of another round, validator or set of weights.
docs/protocol/secure-aggregation.md, section 9.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from fedledger.secure_aggregation import kernels
from fedledger.secure_aggregation.errors import AggregateError
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.parameters import Parameters
from fedledger.secure_aggregation.randomness import elements_from_bytes, elements_to_bytes
from fedledger.secure_aggregation.share import OpenedShare
from fedledger_chaincode.rules.commitments import frame, integer
from fedledger_chaincode.rules.dealing import AGGREGATE_HEADER_BYTES, aggregate_bytes
from fedledger_chaincode.rules.field import MODULUS

_MAGIC = b"FLDGAGG1"
_SUM = b"fedledger/weighted-sum/1"


@dataclass(frozen=True)
class WeightedSum:
    """Which sum the ledger settled on: the updates by their roots, with their weights."""

    task: str
    round: int
    weights: tuple[tuple[str, int], ...]
    """(root, weight > 0) of each accepted update, in the settlement's order."""

    @property
    def weight_sum(self) -> int:
        return sum(weight for _, weight in self.weights)

    def digest(self) -> bytes:
        """32 bytes that bind an aggregate share to this sum."""
        entries = b"".join(bytes.fromhex(root) + integer(weight) for root, weight in self.weights)
        return hashlib.sha256(frame(_SUM, self.task.encode(), integer(self.round), entries)).digest()


class Accumulator:
    """One validator's share of a weighted sum, built from one share after another."""

    def __init__(self, parameters: Parameters, validator: int, wanted: WeightedSum) -> None:
        self._validator = validator
        self._wanted = wanted
        self._missing = dict(wanted.weights)
        self._total = np.zeros(parameters.dimension, dtype=np.uint64)
        if len(self._missing) != len(wanted.weights):
            raise AggregateError("REPEATED_UPDATE", "An update is twice in the sum.", "Report the settlement.")
        if any(weight < 1 for weight in self._missing.values()):
            raise AggregateError("BAD_WEIGHT", "A weight is not a positive number.", "Report the settlement.")
        if 2 * wanted.weight_sum * parameters.quantised_norm >= MODULUS:
            raise AggregateError(
                "WEIGHT_OVERFLOW",
                f"Weights that add up to {wanted.weight_sum} may take the sum around the field.",
                "Report the settlement.",
            )

    def add(self, share: OpenedShare) -> None:
        """Add a share with the weight that the ledger gave its update.

        Raises:
            AggregateError: ``NOT_IN_SUM``, the update is not part of the sum, or was added before.
        """
        if share.root not in self._missing or share.validator != self._validator:
            raise AggregateError(
                "NOT_IN_SUM",
                f"The update {share.root} is not in this validator's sum, or was added before.",
                "Add each update that the ledger settled on once.",
            )
        weight = self._missing.pop(share.root)
        kernels.accumulate(self._total, np.uint64(weight), share.update)

    def finish(self) -> bytes:
        """The aggregate share file.

        Raises:
            AggregateError: ``INCOMPLETE_SUM``, an update of the sum was not added.
        """
        if self._missing:
            raise AggregateError(
                "INCOMPLETE_SUM",
                f"{len(self._missing)} updates of the sum are missing.",
                "Leave the aggregate to the other validators when a share cannot be read.",
            )
        return aggregate_share_file(self._total, self._validator, self._wanted)


def aggregate_share_file(total: Elements, validator: int, wanted: WeightedSum) -> bytes:
    """Magic, digest of the sum, validator, dimension, elements: integers of eight bytes, little-endian."""
    head = _MAGIC + wanted.digest() + integer(validator) + integer(total.shape[0])
    return head + elements_to_bytes(total)


def read_aggregate_share(data: bytes, parameters: Parameters, validator: int, wanted: WeightedSum) -> Elements:
    """uint64[d], the elements of an aggregate share file.

    Raises:
        AggregateError: ``AGGREGATE_FILE``, the bytes are not the file of this validator and this sum.
    """
    head = _MAGIC + wanted.digest() + integer(validator) + integer(parameters.dimension)
    if len(data) != aggregate_bytes(parameters.dimension) or not data.startswith(head):
        raise _not_the_file(validator)
    try:
        return elements_from_bytes(memoryview(data)[AGGREGATE_HEADER_BYTES:])
    except ValueError:
        raise _not_the_file(validator) from None


def _not_the_file(validator: int) -> AggregateError:
    return AggregateError(
        "AGGREGATE_FILE",
        f"The aggregate share of validator {validator} is not a share of this sum.",
        "Go on with the shares of the others; that validator counts as faulty.",
    )
