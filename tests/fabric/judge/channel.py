"""Channel configurations and blocks made by tests, as a real peer reads them: any MSPs, any policies, one orderer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.msp import msp_config_pb2, msp_principal_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2

from fedledger.gateway.blocks import data_hash, header_hash, parse_block, signed_block_bytes
from fedledger.identity.keys import PrivateKey, sign

Role = msp_principal_pb2.MSPRole
Meta = policies_pb2.ImplicitMetaPolicy


@dataclass(frozen=True)
class Signer:
    """Whoever signs: its ``msp.SerializedIdentity`` and its key."""

    identity: bytes
    key: PrivateKey

    def sign(self, message: bytes) -> bytes:
        return sign(self.key, message)


@dataclass(frozen=True)
class Channel:
    """What a channel's first block says; MSPs are serialized ``msp.FabricMSPConfig`` by MSP id."""

    name: str
    members: Mapping[str, bytes]
    orderer_msp: str
    orderer_definition: bytes
    orderer_address: str
    endorsement: Any = None
    """The ``common.Policy`` of ``/Channel/Application/Endorsement``; None for a majority of the members' peers."""
    values: Mapping[str, Any] = field(default_factory=dict)

    def genesis(self, seconds: int) -> bytes:
        """Block 0."""
        config = configtx_pb2.ConfigEnvelope(config=configtx_pb2.Config(channel_group=self._group()))
        return config_block(self.name, config, seconds)

    def _group(self) -> Any:
        root = configtx_pb2.ConfigGroup(mod_policy="Admins")
        _policies(root, {"Readers": meta(Meta.ANY, "Readers"), "Writers": meta(Meta.ANY, "Writers")})
        _policies(root, {"Admins": meta(Meta.MAJORITY, "Admins")})
        _value(root, "Capabilities", _capabilities("V3_0"))
        _value(root, "HashingAlgorithm", configuration_pb2.HashingAlgorithm(name="SHA256"))
        _value(root, "BlockDataHashingStructure", configuration_pb2.BlockDataHashingStructure(width=(1 << 32) - 1))
        self._application(root.groups["Application"])
        self._orderer(root.groups["Orderer"])
        return root

    def _application(self, group: Any) -> None:
        group.mod_policy = "Admins"
        majority = meta(Meta.MAJORITY, "Endorsement")
        _policies(
            group,
            {
                "Readers": meta(Meta.ANY, "Readers"),
                "Writers": meta(Meta.ANY, "Writers"),
                "Admins": meta(Meta.MAJORITY, "Admins"),
                "Endorsement": self.endorsement or majority,
                "LifecycleEndorsement": self.endorsement or majority,
            },
        )
        _value(group, "Capabilities", _capabilities("V2_5"))
        for msp_id, definition in self.members.items():
            group.groups[msp_id].CopyFrom(organisation(msp_id, definition))

    def _orderer(self, group: Any) -> None:
        group.mod_policy = "Admins"
        _policies(
            group,
            {
                "Readers": meta(Meta.ANY, "Readers"),
                "Writers": meta(Meta.ANY, "Writers"),
                "Admins": meta(Meta.MAJORITY, "Admins"),
                "BlockValidation": meta(Meta.ANY, "Writers"),
            },
        )
        _value(group, "Capabilities", _capabilities("V2_0"))
        _value(group, "ConsensusType", orderer_pb2.ConsensusType(type="etcdraft"))
        size = orderer_pb2.BatchSize(max_message_count=500, absolute_max_bytes=64 << 20, preferred_max_bytes=2 << 20)
        _value(group, "BatchSize", size)
        _value(group, "BatchTimeout", orderer_pb2.BatchTimeout(timeout="1s"))
        own = organisation(self.orderer_msp, self.orderer_definition)
        _value(own, "Endpoints", configuration_pb2.OrdererAddresses(addresses=[self.orderer_address]))
        group.groups[self.orderer_msp].CopyFrom(own)


def organisation(msp_id: str, definition: bytes) -> Any:
    """A member's group: its MSP and the policies that name its roles."""
    group = configtx_pb2.ConfigGroup(mod_policy="Admins")
    _value(group, "MSP", msp_config_pb2.MSPConfig(type=0, config=definition))
    roles = {"Readers": Role.MEMBER, "Writers": Role.MEMBER, "Admins": Role.ADMIN, "Endorsement": Role.PEER}
    _policies(group, {name: out_of(1, [role(msp_id, kind)]) for name, kind in roles.items()})
    return group


