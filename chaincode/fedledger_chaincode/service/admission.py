"""How many transactions run and wait at a time; refuses more, and all once it has been closed.

It never blocks who submits: the thread that reads a peer's stream also delivers the answers that running
transactions wait for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Admission:
    """``running`` transactions run at a time, ``waiting`` more wait for their turn."""

    def __init__(self, running: int, waiting: int) -> None:
        if running < 1 or waiting < 0:
            raise ValueError("at least one transaction runs and none or more wait")
        self._capacity = running + waiting
        self._admitted = 0
        self._closed = False
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(running, thread_name_prefix="transaction")

    def submit(self, task: Callable[[], None]) -> str | None:
        """Have ``task`` run in its turn; or say why it will not."""
        with self._changed:
            if self._closed:
                return "The chaincode service is stopping."
            if self._admitted == self._capacity:
                return f"The chaincode service is busy: {self._capacity} transactions are under way."
            self._admitted += 1
            self._pool.submit(task).add_done_callback(self._done)
        return None

    def close(self, grace: float) -> bool:
        """Admit nothing more and wait at most ``grace`` seconds for the rest; True when all is done."""
        with self._changed:
            self._closed = True
            idle = self._changed.wait_for(lambda: self._admitted == 0, grace)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return idle

    def _done(self, future: Future[None]) -> None:
        with self._changed:
            self._admitted -= 1
            self._changed.notify_all()
        if not future.cancelled():
            future.result()
