"""The server step by TFF's optimiser and its guard of non-finite updates, called in this process.

``tff.learning.templates.build_apply_optimizer_finalizer`` is one call of the optimiser's ``next`` and one of
``reject_non_finite_update``; so is this. It refuses what that guard rejects, where TFF would keep the old model
without a word. Files and digests are those of ``server_reference``.
"""

from __future__ import annotations

from typing import Any

from fedledger.training.model import diverged
from fedledger.training.runtime import tensorflow, tensorflow_federated
from fedledger.training.server_reference import MICRO, ReferenceServerStep, checked_step, flushed, velocity
from fedledger.training.weights import Float32Array, flatten, save_weights, unflatten


class ServerStep(ReferenceServerStep):
    """The server step of one task, computed by TFF; same arguments, same bytes as the reference."""

    def apply(self, base: bytes, update: Float32Array, parent: bytes | None = None) -> bytes:
        """As :meth:`ReferenceServerStep.apply`. Raises BadInputError UPDATE_NOT_FINITE as well."""
        tf, tff = tensorflow(), tensorflow_federated()
        from tensorflow_federated.python.learning.templates.apply_optimizer_finalizer import reject_non_finite_update

        start, mean, before = checked_step(base, update, parent, self)
        momentum = self.optimizer.momentum / MICRO
        optimizer = tff.learning.optimizers.build_sgdm(
            self.optimizer.learning_rate / MICRO, momentum if momentum > 0.0 else None
        )
        weights = self._tensors(start)
        gradients = self._tensors(mean)
        state = optimizer.initialize(tuple(tf.TensorSpec(part.shape, part.dtype) for part in weights))
        rejected, _ = reject_non_finite_update(state, gradients)
        if bool(rejected):
            raise diverged()
        if before is not None:
            state["accumulator"] = self._tensors(velocity(before, start, self.optimizer.learning_rate))
        _, stepped = optimizer.next(state, weights, gradients)
        vector = flushed(flatten([part.numpy() for part in stepped]))
        return save_weights(unflatten(vector, self.tensors), self.tensors)

    def _tensors(self, vector: Float32Array) -> tuple[Any, ...]:
        return tuple(tensorflow().constant(part) for part in unflatten(vector, self.tensors))
