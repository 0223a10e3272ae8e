"""Fabric's ordering service for clients, ``orderer.AtomicBroadcast``: envelopes in, blocks out.

Takes transactions and updates of the channel's configuration from members of the channel, nothing else. An answer of
SUCCESS means that the envelope will be ordered, not that it is valid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2

from fedledger.gateway.blocks import EnvelopeHeader, parse_block, parse_envelope_header
from fedledger.gateway.errors import BlockFormatError
from fedledger_network.embedded.channel import CurrentChannel
from fedledger_network.embedded.config_updates import ConfigUpdateRefused, NotAuthorised
from fedledger_network.embedded.deliver_service import Deliveries
from fedledger_network.embedded.orderer import Orderer, OrderingRefused
from fedledger_network.embedded.proposals import ProposalRefused, check_signer


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class OrdererService:
    """The orderers of all organisations."""

    channel: CurrentChannel
    orderer: Orderer
    deliveries: Deliveries

    def Broadcast(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        for envelope in requests:
            try:
                self._take(envelope)
            except _Refused as refusal:
                yield ab_pb2.BroadcastResponse(status=refusal.status, info=str(refusal))
                return
            yield ab_pb2.BroadcastResponse(status=common_pb2.SUCCESS)

    def Deliver(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        return self.deliveries.deliver(requests, context, _status, _block)

    def _take(self, envelope: Any) -> None:
        serialized = envelope.SerializeToString()
        try:
            header = parse_envelope_header(serialized)
        except BlockFormatError as error:
            raise _Refused(common_pb2.BAD_REQUEST, error.message) from error
        self._check(header, envelope)
        try:
            if header.type == common_pb2.CONFIG_UPDATE:
                self.orderer.submit_config_update(serialized)
            else:
                self.orderer.submit(serialized)
        except NotAuthorised as error:
            raise _Refused(common_pb2.FORBIDDEN, str(error)) from error
        except ConfigUpdateRefused as error:
            raise _Refused(common_pb2.BAD_REQUEST, str(error)) from error
        except OrderingRefused as error:
            raise _Refused(common_pb2.SERVICE_UNAVAILABLE, str(error)) from error

    def _check(self, header: EnvelopeHeader, envelope: Any) -> None:
        channel = self.channel.get()
        if header.channel_id != channel.name:
            raise _Refused(common_pb2.NOT_FOUND, f"channel {header.channel_id} not found")
        if header.type not in (common_pb2.ENDORSER_TRANSACTION, common_pb2.CONFIG_UPDATE):
            raise _Refused(common_pb2.BAD_REQUEST, f"envelopes of type {header.type} are not taken")
        claims = header.type == common_pb2.ENDORSER_TRANSACTION or header.transaction_id
        if claims and header.transaction_id != header.expected_transaction_id:
            raise _Refused(common_pb2.BAD_REQUEST, "the transaction's id is not that of its nonce and creator")
        try:
            check_signer(channel, header.creator, envelope.payload, envelope.signature)
        except ProposalRefused as error:
            raise _Refused(common_pb2.FORBIDDEN, str(error)) from error


def _status(status: int) -> Any:
    return ab_pb2.DeliverResponse(status=status)


def _block(block: bytes) -> Any:
    return ab_pb2.DeliverResponse(block=parse_block(block))
