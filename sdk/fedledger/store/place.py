"""What a store needs of the place where its files lie: a folder of this machine, or whatever fsspec has a driver for.

Which of them a URL may name is an allow-list. URLs that chain drivers are refused whatever it says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Protocol

LOCAL = "file"
_PROTOCOL = re.compile(r"[a-z][a-z0-9+.-]+")
_CHAIN = "::"
_PIECE_BYTES = 1 << 20


class NotAFile(OSError):
    """What lies in the place of a file or folder is a link, a pipe, a device or the other of the two."""


class Place(Protocol):
    """Files by their path below one root, whose parts hold no slash.

    Reading and asking raise ``FileNotFoundError`` for what is not there, and whatever else the driver raises.
    """

    def size(self, path: Sequence[str]) -> int | None:
        """Bytes of a file as far as the driver knows, or believes to know."""
        ...

    def read(self, path: Sequence[str], most: int) -> bytes:
        """The first bytes of a file, ``most`` of them at most."""
        ...

    def holds(self, path: Sequence[str]) -> bool:
        """Whether there is such a file."""
        ...

    def write(self, path: Sequence[str], content: bytes) -> None:
        """Put a file there, whole or not at all, in the place of another."""
        ...

    def remove(self, path: Sequence[str]) -> None:
        """Remove a file; nothing happens when it is not there."""
        ...

    def remove_all(self, path: Sequence[str]) -> None:
        """Remove a folder with all that it holds; nothing happens when it is not there."""
        ...

    def paths(self, path: Sequence[str]) -> list[tuple[str, ...]]:
        """All files below a folder, relative to it; none when it is not there."""
        ...


class RefusedUrl(Exception):
    """The URL must not be opened; ``remedy`` says what would allow it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def protocol_of(url: str) -> str:
    """The name of the driver that a URL asks for; ``file`` for a path."""
    protocol, separator, _ = url.partition("://")
    return LOCAL if not separator or protocol == "local" else protocol


def open_place(url: str, allowed: Collection[str]) -> Place:
    """The place that a URL names.

    Args:
        allowed: the protocols that may be opened.

    Raises:
        RefusedUrl: it is not among them, or it chains several.
        Exception: whatever the driver raises.
    """
    protocol = protocol_of(url)
    if _CHAIN in url or not _PROTOCOL.fullmatch(protocol):
        raise RefusedUrl(
            f"a URL that chains drivers with {_CHAIN}, or names none, never is",
            "Ask its owner for one with a plain URL.",
        )
    if protocol not in allowed:
        listed = ", ".join(f'"{name}"' for name in dict.fromkeys([*allowed, protocol]))
        raise RefusedUrl(
            f"{protocol}:// is not among the protocols that this profile opens",
            f"If you trust its driver with a URL that others chose, add it to the profile: stores = [{listed}].",
        )
    if protocol == LOCAL:
        from fedledger.store.folder import Folder

        return Folder(url.partition("://")[2] if "://" in url else url)
    from fedledger.store.remote import Remote

    return Remote(url, protocol)


def read_most(file: Any, most: int) -> bytes:
    """The first ``most`` bytes of an open file at most, asked for piece by piece: memory is needed for what comes."""
    content = bytearray()
    while len(content) < most:
        piece = file.read(min(most - len(content), _PIECE_BYTES))
        if not piece:
            break
        content += piece
    return bytes(content)
