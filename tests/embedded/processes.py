"""A node as a process of its own, to be killed; and what is left of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.processes import ChildProcess
from tests.embedded.conftest import CONTRACT

_PATIENCE = 20.0


@contextmanager
def launched(folder: NetworkFolder) -> Iterator[ChildProcess]:
    """The node of a folder, gone at the end in any case."""
    process = running.launch(folder, attached=True, contract=CONTRACT)
    try:
        yield process
    finally:
        process.stop()


def within_patience(happens: Callable[[], bool]) -> bool:
    """Whether it happens before a test's patience ends."""
    until = time.monotonic() + _PATIENCE
    while not happens():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def processes_naming(folder: NetworkFolder) -> set[int]:
    """Processes, other than this one, whose command line or environment has the folder's path."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        path = os.fsencode(folder.path)
        if (path + b"/" in told or path + b"\0" in told) and state != "Z":
            found.add(int(entry.name))
    return found


def starter(folder: NetworkFolder, *, attached: bool) -> subprocess.Popen[bytes]:
    """A process that launches the node, says so, and then waits for ever."""
    program = (
        "import sys, time; from pathlib import Path; from fedledger_network.embedded import running; "
        "from fedledger_network.embedded.folder import NetworkFolder; "
        "running.launch(NetworkFolder.existing(Path(sys.argv[1])), attached=sys.argv[2] == 'yes', "
        "contract=sys.argv[3]); print('up', flush=True); time.sleep(600)"
    )
    arguments = [sys.executable, "-c", program, str(folder.path), "yes" if attached else "no", CONTRACT]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process
