"""A channel as a client sees it: its contracts, its events and its blocks; asks for no membership."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fedledger.gateway.chaincode_event import ChaincodeEvent
from fedledger.gateway.checkpointer import Checkpoint
from fedledger.gateway.client import GatewayClient
from fedledger.gateway.contract import Contract
from fedledger.gateway.event_stream import CloseableIterator
from fedledger.gateway.events import (
    BlockEventsRequest,
    ChaincodeEventsRequest,
    FilteredBlockEventsRequest,
    chaincode_events_request,
    deliver_envelope,
)
from fedledger.gateway.identity import SigningIdentity


class Network:
    """One channel. Blocks are numbered from 0; without a start, reading begins with the next block.

    A ``checkpoint`` that has a position beats ``start_block``. ``end_block`` is included.
    """

    def __init__(
        self,
        client: GatewayClient,
        signing_identity: SigningIdentity,
        name: str,
        *,
        tls_client_certificate_hash: bytes,
        opened: Callable[[CloseableIterator[Any]], None],
    ) -> None:
        """``opened`` is told of each stream, so that the gateway can close it."""
        self._client = client
        self._signing_identity = signing_identity
        self._name = name
        self._tls_client_certificate_hash = tls_client_certificate_hash
        self._opened = opened

    @property
    def name(self) -> str:
        """The channel's name."""
        return self._name

    def get_contract(self, chaincode: str, contract_name: str | None = None) -> Contract:
        """Return a contract of the channel; whether it is there shows at the first call."""
        return Contract(self._client, self._signing_identity, self._name, chaincode, contract_name)

    def chaincode_events(
        self, chaincode: str, *, start_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> CloseableIterator[ChaincodeEvent]:
        """Read the events of valid transactions in the ledger's order, without end; raises ``EventsError``."""
        request = self.new_chaincode_events_request(chaincode, start_block=start_block, checkpoint=checkpoint)
        return self._track(request.get_events())

    def new_chaincode_events_request(
        self, chaincode: str, *, start_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> ChaincodeEventsRequest:
        """Return a request for chaincode events, to be signed elsewhere."""
        return ChaincodeEventsRequest(
            self._client,
            self._signing_identity,
            chaincode_events_request(self._signing_identity, self._name, chaincode, start_block, checkpoint),
        )

    def block_events(
        self, *, start_block: int | None = None, end_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> CloseableIterator[Any]:
        """Read whole blocks (``common.Block``) up to ``end_block`` or without end; raises ``EventsError``."""
        request = self.new_block_events_request(start_block=start_block, end_block=end_block, checkpoint=checkpoint)
        return self._track(request.get_events())

    def new_block_events_request(
        self, *, start_block: int | None = None, end_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> BlockEventsRequest:
        """Return a request for whole blocks, to be signed elsewhere."""
        return BlockEventsRequest(
            self._client, self._signing_identity, self._envelope(start_block, end_block, checkpoint)
        )

    def filtered_block_events(
        self, *, start_block: int | None = None, end_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> CloseableIterator[Any]:
        """Read filtered blocks (``protos.FilteredBlock``), as ``block_events``."""
        request = self.new_filtered_block_events_request(
            start_block=start_block, end_block=end_block, checkpoint=checkpoint
        )
        return self._track(request.get_events())

    def new_filtered_block_events_request(
        self, *, start_block: int | None = None, end_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> FilteredBlockEventsRequest:
        """Return a request for filtered blocks, to be signed elsewhere."""
        return FilteredBlockEventsRequest(
            self._client, self._signing_identity, self._envelope(start_block, end_block, checkpoint)
        )

    def _envelope(self, start_block: int | None, end_block: int | None, checkpoint: Checkpoint | None) -> Any:
        return deliver_envelope(
            self._signing_identity,
            self._name,
            start_block,
            end_block,
            checkpoint,
            self._tls_client_certificate_hash,
        )

    def _track(self, stream: CloseableIterator[Any]) -> CloseableIterator[Any]:
        self._opened(stream)
        return stream
