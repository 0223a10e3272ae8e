"""One artifact store: a directory or any fsspec URL. What is read is checked against its digest; refuses anything else.

Layout: ``<root>/<first two hex digits>/<digest>``; a file appears whole, by a rename.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

import fsspec

from fedledger.errors import FedledgerError

_DIGEST = re.compile(r"[0-9a-f]{64}")


class StoreError(FedledgerError):
    """An artifact store cannot be reached, or does not hold what is asked for.

    Codes: ``ARTIFACT_MISSING``, ``ARTIFACT_CORRUPT``, ``ARTIFACT_TOO_LARGE``, ``STORE_UNAVAILABLE``.
    """


class ArtifactStore:
    """Artifacts by hex SHA-256 digest. Putting and deleting are idempotent."""

    def __init__(self, url: str) -> None:
        """Args: url: a path or an fsspec URL such as ``file:///srv/artifacts`` or ``s3://bucket/prefix``.

        Raises:
            StoreError: ``STORE_UNAVAILABLE`` for an unknown protocol or a missing driver.
        """
        self.url = url
        try:
            filesystem, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError, OSError) as error:
            raise self._unavailable(error) from error
        self._files: Any = filesystem
        self._root: str = root.rstrip("/")

    def put(self, content: bytes) -> str:
        """Store ``content``; returns its digest."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        try:
            if self._files.exists(path) and self._files.size(path) == len(content):
                return digest
            self._files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            temporary = f"{path}.{secrets.token_hex(8)}.part"
            try:
                self._files.pipe_file(temporary, content)
                self._files.mv(temporary, path)
            except BaseException:
                if self._files.exists(temporary):
                    self._files.rm_file(temporary)
                raise
        except OSError as error:
            raise self._unavailable(error) from error
        return digest

    def get(self, digest: str, size: int | None = None) -> bytes:
        """The artifact with this digest.

        Args:
            size: its size in bytes when known; a larger file is refused without being read.
        """
        path = self._path(digest)
        try:
            held = self._files.size(path)
            if size is not None and held is not None and held > size:
                raise StoreError(
                    "ARTIFACT_TOO_LARGE",
                    f"{digest[:16]} in {self.url} has {held} bytes instead of {size}.",
                    "Ask its owner.",
                )
            content: bytes = self._files.cat_file(path)
        except FileNotFoundError:
            raise StoreError(
                "ARTIFACT_MISSING",
                f"{self.url} does not hold {digest[:16]}.",
                "Check that its owner has put it there and that the store's URL is right.",
            ) from None
        except OSError as error:
            raise self._unavailable(error) from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise StoreError(
                "ARTIFACT_CORRUPT",
                f"What {self.url} holds as {digest[:16]} has another digest.",
                "Do not use it; tell its owner.",
            )
        return content

    def holds(self, digest: str) -> bool:
        """Whether there is a file for this digest (its content is checked when it is read)."""
        try:
            return bool(self._files.exists(self._path(digest)))
        except OSError as error:
            raise self._unavailable(error) from error

    def delete(self, digest: str) -> None:
        """Erase the artifact; nothing happens when it is not there."""
        try:
            self._files.rm_file(self._path(digest))
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unavailable(error) from error

    def digests(self) -> list[str]:
        """Everything that is held, sorted."""
        try:
            found = self._files.find(self._root) if self._files.exists(self._root) else []
        except OSError as error:
            raise self._unavailable(error) from error
        names = (path.rsplit("/", 1)[-1] for path in found)
        return sorted(name for name in names if _DIGEST.fullmatch(name))

    def _path(self, digest: str) -> str:
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is no hex SHA-256 digest")
        return f"{self._root}/{digest[:2]}/{digest}"

    def _unavailable(self, error: Exception) -> StoreError:
        return StoreError(
            "STORE_UNAVAILABLE",
            f"The artifact store {self.url} cannot be used: {error}.",
            "Check the URL, the disk space and the access rights; for s3:// and the like install their fsspec driver.",
        )
