"""Where a service listens: ``host:port`` or ``unix:/path``; refuses a socket that another process serves.

A Unix socket is open to its owner alone: whoever connects to a chaincode service is taken for a peer.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

import grpc

from fedledger_chaincode.service.errors import ServiceError

_UNIX = "unix:"
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/]+):(\d{1,5})")


def listen(server: grpc.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
    """Let ``server`` listen on ``address`` (port 0: a free one); return what a peer dials.

    Raises:
        ServiceError: ``BAD_ADDRESS`` or ``CANNOT_LISTEN``.
    """
    path = _socket_path(address)
    if path is None and _HOST_AND_PORT.fullmatch(address) is None:
        raise ServiceError(
            "BAD_ADDRESS", f"{address!r} is no address to listen on.", "Give host:port, [address]:port or unix:/path."
        )
    if path is not None and _is_served(path):
        raise _cannot_listen(address, "another process serves this socket")
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise _cannot_listen(address, str(error)) from error
    if path is not None:
        path.chmod(0o600)
        return address
    return f"{address.rpartition(':')[0]}:{port}"


def _socket_path(address: str) -> Path | None:
    return Path(address.removeprefix(_UNIX).removeprefix("//")) if address.startswith(_UNIX) else None


def _is_served(path: Path) -> bool:
    # gRPC would replace the socket file and leave the other process without connections.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _cannot_listen(address: str, reason: str) -> ServiceError:
    return ServiceError(
        "CANNOT_LISTEN",
        f"The chaincode service cannot listen on {address}: {reason}.",
        "Stop what listens there, or choose a free address of this host.",
    )
