"""The configuration of a channel whose blocks a quorum of SmartBFT consenters signs, for ledgers made by tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fabric_protos.common import configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.msp import identities_pb2, msp_config_pb2, msp_principal_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2

from fedledger.identity.msp import Msp

_ROLE = msp_principal_pb2.MSPRole


def channel_config(roots: Mapping[str, bytes], orderers: Mapping[str, bytes]) -> Any:
    """The ``common.Config`` of organisations by their root certificates, with one BFT consenter each."""
    config = configtx_pb2.Config()
    channel = config.channel_group
    channel.mod_policy = "Admins"
    for section in ("Application", "Orderer"):
        group = channel.groups[section]
        group.mod_policy = "Admins"
        for msp, root in roots.items():
            group.groups[msp].CopyFrom(_organisation(msp, root))
        _set_policy(group, "Admins", _meta("MAJORITY", "Admins"))
    _set_policy(channel.groups["Application"], "Endorsement", _meta("MAJORITY", "Endorsement"))
    _set_policy(channel.groups["Application"], "LifecycleEndorsement", _meta("MAJORITY", "Endorsement"))
    _set_policy(channel, "Admins", _meta("MAJORITY", "Admins"))
    orderer = channel.groups["Orderer"]
    _set_value(orderer, "ConsensusType", orderer_pb2.ConsensusType(type="BFT"))
    consenters = [
        configuration_pb2.Consenter(
            id=number,
            msp_id=msp,
            identity=identities_pb2.SerializedIdentity.FromString(orderers[msp]).id_bytes,
        )
        for number, msp in enumerate(roots, start=1)
    ]
    _set_value(orderer, "Orderers", configuration_pb2.Orderers(consenter_mapping=consenters))
    quorum = _out_of(3, [_identity(orderers[msp]) for msp in roots])
    _set_policy(orderer, "BlockValidation", quorum)
    return config


def _organisation(msp: str, root: bytes) -> Any:
    group = configtx_pb2.ConfigGroup(mod_policy="Admins")
    _set_value(group, "MSP", msp_config_pb2.MSPConfig(type=0, config=Msp(msp, (root,)).to_proto()))
    for name, role in (("Endorsement", _ROLE.PEER), ("Admins", _ROLE.ADMIN), ("Writers", _ROLE.MEMBER)):
        _set_policy(group, name, _out_of(1, [_role(msp, role)]))
    return group


def _set_value(group: Any, name: str, message: Any) -> None:
    group.values[name].value = message.SerializeToString()
    group.values[name].mod_policy = "Admins"


def _set_policy(group: Any, name: str, policy: Any) -> None:
    group.policies[name].policy.CopyFrom(policy)
    group.policies[name].mod_policy = "Admins"


def _meta(rule: str, sub_policy: str) -> Any:
    meta = policies_pb2.ImplicitMetaPolicy(sub_policy=sub_policy, rule=policies_pb2.ImplicitMetaPolicy.Rule.Value(rule))
    return policies_pb2.Policy(type=policies_pb2.Policy.IMPLICIT_META, value=meta.SerializeToString())


def _out_of(count: int, principals: Sequence[Any]) -> Any:
    rules = [policies_pb2.SignaturePolicy(signed_by=index) for index in range(len(principals))]
    out_of = policies_pb2.SignaturePolicy.NOutOf(n=count, rules=rules)
    envelope = policies_pb2.SignaturePolicyEnvelope(
        version=0, rule=policies_pb2.SignaturePolicy(n_out_of=out_of), identities=principals
    )
    return policies_pb2.Policy(type=policies_pb2.Policy.SIGNATURE, value=envelope.SerializeToString())


def _role(msp: str, role: int) -> Any:
    return msp_principal_pb2.MSPPrincipal(
        principal_classification=msp_principal_pb2.MSPPrincipal.ROLE,
        principal=msp_principal_pb2.MSPRole(msp_identifier=msp, role=role).SerializeToString(),
    )


def _identity(serialized: bytes) -> Any:
    return msp_principal_pb2.MSPPrincipal(
        principal_classification=msp_principal_pb2.MSPPrincipal.IDENTITY, principal=serialized
    )
