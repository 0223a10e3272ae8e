"""One artifact store: a folder or any fsspec URL. What is read is checked against its digest; refuses anything else.

Layout: ``<root>/<area>/<first two hex digits>/<digest>``; a file appears whole, by a rename. Whatever a store or its
driver does, ``StoreError`` is all that is raised: a store's URL stands on the ledger, where somebody else has put it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection
from typing import TypeVar

from fedledger.errors import FedledgerError
from fedledger.store.deadline import within
from fedledger.store.place import LOCAL, NotAFile, Place, RefusedUrl, open_place

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""How long a call of a driver may take, and as much more as its content takes at ``SLOWEST``."""
SLOWEST = 1 << 20
"""Bytes a second."""
_LONGEST_REASON = 500
_DIGEST = re.compile(r"[0-9a-f]{64}")
_AREA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class StoreError(FedledgerError):
    """An artifact store cannot be reached, or does not hold what is asked for.

    Codes: ``ARTIFACT_MISSING``, ``ARTIFACT_CORRUPT``, ``ARTIFACT_TOO_LARGE``, ``STORE_UNAVAILABLE``, and
    ``STORE_NOT_ALLOWED`` for a protocol that is not to be opened.
    """


class ArtifactStore:
    """Artifacts by hex SHA-256 digest. Putting and deleting are idempotent."""

    def __init__(
        self,
        url: str,
        allowed: Collection[str] = (LOCAL,),
        *,
        area: tuple[str, ...] = (),
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """It is opened when it is used: making one never fails, whatever the URL is.

        Args:
            url: an absolute path or an fsspec URL such as ``file:///srv/artifacts`` or ``s3://bucket/prefix``.
            allowed: the protocols that may be opened.
            area: folders below the URL in which this store lies; no link is followed on the way there.
            patience: seconds.

        Raises:
            ValueError: a part of ``area`` is no name, such as one that leads out of the store.
        """
        for name in area:
            if not _AREA.fullmatch(name):
                raise ValueError(f"{name!r} is no name of an area")
        self._store = url
        self._allowed = allowed
        self._area = area
        self._patience = patience
        self._place: Place | None = None

    @property
    def url(self) -> str:
        """Where it lies."""
        return "/".join((self._store.rstrip("/"), *self._area))

    def put(self, content: bytes) -> str:
        """Store ``content``; returns its digest."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        self._call(lambda place: place.write(path, content), len(content))
        return digest

    def get(self, digest: str, size: int, *, at_most: bool = False) -> bytes:
        """The artifact with this digest.

        Args:
            size: its bytes, as the ledger tells and the task allows; a file of another size is not read, and of none
                more than one byte beyond it.
            at_most: whether it may have fewer.

        Raises:
            StoreError: it is missing, another one, or the store cannot be used.
        """
        path = self._path(digest)

        def read(place: Place) -> bytes:
            try:
                held = place.size(path)
                if held is None or held == size or (at_most and held < size):
                    content = place.read(path, size + 1)
                    held = len(content)
            except FileNotFoundError:
                raise StoreError(
                    "ARTIFACT_MISSING",
                    f"{self.url} does not hold {digest[:16]}.",
                    "Check that its owner has put it there and that the store's URL is right.",
                ) from None
            except NotAFile as error:
                raise self._corrupt(digest, f"{error}") from error
            if held > size:
                raise StoreError(
                    "ARTIFACT_TOO_LARGE", f"{digest[:16]} in {self.url} has more than {size} bytes.", "Ask its owner."
                )
            if held < size and not at_most:
                raise self._corrupt(digest, f"it has {held} bytes instead of {size}")
            return content

        content = self._call(read, size)
        if hashlib.sha256(content).hexdigest() != digest:
            raise self._corrupt(digest, "it has another digest")
        return content

    def holds(self, digest: str) -> bool:
        """Whether there is a file for this digest (its content is checked when it is read)."""
        path = self._path(digest)
        return self._call(lambda place: place.holds(path))

    def delete(self, digest: str) -> None:
        """Erase the artifact; nothing happens when it is not there."""
        path = self._path(digest)
        self._call(lambda place: place.remove(path))

    def erase(self) -> None:
        """Erase this store's area with all that it holds; nothing happens when it is not there.

        Raises:
            ValueError: this store is no area but a whole store.
        """
        if not self._area:
            raise ValueError(f"{self.url} is no area of a store")
        self._call(lambda place: place.remove_all(self._area))

    def digests(self) -> list[str]:
        """Everything that is held, sorted."""
        found = self._call(lambda place: place.paths(self._area))
        return sorted(path[1] for path in found if len(path) == 2 and _is_kept_there(*path))

    def _path(self, digest: str) -> tuple[str, ...]:
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is no hex SHA-256 digest")
        return (*self._area, digest[:2], digest)

    def _call(self, work: Callable[[Place], T], size: int = 0) -> T:
        """Open the store where that has not been done, and use it."""

        def opened() -> T:
            if self._place is None:
                self._place = open_place(self._store, self._allowed)
            return work(self._place)

        try:
            return within(self._patience + size / SLOWEST, self._store, opened)
        except StoreError:
            raise
        except RefusedUrl as error:
            raise StoreError(
                "STORE_NOT_ALLOWED", f"The artifact store {self.url} is not opened: {error}.", error.remedy
            ) from error
        except Exception as error:
            raise self._unavailable(error) from error

    def _corrupt(self, digest: str, reason: str) -> StoreError:
        return StoreError(
            "ARTIFACT_CORRUPT",
            f"What {self.url} holds as {digest[:16]} is not it: {reason}.",
            "Do not use it; tell its owner.",
        )

    def _unavailable(self, error: Exception) -> StoreError:
        return StoreError(
            "STORE_UNAVAILABLE",
            f"The artifact store {self.url} cannot be used: {_told(error)}.",
            "Check the URL, the disk space and the access rights; for s3:// and the like install their fsspec driver.",
        )


def _is_kept_there(folder: str, digest: str) -> bool:
    return bool(_DIGEST.fullmatch(digest)) and folder == digest[:2]


def _told(error: Exception) -> str:
    try:
        return f"{error}"[:_LONGEST_REASON] or type(error).__name__
    except Exception:
        return type(error).__name__
