"""A network of either engine with any number of participants, who sign and submit from this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import machine

from fedledger.gateway import (
    CommitError,
    EndorseError,
    Gateway,
    Identity,
    connect,
    new_private_key_signer,
    open_channel,
)
from fedledger.identity.authority import NodeRole
from fedledger.identity.keys import PrivateKey
from fedledger.identity.msp import serialize_identity
from fedledger.identity.profile import load_profile
from fedledger.identity.wallet import Credentials
from fedledger_chaincode.messages.base import Value
from fedledger_chaincode.submitter import Submitter
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.organisation import ROLE_ATTRIBUTE, authority_folder
from fedledger_network.consortium import Consortium, Organisation
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.fabric import FabricNetwork
from fedledger_network.fabric.processes import listening_ports


@dataclass(frozen=True)
class Member:
    """Somebody who submits: over the connection to the peer of its organisation."""

    msp: str
    key: PrivateKey
    gateway: Gateway
    pseudonym: str

    def submit(self, function: str, *arguments: Value | str | int) -> bytes:
        contract = self.gateway.get_network("fedledger").get_contract("fedledger")
        encoded = [each.canonical() if isinstance(each, Value) else str(each) for each in arguments]
        for attempt in range(10):
            try:
                return contract.submit_transaction(function, *encoded)
            except (CommitError, EndorseError) as error:
                # A peer that is a block behind refuses what the next one allows.
                if attempt == 9 or (isinstance(error, EndorseError) and error.code == "NOT_A_PARTY"):
                    raise
                time.sleep(0.05 * (attempt + 1))
        raise AssertionError("unreachable")


@dataclass
class Engine:
    """A network under load, with members of every organisation."""

    name: str
    profiles: Path
    authorities: Mapping[str, Path]
    """By organisation: the folder of its development CA."""
    pids: Callable[[], dict[str, int]]
    members: dict[tuple[str, str], list[Member]] = field(default_factory=dict)
    """By MSP id and role."""

    def connect(self, stack: ExitStack, consortium: Consortium, participants: int) -> None:
        """Connect governor, validator and ``participants`` participants of every organisation."""
        for organisation in consortium.organisations:
            profile = load_profile(self.profiles, f"{organisation.name}-governor")
            roots = profile.tls_roots.read_bytes() if profile.tls_roots else None
            channel = open_channel(profile.gateway, roots)
            stack.callback(channel.close)
            for role in ("governor", "validator"):
                credentials = load_profile(self.profiles, f"{organisation.name}-{role}").credentials()
                self.members[organisation.msp_id, role] = [_member(organisation, credentials, channel)]
            self.members[organisation.msp_id, "participant"] = [
                _member(organisation, credentials, channel)
                for credentials in _participants(self.authorities[organisation.name], organisation, participants)
            ]

    def of(self, role: str) -> dict[str, Member]:
        """The first member with that role of every organisation."""
        return {msp: members[0] for (msp, each), members in self.members.items() if each == role}

    def participants(self) -> list[Member]:
        """All of them."""
        return [member for (_, role), members in self.members.items() if role == "participant" for member in members]


def _member(organisation: Organisation, credentials: Credentials, channel: grpc.Channel) -> Member:
    pem = credentials.certificate_pem
    return Member(
        organisation.msp_id,
        credentials.key,
        connect(Identity(organisation.msp_id, pem), new_private_key_signer(credentials.key), channel),
        Submitter.from_creator(serialize_identity(organisation.msp_id, pem)).pseudonym,
    )


def _participants(folder: Path, organisation: Organisation, count: int) -> list[Credentials]:
    authority = DevelopmentAuthority.open(authority_folder(folder), organisation.msp_id)
    try:
        return [
            authority.issue_identity(f"load-{number}", NodeRole.CLIENT, {ROLE_ATTRIBUTE: "participant"})
            for number in range(count)
        ]
    finally:
        authority.close()


@contextmanager
def on_fabric(network: FabricNetwork, participants: int) -> Iterator[Engine]:
    """A Fabric network that is up."""
    members = network.config.consortium.organisations
    engine = Engine(
        "fabric",
        network.layout.profiles,
        {each.name: network.layout.organisation(each.name).identities for each in members},
        lambda: {each.name: each.pid for each in network.status() if each.pid is not None},
    )
    with ExitStack() as stack:
        engine.connect(stack, network.config.consortium, participants)
        yield engine


@contextmanager
def on_embedded(consortium: Consortium, folder: Path, participants: int) -> Iterator[Engine]:
    """An embedded node, brought up for the while."""
    network = NetworkFolder.create(folder, consortium)
    process = running.launch(network, attached=True)
    engine = Engine(
        "embedded",
        network.profiles,
        {each.name: network.organisation(each) for each in consortium.organisations},
        lambda: {"node": process.pid} | {f"chaincode.{pid}": pid for pid in machine.descendants(process.pid)},
    )
    try:
        with ExitStack() as stack:
            engine.connect(stack, consortium, participants)
            yield engine
    finally:
        running.stop(network)
        process.stop()


def free_ports() -> int:
    """The first of a hundred ports on which nothing listens."""
    taken = listening_ports()
    return next(first for first in range(20_000, 32_000, 100) if not taken & set(range(first, first + 100)))
