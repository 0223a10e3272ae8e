"""The chaincode events of blocks, read once however many clients wait for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_event_pb2

from fedledger.gateway.blocks import EmittedEvent, EndorserTransaction, parse_block, validation_codes
from fedledger.gateway.blocks import parse_envelope_header as parse_header
from fedledger.validation.codes import VALID

_REMEMBERED_BLOCKS = 128


@dataclass(frozen=True)
class Emitted:
    """The valid transactions of one block in order, each with its event; None when it set none."""

    transactions: tuple[tuple[str, EmittedEvent | None], ...]

    def has(self, transaction_id: str) -> bool:
        """Whether a transaction of the block has set an event."""
        return any(name == transaction_id and event is not None for name, event in self.transactions)

    def after(self, transaction_id: str) -> Emitted:
        """Those behind a transaction with an event; none when the block does not hold it."""
        if not self.has(transaction_id):
            return Emitted(())
        places = [place for place, (name, _) in enumerate(self.transactions) if name == transaction_id]
        return Emitted(self.transactions[places[0] + 1 :])

    def of_chaincode(self, chaincode: str) -> list[Any]:
        """The ``protos.ChaincodeEvent`` of one chaincode."""
        return [
            chaincode_event_pb2.ChaincodeEvent(
                chaincode_id=event.chaincode_name,
                tx_id=event.transaction_id,
                event_name=event.event_name,
                payload=event.payload,
            )
            for _, event in self.transactions
            if event is not None and event.chaincode_name == chaincode
        ]


class BlockEvents:
    """Events by block; ``block`` gives a block's bytes by its number."""

    def __init__(self, block: Callable[[int], bytes]) -> None:
        self.of: Callable[[int], Emitted] = lru_cache(_REMEMBERED_BLOCKS)(lambda number: _emitted(block(number)))
        """The events of a block below the height."""


def _emitted(block_bytes: bytes) -> Emitted:
    block = parse_block(block_bytes)
    found = []
    for envelope, code in zip(block.data.data, validation_codes(block), strict=True):
        if code == VALID and parse_header(envelope).type == common_pb2.ENDORSER_TRANSACTION:
            transaction = EndorserTransaction.parse(envelope)
            found.append((transaction.transaction_id, transaction.event))
    return Emitted(tuple(found))
