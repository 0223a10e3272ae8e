"""Waiting for the ledger: an agent sleeps until an event of its task is committed, a deadline passes or it is stopped.

An event only wakes; what is to do is read from the ledger, so that a lost event costs time and nothing else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import grpc
import structlog

from fedledger.errors import FedledgerError
from fedledger.gateway import ChaincodeEvent, CloseableIterator, GatewayError
from fedledger.gateway.errors import CERTIFICATE_EXPIRED
from fedledger.ledger import LedgerEvent, TaskLedger
from fedledger.store import StoreError

_log = structlog.get_logger(__name__)
RECONNECT_SECONDS = 0.5
_STOP_CHECK_SECONDS = 0.25
_REFUSED = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)
_ACCESS_DENIED = "access denied"
"""What Fabric's peers answer to a creator whose certificate they do not accept, with various statuses."""


class LedgerBell:
    """Rings when an event of ``task`` is committed. A context manager; its thread ends with it."""

    def __init__(self, ledger: TaskLedger, task: str) -> None:
        self._ledger = ledger
        self._task = task
        self._rung = threading.Event()
        self._closed = threading.Event()
        self._stream: CloseableIterator[ChaincodeEvent] | None = None
        self._thread = threading.Thread(target=self._listen, name=f"events of {task}", daemon=True)

    def __enter__(self) -> LedgerBell:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._rung.set()
        if self._stream is not None:
            self._stream.close()
        self._thread.join()

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return when the bell has rung since the last wait, ``stop`` is set, or ``seconds`` have passed."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not stop.is_set():
            if self._rung.wait(min(left, _STOP_CHECK_SECONDS)):
                break
        self._rung.clear()

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                self._stream = self._ledger.events()
                if self._closed.is_set():
                    self._stream.close()
                # What was committed between the last look and the stream's start must not be slept through.
                self._rung.set()
                for event in self._stream:
                    if LedgerEvent.decode(event).task == self._task:
                        self._rung.set()
            except GatewayError as error:
                if not self._closed.is_set():
                    _log.warning("event stream interrupted", task=self._task, reason=str(error))
            self._closed.wait(RECONNECT_SECONDS)


def keep_stepping(
    step: Callable[[], float | None], bell: LedgerBell, stop: threading.Event, *, name: str, longest_wait: float = 5.0
) -> None:
    """Call ``step`` until it returns None or ``stop`` is set; it returns how many seconds it can sleep at most.

    A step that fails because the ledger or an artifact store cannot be used now is tried again: every step begins by
    reading the ledger. A ledger that refuses this identity is not asked again.

    Raises:
        GatewayError: the identity is refused, such as after its certificate's end.
    """
    pause = RECONNECT_SECONDS
    while not stop.is_set():
        try:
            seconds = step()
        except (GatewayError, StoreError) as error:
            if is_refused_identity(error):
                raise
            _log.warning("not possible now, will try again", agent=name, reason=str(error), seconds=pause)
            stop.wait(pause)
            pause = min(pause * 2, longest_wait)
            continue
        pause = RECONNECT_SECONDS
        if seconds is None:
            return
        if seconds > 0:
            bell.wait(min(seconds, longest_wait), stop)


def is_refused_identity(error: FedledgerError) -> bool:
    """Whether the ledger does not accept who asks, whatever is asked."""
    return isinstance(error, GatewayError) and (
        error.status in _REFUSED or error.code == CERTIFICATE_EXPIRED or _ACCESS_DENIED in error.message
    )
