"""Blocks and world state in one SQLite file: a block, its writes and its transaction ids appear together or not at all.

Refuses a file of a newer version and one that another process writes.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedledger.gateway.blocks import StateUpdate, Version
from fedledger_network.embedded.errors import NodeError

FORMAT = 1
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
            NodeError: ``LEDGER_IN_USE``, ``NEWER_LEDGER``, ``NOT_A_LEDGER``, ``LEDGER_FULL``.
        """
        self._folder = folder
        self._lock_file = _locked(folder)
        self._writing = threading.Lock()
        try:
            self._connection = sqlite3.connect(folder / _FILE, isolation_level=None, check_same_thread=False)
            self._prepare()
        except BaseException as error:
            os.close(self._lock_file)
            if isinstance(error, sqlite3.Error):
                raise _unusable(folder, error) from error
            raise
        self._reading = threading.Lock()

    def close(self) -> None:
        """Release the file."""
        with self._reading, self._writing:
            self._connection.close()
            os.close(self._lock_file)

    @property
    def height(self) -> int:
        """How many blocks there are."""
        with self._reading:
            (count,) = self._connection.execute("SELECT COUNT(*) FROM block").fetchone()
        return int(count)

    def append(
        self,
        number: int,
        block: bytes,
        updates: Sequence[StateUpdate],
        transactions: Sequence[CommittedTransaction],
    ) -> None:
        """Write a block with all that follows from it, durably.

        Raises:
            NodeError: ``LEDGER_FULL``, nothing of it was written; ``LEDGER_DAMAGED``.
        """
        with self._writing, self._reading:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.execute("INSERT INTO block VALUES (?, ?)", (number, block))
                self._connection.executemany(
                    "INSERT INTO transaction_id VALUES (?, ?, ?)", [(t.id, t.block, t.code) for t in transactions]
                )
                for update in updates:
                    self._write(update)
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                raise _unusable(self._folder, error) from error

    def block(self, number: int) -> bytes | None:
        """The block with this number."""
        with self._reading:
            row = self._connection.execute("SELECT bytes FROM block WHERE number = ?", (number,)).fetchone()
        return None if row is None else bytes(row[0])

    def transaction(self, transaction_id: str) -> CommittedTransaction | None:
        """Where a transaction stands."""
        with self._reading:
            row = self._connection.execute(
                "SELECT id, block, code FROM transaction_id WHERE id = ?", (transaction_id,)
            ).fetchone()
        return None if row is None else CommittedTransaction(*row)

    def state(self) -> Iterator[StateUpdate]:
        """The whole world state."""
        with self._reading:
            rows = self._connection.execute("SELECT namespace, key, value, block, position FROM state").fetchall()
        for namespace, key, value, block, position in rows:
            yield StateUpdate(namespace, key.encode(), bytes(value), Version(block, position))

    def _write(self, update: StateUpdate) -> None:
        key = update.key.decode()
        if update.value is None:
            self._connection.execute("DELETE FROM state WHERE namespace = ? AND key = ?", (update.namespace, key))
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?)",
            (update.namespace, key, update.value, update.version.block_number, update.version.transaction_number),
        )

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _prepare(self) -> None:
        (held,) = self._connection.execute("PRAGMA user_version").fetchone()
        if held > FORMAT:
            raise NodeError(
                "NEWER_LEDGER",
                f"The ledger in {self._folder} has format {held}; this release reads up to {FORMAT}.",
                "Use the release of fedledger that wrote it, or a newer one.",
            )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        if held == 0:
            self._connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")


def _locked(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise NodeError(
            "LEDGER_IN_USE",
            f"Another process runs the ledger in {folder}.",
            "Use that one, or stop it with `fedledger network down`.",
        ) from error
    return descriptor


def _unusable(folder: Path, error: sqlite3.Error) -> NodeError:
    if error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR):
        return NodeError(
            "LEDGER_FULL",
            f"The ledger in {folder} cannot be written: {error}. Nothing of the block was written.",
            "Free some disk space and start the node again.",
        )
    if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
        return NodeError("NOT_A_LEDGER", f"{folder / _FILE} is no ledger: {error}.", "Choose another folder.")
    return NodeError(
        "LEDGER_DAMAGED", f"The ledger in {folder} cannot be used: {error}.", "Restore the folder from a backup."
    )
