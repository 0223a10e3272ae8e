"""The server step in numpy, bit for bit the same on every machine; needs no TensorFlow, keeps no state.

Every operation is one IEEE 754 operation on float32, rounded to nearest, in the order written here, so that all
validators and every auditor get the same model file and digest. It is the arithmetic of TFF's SGD optimiser
(``tff.learning.optimizers.build_sgdm``); tests compare the two bit by bit.
Libraries switch processors to flush subnormal numbers to zero, some for one thread and some for good, so that every
float32 below 2^-126 is made zero here on purpose: with or without such a library the bits are the same.

With momentum m the velocity before a step is derived from the ledger: it is (parent - base) / learning rate of the
two newest model versions, and zero for version 0, which has no parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fedledger.errors import BadInputError
from fedledger.training.weights import (
    Float32Array,
    NamedShape,
    flatten,
    load_weights,
    parameter_count,
    save_weights,
    unflatten,
)

MICRO = 1_000_000
_SMALLEST_NORMAL = np.finfo(np.float32).tiny


class ServerOptimizer(Protocol):
    """The ledger's description of the server optimiser (``OptimizerSpec``); rates in micro-units."""

    @property
    def learning_rate(self) -> int: ...

    @property
    def momentum(self) -> int: ...


def velocity(parent: Float32Array, base: Float32Array, learning_rate: int) -> Float32Array:
    """The velocity that led from ``parent`` to ``base``, float32[d]."""
    return flushed(flushed(parent - base) / _rate(learning_rate))


def next_weights(
    base: Float32Array, update: Float32Array, optimizer: ServerOptimizer, parent: Float32Array | None
) -> Float32Array:
    """``base - learning_rate x (momentum x velocity + update)``, float32[d]."""
    step = update
    if optimizer.momentum and parent is not None:
        kept = flushed(_rate(optimizer.momentum) * velocity(parent, base, optimizer.learning_rate))
        step = flushed(kept + update)
    return flushed(base - flushed(_rate(optimizer.learning_rate) * step))


def flushed(values: npt.NDArray[np.float32]) -> Float32Array:
    """``values`` with subnormal numbers and negative zero made zero."""
    return np.where(np.abs(values) < _SMALLEST_NORMAL, np.float32(0.0), values)


class ReferenceServerStep:
    """The server step of one task, from what the ledger says of it."""

    def __init__(self, tensors: Sequence[NamedShape], optimizer: ServerOptimizer) -> None:
        self.tensors = tuple(tensors)
        self.optimizer = optimizer

    def apply(self, base: bytes, update: Float32Array, parent: bytes | None = None) -> bytes:
        """The model file that follows from model file ``base`` and the mean ``update``.

        ``parent`` is the version before ``base``, needed with momentum only; None when ``base`` is version 0.
        Raises BadInputError WEIGHTS_FILE, WEIGHTS_SHAPE, WEIGHTS_NOT_FINITE.
        """
        start, mean, before = checked_step(base, update, parent, self)
        stepped = next_weights(start, mean, self.optimizer, before)
        return save_weights(unflatten(stepped, self.tensors), self.tensors)


def checked_step(
    base: bytes, update: Float32Array, parent: bytes | None, step: ReferenceServerStep
) -> tuple[Float32Array, Float32Array, Float32Array | None]:
    """The flat weights of ``base``, the update and, where momentum needs it, the weights of ``parent``; refuses an
    unfit ``update``.
    """
    start = flushed(flatten(load_weights(base, step.tensors)))
    if update.dtype != np.float32 or update.shape != (parameter_count(step.tensors),):
        raise BadInputError(
            "WEIGHTS_SHAPE",
            f"The mean update is {update.dtype}{list(update.shape)}; float32[{len(start)}] is expected.",
            "Decode it with fedledger.secure_aggregation.decode_sum.",
        )
    if parent is None or not step.optimizer.momentum:
        return start, flushed(update), None
    return start, flushed(update), flushed(flatten(load_weights(parent, step.tensors)))


def _rate(micro: int) -> np.float32:
    return np.float32(micro / MICRO)
