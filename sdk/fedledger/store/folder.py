"""A store in a folder of this machine. Follows no link below the folder and reads nothing but regular files.

Whoever else can write there may put links, pipes and devices in the place of artifacts: a link out of the folder must
not be read, written through or emptied, and a pipe must not be waited for.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fedledger.store.place import NotAFile, read_most

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LINKS = (errno.ENOTDIR, errno.ELOOP)
"""What opening answers to a link, or to a file in the place of a folder."""


class Folder:
    """Files below ``root``, which itself may be a link; see ``Place``."""

    def __init__(self, root: str) -> None:
        """Raises ``ValueError`` for a path that means another folder to everybody who reads it."""
        self._root = Path(root)
        if not self._root.is_absolute():
            raise ValueError("it is no absolute path")

    def size(self, path: Sequence[str]) -> int:
        with self._file(path) as descriptor:
            return os.fstat(descriptor).st_size

    def read(self, path: Sequence[str], most: int) -> bytes:
        with self._file(path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
            return read_most(file, most)

    def holds(self, path: Sequence[str]) -> bool:
        try:
            self.size(path)
        except (FileNotFoundError, NotAFile):
            return False
        return True

    def write(self, path: Sequence[str], content: bytes) -> None:
        *folders, name = path
        temporary = f"{name}.{secrets.token_hex(8)}.part"
        self._root.mkdir(parents=True, exist_ok=True)
        with self._inside(folders, made=True) as inside:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=inside)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                os.replace(temporary, name, src_dir_fd=inside, dst_dir_fd=inside)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=inside)
                raise

    def remove(self, path: Sequence[str]) -> None:
        *folders, name = path
        with suppress(FileNotFoundError), self._inside(folders) as inside:
            os.unlink(name, dir_fd=inside)

    def remove_all(self, path: Sequence[str]) -> None:
        *folders, name = path
        with suppress(FileNotFoundError), self._inside(folders) as inside:
            if stat.S_ISDIR(os.stat(name, dir_fd=inside, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=inside)
            else:
                os.unlink(name, dir_fd=inside)

    def paths(self, path: Sequence[str]) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        with suppress(FileNotFoundError), self._inside(path) as inside:
            for folder, _, names, _ in os.fwalk(".", dir_fd=inside):
                found += [(*folder.split("/")[1:], name) for name in names]
        return found

    @contextmanager
    def _inside(self, folders: Sequence[str], *, made: bool = False) -> Iterator[int]:
        """Descriptor of a folder below the root; with ``made`` it is made where it is not there."""
        inside = os.open(self._root, _FOLDER)
        try:
            for name in folders:
                if made:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=inside)
                below = _opened(name, _FOLDER | os.O_NOFOLLOW, inside)
                os.close(inside)
                inside = below
            yield inside
        finally:
            os.close(inside)

    @contextmanager
    def _file(self, path: Sequence[str]) -> Iterator[int]:
        *folders, name = path
        with self._inside(folders) as inside:
            # Opening a device may do something: what it is is asked before, and once more of what was opened.
            if not stat.S_ISREG(os.stat(name, dir_fd=inside, follow_symlinks=False).st_mode):
                raise NotAFile(f"{name} is no regular file")
            descriptor = _opened(name, _FILE, inside)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NotAFile(f"{name} is no regular file")
            yield descriptor
        finally:
            os.close(descriptor)


def _opened(name: str, flags: int, inside: int) -> int:
    try:
        return os.open(name, flags, dir_fd=inside)
    except OSError as error:
        if error.errno in _LINKS:
            raise NotAFile(f"{name} is a link, or a file in the place of a folder") from error
        raise
