"""A task's Keras model as TFF sees it, built once per process; refuses models that an update cannot describe.

An update holds trainable tensors and nothing else, so that a model whose forward pass keeps other state (batch
normalisation) would differ from site to site without anybody knowing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fedledger.errors import BadInputError
from fedledger.training.runtime import OncePerProcess, tensorflow, tensorflow_federated
from fedledger.training.weights import Float32Array, flatten

if TYPE_CHECKING:
    from fedledger.training.task import TaskDefinition


class TrainableModel:
    """Variables, forward pass and loss of one model.

    Its variables are shared, so that everything that assigns or reads them holds ``lock``.
    """

    def __init__(self, task: TaskDefinition) -> None:
        """Raises BadInputError MODEL_TENSORS or MODEL_STATE when build in model.py and task.toml disagree."""
        tf = tensorflow()
        self.lock = threading.RLock()
        self.tensors = task.tensors
        keras_model = task.build_model()
        _check_model(keras_model, task)
        self.per_record_loss = _per_record_loss(task.classes)
        self.input_spec = (
            tf.TensorSpec((None, *task.input_shape), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        )
        self.variables = tuple(keras_model.trainable_variables)
        self._keras_model = keras_model
        self._logits = tf.function(
            lambda features: keras_model(features, training=False), input_signature=self.input_spec[:1]
        )

    def forward(self, features: Any) -> Any:
        """Logits of a batch, in training mode, as a tensor to differentiate."""
        return self._keras_model(features, training=True)

    def assign(self, weights: Sequence[Float32Array]) -> None:
        """Set all trainable variables. The caller holds ``lock``."""
        for variable, array in zip(self.variables, weights, strict=True):
            variable.assign(array)

    @cached_property
    def random_operations(self) -> frozenset[str]:
        """Names of the operations in a training step that draw random numbers, those of dropout for example."""
        step = tensorflow().function(self.forward, input_signature=self.input_spec[:1])
        graph = step.get_concrete_function().graph.as_graph_def()
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        return frozenset(node.op for node in nodes if _DRAWS.search(node.op))

    def logits(self, weights: Sequence[Float32Array], features: npt.NDArray[np.float32]) -> Float32Array:
        """Logits float32[n, 1] (two classes) or float32[n, k] of ``features`` under ``weights``."""
        with self.lock:
            self.assign(weights)
            return np.asarray(self._logits(features), dtype=np.float32)

    def for_tff(self, penalty: Callable[[], Any] | None = None) -> Any:
        """The ``tff.learning.models.VariableModel`` of these variables, with metrics of its own.

        ``penalty`` returns a scalar tensor that is added to the loss of every batch.
        """
        keras_loss: Any = tensorflow().keras.losses.Loss
        per_record_loss = self.per_record_loss

        class TaskLoss(keras_loss):  # type: ignore[misc]
            """The mean of the per-record losses of a batch, and the penalty."""

            def call(self, y_true: Any, y_pred: Any) -> Any:
                losses = per_record_loss(y_true, y_pred)
                return losses if penalty is None else losses + penalty()

        return tensorflow_federated().learning.models.from_keras_model(
            self._keras_model, loss=TaskLoss(), input_spec=self.input_spec
        )

    def weights_tuple(self, weights: Sequence[Float32Array]) -> Any:
        """``weights`` as TFF's ``ModelWeights``."""
        tf = tensorflow()
        return tensorflow_federated().learning.models.ModelWeights(
            trainable=[tf.constant(array) for array in weights], non_trainable=[]
        )


_DRAWS = re.compile("Random|Rng|Multinomial|TruncatedNormal|StatefulUniform|StatefulStandardNormal")
_models: OncePerProcess[TrainableModel] = OncePerProcess()


def trainable_model(task: TaskDefinition) -> TrainableModel:
    """The model of ``task``, the same object for every site in this process: graphs are traced once."""
    return _models.get((task.package_digest(), task.kind), lambda: TrainableModel(task))


def _per_record_loss(classes: int) -> Any:
    tf = tensorflow()
    if classes == 2:
        return lambda labels, logits: tf.nn.sigmoid_cross_entropy_with_logits(
            labels=tf.cast(labels, tf.float32), logits=tf.squeeze(logits, axis=-1)
        )
    return lambda labels, logits: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def _check_model(keras_model: Any, task: TaskDefinition) -> None:
    where = f"build({task.kind!r}) in {task.folder / 'model.py'}"
    if keras_model.non_trainable_variables:
        names = ", ".join(variable.name for variable in keras_model.non_trainable_variables)
        raise BadInputError(
            "MODEL_STATE",
            f"{where} has state that is not trained: {names}.",
            "Use group or layer normalisation instead of batch normalisation, and trainable layers.",
        )
    if keras_model.losses:
        raise BadInputError(
            "MODEL_STATE",
            f"{where} adds losses of its own (a regulariser), which have no bound per record.",
            "Remove them; algorithm fedprox keeps weights near those of the shared model.",
        )
    found = [(variable.name.split(":")[0], tuple(variable.shape)) for variable in keras_model.trainable_variables]
    declared = [(tensor.name, tensor.shape) for tensor in task.tensors]
    if found != declared:
        raise BadInputError(
            "MODEL_TENSORS",
            f"{where} has the tensors {_listed(found)}; task.toml declares {_listed(declared)}.",
            f"Correct tensors in table [model.kinds.{task.kind}], or name the layers in model.py.",
        )
    outputs = 1 if task.classes == 2 else task.classes
    if tuple(keras_model.output_shape) != (None, outputs):
        raise BadInputError(
            "MODEL_TENSORS",
            f"{where} has outputs of shape {list(keras_model.output_shape)}; [None, {outputs}] is expected.",
            "End the model in one logit for two classes, else in one per class, without an activation.",
        )


def require_repeatable(model: TrainableModel, task: TaskDefinition) -> None:
    """Refuses a model that draws random numbers in a step with differential privacy: one stream of them for all records
    or devices would give one of them other numbers when another is taken out.

    Raises BadInputError MODEL_RANDOM.
    """
    if model.random_operations:
        raise BadInputError(
            "MODEL_RANDOM",
            f"build({task.kind!r}) in {task.folder / 'model.py'} has layers that draw random numbers: "
            f"{', '.join(sorted(model.random_operations))}.",
            "Leave dropout and noise layers out of a task with differential privacy, whose noise does their work.",
        )


def _listed(tensors: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in tensors)


def require_finite_update(update: Sequence[Any]) -> Float32Array:
    """The update as one float32[d] vector. Raises BadInputError UPDATE_NOT_FINITE for NaN or infinity."""
    vector = flatten([np.asarray(part) for part in update])
    if not np.isfinite(vector).all():
        raise diverged()
    return vector


def diverged() -> BadInputError:
    """Local training ended in NaN or infinity."""
    return BadInputError(
        "UPDATE_NOT_FINITE",
        "Local training diverged: the update holds NaN or infinity.",
        "Lower client_optimizer.learning_rate in task.toml or look for extreme values in the data.",
    )
