"""TensorFlow and TFF as libraries of this process; refuses TFF's own runtime, which listens on the network.

TFF's default execution context starts a gRPC server without authentication on all interfaces, and that server
outlives Python. It is taken away as soon as TFF is imported, so that nothing can start it by accident; what TFF
offers as ``tf.function`` and as optimisers is called directly.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, Generic, TypeVar

ValueT = TypeVar("ValueT")


@cache
def tensorflow() -> Any:
    """The module ``tensorflow``, imported at the first call."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow

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
