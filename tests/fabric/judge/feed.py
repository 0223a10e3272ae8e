"""An orderer of a few lines: hands out whatever blocks a test puts in, to a peer that asks for them over TLS."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2, ab_pb2_grpc

from fedledger.gateway.blocks import parse_block

_THREADS = 200


class BlockFeed(ab_pb2_grpc.AtomicBroadcastServicer):  # type: ignore[misc]
    """Serves ``AtomicBroadcast.Deliver`` on a loopback port; checks nothing about who asks."""

    def __init__(self, port: int, key: bytes, certificate: bytes) -> None:
        self._changed = threading.Condition()
        self._blocks: dict[str, list[bytes]] = defaultdict(list)
        self._closed = False
        self.address = f"127.0.0.1:{port}"
        self._server = grpc.server(ThreadPoolExecutor(_THREADS), options=(("grpc.so_reuseport", 0),))
        ab_pb2_grpc.add_AtomicBroadcastServicer_to_server(self, self._server)
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        self._server.add_secure_port(self.address, credentials)
        self._server.start()

    def put(self, channel: str, block: bytes) -> None:
        """Add a block behind those that are there."""
        with self._changed:
            self._blocks[channel].append(block)
            self._changed.notify_all()

    def newest(self, channel: str) -> bytes:
        """The last block of a channel."""
        return self._blocks[channel][-1]

    def close(self) -> None:
        """End it and every stream."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.stop(0.2).wait()

    def Deliver(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        context.add_callback(self._wake)
        for envelope in requests:
            payload = common_pb2.Payload.FromString(envelope.payload)
            channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header).channel_id
            seek = ab_pb2.SeekInfo.FromString(payload.data)
            number = seek.start.specified.number
            while (block := self._wait(channel, number, context)) is not None and number <= seek.stop.specified.number:
                yield ab_pb2.DeliverResponse(block=parse_block(block))
                number += 1
            yield ab_pb2.DeliverResponse(status=common_pb2.SUCCESS)

    def _wait(self, channel: str, number: int, context: grpc.ServicerContext) -> bytes | None:
        with self._changed:
            while context.is_active() and not self._closed:
                if number < len(self._blocks[channel]):
                    return self._blocks[channel][number]
                self._changed.wait(1.0)
        return None

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
