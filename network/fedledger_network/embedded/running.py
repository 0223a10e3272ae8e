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
from dataclasses import dataclass

from fedledger.errors import ExitCode, FedledgerError
from fedledger_network.embedded.errors import NodeError
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.processes import ChildProcess

STARTING_SECONDS = 90.0
STOPPING_SECONDS = 30.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class NodeStatus:
    """A node that runs."""

    pid: int
    gateway: str


def status(folder: NetworkFolder) -> NodeStatus | None:
    """The node of a folder; None when none runs."""
    if not _is_locked(folder):
        return None
    try:
        document = json.loads(folder.status.read_bytes())
        return NodeStatus(document["pid"], document["gateway"])
    except (OSError, ValueError, KeyError):
        # The node is starting or stopping: its status is not there yet, or no longer.
        return None


def launch(folder: NetworkFolder, *, attached: bool) -> ChildProcess:
    """Start the node of a folder and wait until it answers; with ``attached`` it ends with this process.

    Raises:
        FedledgerError: what the node itself says, such as ``LEDGER_IN_USE`` or ``NEWER_LEDGER``.
    """
    _wait_until_free(folder)
    folder.status.unlink(missing_ok=True)
    arguments = [sys.executable, "-m", "fedledger_network.embedded", str(folder.path)]
    process = ChildProcess(arguments, folder.node_log, attached=attached)
    until = time.monotonic() + STARTING_SECONDS
    while status(folder) is None:
        if process.exit_code is not None:
            raise _explained(process)
        if time.monotonic() > until:
            process.stop()
            raise NodeError(
                "NODE_SILENT", f"The node did not start within {STARTING_SECONDS:g} seconds.", f"Look at {process.log}."
            )
        time.sleep(_POLL_SECONDS)
    return process


def stop(folder: NetworkFolder) -> bool:
    """End the node of a folder; whether there was one.

    Raises:
        NodeError: ``NODE_STUCK``, it does not end.
    """
    running = status(folder)
    if running is None:
        return False
    os.kill(running.pid, signal.SIGTERM)
    until = time.monotonic() + STOPPING_SECONDS
    while _is_locked(folder):
        if time.monotonic() > until:
            raise NodeError("NODE_STUCK", f"The node, process {running.pid}, does not end.", "End it with SIGKILL.")
        time.sleep(_POLL_SECONDS)
    return True


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
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
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
    error.exit_code = ExitCode(process.exit_code or ExitCode.FAILED)
    return error
