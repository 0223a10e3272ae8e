"""The channel's first block: a Fabric configuration block, and the only thing that an auditor has to trust.

One application and one orderer organisation per member; SmartBFT consenters, of which a quorum signs each block.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.msp import msp_config_pb2, msp_principal_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2

from fedledger.gateway.blocks import data_hash, transaction_id_of
from fedledger.identity.msp import Msp, serialize_identity
from fedledger_network.ca.organisation import OrganisationIdentities
from fedledger_network.consortium import Consortium

_ROLE = msp_principal_pb2.MSPRole
_META = policies_pb2.ImplicitMetaPolicy
_NONCE_BYTES = 24


def genesis_block(consortium: Consortium, identities: Sequence[OrganisationIdentities], seconds: int) -> bytes:
    """The ``common.Block`` number 0; ``seconds`` since the epoch are its time."""
    config = configtx_pb2.Config(channel_group=_channel_group(consortium, identities))
    envelope = configtx_pb2.ConfigEnvelope(config=config)
    return config_block(0, b"", consortium.channel, envelope, seconds, b"", os.urandom(_NONCE_BYTES))


def config_block(
    number: int, previous_hash: bytes, channel: str, config: Any, seconds: int, creator: bytes, nonce: bytes
) -> bytes:
    """An unsigned block with a ``ConfigEnvelope`` as its one transaction."""
    header = common_pb2.ChannelHeader(
        type=common_pb2.CONFIG, version=1, channel_id=channel, tx_id=transaction_id_of(nonce, creator)
    )
    header.timestamp.seconds = seconds
    payload = common_pb2.Payload(data=config.SerializeToString(deterministic=True))
    payload.header.channel_header = header.SerializeToString()
    payload.header.signature_header = common_pb2.SignatureHeader(creator=creator, nonce=nonce).SerializeToString()
    envelope = common_pb2.Envelope(payload=payload.SerializeToString())
    block = common_pb2.Block()
    block.header.number = number
    block.header.previous_hash = previous_hash
    block.data.data.append(envelope.SerializeToString())
    block.header.data_hash = data_hash(block.data)
    signed = common_pb2.OrdererBlockMetadata(last_config=common_pb2.LastConfig(index=number))
    metadata = common_pb2.Metadata(value=signed.SerializeToString())
    block.metadata.metadata.extend([metadata.SerializeToString(), b"", b"\x00", b"", b""])
    return bytes(block.SerializeToString(deterministic=True))


def _channel_group(consortium: Consortium, identities: Sequence[OrganisationIdentities]) -> Any:
    root = configtx_pb2.ConfigGroup(mod_policy="Admins")
    for name in ("Readers", "Writers"):
        _set_policy(root, name, _meta(_META.ANY, name))
    _set_policy(root, "Admins", _meta(_META.MAJORITY, "Admins"))
    _set_value(root, "Capabilities", _capabilities("V3_0"))
    _set_value(root, "HashingAlgorithm", configuration_pb2.HashingAlgorithm(name="SHA256"))
    _set_value(root, "BlockDataHashingStructure", configuration_pb2.BlockDataHashingStructure(width=(1 << 32) - 1))
    _application(root.groups["Application"], consortium, identities)
    _orderer(root.groups["Orderer"], consortium, identities)
    return root


def _application(group: Any, consortium: Consortium, identities: Sequence[OrganisationIdentities]) -> None:
    group.mod_policy = "Admins"
    for name in ("Readers", "Writers"):
        _set_policy(group, name, _meta(_META.ANY, name))
    _set_policy(group, "Admins", _meta(_META.MAJORITY, "Admins"))
    peers = [_role(organisation.msp_id, _ROLE.PEER) for organisation in identities]
    _set_policy(group, "Endorsement", _out_of(consortium.quorum, peers))
    _set_policy(group, "LifecycleEndorsement", _out_of(consortium.quorum, peers))
    _set_value(group, "Capabilities", _capabilities("V2_5"))
    for organisation in identities:
        group.groups[organisation.msp_id].CopyFrom(_organisation(organisation.msp))


def _orderer(group: Any, consortium: Consortium, identities: Sequence[OrganisationIdentities]) -> None:
    group.mod_policy = "Admins"
    for name in ("Readers", "Writers"):
        _set_policy(group, name, _meta(_META.ANY, name))
    _set_policy(group, "Admins", _meta(_META.MAJORITY, "Admins"))
    orderers = [
        _identity(organisation.msp_id, organisation.orderer.load().certificate_pem) for organisation in identities
    ]
    _set_policy(group, "BlockValidation", _out_of(consortium.quorum, orderers))
    _set_value(group, "Capabilities", _capabilities("V2_0"))
    _set_value(group, "ConsensusType", orderer_pb2.ConsensusType(type="BFT"))
    _set_value(
        group,
        "BatchSize",
        orderer_pb2.BatchSize(
            max_message_count=consortium.blocks.most_transactions,
            absolute_max_bytes=consortium.blocks.most_bytes,
            preferred_max_bytes=consortium.blocks.most_bytes,
        ),
    )
    _set_value(group, "BatchTimeout", orderer_pb2.BatchTimeout(timeout=f"{consortium.blocks.milliseconds}ms"))
    consenters = [
        configuration_pb2.Consenter(
            id=number, msp_id=organisation.msp_id, identity=organisation.orderer.load().certificate_pem
        )
        for number, organisation in enumerate(identities, start=1)
    ]
    _set_value(group, "Orderers", configuration_pb2.Orderers(consenter_mapping=consenters))
    for organisation in identities:
        group.groups[organisation.msp_id].CopyFrom(_organisation(organisation.msp))


def _organisation(msp: Msp) -> Any:
    group = configtx_pb2.ConfigGroup(mod_policy="Admins")
    _set_value(group, "MSP", msp_config_pb2.MSPConfig(type=0, config=msp.to_proto()))
    for name, role in (
        ("Readers", _ROLE.MEMBER),
        ("Writers", _ROLE.MEMBER),
        ("Admins", _ROLE.ADMIN),
        ("Endorsement", _ROLE.PEER),
    ):
        _set_policy(group, name, _out_of(1, [_role(msp.msp_id, role)]))
    return group


def _capabilities(name: str) -> Any:
    capabilities = configuration_pb2.Capabilities()
    capabilities.capabilities[name].SetInParent()
    return capabilities


def _set_value(group: Any, name: str, message: Any) -> None:
    group.values[name].CopyFrom(
        configtx_pb2.ConfigValue(value=message.SerializeToString(deterministic=True), mod_policy="Admins")
    )


def _set_policy(group: Any, name: str, policy: Any) -> None:
    group.policies[name].CopyFrom(configtx_pb2.ConfigPolicy(policy=policy, mod_policy="Admins"))


def _meta(rule: int, sub_policy: str) -> Any:
    value = policies_pb2.ImplicitMetaPolicy(rule=rule, sub_policy=sub_policy).SerializeToString()
    return policies_pb2.Policy(type=policies_pb2.Policy.IMPLICIT_META, value=value)


def _out_of(count: int, principals: Sequence[Any]) -> Any:
    envelope = policies_pb2.SignaturePolicyEnvelope(version=0, identities=principals)
    envelope.rule.n_out_of.n = count
    for index in range(len(principals)):
        envelope.rule.n_out_of.rules.add(signed_by=index)
    value = envelope.SerializeToString(deterministic=True)
    return policies_pb2.Policy(type=policies_pb2.Policy.SIGNATURE, value=value)


def _role(msp_id: str, role: int) -> Any:
    return msp_principal_pb2.MSPPrincipal(
        principal_classification=msp_principal_pb2.MSPPrincipal.ROLE,
        principal=_ROLE(msp_identifier=msp_id, role=role).SerializeToString(),
    )


def _identity(msp_id: str, certificate: bytes) -> Any:
    return msp_principal_pb2.MSPPrincipal(
        principal_classification=msp_principal_pb2.MSPPrincipal.IDENTITY,
        principal=serialize_identity(msp_id, certificate),
    )
