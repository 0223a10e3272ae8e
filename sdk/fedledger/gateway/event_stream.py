"""An iterator over a server's stream that another thread can close; never reopens a stream by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc

from fedledger.gateway.errors import EventsError

T_co = TypeVar("T_co", covariant=True)


class CloseableIterator(Generic[T_co]):
    """Values of an open gRPC stream. ``next`` blocks until one comes; after ``close`` the iteration ends.

    Raises ``EventsError`` from ``next`` when the stream cannot be opened or breaks off.
    """

    def __init__(self, call: Any, unpack: Callable[[Iterator[Any]], Iterator[T_co]]) -> None:
        self._call = call
        self._values = unpack(iter(call))
        self._reading = threading.Lock()
        self._closed = threading.Event()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T_co:
        with self._reading:
            if self._closed.is_set():
                raise StopIteration
            try:
                return next(self._values)
            except grpc.RpcError as error:
                if self._closed.is_set() and error.code() is grpc.StatusCode.CANCELLED:
                    raise StopIteration from None
                raise EventsError.from_rpc_error(error) from error

    def close(self) -> None:
        """Cancel the stream, from any thread and any number of times."""
        self._closed.set()
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
