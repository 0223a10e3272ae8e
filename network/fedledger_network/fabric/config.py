"""What a consortium on Fabric adds to its file: hosts, ports, and how the orderers agree.

Refuses keys that it does not know, and ports that meet each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, get_args

import yaml

from fedledger.errors import BadInputError
from fedledger_chaincode.contract import VERSION as CONTRACT_VERSION
from fedledger_network.consortium import FEWEST_ORGANISATIONS, Consortium, Organisation

PORTS_PER_ORGANISATION = 10
FIRST_PORT = 7050
LOOPBACK = "127.0.0.1"
Certificates = Literal["development", "fabric-ca"]
_CHAINCODE_VERSION = re.compile(r"[A-Za-z0-9]+([._+-][A-Za-z0-9]+)*")


@dataclass(frozen=True)
class Ports:
    """An organisation's ports: ten in a row, of which the peer's and the orderer's are for other organisations."""

    peer: int
    peer_chaincode: int
    peer_operations: int
    chaincode_a: int
    chaincode_b: int
    """Two versions of the contract run side by side during an upgrade."""
    orderer: int
    orderer_admin: int
    orderer_operations: int
    authority: int
    authority_operations: int

    @classmethod
    def starting_at(cls, first: int) -> Ports:
        """The ports from ``first`` on, in the order of the fields."""
        return cls(*range(first, first + len(fields(cls))))


@dataclass(frozen=True)
class Ordering:
    """SmartBFT's times; the defaults suit one machine or one site.

    Sources of the meaning: SmartBFT's ``pkg/types/config.go`` and Fabric's sample ``configtx.yaml``.
    """

    batch_milliseconds: int = 100
    """How long the leader waits for further transactions before it proposes a block."""
    forward_seconds: int = 1
    """After how long a follower passes a waiting request on to the leader."""
    complain_seconds: int = 3
    """After how long more it complains about the leader."""
    heartbeat_seconds: int = 3
    """After how long without a heartbeat the leader is given up."""
    view_change_seconds: int = 5
    """How long a change of leader may take before the next is tried."""
    pool: int = 10_000
    """Requests that may wait at one orderer."""


