"""A ledger read again from its blocks alone, to compare with what a node tells or keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import transaction_pb2

from fedledger.gateway.blocks import (
    EndorserTransaction,
    StateUpdate,
    Version,
    block_signatures,
    commit_hash,
    data_hash,
    header_hash,
    parse_envelope_header,
    recorded_commit_hash,
    state_updates_bytes,
    validation_codes,
)


@dataclass
class Replay:
    """What a chain of whole blocks leaves; reading it checks links, data hashes, signatures' number, commit hashes."""

    state: dict[str, StateUpdate] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    """By transaction id; of several with one id the first."""
    height: int = 0
    _previous: Any = None

    @classmethod
    def of(cls, blocks: Iterable[Any]) -> Replay:
        """Read ``common.Block`` after ``common.Block`` from the first one on."""
        replay = cls()
        for block in blocks:
            replay._read(block)
        return replay

    def _read(self, block: Any) -> None:
        number = block.header.number
        assert number == self.height
        assert block.header.data_hash == data_hash(block.data)
        updates: dict[str, StateUpdate] = {}
        codes = validation_codes(block)
        for place, (envelope, code) in enumerate(zip(block.data.data, codes, strict=True)):
            header = parse_envelope_header(envelope)
            if header.transaction_id:
                self.codes.setdefault(header.transaction_id, code)
            if code == transaction_pb2.VALID and header.type == common_pb2.ENDORSER_TRANSACTION:
                updates |= _written(EndorserTransaction.parse(envelope), Version(number, place))
        if self._previous is not None:
            assert block.header.previous_hash == header_hash(self._previous.header)
            signatures = block_signatures(block)
            assert sorted(signature.consenter_id or 0 for signature in signatures) == [1, 2, 3, 4]
            before = recorded_commit_hash(self._previous)
            assert recorded_commit_hash(block) == commit_hash(codes, state_updates_bytes(updates.values()), before)
        for key, update in updates.items():
            self.state.pop(key, None)
            if update.value is not None:
                self.state[key] = update
        self.height, self._previous = number + 1, block


def _written(transaction: EndorserTransaction, version: Version) -> dict[str, StateUpdate]:
    return {
        write.key: StateUpdate(entry.namespace, write.key.encode(), write.value, version)
        for entry in transaction.read_write_sets
        for write in entry.writes
    }
