"""Which gateway is asked: the first that was named while it answers, else the next one; sends nothing itself.

Whether a call may be sent to another gateway is the caller's knowledge (``client``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import grpc
from fabric_protos.gateway import gateway_pb2_grpc
from fabric_protos.peer import events_pb2_grpc

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0


class Connection:
    """One gateway's gRPC channel with the services on it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.gateway = gateway_pb2_grpc.GatewayStub(channel)
        self.deliver = events_pb2_grpc.DeliverStub(channel)
        self.asked_again_at = 0.0
        """By the clock of ``Connections``; it has not failed lately when that is past."""
        self.pause = FIRST_PAUSE_SECONDS


class Connections:
    """Connections in the order in which they are preferred; safe for several threads.

    One that failed is passed over for five seconds, twice as long each further time, at most five minutes.
    """

    def __init__(self, channels: Sequence[grpc.Channel], clock: Callable[[], float] = time.monotonic) -> None:
        self._connections = tuple(map(Connection, channels))
        self._clock = clock

    def in_order(self) -> list[Connection]:
        """All of them: first those that have not failed lately, then those that have."""
        now = self._clock()
        return sorted(self._connections, key=lambda connection: connection.asked_again_at > now)

    @property
    def quorum(self) -> int:
        """How many of the further gateways are believed when they answer alike: more than half."""
        return (len(self._connections) - 1) // 2 + 1

    def is_first(self, connection: Connection) -> bool:
        """Whether it is the most preferred one."""
        return connection is self._connections[0]

    def failed(self, connection: Connection) -> None:
        """Pass it over for a while."""
        connection.asked_again_at = self._clock() + connection.pause
        connection.pause = min(2 * connection.pause, LONGEST_PAUSE_SECONDS)

    def answered(self, connection: Connection) -> None:
        """Forget that it failed."""
        connection.asked_again_at, connection.pause = 0.0, FIRST_PAUSE_SECONDS

    def close(self) -> None:
        """Close the gRPC channels; every call under way is cancelled."""
        for connection in self._connections:
            connection.channel.close()
