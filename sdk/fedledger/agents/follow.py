"""Waiting for the ledger: an agent sleeps until an event of its task is committed, a deadline passes or it is stopped.

An event only wakes; what is to do is read from the ledger, so that a lost event costs time and nothing else. Others
write what a step reads, on the ledger and into stores: whatever a step or the stream of events raises, agents go on.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress

import structlog

from fedledger.errors import FedledgerError
from fedledger.gateway import ChaincodeEvent, CloseableIterator, EvaluateError, GatewayError
from fedledger.gateway.errors import CLOSED, FORKED, refuses_identity
from fedledger.ledger import LedgerEvent, TaskLedger
from fedledger.store import StoreError

_log = structlog.get_logger(__name__)
RECONNECT_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0
_STOP_CHECK_SECONDS = 0.25
_EQUIVOCATION = "EQUIVOCATION"


class Troubles:
    """What went wrong, told in full once and briefly when it happens again. Telling never fails."""

    REMEMBERED = 100
    """Messages that are known; whoever can make up new ones does not fill the memory."""
    LONGEST = 1_000
    """Characters of a message that are told."""

    def __init__(self, **fields: str) -> None:
        """Args: fields: who tells it, for the log."""
        self._fields = fields
        self._told: dict[str, int] = {}

    def tell(self, event: str, error: Exception, seconds: float) -> None:
        """Log an error that something is tried again after in so many seconds.

        That the ledger or a store cannot be used now is a warning; whatever else there is comes with its traceback.
        """
        with suppress(Exception):
            reason = _message(error)[: self.LONGEST]
            count = self._told.pop(reason, 0) + 1
            self._told[reason] = count
            if len(self._told) > self.REMEMBERED:
                del self._told[next(iter(self._told))]
            if count > 1:
                _log.info(event, **self._fields, kind=type(error).__name__, reason=reason, times=count, seconds=seconds)
            elif isinstance(error, GatewayError | StoreError):
                _log.warning(event, **self._fields, reason=reason, seconds=seconds)
            else:
                trace = "".join(traceback.format_exception(error))
                _log.error(
                    event,
                    **self._fields,
                    kind=type(error).__name__,
                    reason=reason,
                    seconds=seconds,
                    traceback=trace[-10 * self.LONGEST :],
                )


class LedgerBell:
    """Rings when an event of ``task`` is committed. A context manager, whose end alone ends its thread."""

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
        troubles = Troubles(task=self._task)
        pause = RECONNECT_SECONDS
        while not self._closed.is_set():
            try:
                self._stream = self._ledger.events()
                if self._closed.is_set():
                    self._stream.close()
                # What was committed between the last look and the stream's start must not be slept through.
                self._rung.set()
                for event in self._stream:
                    pause = RECONNECT_SECONDS
                    if _concerns(event, self._task):
                        self._rung.set()
            except Exception as error:
                if not self._closed.is_set():
                    troubles.tell("event stream interrupted", error, pause)
            self._closed.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _concerns(event: ChaincodeEvent, task: str) -> bool:
    """Whether an event is one of the task; one that cannot be read may be."""
    try:
        return LedgerEvent.decode(event).task == task
    except Exception:
        return True


def keep_stepping(
    step: Callable[[], float | None], bell: LedgerBell, stop: threading.Event, *, name: str, longest_wait: float = 5.0
) -> None:
    """Call ``step`` until it returns None or ``stop`` is set; it returns how many seconds it can sleep at most.

    A step that fails is tried again, after pauses that grow to ``longest_wait``: every step begins by reading the
    ledger, which may have moved on. A ledger that refuses this identity is not asked again; that a query is refused
    tells it, since a refused endorsement may be another organisation's word.

    Raises:
        GatewayError: the identity is refused, such as after its certificate's end, or the connection has been closed.
        FedledgerError: ``EQUIVOCATION``, something else signs with this agent's key; going on would cost its stake.
    """
    troubles = Troubles(agent=name)
    pause = RECONNECT_SECONDS
    while not stop.is_set():
        try:
            seconds = step()
        except Exception as error:
            if _ends(error):
                raise
            troubles.tell("not possible now, will try again", error, pause)
            stop.wait(pause)
            pause = min(pause * 2, longest_wait)
            continue
        pause = RECONNECT_SECONDS
        if seconds is None:
            return
        if seconds > 0:
            bell.wait(min(seconds, longest_wait), stop)


def _ends(error: Exception) -> bool:
    """Whether going on is of no use, for a reason that nobody else can bring about."""
    if isinstance(error, EvaluateError) and refuses_identity(error):
        return True
    if type(error) is GatewayError:
        # Of no phase: this process's own doing.
        return error.code in (CLOSED, FORKED)
    # Committed, not only said by a peer: that would be a LedgerRefusal.
    return type(error) is FedledgerError and error.code == _EQUIVOCATION


def _message(error: Exception) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def is_refused_identity(error: FedledgerError) -> bool:
    """Whether the ledger does not accept who asks, whatever is asked."""
    return isinstance(error, GatewayError) and refuses_identity(error)
