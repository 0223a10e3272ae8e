"""Device-level differential privacy inside one organisation; refuses records whose device is not known.

DP-FedAvg (McMahan et al. 2018, algorithm 1, with a fixed denominator): each step is a round of federated learning
between the organisation and its devices. TFF's client work trains each drawn device, TensorFlow Privacy's query clips
and averages as TFF's ``DifferentiallyPrivateFactory.gaussian_fixed`` does, and the operating system's generator draws
devices and noise:

    Poisson sample of devices -> local work of each -> clip to C, onto the grid, sum -> + discrete Gaussian of z C
        -> / (q n) -> w - mean

A device's part in a sum follows from the model, the task, the round and its own records; which other devices there are
has no influence on it. The divisor is the expected number of devices, from the number n that is told in the manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fedledger.errors import BadInputError
from fedledger.privacy.grid import deviation_on_grid, off_grid, on_grid
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.privacy.noise import Integers, noise_of_steps, poisson_sample
from fedledger.training.client_work import ClientWork, Trained
from fedledger.training.examples import Examples
from fedledger.training.model import require_finite_update
from fedledger.training.runtime import tensorflow
from fedledger.training.weights import Float32Array, NamedShape, flatten, parameter_count, unflatten

Order = Callable[[Examples], npt.NDArray[np.int64]]
"""Rows of a device's records in the order of training, from these records alone."""


def device_rows(examples: Examples, *, origin: str) -> tuple[npt.NDArray[np.int64], ...]:
    """Row numbers of each device's records, devices in ascending order.

    Raises BadInputError DEVICES_MISSING when the records do not say from which device they are.
    """
    if examples.devices is None:
        raise BadInputError(
            "DEVICES_MISSING",
            f"{origin} does not say which record is from which device, and the task protects devices (dp-fedavg).",
            "Give Examples its devices in data.py, or choose mechanism dp-sgd, which protects each record on its own.",
        )
    order = np.argsort(examples.devices, kind="stable")
    _, starts = np.unique(examples.devices[order], return_index=True)
    return tuple(np.split(order, starts[1:]))


class DeviceWork:
    """DP-FedAvg with one model's client work and one clip norm of a device's update."""

    def __init__(self, work: ClientWork, tensors: Sequence[NamedShape], batch_size: int, clip_norm: float) -> None:
        self._work = work
        self._tensors = tensors
        self._batch_size = batch_size
        self._clip_norm = clip_norm

    def run(
        self,
        weights: Sequence[Float32Array],
        examples: Examples,
        devices: Sequence[npt.NDArray[np.int64]],
        mechanism: PoissonSampledGaussian,
        order: Order,
        *,
        told: int,
    ) -> Trained:
        """Train from ``weights``: one call is one run of ``mechanism`` on ``devices``, rows of ``examples``.

        ``told`` is the number of devices that the manifest says. Raises BadInputError UPDATE_NOT_FINITE.
        """
        noise = noise_of_steps(
            mechanism.steps, parameter_count(self._tensors), deviation_on_grid(mechanism.noise_multiplier)
        )
        query = self.query(mechanism, told, noise)
        initial = current = flatten(weights).astype(np.float64)
        seen = 0
        for _ in range(mechanism.steps):
            drawn = np.flatnonzero(poisson_sample(len(devices), mechanism.sampling_rate))
            seen += len(drawn)
            base = unflatten(current, self._tensors)
            total = self.clipped_sum(base, examples, [devices[k] for k in drawn], order)
            mean, _ = noisy_mean(query, total)
            current = current - mean
        update = require_finite_update([initial - current])
        return Trained(update, {"devices_drawn": float(seen), "steps": float(mechanism.steps)})

    def query(self, mechanism: PoissonSampledGaussian, told: int, noise: Iterator[Integers]) -> Any:
        """TensorFlow Privacy's query of one step: clip, sum, noise, divide by the expected number of devices."""
        import tensorflow_privacy as tfp

        total = _grid_sum_query()(self._clip_norm, mechanism.noise_multiplier, noise)
        return tfp.NormalizedQuery(total, denominator=mechanism.sampling_rate * told)

    def clipped_sum(
        self,
        base: Sequence[Float32Array],
        examples: Examples,
        drawn: Sequence[npt.NDArray[np.int64]],
        order: Order,
    ) -> Integers:
        """int64[d] steps of the grid: the sum of the clipped updates of the devices whose rows are ``drawn``."""
        tf = tensorflow()
        query = _grid_sum_query()(self._clip_norm, 0.0, iter(()))
        parameters = query.derive_sample_params(query.initial_global_state())
        total = query.initial_sample_state(tf.zeros(parameter_count(self._tensors), dtype=tf.int64))
        for rows in drawn:
            own = Examples(examples.x[rows], examples.y[rows])
            total = query.accumulate_record(parameters, total, tf.constant(self._device_update(base, own, order(own))))
        return np.asarray(total)

    def _device_update(self, base: Sequence[Float32Array], own: Examples, order: npt.NDArray[np.int64]) -> Float32Array:
        try:
            return self._work.run(base, own, order, self._batch_size).update
        except BadInputError as error:
            if error.code != "UPDATE_NOT_FINITE":
                raise
            # That one device diverged must not be seen from outside, which an error would be.
            return np.zeros(parameter_count(self._tensors), dtype=np.float32)


def noisy_mean(query: Any, total: Integers) -> tuple[npt.NDArray[np.float64], Any]:
    """What ``query`` answers to a sum, float64[d], and the ``DpEvent`` by which it is accounted."""
    result, _, event = query.get_noised_result(total, query.initial_global_state())
    return np.asarray(result, dtype=np.float64), event


@cache
def _grid_sum_query() -> Any:
    """TensorFlow Privacy's Gaussian sum query on the grid, with the discrete Gaussian of the operating system's
    generator: its own noise is of floating-point numbers, from a seed of 32 bits.

    The class is made at the first call: importing it takes seconds.
    """
    import dp_accounting
    import tensorflow_privacy as tfp

    tf = tensorflow()

    class GridSumQuery(tfp.GaussianSumQuery):  # type: ignore[misc]
        def __init__(self, clip_norm: float, noise_multiplier: float, noise: Iterator[Integers]) -> None:
            super().__init__(clip_norm, clip_norm * noise_multiplier)
            self._clip_norm, self._noise_multiplier, self._noise = clip_norm, noise_multiplier, noise

        def preprocess_record(self, params: Any, record: Any) -> Any:
            clipped = np.asarray(super().preprocess_record(params, record))
            return tf.constant(on_grid(clipped[np.newaxis], self._clip_norm)[0])

        def get_noised_result(self, sample_state: Any, global_state: Any) -> Any:
            noisy = np.asarray(sample_state) + next(self._noise)
            event = dp_accounting.GaussianDpEvent(self._noise_multiplier)
            return off_grid(noisy, self._clip_norm), global_state, event

    return GridSumQuery