@dataclass(frozen=True)
class FabricConfig:
    """A consortium that runs on Fabric."""

    consortium: Consortium
    first_port: int = FIRST_PORT
    """The first organisation's ports start here, the next one's ten higher."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """By organisation: the name or address under which others reach its peer and orderer; else this machine alone."""
    ordering: Ordering = Ordering()
    certificates: Certificates = "development"
    """Who issues them: a CA in plain files, or Fabric CA, a server of each organisation."""
    chaincode_version: str = CONTRACT_VERSION
    """Version of the contract's definition; a new one is an upgrade, approved by every organisation."""
    places: Mapping[str, int] = field(default_factory=dict)
    """By organisation: its place from 0 on, which gives its ports and its orderer's number, where that is not the one
    in the list. Those who stay keep theirs when somebody leaves."""

    def __post_init__(self) -> None:
        names = {organisation.name for organisation in self.consortium.organisations}
        strangers = (set(self.hosts) | set(self.places)) - names
        if strangers:
            raise _refusal(f"hosts or places name {', '.join(sorted(strangers))}, no member", "Name members only.")
        places = [self.place(organisation) for organisation in self.consortium.organisations]
        if any(type(place) is not int or place < 0 for place in places) or len(set(places)) < len(places):
            raise _refusal("two organisations have one place, or one that is none", "Give each its own, from 0 on.")
        last = self.first_port + PORTS_PER_ORGANISATION * (max(places) + 1)
        if self.first_port < 1 or last > 65536:
            raise _refusal(f"its ports would be {self.first_port} to {last - 1}", "Choose another first_port.")
        if not _CHAINCODE_VERSION.fullmatch(self.chaincode_version):
            raise _refusal(f"{self.chaincode_version!r} is no version", "Write something like 1.0.")
        if self.certificates not in get_args(Certificates):
            raise _refusal(
                f"{self.certificates!r} issues no certificates", f"Write {' or '.join(get_args(Certificates))}."
            )
        if min(asdict(self.ordering).values()) < 1:
            raise _refusal("a time of its ordering is not positive", "Give whole numbers from 1 on.")

    def place(self, organisation: Organisation) -> int:
        """The organisation's place, from 0 on."""
        return self.places.get(organisation.name, self.consortium.organisations.index(organisation))

    def ports(self, organisation: Organisation) -> Ports:
        """The organisation's ports, by its place."""
        return Ports.starting_at(self.first_port + PORTS_PER_ORGANISATION * self.place(organisation))

    def has_members_of(self, other: FabricConfig) -> bool:
        """Tell whether both name the same organisations, in the same places."""
        return self._places() == other._places()

    def with_member(self, member: Organisation) -> FabricConfig:
        """The consortium with one more member, in the place behind all others; raises ``ALREADY_MEMBER``."""
        if any(member.name == each.name or member.msp_id == each.msp_id for each in self.consortium.organisations):
            raise already_member(member)
        places = self._places()
        return self._of(places | {member: 1 + max(places.values())}, (*places, member))

    def without_member(self, member: Organisation) -> FabricConfig:
        """The consortium without that member; raises ``TOO_FEW_ORGANISATIONS``."""
        staying = tuple(each for each in self.consortium.organisations if each != member)
        if len(staying) < FEWEST_ORGANISATIONS:
            raise BadInputError(
                "TOO_FEW_ORGANISATIONS",
                f"Without {member.name} {len(staying)} organisations would be left; {FEWEST_ORGANISATIONS} are the "
                "fewest of which one may be faulty.",
                "Add another organisation first.",
            )
        return self._of(self._places(), staying)

    def _places(self) -> dict[Organisation, int]:
        return {each: self.place(each) for each in self.consortium.organisations}

    def _of(self, places: Mapping[Organisation, int], members: tuple[Organisation, ...]) -> FabricConfig:
        moved = {each.name: places[each] for position, each in enumerate(members) if places[each] != position}
        return replace(
            self,
            consortium=replace(self.consortium, organisations=members),
            places=moved,
            hosts={name: host for name, host in self.hosts.items() if name in {each.name for each in members}},
        )

    def host(self, organisation: Organisation) -> str:
        """Where others reach the organisation's peer and orderer."""
        return self.hosts.get(organisation.name, LOOPBACK)

    def peer_address(self, organisation: Organisation) -> str:
        """``host:port`` of the organisation's peer."""
        return f"{self.host(organisation)}:{self.ports(organisation).peer}"

    def orderer_address(self, organisation: Organisation) -> str:
        """``host:port`` of the organisation's orderer."""
        return f"{self.host(organisation)}:{self.ports(organisation).orderer}"

    def organisation(self, name: str) -> Organisation:
        """The member of that name; raises ``CONSORTIUM``."""
        for organisation in self.consortium.organisations:
            if organisation.name == name:
                return organisation
        known = ", ".join(organisation.name for organisation in self.consortium.organisations)
        raise _refusal(f"{name!r} is no member", f"Choose one of: {known}.")

    def to_yaml(self) -> str:
        """The consortium's file with its ``fabric`` part."""
        own = {key: value for key, value in asdict(self).items() if key != "consortium"}
        return self.consortium.to_yaml() + yaml.safe_dump({"fabric": own}, sort_keys=False)

    @classmethod
    def load(cls, path: Path) -> FabricConfig:
        """Read a consortium's file; without a ``fabric`` part all its settings have their defaults.

        Raises:
            BadInputError: ``CONSORTIUM``, the file cannot be read or is none.
        """
        try:
            document = yaml.safe_load(path.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise _refusal(f"{path} cannot be read: {error}", "Name a consortium's YAML file.") from error
        if not isinstance(document, dict):
            raise _refusal(f"{path} is no mapping", "Name a consortium's YAML file.")
        try:
            own = dict(document.pop("fabric", {}))
            if "ordering" in own:
                own["ordering"] = Ordering(**own["ordering"])
            return cls(consortium=Consortium.of_document(document, path), **own)
        except (KeyError, TypeError, ValueError) as error:
            raise _refusal(f"{path} does not fit: {error}", "Correct that key.") from error


def already_member(member: Organisation) -> BadInputError:
    """The error of who would be added and is there."""
    return BadInputError(
        "ALREADY_MEMBER",
        f"{member.name} or {member.msp_id} is a member already.",
        "Name one that is not, and give it its own MSP id.",
    )


def _refusal(reason: str, remedy: str) -> BadInputError:
    return BadInputError("CONSORTIUM", f"The consortium cannot be used on Fabric: {reason}.", remedy)
