"""Programs as processes of this machine: started in sessions of their own, found again by pid file, stopped by pid.

They outlive the command that started them and end with ``stop`` or the machine; attached ones end with the process that
started them, whatever ends that. A pid counts only together with the time at which its process started, so that no
other process is ever stopped for one whose number it inherited.
Linux's ``/proc`` tells who listens where, which no program notices.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fedledger.identity.files import write_atomic
from fedledger_network.children import ending_with_parent, from_lasting_thread
from fedledger_network.fabric.errors import FabricError, FabricTimeout

LOG_LINES = 15
"""Of a log, how much an error shows."""
_LINES_OF_A_PANIC = 60
_PANIC_SHOWN = 3
SECONDS_TO_LISTEN = 60.0
SECONDS_TO_STOP = 20.0
_SECONDS_TO_RELEASE = 5.0
_POLL_SECONDS = 0.03
_LISTENING = "0A"
_ZOMBIE = "Z"


@dataclass(frozen=True)
class Program:
    """What to run, where, and on which TCP ports it then listens."""

    name: str
    """Unique in its network, such as ``peer.cleveland``."""
    command: tuple[str, ...]
    folder: Path
    ports: tuple[int, ...]
    log: Path
    pid_file: Path
    environment: Callable[[], Mapping[str, str]] = dict
    """Asked when it is started."""
    attached: bool = False

    def pid(self) -> int | None:
        """The pid of its process while that runs."""
        try:
            number, started = self.pid_file.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(number) if _start_time(int(number)) == started else None

    def start(self) -> bool:
        """Start it unless it runs; tell whether it was started.

        Raises:
            FabricError: ``PORT_TAKEN``; ``PROGRAM_DIED`` when it cannot be executed.
        """
        if self.pid() is not None:
            return False
        self._refuse_taken_ports()
        for folder in (self.log.parent, self.pid_file.parent):
            folder.mkdir(parents=True, exist_ok=True)
        command = ending_with_parent(self.command) if self.attached else self.command

        def begin() -> subprocess.Popen[bytes]:
            with self.log.open("ab") as log:
                return subprocess.Popen(
                    command,
                    cwd=self.folder,
                    env={**os.environ, **self.environment()},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

        try:
            process = from_lasting_thread(begin)
        except OSError as error:
            raise FabricError("PROGRAM_DIED", f"{self.name} cannot be started: {error}.", "") from error
        write_atomic(self.pid_file, f"{process.pid} {_start_time(process.pid)}\n".encode())
        return True

    def wait_listening(self, seconds: float = SECONDS_TO_LISTEN) -> None:
        """Wait until it listens on all its ports.

        Raises:
            FabricError: ``PROGRAM_DIED`` with the end of its log, ``NOT_STARTED``.
            FabricTimeout: ``PROGRAM_SILENT``.
        """
        deadline = time.monotonic() + seconds
        while True:
            alive = self.pid() is not None  # asked first: a program that ends now is found ended next time
            if alive and set(self.ports) <= listening_ports():
                return
            if not alive:
                raise self._died()
            if time.monotonic() > deadline:
                raise FabricTimeout(
                    "PROGRAM_SILENT",
                    f"{self.name} does not listen on {_listed(self.ports)} after {seconds:.0f} seconds.{self._shown()}",
                    f"Look into {self.log}.",
                )
            time.sleep(_POLL_SECONDS)

    def require_running(self) -> None:
        """Raise ``PROGRAM_DIED`` when it was started and has ended since."""
        if self.pid() is None and self.pid_file.exists():
            raise self._died()

    def send(self, number: signal.Signals) -> bool:
        """Signal its process; tell whether there was one."""
        pid = self.pid()
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return True

    def wait_ended(self, seconds: float) -> bool:
        """Wait for its process to end; tell whether it did."""
        deadline = time.monotonic() + seconds
        while self.pid() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        self._reap()
        # A killed process counts as ended before the last of its threads has, and with it the sockets.
        released = time.monotonic() + _SECONDS_TO_RELEASE
        while set(self.ports) & listening_ports() and time.monotonic() < released:
            time.sleep(_POLL_SECONDS)
        return True

    def tail(self, lines: int = LOG_LINES) -> str:
        """The end of its log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 400 * lines))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def memory(self) -> int | None:
        """Bytes of memory that its process occupies (resident set); None when it does not run."""
        pid = self.pid()
        if pid is None:
            return None
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return None

    def _reap(self) -> None:
        # Only a child of this very process leaves something to reap.
        with suppress(ChildProcessError, FileNotFoundError, ValueError):
            os.waitpid(int(self.pid_file.read_text().split()[0]), os.WNOHANG)

    def _refuse_taken_ports(self) -> None:
        taken = set(self.ports) & listening_ports()
        if taken:
            raise FabricError(
                "PORT_TAKEN",
                f"{self.name} cannot start: another process listens on {_listed(sorted(taken))}.",
                "Stop that process, or choose another fabric.first_port in the consortium's file.",
            )

    def _died(self) -> FabricError:
        if not self.pid_file.exists():
            return FabricError("NOT_STARTED", f"{self.name} does not run.", "Start it with `fedledger network up`.")
        self._reap()
        return FabricError(
            "PROGRAM_DIED", f"{self.name} has ended.{self._shown()}", f"The whole log is {self.log}. Then start again."
        )

    def _shown(self) -> str:
        tail = _from_panic_on(self.tail(_LINES_OF_A_PANIC)) or self.tail()
        return f" The end of its log:\n{tail}\n" if tail else " Its log is empty."


def start_all(programs: Sequence[Program]) -> list[Program]:
    """Start those that do not run and wait until all of them listen; return those that were started."""
    started = [program for program in programs if program.start()]
    for program in programs:
        program.wait_listening()
    return started


def stop_all(programs: Iterable[Program], seconds: float = SECONDS_TO_STOP) -> None:
    """End the programs' processes, all at a time; after ``seconds`` by SIGKILL.

    Raises:
        FabricError: ``PROGRAM_STUCK`` when even that does not end one.
    """
    started = [program for program in programs if program.pid_file.exists()]
    for program in started:
        program.send(signal.SIGTERM)
    for program in started:  # also those that were killed a moment ago and may still hold their ports
        if not program.wait_ended(seconds):
            program.send(signal.SIGKILL)
            if not program.wait_ended(seconds):
                raise FabricError(
                    "PROGRAM_STUCK", f"{program.name} does not end.", f"Its process is {program.pid()}: look at it."
                )
    for program in started:
        program.pid_file.unlink(missing_ok=True)


def listening_ports() -> set[int]:
    """The TCP ports on which something of this machine listens, at whatever address."""
    ports = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with suppress(FileNotFoundError):
            for line in table.read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                if state == _LISTENING:
                    ports.add(int(local.rpartition(":")[2], 16))
    return ports


def _from_panic_on(text: str) -> str:
    """The first lines from a Go program's last ``panic`` on; below them is only where in its source it was."""
    lines = text.splitlines()
    panics = [number for number, line in enumerate(lines) if line.startswith("panic:")]
    return "\n".join(lines[panics[-1] :][:_PANIC_SHOWN]) if panics else ""


def _start_time(pid: int) -> str | None:
    """When the process started, in the kernel's ticks; None when there is none or it has ended (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return None if fields[0] == _ZOMBIE else fields[19]


def _listed(ports: Iterable[int]) -> str:
    return " and ".join(map(str, ports))
