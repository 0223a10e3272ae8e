"""The network on which tasks are played: four organisations on one embedded ledger, with everybody's connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedledger.gateway import Gateway, Network
from fedledger.identity.profile import Profile, load_profile
from fedledger.ledger import TaskLedger
from fedledger_network.consortium import Consortium
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode

ORGANISATIONS = ("cleveland", "hungary", "long_beach", "switzerland")
ROLES = ("governor", "participant", "validator", "auditor")


@dataclass(frozen=True)
class Member:
    """One certificate and its connection."""

    profile: Profile
    gateway: Gateway
    network: Network
    ledger: TaskLedger


@dataclass(frozen=True)
class Ground:
    """A running network."""

    folder: Path
    names: dict[str, str]
    """MSP id by organisation."""
    members: dict[tuple[str, str], Member]
    """By organisation and role."""

    def member(self, organisation: str, role: str) -> Member:
        return self.members[organisation, role]


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """The network in a new folder, for as long as the context lasts."""
    consortium = Consortium.of_names(*ORGANISATIONS)
    network = NetworkFolder.create(folder, consortium)
    with EmbeddedNode(network), ExitStack() as connections:
        members = {}
        for organisation in ORGANISATIONS:
            for role in ROLES:
                profile = load_profile(network.profiles, f"{organisation}-{role}")
                gateway = connections.enter_context(profile.connect())
                channel = gateway.get_network(profile.channel)
                ledger = TaskLedger(channel, profile.chaincode)
                members[organisation, role] = Member(profile, gateway, channel, ledger)
        yield Ground(folder, {each.name: each.msp_id for each in consortium.organisations}, members)
