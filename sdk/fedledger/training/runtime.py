"""TensorFlow and TFF as libraries of this process; refuses TFF's own runtime, which listens on the network.

TFF's default execution context starts a gRPC server without authentication on all interfaces, and that server
outlives Python. It is taken away as soon as TFF is imported, so that nothing can start it by accident; what TFF
offers as ``tf.function`` and as optimisers is called directly.

Each operation runs on one thread and by TensorFlow's own kernels. Otherwise TensorFlow splits a sum among as many
threads as the process may use processors and adds up the parts, and takes oneDNN's kernels, with an order of their own,
on those processors that it holds them to be faster on: the same training ends in other bits.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, Generic, TypeVar

import structlog

_log = structlog.get_logger(__name__)
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
ValueT = TypeVar("ValueT")


def choose_kernels() -> None:
    """Has TensorFlow use its own kernels once it is imported; afterwards it no longer asks."""
    os.environ[_ONEDNN] = "0"


@cache
def tensorflow() -> Any:
    """The module ``tensorflow``, imported at the first call. Warns where somebody else has set it up otherwise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    repeatable = "tensorflow" not in sys.modules or os.environ.get(_ONEDNN) == "0"
    choose_kernels()
    import tensorflow

    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    except RuntimeError:
        repeatable = tensorflow.config.threading.get_intra_op_parallelism_threads() == 1 and repeatable
    if not repeatable:
        _log.warning(
            "TensorFlow was imported before fedledger could set it up: the same training may end in other last bits",
            remedy="import fedledger.training.runtime first, call its tensorflow(), and take the module from there",
        )
    return tensorflow


@cache
def tensorflow_federated() -> Any:
    """The module ``tensorflow_federated`` without an execution context: invoking a TFF computation raises."""
    tensorflow()
    import tensorflow_federated
    from tensorflow_federated.python.core.impl.context_stack.set_default_context import set_no_default_context

    set_no_default_context()
    return tensorflow_federated


class OncePerProcess(Generic[ValueT]):
    """Values that take seconds to build (models, traced graphs), one per key, shared by all threads."""

    def __init__(self) -> None:
        self._values: dict[Hashable, ValueT] = {}
        self._lock = threading.Lock()
        # TensorFlow's functions complain on stderr when they are torn down after TensorFlow itself.
        atexit.register(self._values.clear)

    def get(self, key: Hashable, build: Callable[[], ValueT]) -> ValueT:
        """The value of ``key``; ``build`` is called for the first caller, others wait for it."""
        with self._lock:
            if key not in self._values:
                self._values[key] = build()
            return self._values[key]
