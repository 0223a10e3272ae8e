"""How far the times of a ledger's transactions run backwards. They are their clients'; nothing is wrong by this check.

The contract's service endorses a transaction whose time is within five minutes of its own clock, so that one may be
ten minutes behind the one before it; what goes by a transaction's time goes back with it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from fedledger.audit.findings import CheckName
from fedledger.audit.report import Check, Outcome

ALLOWED_SKEW = timedelta(seconds=300)
"""Between a transaction's time and the clock of whoever endorses it."""


class LedgerTime:
    """Times of valid transactions of the contract in the order of the ledger."""

    def __init__(self) -> None:
        self._newest: datetime | None = None
        self._transactions = 0
        self._backwards = 0
        self._largest = timedelta(0)
        self._block = 0

    def follow(self, block: int, at: datetime) -> None:
        """Take over the time of the next transaction, which stands in that block."""
        self._transactions += 1
        if self._newest is None or at >= self._newest:
            self._newest = at
            return
        step = self._newest - at
        self._backwards += step > ALLOWED_SKEW
        if step > self._largest:
            self._largest, self._block = step, block

    def check(self) -> Check:
        """How many are earlier than one before them by more than is allowed, and the largest step back."""
        allowed = f"{ALLOWED_SKEW.total_seconds():.0f} seconds"
        told = f"{self._backwards} of {self._transactions} transactions are over {allowed} earlier than one before them"
        if self._largest:
            told += f"; the largest step back is {self._largest.total_seconds():.3f} seconds, in block {self._block}"
        return Check(CheckName.TIME.value, Outcome.PASSED, self._transactions, told)
