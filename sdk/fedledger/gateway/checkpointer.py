"""How far a reader of events has come, so that it goes on there; keeps no event itself.

A checkpoint names a block and, within it, the last transaction that was dealt with. Reading from it repeats nothing
before it; what was dealt with but not yet checkpointed comes once more, so dealing with an event must bear that.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Protocol

from fedledger.errors import BadInputError
from fedledger.gateway.chaincode_event import ChaincodeEvent


class Checkpoint(Protocol):
    """Where to read on: from ``block_number``, after ``transaction_id`` when there is one; None is nowhere yet."""

    @property
    def block_number(self) -> int | None:
        """The block to read next, from 0."""

    @property
    def transaction_id(self) -> str | None:
        """The last transaction of that block that is done; None when none is."""


class InMemoryCheckpointer:
    """A checkpoint that lives as long as the process."""

    def __init__(self, block_number: int | None = None, transaction_id: str | None = None) -> None:
        self._position = (block_number, transaction_id)

    @property
    def block_number(self) -> int | None:
        """The block to read next, from 0."""
        return self._position[0]

    @property
    def transaction_id(self) -> str | None:
        """The last transaction of that block that is done; None when none is."""
        return self._position[1]

    def checkpoint_block(self, block_number: int) -> None:
        """Record that the whole block is done."""
        self._move(block_number + 1, None)

    def checkpoint_transaction(self, block_number: int, transaction_id: str) -> None:
        """Record that the block is done up to this transaction."""
        self._move(block_number, transaction_id)

    def checkpoint_chaincode_event(self, event: ChaincodeEvent) -> None:
        """Record that the event's transaction is done."""
        self.checkpoint_transaction(event.block_number, event.transaction_id)

    def _move(self, block_number: int, transaction_id: str | None) -> None:
        self._position = (block_number, transaction_id)


class FileCheckpointer(InMemoryCheckpointer):
    """A checkpoint in a JSON file that is replaced as a whole: after a crash it holds the old or the new position.

    The file is the one of the official Node client's file checkpointer. One reader per file.
    """

    def __init__(self, path: Path) -> None:
        """Load ``path`` when it exists; raises ``BadInputError`` (``MALFORMED_CHECKPOINT``)."""
        super().__init__(*_load(path))
        self._path = path

    def _move(self, block_number: int, transaction_id: str | None) -> None:
        state = {"blockNumber": str(block_number)}
        if transaction_id is not None:
            state["transactionId"] = transaction_id
        _replace(self._path, json.dumps(state).encode())
        super()._move(block_number, transaction_id)


def _load(path: Path) -> tuple[int | None, str | None]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None, None
    if not content:
        return None, None
    try:
        state = json.loads(content)
        block_number, transaction_id = state.get("blockNumber"), state.get("transactionId")
        position = None if block_number is None else int(block_number)
    except (ValueError, AttributeError, TypeError) as error:
        raise _malformed(path) from error
    if (position is not None and position < 0) or not isinstance(transaction_id, str | None):
        raise _malformed(path)
    return position, transaction_id


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _malformed(path: Path) -> BadInputError:
    return BadInputError(
        "MALFORMED_CHECKPOINT",
        f"The checkpoint file {path} cannot be read.",
        "Delete it to read all events anew, or restore it.",
    )
