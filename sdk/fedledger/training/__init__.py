"""Local training, the server step and the learning task; importing it needs no TensorFlow."""

from __future__ import annotations

from fedledger.training.evaluation import Metrics, evaluate, predict
from fedledger.training.examples import Examples, Split, concatenate, split_by_device, stratified_split
from fedledger.training.local import LocalResult, LocalTrainer
from fedledger.training.server import ServerStep
from fedledger.training.server_reference import ReferenceServerStep
from fedledger.training.task import TaskDefinition, load_task
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
    "LocalResult",
    "LocalTrainer",
    "Metrics",
    "ReferenceServerStep",
    "ServerStep",
    "Split",
    "TaskDefinition",
    "Tensor",
    "concatenate",
    "evaluate",
    "flatten",
    "initial_weights",
    "load_task",
    "load_weights",
    "parameter_count",
    "predict",
    "save_weights",
    "split_by_device",
    "stratified_split",
    "unflatten",
]
