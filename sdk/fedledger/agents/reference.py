"""The round's reference direction, with which validators compare updates.

``last-step`` follows from public models alone. ``reference-data`` is computed by the validator that opened the round,
committed to before it can see an update, and checked by every other validator against its own computation.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedledger.identity.files import make_private_folder, read_private, write_private
from fedledger.secure_aggregation import encode_direction
from fedledger.secure_aggregation.encoding import Integers, within_norm
from fedledger.training.weights import Float32Array, flatten, load_weights
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.commitments import SALT_BYTES, reference_commitment

LIKE = 0.95
"""Cosine from which on two validators' computations of the same direction count as equal: they differ by rounding."""

ReferenceUpdate = Callable[[bytes, int], Float32Array]
"""From the base model file and the round's number to the update that training on the reference data gives."""


def public_reference(
    view: TaskView, current: RoundView, model: Callable[[int], bytes], artifact: Callable[[str, int], bytes]
) -> Integers | None:
    """int64[d] of norm C_q, the same for everybody who reads the ledger; None where the round has none.

    Updates are initial minus trained weights, and so is this. The first round has no step before it.

    Args:
        model: fetches a version's model file.
        artifact: fetches an artifact by digest and size.
    """
    spec, version = view.record.spec, current.record.base_version
    match spec.robustness.trust_weighting:
        case "last-step" if version > 0:
            files = (model(version - 1), model(version))
            before, base = (flatten(load_weights(file, spec.model.tensors)) for file in files)
            return encode_direction(before - base, spec.aggregation.quantised_norm)
        case "reference-data" if current.reference is not None and current.reference.revealed is not None:
            revealed = current.reference.revealed
            return read_direction(
                artifact(revealed.digest, revealed.size), spec.model.parameter_count, spec.aggregation.quantised_norm
            )
        case _:
            return None


def read_direction(content: bytes, dimension: int, quantised_norm: int) -> Integers | None:
    """A direction from its artifact; None when it is none of that length and norm."""
    if len(content) != 8 * dimension:
        return None
    direction = np.frombuffer(content, dtype="<i8").astype(np.int64)
    return direction if direction.any() and within_norm(direction, quantised_norm) else None


def are_alike(one: Integers, other: Integers) -> bool:
    """Whether two directions are the same but for rounding."""
    product = float(np.dot(one.astype(np.float64), other.astype(np.float64)))
    lengths = math.sqrt(float(np.dot(one.astype(np.float64), one.astype(np.float64))))
    lengths *= math.sqrt(float(np.dot(other.astype(np.float64), other.astype(np.float64))))
    return product >= LIKE * lengths


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
