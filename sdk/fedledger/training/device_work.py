"""Device-level differential privacy inside one organisation; refuses records whose device is not known.

DP-FedAvg (McMahan et al. 2018, algorithm 1, with a fixed denominator): each step is a round of federated learning
between the organisation and its devices. TFF's client work trains each drawn device, TensorFlow Privacy's query clips
and averages as TFF's ``DifferentiallyPrivateFactory.gaussian_fixed`` does, and the operating system's generator draws
devices and noise:

    Poisson sample of devices -> local work of each -> clip to C, sum -> + N(0, (sigma C)^2) -> / (q n) -> w - mean

Whatever leaves the organisation has passed the noise. The divisor is the expected number of devices; n itself is
public (it is in every manifest).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fedledger.errors import BadInputError
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.privacy.noise import gaussian, poisson_sample
from fedledger.training.client_work import ClientWork, Trained
from fedledger.training.examples import Examples
from fedledger.training.model import require_finite_update
from fedledger.training.runtime import tensorflow
from fedledger.training.weights import Float32Array, NamedShape, flatten, parameter_count, unflatten

Order = Callable[[int, int], npt.NDArray[np.int64]]
"""Rows of a device's records in the order of training, from the device's number and its number of records."""


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
    ) -> Trained:
        """Train from ``weights``: one call is one run of ``mechanism`` on ``devices``, rows of ``examples``.

        Raises BadInputError UPDATE_NOT_FINITE.
        """
        query = self.query(mechanism, len(devices))
        initial = current = flatten(weights).astype(np.float64)
        seen = 0
        for _ in range(mechanism.steps):
            drawn = np.flatnonzero(poisson_sample(len(devices), mechanism.sampling_rate))
            seen += len(drawn)
            base = unflatten(current, self._tensors)
            updates = (self._device_update(base, examples, devices[k], order(int(k), len(devices[k]))) for k in drawn)
            mean, _ = noisy_mean(query, updates, len(current))
            current = current - mean
        update = require_finite_update([initial - current])
        return Trained(update, {"devices_drawn": float(seen), "steps": float(mechanism.steps)})

    def query(self, mechanism: PoissonSampledGaussian, devices: int) -> Any:
        """TensorFlow Privacy's query of one step: clip, sum, noise, divide by the expected number of devices."""
        import tensorflow_privacy as tfp

        total = _system_noise_sum_query()(self._clip_norm, self._clip_norm * mechanism.noise_multiplier)
        return tfp.NormalizedQuery(total, denominator=mechanism.sampling_rate * devices)

    def _device_update(
        self,
        base: Sequence[Float32Array],
        examples: Examples,
        rows: npt.NDArray[np.int64],
        order: npt.NDArray[np.int64],
    ) -> Float32Array:
        own = Examples(examples.x[rows], examples.y[rows])
        try:
            return self._work.run(base, own, order, self._batch_size).update
        except BadInputError as error:
            if error.code != "UPDATE_NOT_FINITE":
                raise
            # That one device diverged must not be seen from outside, which an error would be.
            return np.zeros(parameter_count(self._tensors), dtype=np.float32)


def noisy_mean(query: Any, updates: Iterable[Float32Array], size: int) -> tuple[npt.NDArray[np.float64], Any]:
    """What ``query`` answers to ``updates``, float32[size] each, and the ``DpEvent`` by which it is accounted."""
    tf = tensorflow()
    state = query.initial_global_state()
    parameters = query.derive_sample_params(state)
    total = query.initial_sample_state(tf.zeros(size, dtype=tf.float32))
    for update in updates:
        total = query.accumulate_record(parameters, total, tf.constant(update))
    result, _, event = query.get_noised_result(total, state)
    return np.asarray(result, dtype=np.float64), event


@cache
def _system_noise_sum_query() -> Any:
    """TensorFlow Privacy's Gaussian sum query, with noise of the operating system's generator.

    TensorFlow's own has a seed of 32 bits. The class is made at the first call: importing it takes seconds.
    """
    import dp_accounting
    import tensorflow_privacy as tfp

    class SystemNoiseSumQuery(tfp.GaussianSumQuery):  # type: ignore[misc]
        def get_noised_result(self, sample_state: Any, global_state: Any) -> Any:
            deviation, clip_norm = float(global_state.stddev), float(global_state.l2_norm_clip)
            noise = gaussian(int(sample_state.shape[0]), deviation)
            noisy = np.asarray(sample_state, dtype=np.float64) + noise
            return noisy, global_state, dp_accounting.GaussianDpEvent(deviation / clip_norm)

    return SystemNoiseSumQuery
