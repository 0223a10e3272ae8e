"""What the contract may see and touch during one transaction, as a protocol: nothing else reaches the rules.

The service implements it over a peer's stream; the auditor implements it over replayed state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol


class Stub(Protocol):
    """One transaction's view of the ledger. Reads never see the transaction's own writes, as in Fabric."""

    @property
    def transaction_id(self) -> str: ...

    @property
    def channel_id(self) -> str: ...

    @property
    def function(self) -> str:
        """First chaincode argument, decoded as UTF-8."""
        ...

    @property
    def arguments(self) -> Sequence[bytes]:
        """Chaincode arguments after the function name."""
        ...

    @property
    def creator(self) -> bytes:
        """The submitter's ``msp.SerializedIdentity``; the peer has checked its signature and certificate."""
        ...

    @property
    def timestamp(self) -> int:
        """The proposal's timestamp in whole seconds since the epoch, the same at every peer."""
        ...

    @property
    def transient(self) -> Mapping[str, bytes]: ...

    def get_state(self, keys: Sequence[str]) -> list[bytes | None]:
        """Values of ``keys`` in their order; None where absent. One request where the peer can batch."""
        ...

    def get_state_range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Keys in [start, end) in order. For queries only: a range read by a writing transaction invites phantoms."""
        ...

    def put_state(self, key: str, value: bytes) -> None: ...

    def delete_state(self, key: str) -> None: ...

    def set_event(self, name: str, payload: bytes) -> None:
        """The transaction's one event; a second call replaces the first."""
        ...


class Rehearsal:
    """Another stub's transaction with nothing written and nothing said."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self.transaction_id = stub.transaction_id
        self.channel_id = stub.channel_id
        self.function = stub.function
        self.arguments = stub.arguments
        self.creator = stub.creator
        self.timestamp = stub.timestamp
        self.transient = stub.transient

    def get_state(self, keys: Sequence[str]) -> list[bytes | None]:
        return self._stub.get_state(keys)

    def get_state_range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        return self._stub.get_state_range(start, end)

    def put_state(self, key: str, value: bytes) -> None:
        pass

    def delete_state(self, key: str) -> None:
        pass

    def set_event(self, name: str, payload: bytes) -> None:
        pass
