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

from fedledger.gateway.blocks import parse_block
from fedledger_network.embedded.deliver_service import Deliveries
from fedledger_network.embedded.intake import EnvelopeRefused, Intake


@dataclass(frozen=True)
class OrdererService:
    """The orderers of all organisations."""

    intake: Intake
    deliveries: Deliveries

    def Broadcast(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        for envelope in requests:
            try:
                self.intake.take(envelope)
            except EnvelopeRefused as refusal:
                yield ab_pb2.BroadcastResponse(status=refusal.status, info=str(refusal))
                return
            yield ab_pb2.BroadcastResponse(status=common_pb2.SUCCESS)

    def Deliver(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        return self.deliveries.deliver(requests, context, _status, _block)


def _status(status: int) -> Any:
    return ab_pb2.DeliverResponse(status=status)


def _block(block: bytes) -> Any:
    return ab_pb2.DeliverResponse(block=parse_block(block))
