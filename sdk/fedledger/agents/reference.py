"""The round's reference direction, with which validators compare updates.

``last-step`` follows from public models alone. ``reference-data`` is computed by every validator that can, committed to
before it can see an update, and the one whose turn it is counts if the others have computed the same.
docs/protocol/rounds.md, 4.3.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedledger.identity.files import make_private_folder, read_private, write_private
from fedledger.secure_aggregation import encode_direction
from fedledger.secure_aggregation.encoding import Integers, within_norm
from fedledger.training.weights import Float32Array, flatten, load_weights
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.commitments import SALT_BYTES, reference_commitment

MOST_APART = 1e-3
"""Distance between two directions, as a part of their length, up to which they count as one: two honest computations
differ by rounding, about 1e-6. An angle of 18 degrees is 0.3."""

ReferenceUpdate = Callable[[bytes, int], Float32Array]
"""From the base model file and the round's number to the update that training on the reference data gives."""


def last_step(spec: TaskSpec, before: bytes, base: bytes) -> Integers | None:
    """int64[d] of norm C_q: from the base model to the one before it, as updates are initial minus trained weights;
    None where nothing has moved.

    Args:
        before: model file of the version before the base model's.
        base: model file that the round starts from.
    """
    earlier, later = (flatten(load_weights(file, spec.model.tensors)) for file in (before, base))
    return encode_direction(earlier - later, spec.aggregation.quantised_norm)


def read_direction(content: bytes, dimension: int, quantised_norm: int) -> Integers | None:
    """A direction from its artifact; None when it is none of that length and norm."""
    if len(content) != 8 * dimension:
        return None
    direction = np.frombuffer(content, dtype="<i8").astype(np.int64)
    return direction if direction.any() and within_norm(direction, quantised_norm) else None


def are_alike(own: Integers, other: Integers) -> bool:
    """Whether another's direction is the own one but for rounding."""
    mine = own.astype(np.float64)
    return bool(np.linalg.norm(other - mine) <= MOST_APART * np.linalg.norm(mine))


@dataclass(frozen=True)
class PreparedReference:
    """A direction that a validator has committed to, with the salt that hides it until it is revealed."""

    salt: bytes
    content: bytes
    """d signed integers of eight bytes, little-endian."""

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def commitment(self) -> str:
        """What goes on the ledger first."""
        return reference_commitment(self.salt, self.digest)

    @classmethod
    def of(cls, direction: Integers) -> PreparedReference:
        """With a fresh salt."""
        return cls(os.urandom(SALT_BYTES), direction.astype("<i8").tobytes())


@dataclass(frozen=True)
class ReferenceMemory:
    """What a validator must not forget between committing and revealing, in a folder that only it can read."""

    folder: Path

    def keep(self, task: str, number: int, prepared: PreparedReference) -> None:
        """Remember it, in the place of an older one."""
        make_private_folder(self.folder)
        write_private(self._place(task, number), prepared.salt + prepared.content)

    def recall(self, task: str, number: int) -> PreparedReference | None:
        """What was kept for a round."""
        place = self._place(task, number)
        if not place.exists():
            return None
        content = read_private(place)
        return PreparedReference(content[:SALT_BYTES], content[SALT_BYTES:])

    def forget(self, task: str, number: int) -> None:
        """Erase it."""
        self._place(task, number).unlink(missing_ok=True)

    def _place(self, task: str, number: int) -> Path:
        return self.folder / f"reference-{task}-{number:07d}"
