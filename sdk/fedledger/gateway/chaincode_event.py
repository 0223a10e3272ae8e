"""The event of a contract as a client receives it, always from a valid transaction."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChaincodeEvent:
    """One event, with the block and the transaction that emitted it; a transaction emits at most one."""

    block_number: int
    transaction_id: str
    chaincode_name: str
    event_name: str
    payload: bytes
