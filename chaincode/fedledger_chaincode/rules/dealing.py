"""How much a participant deals: elements of every message, bytes of every artifact; all of it known from the task.

docs/protocol/secure-aggregation.md, sections 3.2, 5, 6 and 9. What has another size is refused before anybody fetches,
reads or hashes it.
"""

from __future__ import annotations

from typing import Literal, Protocol

from fedledger_chaincode.rules.commitments import SALT_BYTES
from fedledger_chaincode.rules.field import ELEMENT_BYTES
from fedledger_chaincode.rules.norm_bound import NormBound

DIGEST_BYTES = 32
SEALING_BYTES = 32 + 16
"""What HPKE adds to a plaintext: encapsulated key and authentication tag."""
AGGREGATE_HEADER_BYTES = 8 + DIGEST_BYTES + 8 + 8
"""Before the elements of an aggregate share: magic, digest of the sum, validator, dimension."""


class Aggregation(Protocol):
    """Of a task's aggregation, what sizes depend on besides the length of an update."""

    @property
    def n(self) -> int:
        """Validators."""

    @property
    def quantised_norm(self) -> int:
        """C_q."""

    @property
    def proof(self) -> Literal["none", "norm"]:
        """Whether every update proves its norm."""


def message_lengths(aggregation: Aggregation, dimension: int) -> tuple[int, ...]:
    """Elements of each message of an update with d numbers; without a proof there is one message: the update, a mask.

    Raises:
        ValueError: the norm proof would prove nothing of such an update.
    """
    if aggregation.proof == "none":
        return (dimension + 2,)
    return NormBound(aggregation.quantised_norm, dimension).message_lengths


def plaintext_bytes(aggregation: Aggregation, dimension: int) -> int:
    """What is sealed to one validator: its salt, the leaves of all validators for each message, its messages."""
    lengths = message_lengths(aggregation, dimension)
    return SALT_BYTES + DIGEST_BYTES * aggregation.n * len(lengths) + ELEMENT_BYTES * sum(lengths)


def sealed_bytes(aggregation: Aggregation, dimension: int) -> int:
    """A sealed share in a validator's artifact store."""
    return plaintext_bytes(aggregation, dimension) + SEALING_BYTES


def aggregate_bytes(dimension: int) -> int:
    """An aggregate share in the artifact store."""
    return AGGREGATE_HEADER_BYTES + ELEMENT_BYTES * dimension
