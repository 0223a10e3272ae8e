"""The node's gRPC server on its one address; refuses to take the address from somebody who listens there."""

from __future__ import annotations

import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from fabric_protos.gateway import gateway_pb2_grpc
from fabric_protos.orderer import ab_pb2_grpc
from fabric_protos.peer import events_pb2_grpc

from fedledger_network.embedded.calls import CALLS_AT_A_TIME
from fedledger_network.embedded.deliver_service import DeliverService
from fedledger_network.embedded.errors import NodeError
from fedledger_network.embedded.gateway_service import GatewayService
from fedledger_network.embedded.orderer_service import OrdererService

_MAXIMUM_MESSAGE = 100 << 20
_STOPPING_SECONDS = 2.0
_SOCKET_MODE = 0o600
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAXIMUM_MESSAGE),
    ("grpc.max_send_message_length", _MAXIMUM_MESSAGE),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
)


class NodeServer:
    """Serves once. It ends in three steps, between which the parts that calls wait for are ended."""

    def __init__(self, address: str) -> None:
        """``address`` is ``unix:/path`` or ``host:port``."""
        self._address = address
        self._pool = ThreadPoolExecutor(CALLS_AT_A_TIME, thread_name_prefix="call")
        self._server: grpc.Server | None = None
        self._stopped: threading.Event | None = None

    def serve(self, gateway: GatewayService, deliver: DeliverService, orderer: OrdererService) -> None:
        """Listen; raises ``NodeError`` (``ADDRESS_IN_USE``)."""
        path = _path_of(self._address)
        if path is not None:
            _claim(path)
        server = grpc.server(self._pool, options=_OPTIONS, maximum_concurrent_rpcs=CALLS_AT_A_TIME)
        gateway_pb2_grpc.add_GatewayServicer_to_server(gateway, server)
        events_pb2_grpc.add_DeliverServicer_to_server(deliver, server)
        ab_pb2_grpc.add_AtomicBroadcastServicer_to_server(orderer, server)
        try:
            server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise _in_use(self._address, str(error)) from error
        if path is not None:
            path.chmod(_SOCKET_MODE)
        server.start()
        self._server = server

    def stop_taking_calls(self) -> None:
        """Refuse new calls; those under way have a moment to end."""
        if self._server is not None:
            self._stopped = self._server.stop(_STOPPING_SECONDS)

    def wait_for_stop(self) -> None:
        """Wait until all calls have been answered or cut."""
        if self._stopped is not None:
            self._stopped.wait()

    def wait_for_calls(self) -> None:
        """Wait until no thread works on a call any more: those of cut calls may have gone on."""
        self._pool.shutdown()


def _path_of(address: str) -> Path | None:
    """The path of a unix socket; None for a port."""
    return Path(address.removeprefix("unix:")) if address.startswith("unix:") else None


def _claim(path: Path) -> None:
    """Remove a socket that nobody listens on; whoever was killed left it."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise _in_use(str(path), "there is something else than a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise _in_use(str(path), "another program listens there")


def _in_use(address: str, reason: str) -> NodeError:
    return NodeError(
        "ADDRESS_IN_USE",
        f"The node cannot listen on {address}: {reason}.",
        "Stop what listens there or remove it, or use another folder.",
    )
