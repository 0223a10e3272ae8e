"""The embedded node: endorsers, orderers, committer, Gateway and Deliver services in one process.

It listens on the one socket that the profiles of its folder name, and it is no distributed ledger: whoever controls
this process controls the ledger.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import grpc
from fabric_protos.gateway import gateway_pb2_grpc
from fabric_protos.peer import events_pb2_grpc

from fedledger.gateway.blocks import last_config_index, parse_block
from fedledger.identity.msp import serialize_identity
from fedledger_network.ca.organisation import OrganisationIdentities
from fedledger_network.embedded.chaincode_peer import ChaincodePeer
from fedledger_network.embedded.channel import Channel, CurrentChannel
from fedledger_network.embedded.deliver_service import DeliverService
from fedledger_network.embedded.endorser import Endorser, Peer
from fedledger_network.embedded.errors import NodeError
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.gateway_service import GatewayService
from fedledger_network.embedded.genesis import genesis_block
from fedledger_network.embedded.ledger_view import LedgerView
from fedledger_network.embedded.orderer import Consenter, Orderer
from fedledger_network.embedded.processes import ChildProcess
from fedledger_network.embedded.store import LedgerStore
from fedledger_network.embedded.world import World

CALLS_AT_A_TIME = 256
"""gRPC calls that are served at a time; an event stream is one for as long as it lasts."""
CONTRACT = "fedledger_chaincode.contract:Contract"
_CHAINCODE_SECONDS = 60.0
_MAXIMUM_MESSAGE = 100 << 20
_STOPPING_SECONDS = 2.0
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAXIMUM_MESSAGE),
    ("grpc.max_send_message_length", _MAXIMUM_MESSAGE),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
)


class EmbeddedNode:
    """A running node. A context manager: entering starts it, leaving ends it with all that it started."""

    def __init__(self, folder: NetworkFolder, *, contract: str = CONTRACT) -> None:
        """Args: contract: ``module:Class`` of the contract that the chaincode service serves."""
        self._folder = folder
        self._contract = contract
        self._closing: list[tuple[str, object]] = []

    def __enter__(self) -> EmbeddedNode:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """What clients dial."""
        return f"unix:{self._folder.gateway_socket}"

    def stop(self) -> None:
        """End everything in the opposite order of its start."""
        while self._closing:
            method, started = self._closing.pop()
            getattr(started, method)()

    def _start(self) -> None:
        folder = self._folder
        consortium = folder.consortium()
        store = LedgerStore(folder.ledger)
        self._closing.append(("close", store))
        identities = folder.provision()
        if store.height == 0:
            store.append(0, genesis_block(consortium, identities, int(time.time())), [], [])
        channel = CurrentChannel(_newest_channel(store))
        world = World(store.height, store.state())
        view = LedgerView(store)
        orderer = Orderer(_consenters(identities), channel, store, world, consortium.blocks, view.committed)
        orderer.start()
        self._closing += [("stop", orderer), ("close", view)]
        endorser = Endorser(self._peers(identities, consortium.chaincode), consortium.chaincode, world)
        self._closing.append(("close", endorser))
        gateway = GatewayService(self.address, channel, endorser, orderer, view)
        self._serve(gateway, DeliverService(channel, view))

    def _peers(self, identities: tuple[OrganisationIdentities, ...], chaincode: str) -> list[Peer]:
        """Start the chaincode service and connect every organisation's peer to it."""
        socket = self._folder.chaincode_socket
        socket.unlink(missing_ok=True)
        service = ChildProcess(
            [sys.executable, "-m", "fedledger_chaincode.service", "--contract", self._contract],
            self._folder.chaincode_log,
            {"CHAINCODE_ID": chaincode, "CHAINCODE_SERVER_ADDRESS": f"unix:{socket}"},
        )
        self._closing.append(("stop", service))
        peers = []
        for organisation in identities:
            connection = ChaincodePeer(organisation.msp_id, f"unix:{socket}")
            self._closing.append(("stop", connection))
            connection.start()
            wallet = organisation.peer.load()
            identity = serialize_identity(organisation.msp_id, wallet.certificate_pem)
            peers.append(Peer(organisation.msp_id, identity, wallet.key, connection))
        for peer in peers:
            _wait_for_chaincode(peer.chaincode, service)
        return peers

    def _serve(self, gateway: GatewayService, deliver: DeliverService) -> None:
        socket = self._folder.gateway_socket
        # The ledger's lock is held: a socket that is there belongs to a process that is gone.
        socket.unlink(missing_ok=True)
        server = grpc.server(ThreadPoolExecutor(CALLS_AT_A_TIME, thread_name_prefix="call"), options=_OPTIONS)
        gateway_pb2_grpc.add_GatewayServicer_to_server(gateway, server)
        events_pb2_grpc.add_DeliverServicer_to_server(deliver, server)
        try:
            server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise NodeError(
                "ADDRESS_IN_USE",
                f"The node cannot listen on {self.address}: {error}.",
                "Stop what listens there, or use another folder.",
            ) from error
        _only_for_its_owner(socket)
        server.start()
        self._closing += [("stop", _Stopping(server))]


class _Stopping:
    def __init__(self, server: grpc.Server) -> None:
        self._server = server

    def stop(self) -> None:
        self._server.stop(_STOPPING_SECONDS).wait()


def _only_for_its_owner(socket: Path) -> None:
    socket.chmod(0o600)


def _wait_for_chaincode(connection: ChaincodePeer, service: ChildProcess) -> None:
    until = time.monotonic() + _CHAINCODE_SECONDS
    while True:
        try:
            connection.wait_until_ready(0.1)
            return
        except NodeError:
            if service.exit_code is not None:
                raise NodeError(
                    "CHAINCODE_UNAVAILABLE",
                    f"The chaincode service ended with code {service.exit_code}: {service.last_lines(5)}",
                    f"Its whole log is {service.log}.",
                ) from None
            if time.monotonic() > until:
                raise


def _consenters(identities: tuple[OrganisationIdentities, ...]) -> list[Consenter]:
    return [
        Consenter(number, organisation.orderer.load().key) for number, organisation in enumerate(identities, start=1)
    ]


def _newest_channel(store: LedgerStore) -> Channel:
    """The configuration that the newest block names."""
    newest = store.block(store.height - 1)
    if newest is None:
        raise NodeError("LEDGER_DAMAGED", "The ledger has no newest block.", "Restore it from a backup.")
    config = store.block(last_config_index(parse_block(newest)))
    if config is None:
        raise NodeError("LEDGER_DAMAGED", "The ledger's configuration block is missing.", "Restore it from a backup.")
    return Channel.from_block(config)
