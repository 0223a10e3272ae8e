"""Fabric's Deliver service (``protos.Deliver``): blocks and filtered blocks to whoever may read the channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import chaincode_event_pb2, events_pb2
from google.protobuf.message import DecodeError

from fedledger.gateway.blocks import EndorserTransaction, parse_block, parse_envelope_header, validation_codes
from fedledger.gateway.errors import BlockFormatError
from fedledger_network.embedded.channel import CurrentChannel
from fedledger_network.embedded.ledger_view import LedgerView
from fedledger_network.embedded.proposals import ProposalRefused, check_signer

_NO_STOP = (1 << 64) - 1


@dataclass(frozen=True)
class _Seek:
    start: int
    stop: int
    wait: bool


class _Refused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


@dataclass(frozen=True)
class DeliverService:
    """Blocks from a position on, as they are committed."""

    channel: CurrentChannel
    view: LedgerView

    def Deliver(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        return self._deliver(requests, context, _whole)

    def DeliverFiltered(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        name = self.channel.get().name
        return self._deliver(requests, context, lambda block: _filtered(name, block))

    def DeliverWithPrivateData(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "The embedded node has no private data.")
        yield from ()

    def _deliver(
        self, requests: Iterator[Any], context: grpc.ServicerContext, response: Callable[[bytes], Any]
    ) -> Iterator[Any]:
        for envelope in requests:
            try:
                seek = self._seek(envelope)
            except _Refused as refusal:
                yield events_pb2.DeliverResponse(status=refusal.status)
                continue
            yield from self._blocks(seek, context, response)

    def _blocks(self, seek: _Seek, context: grpc.ServicerContext, response: Callable[[bytes], Any]) -> Iterator[Any]:
        number = seek.start
        while number <= seek.stop:
            if not context.is_active():
                return
            if self.view.is_closed:
                yield events_pb2.DeliverResponse(status=common_pb2.SERVICE_UNAVAILABLE)
                return
            if not self.view.wait_for_height(number + 1):
                if seek.wait:
                    continue
                yield events_pb2.DeliverResponse(status=common_pb2.NOT_FOUND)
                return
            yield response(self.view.block(number))
            number += 1
        yield events_pb2.DeliverResponse(status=common_pb2.SUCCESS)

    def _seek(self, envelope: Any) -> _Seek:
        try:
            header = parse_envelope_header(envelope.SerializeToString())
            payload = common_pb2.Payload.FromString(envelope.payload)
            info = ab_pb2.SeekInfo.FromString(payload.data)
        except (BlockFormatError, DecodeError) as error:
            raise _Refused(common_pb2.BAD_REQUEST) from error
        channel = self.channel.get()
        if header.channel_id != channel.name:
            raise _Refused(common_pb2.NOT_FOUND)
        try:
            check_signer(channel, header.creator, envelope.payload, envelope.signature)
        except ProposalRefused as error:
            raise _Refused(common_pb2.FORBIDDEN) from error
        start = self._position(info.start)
        stop = self._position(info.stop) if info.stop.WhichOneof("Type") else _NO_STOP
        if stop < start:
            raise _Refused(common_pb2.BAD_REQUEST)
        return _Seek(start, stop, info.behavior == ab_pb2.SeekInfo.BLOCK_UNTIL_READY)

    def _position(self, position: Any) -> int:
        kind = position.WhichOneof("Type")
        if kind == "oldest":
            return 0
        if kind == "newest":
            return self.view.height - 1
        if kind == "specified":
            return int(position.specified.number)
        return self.view.height


def _whole(block: bytes) -> Any:
    return events_pb2.DeliverResponse(block=parse_block(block))


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
