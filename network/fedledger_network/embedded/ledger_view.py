"""What clients wait for: the ledger's height, blocks as they come, and where a transaction ended up."""

from __future__ import annotations

import threading
import time

from fedledger_network.embedded.store import CommittedTransaction, LedgerStore

_CHECK_SECONDS = 0.5
"""How often a waiting call looks whether its client is still there."""


class LedgerView:
    """Reads of the store, with waiting. Any number of threads."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._height = store.height
        self._closed = False

    def committed(self, number: int) -> None:
        """Note that block ``number`` is durable, and wake whoever waits."""
        with self._changed:
            self._height = number + 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let all that wait give up."""
        with self._changed:
            self._closed = True
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
        while True:
            height = self._height
            found = self._store.transaction(transaction_id)
            if found is not None or self._closed or time.monotonic() >= until:
                return found
            with self._changed:
                if self._height == height and not self._closed:
                    self._changed.wait(min(_CHECK_SECONDS, max(0.0, until - time.monotonic())))
