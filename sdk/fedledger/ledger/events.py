"""The contract's events, decoded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedledger.gateway import ChaincodeEvent


@dataclass(frozen=True)
class LedgerEvent:
    """One event of a committed transaction; ``fields`` are the event's JSON."""

    name: str
    task: str
    fields: Mapping[str, Any]
    block_number: int
    transaction_id: str

    @classmethod
    def decode(cls, event: ChaincodeEvent) -> LedgerEvent:
        """Read an event of the contract; its payload was written by committed, endorsed code."""
        fields = json.loads(event.payload) if event.payload else {}
        return cls(event.event_name, fields.get("task", ""), fields, event.block_number, event.transaction_id)
