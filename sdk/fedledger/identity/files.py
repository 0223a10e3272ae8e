"""Files that hold an identity: written whole or not at all; refuses private files that others can read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from fedledger.errors import BadInputError
from fedledger.identity.errors import IdentityError

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
_SHARED = stat.S_IRWXG | stat.S_IRWXO


def write_private(path: Path, data: bytes) -> None:
    """Write ``data`` so that only the owner can read it, from its first byte on; replaces ``path`` at once.

    Raises ``UNWRITABLE_FILE``.
    """
    write_atomic(path, data, PRIVATE_MODE)


def write_atomic(path: Path, data: bytes, mode: int = PUBLIC_MODE) -> None:
    """Replace ``path`` by ``data``: a reader, or a restart after a crash, finds the old bytes or the new ones.

    Raises ``UNWRITABLE_FILE``.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


def rename(source: Path, target: Path) -> None:
    """Rename within one folder so that it outlives a power cut; raises ``UNWRITABLE_FILE``."""
    try:
        source.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private_folder(folder: Path) -> None:
    """Create ``folder`` and its parents, itself with mode 0700; raises ``UNWRITABLE_FILE``."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def read_private(path: Path) -> bytes:
    """Read a file that nobody but its owner may read; raises ``MISSING_FILE`` and ``KEY_EXPOSED``.

    The mode is that of the opened file, so that it cannot be exchanged between check and reading.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & _SHARED:
                raise IdentityError(
                    "KEY_EXPOSED",
                    f"Others can read the private file {path}: its mode is {mode:04o}.",
                    f"Consider the key as stolen, or run `chmod 600 {path}` if nobody else has a login here.",
                )
            return file.read()
    except OSError as error:
        raise _unreadable(path, error) from error


def read_public(path: Path) -> bytes:
    """Read a certificate or any other file without secrets; raises ``MISSING_FILE``."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> BadInputError:
    return BadInputError(
        "MISSING_FILE",
        f"{path} cannot be read: {error.strerror or error}.",
        "Give another path, or enrol with `fedledger identity enroll`.",
    )


def _unwritable(path: Path, error: OSError) -> BadInputError:
    return BadInputError(
        "UNWRITABLE_FILE",
        f"{path} cannot be written: {error.strerror or error}.",
        "Free some space there, or choose another folder.",
    )
