"""An exported ledger in one file: blocks as a peer delivers them, and artifacts; refuses other and broken files.

    magic (16 bytes), version (2)
    block     "B", length (8), common.Block
    artifact  "A", length (8), SHA-256 (32), content
    end       "E", number of blocks (8), number of artifacts (8)

Blocks come first, in order. Integers are big-endian. What blocks and artifacts hold is not looked at: a changed byte in
them is for the audit to find and to name.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from fedledger.audit.errors import ArchiveError, ArchiveFormatError

# A byte over 127, CR LF and LF: text-mode copying breaks the magic and is told at once, as in PNG (RFC 2083, 12.11).
MAGIC = b"\x93FEDLEDGER\r\n\x1a\n\x00\x00"
VERSION = 1
_PREAMBLE = len(MAGIC) + 2
_BLOCK, _ARTIFACT, _END = b"B", b"A", b"E"
_DIGEST_BYTES = 32
_COUNTS_BYTES = 16


@dataclass(frozen=True)
class ArchiveSummary:
    """What an export wrote; ``missing`` are the digests of artifacts that no source had."""

    blocks: int
    artifacts: int
    size: int
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _Span:
    offset: int
    length: int


def write_archive(
    out: Path,
    blocks: Iterable[bytes],
    artifacts_of: Callable[[bytes], Iterable[str]],
    artifact: Callable[[str], bytes | None],
) -> ArchiveSummary:
    """Write an archive; it appears whole under its name or not at all.

    Args:
        blocks: ``common.Block`` bytes from block 0 on.
        artifacts_of: digests of the artifacts that a block refers to.
        artifact: the artifact of a digest, None when it is not to be had.

    Raises:
        ArchiveError: ``ARCHIVE_UNWRITABLE``.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as file:
            try:
                summary = _write(file, blocks, artifacts_of, artifact)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(out)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ArchiveError(
            "ARCHIVE_UNWRITABLE",
            f"{out} cannot be written: {error.strerror or error}.",
            "Check that the folder exists, its rights, and the disk space.",
        ) from error
    return summary


def _write(
    file: IO[bytes],
    blocks: Iterable[bytes],
    artifacts_of: Callable[[bytes], Iterable[str]],
    artifact: Callable[[str], bytes | None],
) -> ArchiveSummary:
    file.write(MAGIC + VERSION.to_bytes(2, "big"))
    count = 0
    wanted: dict[str, None] = {}
    for block in blocks:
        file.write(_BLOCK + len(block).to_bytes(8, "big") + block)
        wanted |= dict.fromkeys(artifacts_of(block))
        count += 1
    missing = []
    for digest in wanted:
        content = artifact(digest)
        if content is None:
            missing.append(digest)
            continue
        file.write(_ARTIFACT + (_DIGEST_BYTES + len(content)).to_bytes(8, "big") + bytes.fromhex(digest) + content)
    held = len(wanted) - len(missing)
    file.write(_END + count.to_bytes(8, "big") + held.to_bytes(8, "big"))
    return ArchiveSummary(count, held, file.tell(), tuple(missing))


@dataclass
class Archive:
    """An open archive; its structure has been checked to the end. Blocks are read as they are asked for."""

    path: Path
    _file: BufferedReader
    _blocks: list[_Span] = field(default_factory=list)
    _artifacts: dict[str, _Span] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an archive and find its parts.

        Raises:
            ArchiveFormatError: no archive (``NOT_AN_ARCHIVE``), another version (``ARCHIVE_VERSION``), no file
                (``ARCHIVE_MISSING``).
            ArchiveError: it ends early (``ARCHIVE_TRUNCATED``) or does not add up (``ARCHIVE_DAMAGED``).
        """
        try:
            file = path.open("rb")
        except OSError as error:
            raise ArchiveFormatError(
                "ARCHIVE_MISSING", f"{path} cannot be read: {error.strerror}.", "Check the path and the file's rights."
            ) from error
        archive = cls(path, file)
        try:
            archive._index()
        except BaseException:
            file.close()
            raise
        return archive

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def blocks(self) -> Iterator[bytes]:
        """``common.Block`` bytes in the file's order."""
        for span in self._blocks:
            yield self._read(span)

    def artifact(self, digest: str) -> bytes | None:
        """What the file holds as that artifact, unchecked; None when it holds none."""
        span = self._artifacts.get(digest)
        return None if span is None else self._read(span)

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests of the artifacts that the file says it holds."""
        return tuple(self._artifacts)

    def _index(self) -> None:
        size = self.path.stat().st_size
        self._check_preamble()
        position = _PREAMBLE
        while True:
            kind = self._exactly(1)
            if kind == _END:
                self._check_end(position, size)
                return
            if kind not in (_BLOCK, _ARTIFACT):
                raise self._damaged(position)
            length = int.from_bytes(self._exactly(8), "big")
            span = _Span(position + 9, length)
            position = span.offset + length
            if position > size:
                raise self._truncated()
            if kind == _BLOCK:
                if self._artifacts:
                    raise self._damaged(span.offset)
                self._blocks.append(span)
            else:
                self._add_artifact(span)
            self._file.seek(position)

    def _add_artifact(self, span: _Span) -> None:
        if span.length < _DIGEST_BYTES:
            raise self._damaged(span.offset)
        digest = self._exactly(_DIGEST_BYTES).hex()
        if digest in self._artifacts:
            raise self._damaged(span.offset)
        self._artifacts[digest] = _Span(span.offset + _DIGEST_BYTES, span.length - _DIGEST_BYTES)

    def _check_preamble(self) -> None:
        preamble = self._file.read(_PREAMBLE)
        if not preamble.startswith(MAGIC):
            raise ArchiveFormatError(
                "NOT_AN_ARCHIVE",
                f"{self.path} is no exported ledger.",
                "Give a file that fedledger audit export has written.",
            )
        if len(preamble) < _PREAMBLE:
            raise self._truncated()
        version = int.from_bytes(preamble[len(MAGIC) :], "big")
        if version != VERSION:
            raise ArchiveFormatError(
                "ARCHIVE_VERSION",
                f"{self.path} is an exported ledger of version {version}; version {VERSION} is known here.",
                "Use the version of fedledger that exported it, or export the ledger again.",
            )

    def _check_end(self, position: int, size: int) -> None:
        counts = self._exactly(_COUNTS_BYTES)
        told = (int.from_bytes(counts[:8], "big"), int.from_bytes(counts[8:], "big"))
        if told != (len(self._blocks), len(self._artifacts)) or position + 1 + _COUNTS_BYTES != size:
            raise self._damaged(position)

    def _read(self, span: _Span) -> bytes:
        self._file.seek(span.offset)
        return self._exactly(span.length)

    def _exactly(self, length: int) -> bytes:
        content = self._file.read(length)
        if len(content) != length:
            raise self._truncated()
        return content

    def _truncated(self) -> ArchiveError:
        return ArchiveError(
            "ARCHIVE_TRUNCATED",
            f"{self.path} ends in the middle, after {len(self._blocks)} whole blocks.",
            "Copy the file again, or export the ledger again.",
        )

    def _damaged(self, position: int) -> ArchiveError:
        return ArchiveError(
            "ARCHIVE_DAMAGED",
            f"{self.path} is damaged at byte {position}, after {len(self._blocks)} blocks.",
            "Copy the file again, or export the ledger again.",
        )
