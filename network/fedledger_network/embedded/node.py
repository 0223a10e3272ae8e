"""The embedded node: endorsers, orderers, committer, Gateway and Deliver services in one process.

It listens on the one address that the profiles of its folder name, and it is no distributed ledger: whoever controls
this process controls the ledger.
"""

from __future__ import annotations

import signal
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from types import TracebackType

from fedledger.gateway.blocks import last_config_index, parse_block, recorded_id
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import serialize_identity
from fedledger.validation.codes import VALID
from fedledger_network.ca.organisation import OrganisationIdentities
from fedledger_network.embedded.block_events import BlockEvents
from fedledger_network.embedded.calls import Aborting, OpenStreams
from fedledger_network.embedded.chaincode_peer import ChaincodePeer
from fedledger_network.embedded.channel import Channel, CurrentChannel
from fedledger_network.embedded.deliver_service import Deliveries, DeliverService
from fedledger_network.embedded.endorser import Endorser, Peer
from fedledger_network.embedded.errors import NodeError
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.gateway_service import GatewayService
from fedledger_network.embedded.genesis import genesis_block
from fedledger_network.embedded.intake import Intake
from fedledger_network.embedded.ledger_view import LedgerView
from fedledger_network.embedded.orderer import Consenter, Orderer
from fedledger_network.embedded.orderer_service import OrdererService
from fedledger_network.embedded.processes import ChildProcess, SupervisedProcess
from fedledger_network.embedded.server import NodeServer
from fedledger_network.embedded.store import CommittedTransaction, LedgerStore
from fedledger_network.embedded.world import World

CONTRACT = "fedledger_chaincode.contract:Contract"
_CHAINCODE_SECONDS = 60.0


class EmbeddedNode:
    """A running node. A context manager: entering starts it, leaving ends it with all that it started."""

    def __init__(self, folder: NetworkFolder, *, contract: str = CONTRACT) -> None:
        """Args: contract: ``module:Class`` of the contract that the chaincode service serves."""
        self._folder = folder
        self._contract = contract
        self._running = ExitStack()
        self._service: SupervisedProcess | None = None

    def __enter__(self) -> EmbeddedNode:
        with ExitStack() as starting:
            self._start(starting)
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """What clients dial."""
        return self._folder.gateway

    @property
    def chaincode_pid(self) -> int | None:
        """The process that runs the contract; a new one when it has ended by itself."""
        return None if self._service is None else self._service.process.pid

    def stop(self) -> None:
        """Take no more calls, commit what was taken, end the streams, then everything else."""
        self._running.close()

    def _start(self, running: ExitStack) -> None:
        """Start all parts; ``running`` ends them in the opposite order of what is put into it."""
        folder = self._folder
        consortium = folder.consortium()
        store = LedgerStore(folder.ledger)
        running.callback(store.close)
        # The ledger's lock is held: a status that is there was left by a process that is gone.
        folder.status.unlink(missing_ok=True)
        identities = folder.provision()
        if store.height == 0:
            genesis = genesis_block(consortium, identities, int(time.time()))
            name = recorded_id(parse_block(genesis).data.data[0])
            store.append(0, genesis, [], [CommittedTransaction(name, 0, VALID)])
        channel = CurrentChannel(_newest_channel(store))
        _check_identities(channel.get(), identities)
        world = World(store.height, store.state())
        view = LedgerView(store)
        server = NodeServer(folder.gateway)
        running.callback(server.wait_for_calls)
        peers = self._peers(running, identities, consortium.chaincode)
        endorser = Endorser(peers, consortium.chaincode, world)
        running.callback(endorser.close)
        orderer = Orderer(
            _consenters(identities), channel, store, world, consortium.blocks, consortium.chaincode, view.committed
        )
        running.callback(server.wait_for_stop)
        running.callback(view.close)
        running.callback(orderer.stop)
        orderer.start()
        running.callback(server.stop_taking_calls)
        streams = OpenStreams(view.nudge)
        deliveries, intake = Deliveries(channel, view, streams), Intake(channel, orderer)
        server.serve(
            GatewayService(
                channel, endorser, orderer, intake, view, BlockEvents(view.block), streams, Aborting(self.address)
            ),
            DeliverService(deliveries),
            OrdererService(intake, deliveries),
        )

    def _peers(self, running: ExitStack, identities: tuple[OrganisationIdentities, ...], chaincode: str) -> list[Peer]:
        """Start the chaincode service and connect every organisation's peer to it."""
        service = SupervisedProcess("chaincode", lambda: self._chaincode(chaincode))
        self._service = service
        running.callback(service.stop)
        peers = []
        for organisation in identities:
            connection = ChaincodePeer(organisation.msp_id, f"unix:{self._folder.chaincode_socket}")
            running.callback(connection.stop)
            connection.start()
            wallet = organisation.peer.load()
            identity = serialize_identity(organisation.msp_id, wallet.certificate_pem)
            peers.append(Peer(organisation.msp_id, identity, wallet.key, connection))
        first = service.process
        for peer in peers:
            _wait_for_chaincode(peer.chaincode, first)
        return peers

    def _chaincode(self, name: str) -> ChildProcess:
        socket = self._folder.chaincode_socket
        socket.unlink(missing_ok=True)
        return ChildProcess(
            [sys.executable, "-m", "fedledger_chaincode.service", "--contract", self._contract],
            self._folder.chaincode_log,
            {"CHAINCODE_ID": name, "CHAINCODE_SERVER_ADDRESS": f"unix:{socket}"},
            # It holds no state: nothing is lost, and nothing of it outlives a node that was killed.
            on_parents_end=signal.SIGKILL,
        )


