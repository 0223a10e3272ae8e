"""Bringing an embedded network up and down from another process.

A node's status file says what runs; the ledger's lock says whether it really does.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fedledger.errors import ExitCode, FedledgerError
from fedledger_network.embedded.errors import NodeError
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.processes import ChildProcess

STARTING_SECONDS = 90.0
STOPPING_SECONDS = 30.0
_POLL_SECONDS = 0.05
_MODULE = "fedledger_network.embedded"


@dataclass(frozen=True)
class NodeStatus:
    """A node that runs."""

    pid: int
    gateway: str


def status(folder: NetworkFolder) -> NodeStatus | None:
    """The node of a folder; None when none runs."""
    if not _is_locked(folder):
        return None
    return _told(folder)


def _told(folder: NetworkFolder) -> NodeStatus | None:
    try:
        document = json.loads(folder.status.read_bytes())
        found = NodeStatus(document["pid"], document["gateway"])
        command = Path(f"/proc/{found.pid}/cmdline").read_bytes()
    except (OSError, ValueError, KeyError):
        # The node is starting or stopping: its status is not there yet, or no longer, or that of one that was killed.
        return None
    return found if _MODULE.encode() in command else None


def launch(folder: NetworkFolder, *, attached: bool, contract: str | None = None) -> ChildProcess:
    """Start the node of a folder and wait until it answers.

    Args:
        attached: whether it ends with this process.
        contract: ``module:Class`` of the contract it serves; None for fedledger's own.

    Raises:
        FedledgerError: what the node itself says, such as ``LEDGER_IN_USE`` or ``NEWER_LEDGER``.
    """
    _wait_until_free(folder)
    arguments = [sys.executable, "-m", _MODULE, str(folder.path)]
    if contract is not None:
        arguments += ["--contract", contract]
    process = ChildProcess(arguments, folder.node_log, attached=attached)
    until = time.monotonic() + STARTING_SECONDS
    while True:
        found = status(folder)
        if found is not None and found.pid == process.pid:
            return process
        if process.exit_code is not None:
            raise _explained(process)
        if time.monotonic() > until:
            process.stop()
            raise NodeError(
                "NODE_SILENT", f"The node did not start within {STARTING_SECONDS:g} seconds.", f"Look at {process.log}."
            )
        time.sleep(_POLL_SECONDS)


def stop(folder: NetworkFolder) -> bool:
    """End the node of a folder; whether there was one.

    Raises:
        NodeError: ``NODE_STUCK``, it does not end.
    """
    until = time.monotonic() + STOPPING_SECONDS
    asked: int | None = None
    was_there = False
    while _is_locked(folder):
        was_there = True
        running = _told(folder)
        if running is not None and running.pid != asked:
            asked = running.pid
            with suppress(ProcessLookupError):
                os.kill(asked, signal.SIGTERM)
        if time.monotonic() > until:
            raise NodeError("NODE_STUCK", f"The node in {folder.path} does not end.", _how_to_kill(asked))
        time.sleep(_POLL_SECONDS)
    return was_there


def _how_to_kill(pid: int | None) -> str:
    return f"End process {pid} with SIGKILL." if pid else f"Find it by its command, {_MODULE}, and end it with SIGKILL."


def _wait_until_free(folder: NetworkFolder) -> None:
    """Give a node whose owner was just killed a moment to end."""
    until = time.monotonic() + 5.0
    while _is_locked(folder) and status(folder) is None and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)


def _is_locked(folder: NetworkFolder) -> bool:
    try:
        descriptor = os.open(folder.lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _explained(process: ChildProcess) -> FedledgerError:
    """The error that a node which ended has written as the last line of its log."""
    last = process.last_lines(1)
    try:
        told = json.loads(last)
        error = NodeError(told["code"], told["message"], told["remedy"])
    except (ValueError, KeyError, TypeError):
        return NodeError("NODE_FAILED", f"The node ended: {process.last_lines()}", f"Its whole log is {process.log}.")
    code = process.exit_code
    error.exit_code = ExitCode(code) if code in set(ExitCode) and code else ExitCode.FAILED
    return error
