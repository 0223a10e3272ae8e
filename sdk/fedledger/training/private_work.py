"""Record-level DP-SGD (Abadi et al. 2016, algorithm 1); refuses noise or sampling that a seed could repeat.

TensorFlow Privacy clips and sums per-record gradients, the operating system's generator draws records and noise,
a TFF optimiser takes the step:

    Poisson sample -> per-record clip to C, sum -> + N(0, (sigma C)^2) -> / (q n) -> + mu (w - w0) -> optimiser

The divisor is the expected batch size: the real one depends on the sample and is never used. n itself is public
(it is in every manifest).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.privacy.noise import gaussian, poisson_sample
from fedledger.training.client_work import Trained, tff_optimizer
from fedledger.training.examples import Examples
from fedledger.training.model import TrainableModel, diverged, require_finite_update
from fedledger.training.runtime import OncePerProcess, tensorflow
from fedledger.training.settings import Optimizer
from fedledger.training.weights import Float32Array, flatten, parameter_count, unflatten


class PrivateWork:
    """Local training of one model with one optimiser and record clip norm."""

    def __init__(self, model: TrainableModel, optimizer: Optimizer, mu: float, record_clip_norm: float) -> None:
        tf = tensorflow()
        self._model = model
        self._optimizer = tff_optimizer(optimizer)
        self._mu = mu
        self._clip_norm = record_clip_norm
        self._clipped_sum = tf.function(self._trace_clipped_sum, input_signature=model.input_spec)

    def run(self, weights: Sequence[Float32Array], examples: Examples, mechanism: PoissonSampledGaussian) -> Trained:
        """Train from ``weights``: one call is one run of ``mechanism`` on ``examples``.

        Raises BadInputError UPDATE_NOT_FINITE.
        """
        tf = tensorflow()
        initial = flatten(weights)
        current = tuple(tf.constant(array) for array in weights)
        state = self._optimizer.initialize(tuple(tf.TensorSpec(array.shape, array.dtype) for array in current))
        expected_batch = mechanism.sampling_rate * len(examples)
        seen = 0
        with self._model.lock:
            for _ in range(mechanism.steps):
                drawn = poisson_sample(len(examples), mechanism.sampling_rate)
                seen += int(drawn.sum())
                self._model.assign(current)
                total = self.clipped_sum(Examples(examples.x[drawn], examples.y[drawn]))
                if not np.isfinite(total).all():
                    raise diverged()
                noise = gaussian(total.size, mechanism.noise_multiplier * self._clip_norm)
                mean = (total + noise) / expected_batch
                if self._mu > 0.0:
                    mean += self._mu * (flatten(current).astype(np.float64) - initial)
                gradient = tuple(unflatten(mean, self._model.tensors))
                state, current = self._optimizer.next(state, current, tuple(tf.constant(part) for part in gradient))
        update = require_finite_update([initial - flatten(current)])
        return Trained(update, {"records_drawn": float(seen), "steps": float(mechanism.steps)})

    def clipped_sum(self, batch: Examples) -> Float32Array:
        """Sum of the per-record gradients at the model's present weights, each clipped; zeros for no records.

        The caller holds the model's lock.
        """
        if len(batch) == 0:
            return np.zeros(parameter_count(self._model.tensors), dtype=np.float32)
        return flatten([np.asarray(part) for part in self._clipped_sum(batch.x, batch.y)])

    def _trace_clipped_sum(self, features: Any, labels: Any) -> Any:
        from tensorflow_privacy.privacy.optimizers.clip_and_aggregate_gradients import clip_and_aggregate_gradients

        tf = tensorflow()
        with tf.GradientTape(persistent=True) as tape:
            losses = self._model.per_record_loss(labels, self._model.forward(features))
        return clip_and_aggregate_gradients(
            tape,
            losses,
            list(self._model.variables),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
            l2_norm_clip=self._clip_norm,
            aggregate_method="sum",
            keep_sparse_threshold=-1,
        )


_works: OncePerProcess[PrivateWork] = OncePerProcess()


def private_work(model: TrainableModel, optimizer: Optimizer, mu: float, record_clip_norm: float) -> PrivateWork:
    """The private work for these values, the same object for every site in this process."""
    return _works.get(
        (id(model), optimizer, mu, record_clip_norm),
        lambda: PrivateWork(model, optimizer, mu, record_clip_norm),
    )
