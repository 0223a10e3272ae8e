"""One agent of a kind at a time: two that share a profile would send two updates of one round, which is a fault.

The kernel holds the lock and lets go of it when the process ends, however it ends: a file that a dead process left
behind keeps nobody out.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedledger.errors import FedledgerError
from fedledger.identity.files import make_private_folder

_LONGEST_PID = 20


@contextmanager
def only_one(file: Path, agent: str) -> Iterator[None]:
    """Hold the lock of an agent while the context lasts.

    Args:
        file: the lock's file, made with its folder; it stays, for removing it could give two agents the lock.
        agent: who it is, for the message.

    Raises:
        FedledgerError: ``AGENT_RUNS``, another process (or thread) holds it; ``UNWRITABLE_FILE``.
    """
    make_private_folder(file.parent)
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unusable(file, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _runs(file, agent, os.pread(descriptor, _LONGEST_PID, 0)) from None
        except OSError as error:
            raise _unusable(file, error) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(descriptor)


def _runs(file: Path, agent: str, told: bytes) -> FedledgerError:
    pid = told.decode(errors="replace").strip()
    who = f"process {pid}" if pid.isdecimal() else "another process"
    return FedledgerError(
        "AGENT_RUNS", f"The {agent} runs already: {who} holds {file}.", "Let it work, or end it before starting anew."
    )


def _unusable(file: Path, error: OSError) -> FedledgerError:
    return FedledgerError(
        "UNWRITABLE_FILE",
        f"{file} cannot be locked: {error.strerror or error}.",
        "Name a folder on a file system with locks in the profile.",
    )
