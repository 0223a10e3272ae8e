"""What the files of a node that does not run hold: its blocks, and the tables that it keeps beside them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from fedledger.gateway.blocks import StateUpdate, Version, parse_block
from tests.embedded.chain import Replay

FILE = "ledger.sqlite"


def replayed(ledger: Path) -> Replay:
    """What the blocks say on their own; fails where one does not continue the one before it."""
    return Replay.of(_blocks(ledger))


def assert_tables_match(ledger: Path, replay: Replay) -> None:
    """State and transaction index are what the blocks say, no more and no less."""
    with sqlite3.connect(ledger / FILE) as connection:
        codes = dict(connection.execute("SELECT id, code FROM transaction_id").fetchall())
        rows = connection.execute("SELECT namespace, key, value, block, position FROM state").fetchall()
    assert codes == replay.codes
    state = {row[1]: StateUpdate(row[0], row[1].encode(), bytes(row[2]), Version(row[3], row[4])) for row in rows}
    assert state == replay.state


def _blocks(ledger: Path) -> list[Any]:
    with sqlite3.connect(ledger / FILE) as connection:
        rows = connection.execute("SELECT bytes FROM block ORDER BY number").fetchall()
    return [parse_block(content) for (content,) in rows]
