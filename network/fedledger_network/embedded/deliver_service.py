"""Fabric's Deliver services, of peers and of orderers: blocks and filtered blocks to whoever may read the channel.

Source: hyperledger/fabric, ``common/deliver``. As there, an open stream ends when its client may read no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import chaincode_event_pb2, events_pb2
from google.protobuf.message import DecodeError

from fedledger.gateway.blocks import (
    EndorserTransaction,
    is_config,
    parse_block,
    parse_envelope_header,
    validation_codes,
)
from fedledger.gateway.errors import BlockFormatError
from fedledger_network.embedded.calls import OpenStreams
from fedledger_network.embedded.channel import Channel, CurrentChannel
from fedledger_network.embedded.ledger_view import LedgerView
from fedledger_network.embedded.proposals import ProposalRefused, check_signer, check_time

_HEADERS_ONLY = 1
"""``SeekInfo.content_type`` of a request for headers with signatures."""


@dataclass(frozen=True)
class _Seek:
    envelope: Any
    creator: bytes
    start: int
    stop: int
    wait: bool
    headers_only: bool
    allowed: Channel
    """The configuration under which the client was found to be a reader."""


class _Refused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


@dataclass(frozen=True)
class Deliveries:
    """Blocks from a position on, as they are committed."""

    channel: CurrentChannel
    view: LedgerView
    streams: OpenStreams

    def deliver(
        self,
        requests: Iterator[Any],
        context: grpc.ServicerContext,
        status: Callable[[int], Any],
        content: Callable[[bytes], Any],
    ) -> Iterator[Any]:
        """Answer each ``common.Envelope`` with ``content`` of its blocks and a ``status`` at their end.

        A status that tells of a refusal ends the stream.
        """
        with self.streams.open(context):
            for envelope in requests:
                try:
                    yield from self._blocks(self._seek(envelope), context, content)
                except _Refused as refusal:
                    yield status(refusal.status)
                    return
                yield status(common_pb2.SUCCESS)

    def _blocks(self, seek: _Seek, context: grpc.ServicerContext, content: Callable[[bytes], Any]) -> Iterator[Any]:
        number, allowed = seek.start, seek.allowed
        while context.is_active():
            if self.view.is_closed:
                raise _Refused(common_pb2.SERVICE_UNAVAILABLE)
            if not seek.wait and number >= self.view.height:
                raise _Refused(common_pb2.NOT_FOUND)
            if not self.view.wait_for_height(number + 1):
                continue
            if allowed is not self.channel.get():
                allowed = self._check_reader(seek.creator, seek.envelope)
            block = self.view.block(number)
            yield content(_headers(block) if seek.headers_only else block)
            if number == seek.stop:
                return
            number += 1

    def _seek(self, envelope: Any) -> _Seek:
        payload, header, creator = _parsed(envelope)
        if header.channel_id != self.channel.get().name:
            raise _Refused(common_pb2.NOT_FOUND)
        try:
            info = ab_pb2.SeekInfo.FromString(payload.data)
        except DecodeError as error:
            raise _Refused(common_pb2.BAD_REQUEST) from error
        allowed = self._check_reader(creator, envelope)
        if not (info.HasField("start") and info.HasField("stop")):
            raise _Refused(common_pb2.BAD_REQUEST)
        start = self._start(info.start)
        stop = self._stop(info, start)
        if info.stop.WhichOneof("Type") == "specified" and stop < start:
            raise _Refused(common_pb2.BAD_REQUEST)
        wait = info.behavior != ab_pb2.SeekInfo.FAIL_IF_NOT_READY
        return _Seek(envelope, creator, start, stop, wait, info.content_type == _HEADERS_ONLY, allowed)

    def _check_reader(self, creator: bytes, envelope: Any) -> Channel:
        channel = self.channel.get()
        try:
            check_signer(channel, creator, envelope.payload, envelope.signature)
        except ProposalRefused as error:
            raise _Refused(common_pb2.FORBIDDEN) from error
        return channel

    def _start(self, position: Any) -> int:
        """The first block; one that does not come next is not waited for: it may be of another ledger."""
        height = self.view.height
        match position.WhichOneof("Type"):
            case "oldest":
                return 0
            case "newest":
                return height - 1
            case "next_commit":
                return height
            case "specified" if position.specified.number <= height:
                return int(position.specified.number)
        raise _Refused(common_pb2.NOT_FOUND)

    def _stop(self, info: Any, start: int) -> int:
        """The last block. The oldest one is the first that is given; a kind that is not meant for an end is block 0."""
        match info.stop.WhichOneof("Type"):
            case "oldest":
                return start
            case "newest":
                return start if info.start == info.stop else self.view.height - 1
            case "specified":
                return int(info.stop.specified.number)
        return 0


@dataclass(frozen=True)
class DeliverService:
    """A peer's service, ``protos.Deliver``."""

    deliveries: Deliveries

    def Deliver(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        return self.deliveries.deliver(requests, context, _status, _whole)

    def DeliverFiltered(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        name = self.deliveries.channel.get().name
        return self.deliveries.deliver(requests, context, _status, lambda block: _filtered(name, block))

    def DeliverWithPrivateData(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        return self.deliveries.deliver(requests, context, _status, _with_no_private_data)


def _parsed(envelope: Any) -> tuple[Any, Any, bytes]:
    """``Payload``, ``ChannelHeader`` and the creator of a request that was made at about this time."""
    try:
        payload = common_pb2.Payload.FromString(envelope.payload)
        header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        creator = bytes(common_pb2.SignatureHeader.FromString(payload.header.signature_header).creator)
        if payload.HasField("header") and header.HasField("timestamp"):
            check_time(header.timestamp.seconds)
            return payload, header, creator
    except (DecodeError, ProposalRefused) as error:
        raise _Refused(common_pb2.BAD_REQUEST) from error
    raise _Refused(common_pb2.BAD_REQUEST)


def _status(status: int) -> Any:
    return events_pb2.DeliverResponse(status=status)


def _whole(block: bytes) -> Any:
    return events_pb2.DeliverResponse(block=parse_block(block))


def _with_no_private_data(block: bytes) -> Any:
    """This node has none."""
    return events_pb2.DeliverResponse(block_and_private_data=events_pb2.BlockAndPrivateData(block=parse_block(block)))


def _headers(block_bytes: bytes) -> bytes:
    """A block without its transactions, unless it is a configuration."""
    block = parse_block(block_bytes)
    if is_config(block):
        return block_bytes
    block.ClearField("data")
    return bytes(block.SerializeToString(deterministic=True))


def _filtered(channel: str, block_bytes: bytes) -> Any:
    block = parse_block(block_bytes)
    filtered = events_pb2.FilteredBlock(channel_id=channel, number=block.header.number)
    for envelope, code in zip(block.data.data, validation_codes(block), strict=True):
        filtered.filtered_transactions.append(_filtered_transaction(envelope, code))
    return events_pb2.DeliverResponse(filtered_block=filtered)


def _filtered_transaction(envelope: bytes, code: int) -> Any:
    """Id, type, code and the event's name: never its payload."""
    filtered = events_pb2.FilteredTransaction(tx_validation_code=code)
    try:
        header = parse_envelope_header(envelope)
        filtered.txid, filtered.type = header.transaction_id, header.type
        if header.type == common_pb2.ENDORSER_TRANSACTION:
            event = EndorserTransaction.parse(envelope).event
            if event is not None:
                filtered.transaction_actions.chaincode_actions.add(
                    chaincode_event=chaincode_event_pb2.ChaincodeEvent(
                        chaincode_id=event.chaincode_name, tx_id=event.transaction_id, event_name=event.event_name
                    )
                )
    except BlockFormatError:
        # Anybody can have bytes ordered that are no transaction: their code says so.
        return filtered
    return filtered
