"""Child processes that never outlive who started them, whatever ends it, and one that is started again when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from fedledger_network.children import ending_with_parent, from_lasting_thread

_STOPPING_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds before an ended process is started again; doubled while it ends soon after."""
_SOON = 10.0

_log = structlog.get_logger(__name__)


class ChildProcess:
    """One program, its output appended to a log file."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        attached: bool = True,
        on_parents_end: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start it; with ``attached`` it gets ``on_parents_end`` when this process ends, however that happens."""
        self.log = log
        command = ending_with_parent(arguments, on_parents_end) if attached else tuple(arguments)

        def start() -> subprocess.Popen[bytes]:
            with log.open("ab") as output:
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                )

        self._log_begins = log.stat().st_size if log.exists() else 0
        self._process = from_lasting_thread(start)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def last_lines(self, count: int = 15) -> str:
        """The end of what it has written to its log; nothing of an earlier process."""
        with self.log.open("rb") as log:
            log.seek(self._log_begins)
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-count:])

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code; None when it still runs after ``seconds``."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, seconds: float = _STOPPING_SECONDS) -> None:
        """Ask it to end, then make it."""
        if self._process.poll() is None:
            self._process.terminate()
            if self.wait(seconds) is None:
                self._process.kill()
        self._process.wait()


class SupervisedProcess:
    """A program that is started again whenever it ends by itself."""

    def __init__(self, name: str, start: Callable[[], ChildProcess]) -> None:
        """Start it; raises what ``start`` raises at this first time."""
        self._name = name
        self._start = start
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._process = start()
        self._thread = threading.Thread(target=self._supervise, name=f"supervisor of {name}", daemon=True)
        self._thread.start()

    @property
    def process(self) -> ChildProcess:
        """The newest one."""
        with self._lock:
            return self._process

    def stop(self) -> None:
        """End it for good."""
        with self._lock:
            self._stopped.set()
            process = self._process
        process.stop()
        self._thread.join()

    def _supervise(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            code = self.process.wait()
            if self._stopped.is_set():
                return
            pause = _FIRST_PAUSE if time.monotonic() - began > _SOON else min(2 * pause, _LONGEST_PAUSE)
            _log.error("process ended and is started again", name=self._name, exit_code=code, pause=pause)
            if self._stopped.wait(pause):
                return
            with self._lock:
                if self._stopped.is_set():
                    return
                self._process = self._start()
