"""Blocks and world state in one SQLite file: a block, its writes and its transaction ids appear together or not at all.

Refuses a file of a newer version and one that another process writes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from fedledger.gateway.blocks import StateUpdate, Version
from fedledger_network.embedded.errors import NodeError

FORMAT = 1
_END_OF_INTEGERS = 1 << 63
"""SQLite's own end."""
_LOCK_SECONDS = 1.0
_LOCK_POLL_SECONDS = 0.02
_FILE = "ledger.sqlite"
LOCK_FILE = "ledger.lock"
_SCHEMA = """
CREATE TABLE block (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE transaction_id (id TEXT PRIMARY KEY, block INTEGER NOT NULL, code INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE state (
    namespace TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, block INTEGER NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class CommittedTransaction:
    """A transaction id with the block that holds it and its validation code."""

    id: str
    block: int
    code: int


class LedgerStore:
    """The ledger of one channel on disk. One thread appends; any thread reads blocks and ids."""

    def __init__(self, folder: Path) -> None:
        """Open or create the ledger in ``folder``.

        Raises:
            NodeError: ``LEDGER_IN_USE``, ``NEWER_LEDGER``, ``NOT_A_LEDGER``, ``LEDGER_DAMAGED``, ``LEDGER_DENIED``,
                ``LEDGER_FULL``.
        """
        self._folder = folder
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        with ExitStack() as opened:
            opened.callback(os.close, _locked(folder))
            try:
                self._writer = opened.enter_context(closing(_connected(folder)))
                _prepare(self._writer, folder)
                # A reader of its own does not wait for the disk while a block is being written.
                self._reader = opened.enter_context(closing(_connected(folder)))
                self._reader.execute("PRAGMA query_only = ON")
                _check_numbers(self._reader, folder)
            except sqlite3.Error as error:
                raise _unusable(folder, error) from error
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Release the file; later reads raise ``sqlite3.ProgrammingError``."""
        with self._reading, self._writing:
            self._opened.close()

    @property
    def height(self) -> int:
        """How many blocks there are."""
        with self._reading:
            (newest,) = self._reader.execute("SELECT MAX(number) FROM block").fetchone()
        return 0 if newest is None else int(newest) + 1

    def append(
        self,
        number: int,
        block: bytes,
        updates: Sequence[StateUpdate],
        transactions: Sequence[CommittedTransaction],
    ) -> None:
        """Write a block with all that follows from it, durably.

        Raises:
            NodeError: ``LEDGER_FULL`` or another, the block is not committed.
        """
        with self._writing:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                self._writer.execute("INSERT INTO block VALUES (?, ?)", (number, block))
                self._writer.executemany(
                    "INSERT INTO transaction_id VALUES (?, ?, ?)", [(t.id, t.block, t.code) for t in transactions]
                )
                for update in updates:
                    self._write(update)
                self._writer.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                raise _unusable(self._folder, error) from error

    def block(self, number: int) -> bytes | None:
        """The block with this number."""
        if number >= _END_OF_INTEGERS:
            return None
        with self._reading:
            row = self._reader.execute("SELECT bytes FROM block WHERE number = ?", (number,)).fetchone()
        return None if row is None else bytes(row[0])

    def transaction(self, transaction_id: str) -> CommittedTransaction | None:
        """Where a transaction stands."""
        with self._reading:
            row = self._reader.execute(
                "SELECT id, block, code FROM transaction_id WHERE id = ?", (transaction_id,)
            ).fetchone()
        return None if row is None else CommittedTransaction(*row)

    def state(self) -> Iterator[StateUpdate]:
        """The whole world state."""
        with self._reading:
            rows = self._reader.execute("SELECT namespace, key, value, block, position FROM state").fetchall()
        for namespace, key, value, block, position in rows:
            yield StateUpdate(namespace, key.encode(), bytes(value), Version(block, position))

    def _write(self, update: StateUpdate) -> None:
        key = update.key.decode()
        if update.value is None:
            self._writer.execute("DELETE FROM state WHERE namespace = ? AND key = ?", (update.namespace, key))
            return
        self._writer.execute(
            "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?)",
            (update.namespace, key, update.value, update.version.block_number, update.version.transaction_number),
        )

    def _roll_back(self) -> None:
        """SQLite has often rolled back by itself; where the disk refuses that too, the next opening does it."""
        if self._writer.in_transaction:
            with suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")


def _connected(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / _FILE, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, folder: Path) -> None:
    (held,) = connection.execute("PRAGMA user_version").fetchone()
    if held > FORMAT:
        raise NodeError(
            "NEWER_LEDGER",
            f"The ledger in {folder} has format {held}; this release reads up to {FORMAT}.",
            "Use the release of fedledger that wrote it, or a newer one.",
        )
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if held == 0 and tables:
        raise NodeError("NOT_A_LEDGER", f"{folder / _FILE} is another database.", "Choose another folder.")
    connection.execute("PRAGMA journal_mode = WAL")
    # In WAL mode only FULL waits for the disk at every commit; a reader sees a commit after that.
    connection.execute("PRAGMA synchronous = FULL")
    if held == 0:
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")


def _check_numbers(connection: sqlite3.Connection, folder: Path) -> None:
    count, newest = connection.execute("SELECT COUNT(*), MAX(number) FROM block").fetchone()
    if count != (0 if newest is None else newest + 1):
        raise NodeError(
            "LEDGER_DAMAGED",
            f"The ledger in {folder} has {count} blocks, and the newest is block {newest}.",
            "Restore the folder from a backup.",
        )


def _locked(folder: Path) -> int:
    """The descriptor that holds the ledger's lock; whoever only looks whether it is held has it for an instant."""
    until = time.monotonic() + _LOCK_SECONDS
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NodeError(
            "LEDGER_FULL" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "LEDGER_DENIED",
            f"The ledger's lock {folder / LOCK_FILE} cannot be opened: {error.strerror}.",
            "See that the folder can be written by you and that its disk has space.",
        ) from error
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError as error:
            if time.monotonic() > until:
                os.close(descriptor)
                raise NodeError(
                    "LEDGER_IN_USE",
                    f"Another process runs the ledger in {folder}.",
                    "Use that one, or stop it with `fedledger network down`.",
                ) from error
            time.sleep(_LOCK_POLL_SECONDS)


def _unusable(folder: Path, error: sqlite3.Error) -> NodeError:
    # The low byte is the primary result code, such as SQLITE_IOERR of SQLITE_IOERR_WRITE (sqlite.org/rescode.html).
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return NodeError(
            "LEDGER_FULL",
            f"The ledger in {folder} cannot be written, the disk is full or fails: {error}. "
            "The block was not committed.",
            "Free some disk space and start the node again.",
        )
    if code == sqlite3.SQLITE_NOTADB:
        return NodeError("NOT_A_LEDGER", f"{folder / _FILE} is no ledger: {error}.", "Choose another folder.")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_AUTH):
        return NodeError(
            "LEDGER_DENIED",
            f"The ledger in {folder} cannot be opened for writing: {error}.",
            "See that its files belong to you and can be written.",
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return NodeError(
            "LEDGER_IN_USE", f"Another program has the ledger in {folder} open: {error}.", "Close that program."
        )
    return NodeError(
        "LEDGER_DAMAGED", f"The ledger in {folder} cannot be used: {error}.", "Restore the folder from a backup."
    )
