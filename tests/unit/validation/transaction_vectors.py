"""``vectors/transactions.json.gz``: one run of the table of transactions, as a real peer committed it."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

from tests.unit.validation.transaction_table import Case, Table

FILE = Path(__file__).parent / "vectors" / "transactions.json.gz"
HOW = (
    "The blocks were handed to a peer by an orderer that looks at nothing; they are as the peer keeps them, with its"
    " validation codes and commit hashes. Names are those of the table, block by block from block 1 on."
)


@dataclass(frozen=True)
class Entry:
    """What a transaction of the ledger is called."""

    name: str
    only_fabric: bool


@dataclass(frozen=True)
class Vectors:
    fabric: str
    blocks: tuple[bytes, ...]
    """``common.Block`` from block 0 on."""
    entries: tuple[tuple[Entry, ...], ...]
    """By block from block 1 on, in the order of its transactions."""

    @classmethod
    def of(cls, fabric: str, table: Table, blocks: list[bytes]) -> Vectors:
        def entry(case: Case) -> Entry:
            return Entry(case.name, case.only_fabric)

        return cls(fabric, tuple(blocks), tuple(tuple(map(entry, cases)) for cases in table.blocks))

    @classmethod
    def load(cls) -> Vectors:
        document = json.loads(gzip.decompress(FILE.read_bytes()))
        entries = tuple(tuple(Entry(*each) for each in block) for block in document["names"])
        return cls(document["fabric"], tuple(map(base64.b64decode, document["blocks"])), entries)

    def save(self) -> None:
        document = {
            "fabric": self.fabric,
            "how": HOW,
            "names": [[(entry.name, entry.only_fabric) for entry in block] for block in self.entries],
            "blocks": [base64.b64encode(block).decode() for block in self.blocks],
        }
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_bytes(gzip.compress(json.dumps(document, ensure_ascii=False).encode(), mtime=0))
