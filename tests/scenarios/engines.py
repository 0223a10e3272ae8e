"""The two engines as scenarios see them: members with profiles, and a ledger that can be killed and started again."""

from __future__ import annotations

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import grpc

from fedledger.gateway import GatewayError, Network, open_channel
from fedledger.identity.profile import Profile, load_profile
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.organisation import authority_folder
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.processes import ChildProcess
from fedledger_network.fabric import FabricNetwork
from fedledger_network.fabric.inventory import Inventory
from fedledger_network.fabric.package import Release
from fedledger_network.fabric.processes import Program
from tests.embedded.clients import CHANNEL, NAMES, Client, member_by, stranger
from tests.fabric.ledger import height

Name = Literal["embedded", "fabric"]


class Engine(ABC):
    """A running ledger of four organisations that serves one contract."""

    name: Name

    @property
    @abstractmethod
    def profiles(self) -> Path:
        """The file with everybody's profiles."""

    @abstractmethod
    def settle(self) -> None:
        """Return when every organisation's peer has every block."""

    @abstractmethod
    def kill(self) -> None:
        """Kill every process of the ledger (SIGKILL)."""

    @abstractmethod
    def start(self) -> None:
        """Start what was killed; return when it serves."""

    @abstractmethod
    def kill_peer(self, organisation: str) -> None:
        """Kill the process of the organisation's peer."""

    @abstractmethod
    def start_peer(self, organisation: str) -> None:
        """Start it again; return when it serves."""

    @abstractmethod
    def kill_contract(self, organisation: str) -> None:
        """Kill the process in which the organisation's peer runs the contract."""

    @abstractmethod
    def start_contract(self, organisation: str) -> None:
        """Have it again."""

    @abstractmethod
    def identities(self, organisation: str) -> Path:
        """The folder with the organisation's identities."""

    def expects(self, *, embedded: object, fabric: object) -> object:
        """What this engine does, where the two differ; each use has its row in the reference page's table."""
        return embedded if self.name == "embedded" else fabric

    def profile(self, organisation: str, member: str = "participant") -> Profile:
        return load_profile(self.profiles, f"{organisation}-{member}")

    @contextmanager
    def member(self, organisation: str, member: str = "participant", *, peer: str | None = None) -> Iterator[Client]:
        """A member at its own organisation's peer, or at that of another one."""
        profile, at = self.profile(organisation, member), self.profile(peer or organisation, member)
        with member_by(replace(profile, gateway=at.gateway, tls_roots=at.tls_roots)) as found:
            yield replace(found, settle=self.settle)

    @contextmanager
    def stranger(self, msp_id: str, certificate_pem: bytes, key: object, *, peer: str) -> Iterator[Client]:
        """Whoever presents this certificate and signs with this key, at the peer of an organisation."""
        at = self.profile(peer)
        roots = None if at.tls_roots is None else at.tls_roots.read_bytes()
        with stranger(at.gateway, msp_id, certificate_pem, key, roots) as found:  # type: ignore[arg-type]
            yield replace(found, settle=self.settle)

    @abstractmethod
    def orderer_address(self, organisation: str) -> str:
        """Where the organisation's orderer listens, under the TLS roots of its peer."""

    @contextmanager
    def orderer(self, organisation: str) -> Iterator[grpc.Channel]:
        """A connection to the organisation's orderer."""
        roots = self.profile(organisation).tls_roots
        address = self.orderer_address(organisation)
        with open_channel(address, None if roots is None else roots.read_bytes()) as channel:
            yield channel

    @contextmanager
    def authority(self, organisation: str) -> Iterator[DevelopmentAuthority]:
        """The organisation's CA."""
        msp_id = self.profile(organisation).msp_id
        opened = DevelopmentAuthority.open(authority_folder(self.identities(organisation)), msp_id)
        try:
            yield opened
        finally:
            opened.close()


@dataclass
class EmbeddedEngine(Engine):
    """The embedded node as a process of its own."""

    folder: NetworkFolder
    contract: str
    process: ChildProcess
    name = "embedded"

    @property
    def profiles(self) -> Path:
        return self.folder.profiles

    def settle(self) -> None:
        """One process holds one ledger."""

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def start(self) -> None:
        self.process = running.launch(self.folder, attached=True, contract=self.contract)

    def kill_peer(self, organisation: str) -> None:
        """One process is everybody's peer."""
        self.kill()

    def start_peer(self, organisation: str) -> None:
        self.start()

    def kill_contract(self, organisation: str) -> None:
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        for pid in {int(pid) for listed in children for pid in listed.read_text().split()}:
            os.kill(pid, signal.SIGKILL)

    def start_contract(self, organisation: str) -> None:
        """The node does it."""

    def orderer_address(self, organisation: str) -> str:
        return self.folder.gateway

    def identities(self, organisation: str) -> Path:
        members = self.folder.consortium().organisations
        return self.folder.organisation(next(member for member in members if member.name == organisation))


@dataclass(frozen=True)
class ServingInventory(Inventory):
    """The programs of a network whose services serve ``contract`` (``module:Class``)."""

    contract: str = ""

    def _chaincode(self, organisation: object, release: Release) -> Program:
        program = super()._chaincode(organisation, release)  # type: ignore[arg-type]
        return replace(program, command=(*program.command, "--contract", self.contract))


@dataclass
class FabricEngine(Engine):
    """A network of Fabric's programs."""

    network: FabricNetwork
    name = "fabric"

    def __post_init__(self) -> None:
        self._opened = ExitStack()
        self._channels: list[Network] = []

    @property
    def profiles(self) -> Path:
        return self.network.layout.profiles

    def settle(self, seconds: float = 60.0) -> None:
        if not self._channels:
            gateways = [self._opened.enter_context(self.profile(name, "auditor").connect()) for name in NAMES]
            self._channels = [gateway.get_network(CHANNEL) for gateway in gateways]
        deadline = time.monotonic() + seconds
        while len(heights := self._heights()) != 1:
            assert time.monotonic() < deadline, f"the peers' heights stay apart: {heights}"
            time.sleep(0.02)

    def _heights(self) -> set[int]:
        try:
            return {height(channel) for channel in self._channels}
        except GatewayError:
            return set()

    def kill(self) -> None:
        self.network.kill(*(program.name for program in self.network.status()))

    def start(self) -> None:
        self.network.up()

    def kill_peer(self, organisation: str) -> None:
        self.network.kill(f"peer.{organisation}")

    def start_peer(self, organisation: str) -> None:
        self.network.start(f"peer.{organisation}")
        self.network.wait_until_ready()

    def kill_contract(self, organisation: str) -> None:
        self.network.kill(f"chaincode.{organisation}")

    def start_contract(self, organisation: str) -> None:
        self.network.start(f"chaincode.{organisation}")
        self.network.wait_until_ready()

    def orderer_address(self, organisation: str) -> str:
        config = self.network.config
        return config.orderer_address(config.organisation(organisation))

    def identities(self, organisation: str) -> Path:
        return self.network.layout.organisation(organisation).identities

    def close(self) -> None:
        self._opened.close()
        self.network.down()
