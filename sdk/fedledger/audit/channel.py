"""The channel configuration that an audit trusts: organisations, consenters and policies, from a config block.

Reads a ``common.Config``; refuses what it cannot judge, because a policy that is not understood is not enforced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from fabric_protos.common import configtx_pb2, configuration_pb2
from fabric_protos.msp import msp_config_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_configuration_pb2
from google.protobuf.message import DecodeError

from fedledger.audit.errors import bad_configuration, unsupported_configuration
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import Msp, VerifiedIdentity, parse_serialized_identity, serialize_identity
from fedledger.validation.policies import Policy, group_policy

ROOT = "Channel"
BFT = "BFT"
CAPABILITIES = "Capabilities"
_WITH_ED25519 = "V3_0"
_FABRIC_MSP = 0
"""``msp.MSPConfig.type`` of an X.509 MSP; Idemix is 1."""


@dataclass(frozen=True)
class ChannelConfig:
    """Who is in the channel and whose signatures count, as of one configuration."""

    channel_id: str
    config: Any
    """The ``common.Config`` that this is read from."""
    msps: Mapping[str, Msp]
    members: Mapping[str, str]
    """The application's groups by MSP id."""
    consensus: str
    consenters: Mapping[int, bytes]
    """``msp.SerializedIdentity`` of each orderer by the number that its block signatures carry (BFT only)."""
    block_validation: Policy
    endorsement: Policy
    """``/Channel/Application/Endorsement``."""
    has_no_lifecycle: bool
    """Whether it is a channel of the embedded node: its BFT has no options, without which no Fabric orderer runs."""

    @classmethod
    def from_config(cls, channel_id: str, config: Any) -> ChannelConfig:
        """Read a ``common.Config``; raises ``GenesisError``."""
        group = config.channel_group
        for section in ("Application", "Orderer"):
            if section not in group.groups:
                raise bad_configuration(f"it has no section {section}")
        orderer = group.groups["Orderer"]
        consensus = orderer_configuration_pb2.ConsensusType()
        _value(orderer, "ConsensusType", consensus)
        consenters = _consenters(orderer) if consensus.type == BFT else {}
        msps, members = _msps(group)
        return cls(
            channel_id=channel_id,
            config=config,
            msps=MappingProxyType(msps),
            members=MappingProxyType(members),
            consensus=consensus.type,
            consenters=MappingProxyType(consenters),
            block_validation=_required(group, ("Orderer",), "BlockValidation"),
            endorsement=_required(group, ("Application",), "Endorsement"),
            has_no_lifecycle=consensus.type == BFT and not consensus.metadata,
        )

    def policy(self, path: str) -> Policy:
        """The policy at a path as ``/Channel/Application/Writers``, or from the channel on; raises ``GenesisError``."""
        groups, name = _split(path)
        return _required(self.config.channel_group, groups, name)

    def has_policy(self, path: str) -> bool:
        """Whether there is a policy at a path."""
        groups, name = _split(path)
        group = self.config.channel_group
        for part in groups:
            if part not in group.groups:
                return False
            group = group.groups[part]
        return name in group.policies

    def has_member(self, msp_id: str) -> bool:
        """Whether an organisation is a member of the application."""
        return msp_id in self.members

    def organisation_policy(self, msp_id: str, name: str) -> Policy | None:
        """A policy of an application organisation, by its MSP id; None when there is none."""
        organisation = self.members[msp_id]
        group = self.config.channel_group.groups["Application"].groups[organisation]
        return group_policy(group, name, f"/{ROOT}/Application/{organisation}")

    def identify(self, serialized_identity: bytes) -> VerifiedIdentity:
        """Return who that is, whatever the time; raises ``IdentityError``."""
        msp_id, _ = parse_serialized_identity(serialized_identity)
        msp = self.msps.get(msp_id)
        if msp is None:
            raise IdentityError(
                "WRONG_MSP",
                f"{msp_id or 'No MSP'} is no organisation of channel {self.channel_id}.",
                "Use an identity of an organisation of the channel.",
            )
        return msp.identify(serialized_identity)


def parse_config(serialized: bytes) -> Any:
    """Read the ``common.ConfigEnvelope`` of a config transaction; raises ``GenesisError``."""
    envelope = configtx_pb2.ConfigEnvelope()
    try:
        envelope.ParseFromString(serialized)
    except DecodeError as error:
        raise bad_configuration("the config transaction holds no ConfigEnvelope") from error
    return envelope


def _split(path: str) -> tuple[tuple[str, ...], str]:
    """The groups and the policy's name, as ``common/policies`` of Fabric reads them: one octet ends the root's name."""
    root = f"/{ROOT}"
    if path.startswith("/") and not path.startswith(root):
        return (), ""
    *groups, name = (path[len(root) + 1 :] if path.startswith("/") else path).split("/")
    return tuple(groups), name


def _required(group: Any, path: tuple[str, ...], name: str) -> Policy:
    where = "/" + "/".join((ROOT, *path))
    for part in path:
        if part not in group.groups:
            raise bad_configuration(f"there is no group {where}")
        group = group.groups[part]
    policy = group_policy(group, name, where)
    if policy is None:
        raise bad_configuration(f"there is no policy {where}/{name}")
    return policy


def _msps(channel: Any) -> tuple[dict[str, Msp], dict[str, str]]:
    """MSPs by their ids, and the application's groups by them."""
    capabilities = configuration_pb2.Capabilities()
    if CAPABILITIES in channel.values:
        _value(channel, CAPABILITIES, capabilities)
    found: dict[str, Msp] = {}
    members: dict[str, str] = {}
    for section in ("Orderer", "Application"):
        for name, organisation in sorted(channel.groups[section].groups.items()):
            msp = _msp(name, organisation, _WITH_ED25519 in capabilities.capabilities)
            if found.setdefault(msp.msp_id, msp) != msp:
                raise bad_configuration(f"there are two different definitions of {msp.msp_id}")
            if section == "Application":
                members[msp.msp_id] = name
    return found, members


def _msp(name: str, organisation: Any, ed25519: bool) -> Msp:
    outer = msp_config_pb2.MSPConfig()
    _value(organisation, "MSP", outer)
    if outer.type != _FABRIC_MSP:
        raise unsupported_configuration(f"the MSP of {name} is of type {outer.type}, not X.509")
    try:
        return Msp.from_proto(outer.config, ed25519=ed25519)
    except IdentityError as error:
        raise bad_configuration(f"the MSP of {name} is refused ({error.message})") from error


def _consenters(orderer: Any) -> dict[int, bytes]:
    orderers = configuration_pb2.Orderers()
    _value(orderer, "Orderers", orderers)
    consenters = {entry.id: serialize_identity(entry.msp_id, entry.identity) for entry in orderers.consenter_mapping}
    if len(consenters) != len(orderers.consenter_mapping):
        raise bad_configuration("two consenters have the same number")
    return consenters


def _value(group: Any, name: str, message: Any) -> None:
    if name not in group.values:
        raise bad_configuration(f"the value {name} is missing")
    try:
        message.ParseFromString(group.values[name].value)
    except DecodeError as error:
        raise bad_configuration(f"the value {name} does not parse") from error
