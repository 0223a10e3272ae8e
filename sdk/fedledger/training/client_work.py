"""TFF's own client work, FedAvg and FedProx, called in this process; refuses updates that are not finite.

FedAvg (McMahan et al. 2017, algorithm 1) is ``tff.learning.templates``' model-delta client work, which returns
``initial - trained`` weights. FedProx (Li et al. 2020, equation 2) is the same work on a loss with the proximal term
``mu / 2 ||w - w0||^2``. TFF 0.87's own proximal client work is not used: it adds ``mu (w0 - w)`` to the gradient, the
term's negative, and so drives a site away from the shared model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedledger.training.examples import Examples
from fedledger.training.model import TrainableModel, diverged, require_finite_update
from fedledger.training.runtime import OncePerProcess, tensorflow, tensorflow_federated
from fedledger.training.settings import Optimizer
from fedledger.training.weights import Float32Array


@dataclass(frozen=True)
class Trained:
    """What local training made: ``update`` float32[d], initial minus trained weights, and what it measured."""

    update: Float32Array
    metrics: Mapping[str, float]
    """``loss``: mean of what was minimised, over the records as they were seen; ``steps``: number of batches."""


class ClientWork:
    """Local training of one model with one optimiser; traced at its first call, then fast."""

    def __init__(self, model: TrainableModel, optimizer: Optimizer, mu: float) -> None:
        learning = tensorflow_federated().learning
        from tensorflow_federated.python.learning.templates import model_delta_client_work

        self._model = model
        self._optimizer = tff_optimizer(optimizer)
        tf = tensorflow()
        self._anchor = tuple(tf.Variable(tf.zeros_like(variable), trainable=False) for variable in model.variables)

        def proximal_term() -> Any:
            pairs = zip(model.variables, self._anchor, strict=True)
            return 0.5 * mu * tf.add_n([tf.reduce_sum(tf.square(w - w0)) for w, w0 in pairs])

        self._trained = model.for_tff(proximal_term if mu > 0.0 else None)
        self._update = model_delta_client_work.build_model_delta_update_with_tff_optimizer(
            lambda: self._trained,
            weighting=learning.ClientWeighting.NUM_EXAMPLES,
            # The other one has TensorFlow optimise the loop's body anew in every call, which takes ten times as long.
            loop_implementation=learning.LoopImplementation.DATASET_ITERATOR,
        )

    def run(
        self, weights: Sequence[Float32Array], examples: Examples, order: npt.NDArray[np.int64], batch_size: int
    ) -> Trained:
        """Train from ``weights`` on ``examples``, rows in ``order``, ``batch_size`` at a time.

        Raises BadInputError UPDATE_NOT_FINITE.
        """
        batches = tensorflow().data.Dataset.from_tensor_slices((examples.x[order], examples.y[order])).batch(batch_size)
        with self._model.lock:
            self._trained.reset_metrics()
            for anchor, array in zip(self._anchor, weights, strict=True):
                anchor.assign(array)
            result, counted = self._update(self._optimizer, self._model.weights_tuple(weights), batches)
        # TFF answers a non-finite update with zeros of weight 0.
        if float(result.update_weight) == 0.0:
            raise diverged()
        loss_sum, loss_weight = (float(value) for value in counted["loss"])
        return Trained(
            require_finite_update(result.update),
            {"loss": loss_sum / loss_weight, "steps": float(counted["num_batches"][0])},
        )


def tff_optimizer(settings: Optimizer) -> Any:
    """The ``tff.learning.optimizers.Optimizer`` that ``settings`` describe."""
    return tensorflow_federated().learning.optimizers.build_sgdm(
        settings.learning_rate, settings.momentum if settings.momentum > 0.0 else None
    )


_works: OncePerProcess[ClientWork] = OncePerProcess()


def client_work(model: TrainableModel, optimizer: Optimizer, mu: float) -> ClientWork:
    """The client work for these values, the same object for every site in this process."""
    return _works.get((id(model), optimizer, mu), lambda: ClientWork(model, optimizer, mu))
