"""One open stream for all who listen to the same thing; who stops listening does not close it.

A Fabric peer goes on counting a stream that its client has closed until the next event would have been sent, and
refuses further calls of the whole organisation when it counts too many. So listeners come and go, and the stream stays.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from fedledger.gateway.errors import EventsError
from fedledger.gateway.event_stream import CloseableIterator

T = TypeVar("T")
MOST_WAITING = 10_000
"""Values that a listener may leave unread; one that falls further behind is told so and has to begin anew."""


class SharedStream(Generic[T]):
    """Hands every value of a stream to all who listen when it comes. Safe for several threads."""

    def __init__(self, opened: Callable[[], CloseableIterator[T]]) -> None:
        """``opened`` opens the stream: for the first listener, and again for the next one after it has ended."""
        self._opened = opened
        self._lock = threading.Lock()
        self._stream: CloseableIterator[T] | None = None
        self._listeners: set[_Listener[T]] = set()

    def listen(self) -> CloseableIterator[T]:
        """Return the values from now on."""
        with self._lock:
            listener = _Listener(self._forget)
            if self._stream is None:
                self._stream = self._opened()
                reader = threading.Thread(target=self._read, args=(self._stream,), name="events", daemon=True)
                reader.start()
            self._listeners.add(listener)
            return listener

    def _read(self, stream: CloseableIterator[T]) -> None:
        ending: Exception | None = None
        try:
            for value in stream:
                with self._lock:
                    listeners = tuple(self._listeners)
                for listener in listeners:
                    listener.give(value)
        except Exception as error:
            ending = error
        with self._lock:
            self._stream = None
            listeners, self._listeners = tuple(self._listeners), set()
        for listener in listeners:
            listener.end(ending)

    def _forget(self, listener: _Listener[T]) -> None:
        with self._lock:
            self._listeners.discard(listener)


class SharedStreams:
    """The shared streams of one gateway, by what they are of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[tuple[str, ...], SharedStream[Any]] = {}

    def listen(self, to: tuple[str, ...], opened: Callable[[], CloseableIterator[T]]) -> CloseableIterator[T]:
        """Return the values from now on of the stream of that name; ``opened`` opens it where none is open."""
        with self._lock:
            shared = self._streams.setdefault(to, SharedStream(opened))
        return shared.listen()


class _Listener(CloseableIterator[T]):
    """What one of them has not read yet."""

    def __init__(self, forget: Callable[[_Listener[T]], None]) -> None:
        self._forget = forget
        self._waiting: queue.SimpleQueue[tuple[bool, T | Exception | None]] = queue.SimpleQueue()
        """Pairs: whether it is a value, and the value or what the stream has ended with."""
        self._closed = threading.Event()

    def __next__(self) -> T:
        if self._closed.is_set():
            raise StopIteration
        is_value, content = self._waiting.get()
        if is_value:
            return content  # type: ignore[return-value]
        self._closed.set()
        if content is not None:
            raise content  # type: ignore[misc]
        raise StopIteration

    def give(self, value: T) -> None:
        """Have it read a value."""
        if self._waiting.qsize() < MOST_WAITING:
            self._waiting.put((True, value))
            return
        self._forget(self)
        self.end(
            EventsError(
                "EVENTS_TOO_SLOW",
                f"A reader of events has left {MOST_WAITING} of them unread.",
                "Read them in a thread of their own, or begin again at the block that was read last.",
            )
        )

    def end(self, error: Exception | None) -> None:
        """End its iteration behind what it has not read yet, with an error if there is one."""
        self._waiting.put((False, error))

    def close(self) -> None:
        self._forget(self)
        self._closed.set()
        self._waiting.put((False, None))
