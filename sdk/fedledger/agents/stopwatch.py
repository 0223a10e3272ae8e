"""Deadlines by a validator's own stopwatch: nothing here is compared with the ledger's time or anybody else's.

A phase begins when this validator first sees it. One that was started again begins anew, which only delays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds since each phase of each round was first seen."""

    now: Callable[[], float] = time.monotonic
    """Seconds since any moment; never set back."""
    _begun: dict[tuple[int, str], float] = field(default_factory=dict, repr=False)

    def waited(self, number: int, phase: str) -> float:
        """Seconds since this was first asked about a phase of a round; 0 then."""
        now = self.now()
        return now - self._begun.setdefault((number, phase), now)

    def keep(self, rounds: Collection[int]) -> None:
        """Forget all rounds but these."""
        self._begun = {key: begun for key, begun in self._begun.items() if key[0] in rounds}
