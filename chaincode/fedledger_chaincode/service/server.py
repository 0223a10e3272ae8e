"""The chaincode service: a gRPC server that peers connect to (Fabric's chaincode as a service).

It listens on the one address it is given, never shares a port, and with a client CA admits only that CA's peers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
import structlog
from fabric_protos.peer import chaincode_shim_pb2_grpc

from fedledger_chaincode.service.address import listen
from fedledger_chaincode.service.admission import Admission
from fedledger_chaincode.service.errors import ServiceError
from fedledger_chaincode.service.execution import (
    MAXIMUM_CLOCK_SKEW,
    ChaincodeContract,
    ContractHost,
    metadata_document,
)
from fedledger_chaincode.service.session import Session

MAXIMUM_PEERS = 32
"""Streams at a time; each occupies two threads."""

MAXIMUM_MESSAGE_BYTES = 100 << 20
"""Fabric's own limit for messages between peer and chaincode."""

WAITING_PER_RUNNING = 16
"""Transactions that may wait for each that may run."""

PEER_REPLY_TIMEOUT = 120.0
"""Seconds; a peer gives a whole transaction 30 by default."""

LAST_MESSAGES_GRACE = 1.0
"""Seconds that streams get to deliver their last answers when the service stops."""

_SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", MAXIMUM_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAXIMUM_MESSAGE_BYTES),
    # A peer pings an idle stream every minute, which gRPC would answer with ENHANCE_YOUR_CALM after three.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Two services on one port would each get some of the connections.
    ("grpc.so_reuseport", 0),
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class TlsCredentials:
    """PEM: the server's key and certificate, and the CA of the peers that may connect (None: all may)."""

    key: bytes = field(repr=False)
    certificate: bytes
    client_ca: bytes | None = None


class ChaincodeServer:
    """Serves a contract to every peer that connects to ``address`` (``host:port`` or ``unix:/path``).

    ``chaincode_id`` is the package id under which the peers installed the chaincode. ``tls`` None serves in the clear.
    ``workers`` transactions run at a time, over all peers, and ``waiting`` more may wait for their turn.
    ``clock`` gives seconds since the epoch; a proposal whose time is over ``maximum_clock_skew`` seconds from it is
    not endorsed. ``reply_timeout`` is how many seconds a peer may take to answer one request.
    """

    def __init__(
        self,
        contract: ChaincodeContract,
        address: str,
        *,
        chaincode_id: str,
        tls: TlsCredentials | None = None,
        workers: int = 64,
        waiting: int | None = None,
        maximum_clock_skew: float = MAXIMUM_CLOCK_SKEW,
        clock: Callable[[], float] = time.time,
        reply_timeout: float = PEER_REPLY_TIMEOUT,
    ) -> None:
        if not chaincode_id:
            raise ValueError("a chaincode service needs its package id")
        self._chaincode_id = chaincode_id
        self._address = address
        metadata = getattr(contract, "metadata", None)
        document = None if metadata is None else metadata_document(metadata())
        self._host = ContractHost(contract.invoke, document, clock, maximum_clock_skew)
        self._tls = tls
        self._reply_timeout = reply_timeout
        self._admission = Admission(workers, workers * WAITING_PER_RUNNING if waiting is None else waiting)
        self._lock = threading.Lock()
        self._readers: dict[Session, threading.Thread] = {}
        self._server: grpc.Server | None = None
        self._stopped = False

    @property
    def address(self) -> str:
        """What peers dial, once started."""
        return self._address

    def start(self) -> str:
        """Listen (port 0: on a free one); return what peers dial.

        Raises:
            ServiceError: ``BAD_ADDRESS``, ``CANNOT_LISTEN`` or ``BAD_TLS``.
            RuntimeError: the service has been started or stopped before.
        """
        with self._lock:
            if self._server is not None or self._stopped:
                raise RuntimeError("a chaincode service starts once")
            server = grpc.server(
                ThreadPoolExecutor(MAXIMUM_PEERS, thread_name_prefix="peer"),
                options=_SERVER_OPTIONS,
                maximum_concurrent_rpcs=MAXIMUM_PEERS,
            )
            chaincode_shim_pb2_grpc.add_ChaincodeServicer_to_server(_Servicer(self._connect), server)
            credentials = None if self._tls is None else _server_credentials(self._tls)
            self._address = listen(server, self._address, credentials)
            server.start()
            self._server = server
        _log.info("serving", address=self._address, chaincode_id=self._chaincode_id, tls=self._tls is not None)
        return self._address

    def stop(self, grace: float = 5.0) -> bool:
        """Refuse new transactions, give the others ``grace`` seconds, then end streams and server.

        True when no transaction was cut off.
        """
        with self._lock:
            server, self._stopped = self._server, True
        finished = self._admission.close(grace)
        with self._lock:
            readers = dict(self._readers)
        for session in readers:
            session.end()
        if server is not None:
            server.stop(LAST_MESSAGES_GRACE).wait()
        for reader in readers.values():
            reader.join()
        _log.info("stopped", chaincode_id=self._chaincode_id, finished=finished)
        return finished

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _connect(self, messages: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        session = Session(
            self._chaincode_id,
            self._host,
            self._admission,
            peer=context.peer(),
            reply_timeout=self._reply_timeout,
        )
        reader = threading.Thread(target=_receive, args=(session, messages), name="peer-reader", daemon=True)
        with self._lock:
            if self._stopped:
                context.abort(grpc.StatusCode.UNAVAILABLE, "The chaincode service is stopping.")
            self._readers[session] = reader
            reader.start()
        context.add_callback(session.end)
        try:
            yield from session.outgoing()
        finally:
            session.end()
            with self._lock:
                del self._readers[session]


class _Servicer:
    """``protos.Chaincode``'s one method; the generated base class is untyped and holds nothing else."""

    def __init__(self, connect: Callable[[Iterator[Any], grpc.ServicerContext], Iterator[Any]]) -> None:
        self.Connect = connect


def _receive(session: Session, messages: Iterator[Any]) -> None:
    try:
        session.receive(messages)
    except grpc.RpcError as error:
        _log.info("stream_broken", reason=str(error) or "the peer's stream was cut")


def _server_credentials(tls: TlsCredentials) -> grpc.ServerCredentials:
    try:
        return grpc.ssl_server_credentials(
            [(tls.key, tls.certificate)], tls.client_ca, require_client_auth=tls.client_ca is not None
        )
    except (ValueError, RuntimeError) as error:
        raise ServiceError(
            "BAD_TLS", f"The TLS credentials cannot be used: {error}.", "Give a PEM key with its certificate."
        ) from error