def config_block(channel: str, envelope: Any, seconds: int, number: int = 0, previous: bytes = b"") -> bytes:
    """A block with one ``ConfigEnvelope``, unsigned."""
    header = common_pb2.ChannelHeader(type=common_pb2.CONFIG, channel_id=channel)
    header.timestamp.seconds = seconds
    payload = common_pb2.Payload(data=envelope.SerializeToString(deterministic=True))
    payload.header.channel_header = header.SerializeToString()
    payload.header.signature_header = common_pb2.SignatureHeader(nonce=b"first").SerializeToString()
    block = common_pb2.Block(header=common_pb2.BlockHeader(number=number, previous_hash=previous))
    block.data.data.append(common_pb2.Envelope(payload=payload.SerializeToString()).SerializeToString())
    block.header.data_hash = data_hash(block.data)
    last = common_pb2.OrdererBlockMetadata(last_config=common_pb2.LastConfig(index=number)).SerializeToString()
    first = common_pb2.Metadata(value=last).SerializeToString()
    block.metadata.metadata.extend([first, b"", b"\x00", b"", b""])
    return bytes(block.SerializeToString(deterministic=True))


def next_block(previous: bytes, envelopes: Iterable[bytes], orderer: Signer, last_config: int = 0) -> bytes:
    """The block with ``envelopes`` behind another one, as an orderer hands it out: signed, not validated."""
    before = parse_block(previous).header
    block = common_pb2.Block(header=common_pb2.BlockHeader(number=before.number + 1, previous_hash=header_hash(before)))
    block.data.data.extend(envelopes)
    block.header.data_hash = data_hash(block.data)
    value = common_pb2.OrdererBlockMetadata(last_config=common_pb2.LastConfig(index=last_config)).SerializeToString()
    header = common_pb2.SignatureHeader(creator=orderer.identity, nonce=os.urandom(24)).SerializeToString()
    metadata = common_pb2.Metadata(value=value)
    metadata.signatures.add(
        signature_header=header, signature=orderer.sign(signed_block_bytes(value, header, block.header))
    )
    block.metadata.metadata.extend([metadata.SerializeToString(), b"", b"", b"", b""])
    return bytes(block.SerializeToString(deterministic=True))


def meta(rule: int, name: str) -> Any:
    """An implicit meta policy."""
    value = Meta(rule=rule, sub_policy=name).SerializeToString()
    return policies_pb2.Policy(type=policies_pb2.Policy.IMPLICIT_META, value=value)


def out_of(count: int, principals: Sequence[Any]) -> Any:
    """A signature policy: so many of the principals."""
    return policies_pb2.Policy(
        type=policies_pb2.Policy.SIGNATURE, value=rule_out_of(count, principals).SerializeToString(deterministic=True)
    )


def rule_out_of(count: int, principals: Sequence[Any]) -> Any:
    """The same as a ``common.SignaturePolicyEnvelope``."""
    envelope = policies_pb2.SignaturePolicyEnvelope(version=0, identities=principals)
    envelope.rule.n_out_of.n = count
    for index in range(len(principals)):
        envelope.rule.n_out_of.rules.add(signed_by=index)
    return envelope


def role(msp_id: str, kind: int) -> Any:
    """Anyone of an organisation with a role."""
    return msp_principal_pb2.MSPPrincipal(
        principal_classification=msp_principal_pb2.MSPPrincipal.ROLE,
        principal=Role(msp_identifier=msp_id, role=kind).SerializeToString(),
    )


def _capabilities(name: str) -> Any:
    capabilities = configuration_pb2.Capabilities()
    capabilities.capabilities[name].SetInParent()
    return capabilities


def _value(group: Any, name: str, message: Any) -> None:
    content = message.SerializeToString(deterministic=True)
    group.values[name].CopyFrom(configtx_pb2.ConfigValue(value=content, mod_policy="Admins"))


def _policies(group: Any, policies: Mapping[str, Any]) -> None:
    for name, policy in policies.items():
        group.policies[name].CopyFrom(configtx_pb2.ConfigPolicy(policy=policy, mod_policy="Admins"))