def _wait_for_chaincode(connection: ChaincodePeer, first: ChildProcess) -> None:
    """Wait until it is connected; a service that ends while it starts would do so again."""
    until = time.monotonic() + _CHAINCODE_SECONDS
    while True:
        try:
            connection.wait_until_ready(0.1)
            return
        except NodeError:
            if first.exit_code is not None:
                raise NodeError(
                    "CHAINCODE_UNAVAILABLE",
                    f"The chaincode service ended with code {first.exit_code}: {first.last_lines(5)}",
                    f"Its whole log is {first.log}.",
                ) from None
            if time.monotonic() > until:
                raise


def _consenters(identities: tuple[OrganisationIdentities, ...]) -> list[Consenter]:
    consenters = []
    for number, organisation in enumerate(identities, start=1):
        wallet = organisation.orderer.load()
        identity = serialize_identity(organisation.msp_id, wallet.certificate_pem)
        consenters.append(Consenter(number, identity, wallet.key))
    return consenters


def _check_identities(channel: Channel, identities: tuple[OrganisationIdentities, ...]) -> None:
    """Refuse to endorse and order in the name of peers and orderers that the channel would not believe."""
    for organisation in identities:
        for wallet in (organisation.peer, organisation.orderer):
            certificate = wallet.load().certificate_pem
            try:
                identity = channel.identify(serialize_identity(organisation.msp_id, certificate))
                identity.refuse_expired(datetime.now(UTC))
            except IdentityError as error:
                raise NodeError(
                    "OTHER_IDENTITIES",
                    f"The ledger's channel does not accept {wallet.folder}: {error.message}",
                    "Restore the organisations' folders that this ledger was made with.",
                ) from error


def _newest_channel(store: LedgerStore) -> Channel:
    """The configuration that the newest block names."""
    newest = store.block(store.height - 1)
    if newest is None:
        raise NodeError("LEDGER_DAMAGED", "The ledger has no newest block.", "Restore it from a backup.")
    config = store.block(last_config_index(parse_block(newest)))
    if config is None:
        raise NodeError("LEDGER_DAMAGED", "The ledger's configuration block is missing.", "Restore it from a backup.")
    return Channel.from_block(config)
