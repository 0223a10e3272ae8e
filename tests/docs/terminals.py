"""A page's commands in real shells, one per terminal that the page speaks of."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```sh (?P<where>\S+)\n(?P<commands>.*?)^```$", re.MULTILINE | re.DOTALL)
_END = "end-of-block"


@dataclass(frozen=True)
class Block:
    """Commands, and the terminal that they are typed in."""

    where: str
    commands: str


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page whose info string names a terminal."""
    for found in _BLOCK.finditer(page):
        yield Block(found["where"], found["commands"])


class Terminal:
    """A shell that keeps its variables and background jobs from block to block; a failing command fails the block."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PATH": path, **(environment or {})},
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._type("set -e")

    def type(self, commands: str) -> None:
        """Type a block without waiting for its end."""
        self._type(f"{commands}\necho {_END}")

    def output(self, until: str = _END, seconds: float = 300.0) -> str:
        """What is printed up to the line with ``until``; fails when the shell ends before it, or in time."""
        seen: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=seconds)
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError("the commands failed or did not end:\n" + "".join(seen))
            if until in line:
                return "".join(seen)
            seen.append(line)

    def close(self) -> None:
        """End the shell and everything that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGTERM)
        self._shell.wait(30)

    def _type(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text + "\n")
        self._shell.stdin.flush()

    def _read(self) -> None:
        assert self._shell.stdout is not None
        for line in self._shell.stdout:
            self._lines.put(line)
        self._lines.put(None)
