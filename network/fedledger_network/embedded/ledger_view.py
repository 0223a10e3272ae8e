"""What clients wait for: the ledger's height, blocks as they come, and where a transaction ended up."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from fedledger_network.embedded.store import CommittedTransaction, LedgerStore

_CHECK_SECONDS = 5.0
"""How often a waiting stream looks whether its client is still there, should ``nudge`` have come too early."""


@dataclass
class _Waiter:
    """Those who wait for one transaction."""

    event: threading.Event = field(default_factory=threading.Event)
    found: CommittedTransaction | None = None
    count: int = 0


class LedgerView:
    """Reads of the store, with waiting. Any number of threads."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._height = store.height
        self._waiting: dict[str, _Waiter] = {}
        self._closed = False

    def committed(self, number: int, transactions: Sequence[CommittedTransaction]) -> None:
        """Note that block ``number`` is durable with these transactions in it, and wake whoever waits."""
        with self._changed:
            self._height = number + 1
            for transaction in transactions:
                waiter = self._waiting.get(transaction.id)
                if waiter is not None:
                    waiter.found = transaction
                    waiter.event.set()
            self._changed.notify_all()

    def close(self) -> None:
        """Let all that wait give up."""
        with self._changed:
            self._closed = True
            for waiter in self._waiting.values():
                waiter.event.set()
            self._changed.notify_all()

    def nudge(self) -> None:
        """Let streams look whether their clients are still there."""
        with self._changed:
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def height(self) -> int:
        """How many blocks there are."""
        return self._height

    def block(self, number: int) -> bytes:
        """A block below the height."""
        found = self._store.block(number)
        if found is None:
            raise LookupError(f"there is no block {number}")
        return found

    def wait_for_height(self, height: int) -> bool:
        """Wait a little until there are ``height`` blocks; whether there are."""
        with self._changed:
            if self._height < height and not self._closed:
                self._changed.wait(_CHECK_SECONDS)
            return self._height >= height

    def transaction(self, transaction_id: str) -> CommittedTransaction | None:
        """Where a transaction stands; None while it is in no block."""
        return self._store.transaction(transaction_id)

    def wait_for_transaction(self, transaction_id: str, until: float) -> CommittedTransaction | None:
        """The same, waiting for it until the monotonic time ``until``."""
        with self._changed:
            waiter = self._waiting.setdefault(transaction_id, _Waiter())
            waiter.count += 1
        try:
            # Looked up after the waiter is known: a commit in between wakes it.
            found = self._store.transaction(transaction_id)
            if found is None and not self._closed:
                waiter.event.wait(max(0.0, until - time.monotonic()))
                found = waiter.found
            return found
        finally:
            with self._changed:
                waiter.count -= 1
                if not waiter.count:
                    self._waiting.pop(transaction_id, None)
