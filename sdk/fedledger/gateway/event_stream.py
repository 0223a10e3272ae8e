"""Iterators over a server's streams that another thread can close; only those that are told to open a new one do."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import grpc

from fedledger.gateway.errors import EventsError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
_BROKEN = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
)
"""How gRPC tells that a peer has gone; UNKNOWN and INTERNAL when it went in the middle of a message."""
_PEER_IS_STOPPING = "EVENTS_SERVICE_UNAVAILABLE"


class CloseableIterator(ABC, Generic[T_co]):
    """Values of a stream. ``next`` blocks until one comes; after ``close`` the iteration ends. A context manager.

    Raises ``EventsError`` from ``next`` when the stream cannot be opened or breaks off.
    """

    def __iter__(self) -> Self:
        return self

    @abstractmethod
    def __next__(self) -> T_co:
        """Wait for the next value."""

    @abstractmethod
    def close(self) -> None:
        """Cancel the stream, from any thread and any number of times."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class OpenStream(CloseableIterator[T_co]):
    """Values of one open gRPC stream."""

    def __init__(
        self,
        call: Any,
        unpack: Callable[[Iterator[Any]], Iterator[T_co]],
        failed: Callable[[EventsError], object] = lambda _: None,
    ) -> None:
        """``failed`` is told of the error with which the stream breaks off."""
        self._call = call
        self._values = unpack(iter(call))
        self._failed = failed
        self._reading = threading.Lock()
        self._closed = threading.Event()

    def __next__(self) -> T_co:
        with self._reading:
            if self._closed.is_set():
                raise StopIteration
            try:
                return next(self._values)
            except grpc.RpcError as error:
                if self._closed.is_set() and error.code() is grpc.StatusCode.CANCELLED:
                    raise StopIteration from None
                failure = EventsError.from_rpc_error(error)
                self._failed(failure)
                raise failure from error

    def close(self) -> None:
        self._closed.set()
        self._call.cancel()


class ReopenedStream(CloseableIterator[T]):
    """Values of one stream after another: where one breaks off, a new one is opened and goes on behind it.

    A stream that ends by itself ends the iteration, and one that is refused raises ``EventsError``.
    """

    def __init__(self, opened: Callable[[], CloseableIterator[T] | None], passed: Callable[[T], None]) -> None:
        """``passed`` is told of each value before it is returned.

        ``opened`` opens a stream behind the last of them, and gives None when nothing more is to come.
        """
        self._opened = opened
        self._passed = passed
        self._stream = opened()
        self._reading = threading.Lock()
        self._closed = threading.Event()

    def __next__(self) -> T:
        with self._reading:
            pause = FIRST_PAUSE_SECONDS
            while self._stream is not None and not self._closed.is_set():
                try:
                    value = next(self._stream)
                except EventsError as error:
                    if not _has_broken_off(error):
                        raise
                    if self._closed.wait(pause):
                        break
                    pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                    self._stream.close()
                    self._stream = self._opened()
                else:
                    self._passed(value)
                    return value
            # Whoever closed this one while a stream was being opened has closed the one before it only.
            self.close()
            raise StopIteration

    def close(self) -> None:
        self._closed.set()
        if self._stream is not None:
            self._stream.close()


def _has_broken_off(error: EventsError) -> bool:
    return error.status in _BROKEN or error.code == _PEER_IS_STOPPING or error.by_further_gateway
