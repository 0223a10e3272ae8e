"""Requests for events and blocks: where to start, signed here or elsewhere; an open stream is an iterator."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2

from fedledger.errors import ExitCode
from fedledger.gateway.chaincode_event import ChaincodeEvent
from fedledger.gateway.checkpointer import Checkpoint
from fedledger.gateway.client import GatewayClient
from fedledger.gateway.errors import EventsError
from fedledger.gateway.event_stream import CloseableIterator
from fedledger.gateway.identity import SigningIdentity

T = TypeVar("T")

_LAST_BLOCK = 2**64 - 1
_NONCE_BYTES = 24
_REMEDIES = {
    common_pb2.FORBIDDEN: "Check that your certificate is valid and its organisation may read the channel.",
    common_pb2.NOT_FOUND: "Check the channel's name and that the start block exists.",
    common_pb2.BAD_REQUEST: "Check the channel's name, and this machine's clock.",
}


class ChaincodeEventsRequest:
    """A request for a chaincode's events, signed already or to be signed when the stream is opened."""

    def __init__(self, client: GatewayClient, signing_identity: SigningIdentity, signed_request: Any) -> None:
        """Take a ``gateway.SignedChaincodeEventsRequest``."""
        self._client = client
        self._signing_identity = signing_identity
        self._signed_request = signed_request

    def get_bytes(self) -> bytes:
        """Return a ``gateway.SignedChaincodeEventsRequest``, for signing elsewhere."""
        return bytes(self._signed_request.SerializeToString())

    def get_digest(self) -> bytes:
        """Return what is to be signed."""
        return self._signing_identity.digest(self._signed_request.request)

    def get_events(self, timeout: float | None = None) -> CloseableIterator[ChaincodeEvent]:
        """Open the stream; it waits for further events until it is closed."""
        request = gateway_pb2.SignedChaincodeEventsRequest(
            request=self._signed_request.request,
            signature=self._signed_request.signature or self._signing_identity.sign(self._signed_request.request),
        )
        return self._client.chaincode_events(request, _chaincode_events, timeout)


class _DeliverRequest(ABC, Generic[T]):
    """What requests for whole and for filtered blocks have in common: the signed envelope."""

    def __init__(self, client: GatewayClient, signing_identity: SigningIdentity, envelope: Any) -> None:
        self._client = client
        self._signing_identity = signing_identity
        self._envelope = envelope

    def get_bytes(self) -> bytes:
        """Return a ``common.Envelope``, for signing elsewhere."""
        return bytes(self._envelope.SerializeToString())

    def get_digest(self) -> bytes:
        """Return what is to be signed."""
        return self._signing_identity.digest(self._envelope.payload)

    @abstractmethod
    def get_events(self, timeout: float | None = None) -> CloseableIterator[T]:
        """Open the stream; it ends after the end block, or waits for further blocks until it is closed."""

    def _signed(self) -> Any:
        payload = self._envelope.payload
        return common_pb2.Envelope(
            payload=payload, signature=self._envelope.signature or self._signing_identity.sign(payload)
        )


class BlockEventsRequest(_DeliverRequest[Any]):
    """A request for whole blocks (``common.Block``)."""

    def get_events(self, timeout: float | None = None) -> CloseableIterator[Any]:
        """Open the stream of ``common.Block``; ends after the end block, or runs until it is closed."""
        return self._client.block_events(self._signed(), _delivered("block"), timeout)


class FilteredBlockEventsRequest(_DeliverRequest[Any]):
    """A request for filtered blocks (``protos.FilteredBlock``): ids, validation codes and event names."""

    def get_events(self, timeout: float | None = None) -> CloseableIterator[Any]:
        """Open the stream of ``protos.FilteredBlock``; ends after the end block, or runs until it is closed."""
        return self._client.filtered_block_events(self._signed(), _delivered("filtered_block"), timeout)


def chaincode_events_request(
    signing_identity: SigningIdentity,
    channel_name: str,
    chaincode_name: str,
    start_block: int | None,
    checkpoint: Checkpoint | None,
) -> Any:
    """Return an unsigned ``SignedChaincodeEventsRequest``; a checkpoint that has a position beats ``start_block``."""
    position, after = _start(start_block, checkpoint)
    request = gateway_pb2.ChaincodeEventsRequest(
        channel_id=channel_name,
        chaincode_id=chaincode_name,
        identity=signing_identity.creator,
        start_position=position,
        after_transaction_id=after,
    )
    return gateway_pb2.SignedChaincodeEventsRequest(request=request.SerializeToString())


def deliver_envelope(
    signing_identity: SigningIdentity,
    channel_name: str,
    start_block: int | None,
    end_block: int | None,
    checkpoint: Checkpoint | None,
    tls_client_certificate_hash: bytes,
) -> Any:
    """Return an unsigned ``Envelope`` that asks for blocks up to and including ``end_block``, or for ever.

    Blocks have no place within: of a checkpoint only the block counts, and that block comes again.
    """
    position, _ = _start(start_block, checkpoint)
    channel_header = common_pb2.ChannelHeader(
        type=common_pb2.DELIVER_SEEK_INFO, channel_id=channel_name, tls_cert_hash=tls_client_certificate_hash
    )
    channel_header.timestamp.GetCurrentTime()
    signature_header = common_pb2.SignatureHeader(creator=signing_identity.creator, nonce=os.urandom(_NONCE_BYTES))
    seek = ab_pb2.SeekInfo(
        start=position,
        stop=_at(_LAST_BLOCK if end_block is None else end_block),
        behavior=ab_pb2.SeekInfo.BLOCK_UNTIL_READY,
    )
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=channel_header.SerializeToString(), signature_header=signature_header.SerializeToString()
        ),
        data=seek.SerializeToString(),
    )
    return common_pb2.Envelope(payload=payload.SerializeToString())


def _start(start_block: int | None, checkpoint: Checkpoint | None) -> tuple[Any, str]:
    if checkpoint is not None and checkpoint.block_number is not None:
        return _at(checkpoint.block_number), checkpoint.transaction_id or ""
    if start_block is not None:
        return _at(start_block), ""
    return ab_pb2.SeekPosition(next_commit=ab_pb2.SeekNextCommit()), ""


def _at(block_number: int) -> Any:
    return ab_pb2.SeekPosition(specified=ab_pb2.SeekSpecified(number=block_number))


def _chaincode_events(responses: Iterator[Any]) -> Iterator[ChaincodeEvent]:
    for response in responses:
        for event in response.events:
            yield ChaincodeEvent(
                block_number=response.block_number,
                transaction_id=event.tx_id,
                chaincode_name=event.chaincode_id,
                event_name=event.event_name,
                payload=event.payload,
            )


def _delivered(kind: str) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def unpack(responses: Iterator[Any]) -> Iterator[Any]:
        for response in responses:
            if response.WhichOneof("Type") == kind:
                yield getattr(response, kind)
            elif response.status == common_pb2.SUCCESS:
                return
            else:
                raise _refused(response.status)

    return unpack


def _refused(status: int) -> EventsError:
    name = common_pb2.Status.Name(status) if status in common_pb2.Status.values() else str(status)
    error = EventsError(
        f"EVENTS_{name}",
        f"The peer ended the stream of blocks with {name}.",
        _REMEDIES.get(status, "Open the stream again from the last checkpoint."),
    )
    if status == common_pb2.FORBIDDEN:
        error.exit_code = ExitCode.CONNECTION
    return error
