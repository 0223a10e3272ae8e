"""A channel as a client sees it: its contracts, its events and its blocks; asks for no membership."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fedledger.errors import BadInputError
from fedledger.gateway.chaincode_event import ChaincodeEvent
from fedledger.gateway.checkpointer import Checkpoint, InMemoryCheckpointer
from fedledger.gateway.client import GatewayClient
from fedledger.gateway.contract import Contract
from fedledger.gateway.event_stream import CloseableIterator, ReopenedStream
from fedledger.gateway.events import (
    BlockEventsRequest,
    ChaincodeEventsRequest,
    FilteredBlockEventsRequest,
    chaincode_events_request,
    deliver_envelope,
)
from fedledger.gateway.identity import SigningIdentity
from fedledger.gateway.shared_stream import SharedStreams

T = TypeVar("T")


class Network:
    """One channel. Blocks are numbered from 0; without a start, reading begins with the next block.

    A ``checkpoint`` that has a position beats ``start_block``. ``end_block`` is included. With ``reconnect`` a stream
    that breaks off is opened again behind the last value that it gave, at whichever gateway answers; it must be told
    where to start (``NO_START``), since nobody knows where it broke off before its first value.

    All who read a chaincode's events from now on share one stream, which stays open until the gateway is closed.
    """

    def __init__(
        self,
        client: GatewayClient,
        signing_identity: SigningIdentity,
        name: str,
        *,
        tls_client_certificate_hash: bytes,
        opened: Callable[[CloseableIterator[Any]], None],
        shared: SharedStreams,
    ) -> None:
        """Args:
        opened: is told of each stream, so that the gateway can close it.
        shared: the streams that all networks of the gateway have together.
        """
        self._client = client
        self._signing_identity = signing_identity
        self._name = name
        self._tls_client_certificate_hash = tls_client_certificate_hash
        self._opened = opened
        self._shared = shared

    @property
    def name(self) -> str:
        """The channel's name."""
        return self._name

    def get_contract(self, chaincode: str, contract_name: str | None = None) -> Contract:
        """Return a contract of the channel; whether it is there shows at the first call."""
        return Contract(self._client, self._signing_identity, self._name, chaincode, contract_name)

    def chaincode_events(
        self,
        chaincode: str,
        *,
        start_block: int | None = None,
        checkpoint: Checkpoint | None = None,
        reconnect: bool = False,
    ) -> CloseableIterator[ChaincodeEvent]:
        """Read the events of valid transactions in the ledger's order, without end; raises ``EventsError``."""
        if start_block is None and not reconnect and (checkpoint is None or checkpoint.block_number is None):
            return self._shared.listen(
                (self._name, chaincode),
                lambda: self._track(self.new_chaincode_events_request(chaincode).get_events()),
            )
        return self._stream(
            lambda place: self.new_chaincode_events_request(
                chaincode, start_block=start_block, checkpoint=place
            ).get_events(),
            InMemoryCheckpointer.checkpoint_chaincode_event,
            _Bounds(start_block, checkpoint, reconnect),
        )

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
        self,
        *,
        start_block: int | None = None,
        end_block: int | None = None,
        checkpoint: Checkpoint | None = None,
        reconnect: bool = False,
    ) -> CloseableIterator[Any]:
        """Read whole blocks (``common.Block``) up to ``end_block`` or without end; raises ``EventsError``."""

        return self._stream(
            lambda place: self.new_block_events_request(
                start_block=start_block, end_block=end_block, checkpoint=place
            ).get_events(),
            lambda place, block: place.checkpoint_block(block.header.number),
            _Bounds(start_block, checkpoint, reconnect, end_block),
        )

    def new_block_events_request(
        self, *, start_block: int | None = None, end_block: int | None = None, checkpoint: Checkpoint | None = None
    ) -> BlockEventsRequest:
        """Return a request for whole blocks, to be signed elsewhere."""
        return BlockEventsRequest(
            self._client, self._signing_identity, self._envelope(start_block, end_block, checkpoint)
        )

    def filtered_block_events(
        self,
        *,
        start_block: int | None = None,
        end_block: int | None = None,
        checkpoint: Checkpoint | None = None,
        reconnect: bool = False,
    ) -> CloseableIterator[Any]:
        """Read filtered blocks (``protos.FilteredBlock``), as ``block_events``."""

        return self._stream(
            lambda place: self.new_filtered_block_events_request(
                start_block=start_block, end_block=end_block, checkpoint=place
            ).get_events(),
            lambda place, block: place.checkpoint_block(block.number),
            _Bounds(start_block, checkpoint, reconnect, end_block),
        )

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

    def _stream(
        self,
        opened: Callable[[Checkpoint | None], CloseableIterator[T]],
        passed: Callable[[InMemoryCheckpointer, T], None],
        bounds: _Bounds,
    ) -> CloseableIterator[T]:
        """Open a stream that the gateway closes with itself; it reconnects when ``bounds`` say so."""
        if not bounds.reconnect:
            return self._track(opened(bounds.checkpoint))
        place = bounds.place()
        return self._track(
            ReopenedStream(
                lambda: None if bounds.are_behind(place) else opened(place), lambda value: passed(place, value)
            )
        )

    def _track(self, stream: CloseableIterator[T]) -> CloseableIterator[T]:
        self._opened(stream)
        return stream


@dataclass(frozen=True)
class _Bounds:
    """Where a stream starts and ends."""

    start_block: int | None
    checkpoint: Checkpoint | None
    reconnect: bool
    end_block: int | None = None

    def place(self) -> InMemoryCheckpointer:
        """The start as a checkpoint of the stream's own, which moves with every value; raises ``NO_START``."""
        if self.checkpoint is not None and self.checkpoint.block_number is not None:
            return InMemoryCheckpointer(self.checkpoint.block_number, self.checkpoint.transaction_id)
        if self.start_block is None:
            raise BadInputError(
                "NO_START",
                "A stream that reconnects has to be told where to start, else it could miss what comes before it does.",
                "Give start_block, or a checkpoint that has a position.",
            )
        return InMemoryCheckpointer(self.start_block)

    def are_behind(self, place: Checkpoint) -> bool:
        """Whether the end has been passed."""
        return self.end_block is not None and (place.block_number or 0) > self.end_block
