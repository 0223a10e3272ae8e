"""Commands as processes that can be found again, with everything that they start, by a mark in their environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from fedledger.cli.session import connected
from fedledger.gateway import GatewayError
from fedledger.identity.profile import load_profile
from fedledger.ledger import LedgerEvent

_MARK = "FEDLEDGER_TEST_RUN"


@dataclass(frozen=True)
class Run:
    """One command and its descendants."""

    process: subprocess.Popen[str]
    mark: str

    @classmethod
    def start(cls, *arguments: str, cwd: Path | None = None) -> Run:
        """Start ``fedledger`` with these arguments; stdout and stderr are kept apart."""
        mark = uuid4().hex
        process = subprocess.Popen(
            [sys.executable, "-m", "fedledger", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, _MARK: mark, "NO_COLOR": "1"},
        )
        return cls(process, mark)

    def pids(self) -> list[int]:
        """It and all that it started and that still runs, also what has cut loose from it."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if f"{_MARK}={self.mark}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def is_gone(self, seconds: float = 20.0) -> bool:
        """Whether nothing of it is left after at most so many seconds."""
        until = time.monotonic() + seconds
        while self.pids():
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
        return True

    def kill(self) -> None:
        """SIGKILL to the command itself, as ``kill -9`` does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def finish(self, seconds: float = 500.0) -> tuple[int, str, str]:
        """Its exit code, stdout and stderr."""
        try:
            out, err = self.process.communicate(timeout=seconds)
        finally:
            for pid in self.pids() if self.process.poll() is None else []:
                os.kill(pid, signal.SIGKILL)
        return self.process.returncode, out, err


def until_event(run: Run, profiles: Path, wanted: Callable[[LedgerEvent], bool]) -> LedgerEvent:
    """The first event of the ledger of ``run`` that is wanted, as its first auditor sees it."""
    for event in _events(run, profiles):
        if wanted(event):
            return event
    raise AssertionError(f"the command ended before the event: {run.process.communicate()[1]}")


def _events(run: Run, profiles: Path) -> Iterator[LedgerEvent]:
    while run.process.poll() is None:
        if not (profiles.parent / "node.json").exists():
            time.sleep(0.05)
            continue
        try:
            with (
                connected(load_profile(profiles, "cleveland-auditor")) as opened,
                # Not one that reconnects: with the command its node may be gone for good.
                closing(opened.network.chaincode_events(opened.profile.chaincode, start_block=0)) as events,
            ):
                for event in events:
                    yield LedgerEvent.decode(event)
        except GatewayError:
            time.sleep(0.05)
