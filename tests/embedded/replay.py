"""What a ledger's blocks say on their own, worked out anew from the files of a node that does not run."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from fabric_protos.common import common_pb2

from fedledger.gateway.blocks import (
    EndorserTransaction,
    StateUpdate,
    Version,
    commit_hash,
    data_hash,
    header_hash,
    parse_block,
    parse_envelope_header,
    recorded_commit_hash,
    state_updates_bytes,
    validation_codes,
)

_VALID = 0


@dataclass(frozen=True)
class Replayed:
    """The ids of all transactions by code, and the state that they leave: value and version by key."""

    codes: dict[str, int]
    state: dict[str, tuple[bytes, Version]]
    height: int


def replayed(ledger: Path) -> Replayed:
    """Follow the blocks; fails where one does not continue the one before it."""
    codes: dict[str, int] = {}
    state: dict[str, tuple[bytes, Version]] = {}
    previous = committed = b""
    with sqlite3.connect(ledger / "ledger.sqlite") as connection:
        rows = connection.execute("SELECT number, bytes FROM block ORDER BY number").fetchall()
    for place, (number, content) in enumerate(rows):
        block = parse_block(content)
        assert block.header.number == number == place
        assert block.header.previous_hash == previous
        assert block.header.data_hash == data_hash(block.data)
        updates: dict[str, StateUpdate] = {}
        for position, envelope in enumerate(block.data.data):
            code = validation_codes(block)[position]
            if parse_envelope_header(envelope).type != common_pb2.ENDORSER_TRANSACTION:
                continue
            transaction = EndorserTransaction.parse(envelope)
            codes.setdefault(transaction.transaction_id, code)
            for entry in transaction.read_write_sets if code == _VALID else ():
                for write in entry.writes:
                    version = Version(number, position)
                    updates[write.key] = StateUpdate(entry.namespace, write.key.encode(), write.value, version)
        if number:
            committed = commit_hash(validation_codes(block), state_updates_bytes(updates.values()), committed)
            assert recorded_commit_hash(block) == committed
        for key, update in updates.items():
            if update.value is None:
                state.pop(key, None)
            else:
                state[key] = (update.value, update.version)
        previous = header_hash(block.header)
    return Replayed(codes, state, len(rows))


def stored(ledger: Path) -> Replayed:
    """The same as the node's own tables have it."""
    with sqlite3.connect(ledger / "ledger.sqlite") as connection:
        codes = dict(connection.execute("SELECT id, code FROM transaction_id").fetchall())
        rows = connection.execute("SELECT key, value, block, position FROM state").fetchall()
        (height,) = connection.execute("SELECT COUNT(*) FROM block").fetchone()
    return Replayed(codes, {key: (bytes(value), Version(block, at)) for key, value, block, at in rows}, height)
