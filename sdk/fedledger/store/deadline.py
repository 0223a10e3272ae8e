"""Calls of a store's driver, each with a time limit, whatever the driver does; what it raises is an ``Exception``.

A driver cannot be interrupted. Its call goes on in a thread of its own, and while it does no other call of the same
store is begun: a store that hangs is passed over at once and costs one thread.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_hanging: Counter[str] = Counter()
"""Calls that took longer than they may and have not ended yet, by store."""


class DriverFailed(Exception):
    """A driver raised what is no ``Exception``."""


def within(seconds: float, store: str, work: Callable[[], T]) -> T:
    """What ``work`` returns.

    Raises:
        TimeoutError: it takes longer, or an earlier call of the store still does.
        Exception: what ``work`` raises.
    """
    if _hanging[store]:
        raise TimeoutError("an earlier call has not ended yet")
    call = _Call(store, work)
    threading.Thread(target=call.run, name=f"store {store}", daemon=True).start()
    if not call.ended.wait(seconds):
        call.give_up()
        raise TimeoutError(f"no answer within {seconds:g} seconds")
    return call.result()


class _Call(Generic[T]):
    def __init__(self, store: str, work: Callable[[], T]) -> None:
        self._store = store
        self._work = work
        self._given_up = False
        self._error: BaseException | None = None
        self._returned: T
        self.ended = threading.Event()

    def run(self) -> None:
        try:
            self._returned = self._work()
        except BaseException as error:
            self._error = error
        with _lock:
            self.ended.set()
            if self._given_up:
                _hanging[self._store] -= 1

    def give_up(self) -> None:
        with _lock:
            if not self.ended.is_set():
                self._given_up = True
                _hanging[self._store] += 1

    def result(self) -> T:
        if self._error is None:
            return self._returned
        if isinstance(self._error, Exception):
            raise self._error
        raise DriverFailed(repr(self._error)) from self._error
