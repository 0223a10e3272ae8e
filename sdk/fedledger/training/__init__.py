"""Local training, the server step and the learning task; importing it needs no TensorFlow."""

from fedledger.training.examples import Examples, Split, concatenate, stratified_split
from fedledger.training.task import TaskDefinition
from fedledger.training.weights import (
    Tensor,
    flatten,
    initial_weights,
    load_weights,
    parameter_count,
    save_weights,
    unflatten,
)

__all__ = [
    "Examples",
    "Split",
    "TaskDefinition",
    "Tensor",
    "concatenate",
    "flatten",
    "initial_weights",
    "load_weights",
    "parameter_count",
    "save_weights",
    "stratified_split",
    "unflatten",
]
