"""A store behind an fsspec driver, of which nothing is believed: not what it says of sizes, nor that it reads no more
than it is asked to."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import fsspec

from fedledger.store.place import read_most

_WRITTEN_WHOLE = frozenset(("http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss"))
"""Protocols by which an object appears whole or not at all; elsewhere a rename sees to it."""


class Remote:
    """Files below the root that a URL names; see ``Place``."""

    def __init__(self, url: str, protocol: str) -> None:
        """Raises whatever the driver raises, ``ImportError`` among it when it is not installed."""
        is_http = protocol in ("http", "https")
        # Not led on to other addresses, such as this machine's own.
        filesystem, root = fsspec.core.url_to_fs(url, **({"allow_redirects": False} if is_http else {}))
        self._files: Any = filesystem
        self._root: str = root.rstrip("/")
        self._written_whole = protocol in _WRITTEN_WHOLE
        # By default the driver for HTTP may read a whole answer however long it is; as a stream it does not.
        self._reading = {"block_size": 0} if is_http else {}

    def size(self, path: Sequence[str]) -> int | None:
        self._files.invalidate_cache()
        size = self._files.size(self._path(path))
        return size if isinstance(size, int) else None

    def read(self, path: Sequence[str], most: int) -> bytes:
        with self._files.open(self._path(path), "rb", **self._reading) as file:
            return read_most(file, most)

    def holds(self, path: Sequence[str]) -> bool:
        self._files.invalidate_cache()
        return bool(self._files.exists(self._path(path)))

    def write(self, path: Sequence[str], content: bytes) -> None:
        target = self._path(path)
        held = self.holds(path)
        if held and self.size(path) == len(content):
            return
        if self._written_whole:
            self._files.pipe_file(target, content)
            return
        self._files.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        temporary = f"{target}.{secrets.token_hex(8)}.part"
        try:
            self._files.pipe_file(temporary, content)
            if held:
                self._files.rm_file(target)
            self._files.mv(temporary, target)
        except BaseException:
            if self._files.exists(temporary):
                self._files.rm_file(temporary)
            raise

    def remove(self, path: Sequence[str]) -> None:
        with suppress(FileNotFoundError):
            self._files.rm_file(self._path(path))

    def remove_all(self, path: Sequence[str]) -> None:
        # Not the driver's own recursive removal, which takes a path for a pattern.
        folder = self._path(path)
        entries = self._found(folder, withdirs=True)
        for name, entry in sorted(entries.items(), reverse=True):
            if name != folder and not name.startswith(f"{folder}/"):
                raise OSError(f"the driver finds {name} in {folder}")
            if entry.get("type") == "directory":
                with suppress(OSError, NotImplementedError):
                    self._files.rmdir(name)
            else:
                self._files.rm_file(name)

    def paths(self, path: Sequence[str]) -> list[tuple[str, ...]]:
        folder = f"{self._path(path)}/"
        return [tuple(name.removeprefix(folder).split("/")) for name in self._found(folder) if name.startswith(folder)]

    def _found(self, folder: str, *, withdirs: bool = False) -> dict[str, dict[str, Any]]:
        self._files.invalidate_cache()
        try:
            return dict(self._files.find(folder.rstrip("/"), withdirs=withdirs, detail=True))
        except FileNotFoundError:
            return {}

    def _path(self, path: Sequence[str]) -> str:
        return "/".join((self._root, *path))
