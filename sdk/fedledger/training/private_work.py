"""Record-level DP-SGD (Abadi et al. 2016, algorithm 1); refuses noise or sampling that a seed could repeat.

TensorFlow Privacy clips each record's gradient, the operating system's generator draws records and noise, a TFF
optimiser takes the step:

    Poisson sample -> gradient of each record, clip to C, onto the grid, sum -> + discrete Gaussian of z C
        -> / (q n) -> + mu (w - w0) -> optimiser

A record's gradient is computed in a batch of its own. In a batch of several the kernels of TensorFlow round one
record's numbers differently depending on how many others there are, and no clip norm bounds what a model makes of that.
The divisor is the expected batch size, from the number n that is told in the manifest: the real one depends on the
sample and is never used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fedledger.privacy.grid import deviation_on_grid, off_grid, on_grid
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.privacy.noise import Integers, noise_of_steps, poisson_sample
from fedledger.training.client_work import Trained, tff_optimizer
from fedledger.training.examples import Examples
from fedledger.training.model import TrainableModel, require_finite_update
from fedledger.training.runtime import OncePerProcess, tensorflow
from fedledger.training.settings import Optimizer
from fedledger.training.weights import Float32Array, flatten, parameter_count, unflatten

_GRADIENTS_AT_ONCE = 1 << 24
"""Numbers of clipped gradients that are in memory at a time."""


class PrivateWork:
    """Local training of one model with one optimiser and record clip norm."""

    def __init__(self, model: TrainableModel, optimizer: Optimizer, mu: float, record_clip_norm: float) -> None:
        tf = tensorflow()
        self._model = model
        self._optimizer = tff_optimizer(optimizer)
        self._mu = mu
        self._clip_norm = record_clip_norm
        self._clipped = tf.function(self._trace_clipped, input_signature=model.input_spec)

    def run(
        self, weights: Sequence[Float32Array], examples: Examples, mechanism: PoissonSampledGaussian, *, told: int
    ) -> Trained:
        """Train from ``weights``: one call is one run of ``mechanism`` on ``examples``.

        ``told`` is the number of records that the manifest says. Raises BadInputError UPDATE_NOT_FINITE.
        """
        tf = tensorflow()
        initial = flatten(weights)
        current = tuple(tf.constant(array) for array in weights)
        state = self._optimizer.initialize(tuple(tf.TensorSpec(array.shape, array.dtype) for array in current))
        expected_batch = mechanism.sampling_rate * told
        noise = noise_of_steps(mechanism.steps, initial.size, deviation_on_grid(mechanism.noise_multiplier))
        seen = 0
        with self._model.lock:
            for noise_of_step in noise:
                drawn = poisson_sample(len(examples), mechanism.sampling_rate)
                seen += int(drawn.sum())
                self._model.assign(current)
                total = self.clipped_sum(Examples(examples.x[drawn], examples.y[drawn]))
                mean = off_grid(total + noise_of_step, self._clip_norm) / expected_batch
                if self._mu > 0.0:
                    mean += self._mu * (flatten(current).astype(np.float64) - initial)
                gradient = tuple(unflatten(mean, self._model.tensors))
                state, current = self._optimizer.next(state, current, tuple(tf.constant(part) for part in gradient))
        update = require_finite_update([initial - flatten(current)])
        return Trained(update, {"records_drawn": float(seen), "steps": float(mechanism.steps)})

    def clipped_sum(self, batch: Examples) -> Integers:
        """int64[d] steps of the grid: the sum of the records' gradients at the model's present weights, each clipped.

        A gradient that is not finite counts as zeros: an error would tell that the record was drawn. The caller holds
        the model's lock.
        """
        total = np.zeros(parameter_count(self._model.tensors), dtype=np.int64)
        at_once = max(1, _GRADIENTS_AT_ONCE // total.size)
        for start in range(0, len(batch), at_once):
            part = slice(start, start + at_once)
            clipped = np.asarray(self._clipped(batch.x[part], batch.y[part]))
            total += on_grid(clipped, self._clip_norm).sum(axis=0)
        return total

    def _trace_clipped(self, features: Any, labels: Any) -> Any:
        """float32[n, d]: the clipped gradient of each record, computed by itself."""
        from tensorflow_privacy.privacy.optimizers.clip_and_aggregate_gradients import clip_and_aggregate_gradients

        tf = tensorflow()

        def of_one(record: tuple[Any, Any]) -> Any:
            own_features, own_label = (tf.expand_dims(part, axis=0) for part in record)
            with tf.GradientTape(persistent=True) as tape:
                loss = self._model.per_record_loss(own_label, self._model.forward(own_features))
            gradients = clip_and_aggregate_gradients(
                tape,
                loss,
                list(self._model.variables),
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
                l2_norm_clip=self._clip_norm,
                aggregate_method="sum",
                keep_sparse_threshold=-1,
            )
            return tf.concat([tf.reshape(part, [-1]) for part in gradients], axis=0)

        return tf.map_fn(of_one, (features, labels), fn_output_signature=tf.float32)


_works: OncePerProcess[PrivateWork] = OncePerProcess()


def private_work(model: TrainableModel, optimizer: Optimizer, mu: float, record_clip_norm: float) -> PrivateWork:
    """The private work for these values, the same object for every site in this process."""
    return _works.get(
        (id(model), optimizer, mu, record_clip_norm),
        lambda: PrivateWork(model, optimizer, mu, record_clip_norm),
    )
