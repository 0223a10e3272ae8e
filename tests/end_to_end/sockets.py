"""What processes listen on, read from the kernel's own tables in /proc."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

_TCP_LISTEN = "0A"
_ACCEPTING = 0x10000
"""``__SO_ACCEPTCON`` of proc(5), /proc/net/unix."""


def listening(pids: Iterable[int]) -> set[str]:
    """Unix paths, and TCP addresses as ``tcp:<hex address:port>``, on which any of the processes listens."""
    return {name for pid in pids for name in _listening(Path(f"/proc/{pid}"))}


def _listening(process: Path) -> set[str]:
    try:
        mine = {_inode(file) for file in (process / "fd").iterdir()}
        found = set()
        for table in ("tcp", "tcp6"):
            for row in (process / "net" / table).read_text().splitlines()[1:]:
                fields = row.split()
                if fields[3] == _TCP_LISTEN and fields[9] in mine:
                    found.add(f"tcp:{fields[1]}")
        for row in (process / "net" / "unix").read_text().splitlines()[1:]:
            fields = row.split()
            if int(fields[3], 16) & _ACCEPTING and fields[6] in mine:
                found.add(fields[7] if len(fields) > 7 else "unnamed")
    except OSError:
        return set()  # it has just ended
    return found


def _inode(file: Path) -> str:
    try:
        held = re.fullmatch(r"socket:\[(\d+)\]", str(file.readlink()))
    except OSError:
        return ""
    return held[1] if held else ""


class SocketWatch:
    """Collects what is listened on, several times a second, until it is left."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self.seen: set[str] = set()
        self.processes: set[int] = set()
        self._pids = pids
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> SocketWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.25):
            pids = list(self._pids())
            self.processes.update(pids)
            self.seen |= listening(pids)
