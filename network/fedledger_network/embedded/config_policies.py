"""Whether those who signed an update satisfy a policy of the channel's configuration.

Evaluates signature policies and implicit meta policies; a policy of another kind is satisfied by nobody
(hyperledger/fabric, ``common/cauthdsl``, ``common/policies``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2

from fedledger.identity.authority import NodeRole
from fedledger.identity.msp import VerifiedIdentity, parse_serialized_identity

_ROLES = {
    msp_principal_pb2.MSPRole.ADMIN: NodeRole.ADMIN,
    msp_principal_pb2.MSPRole.CLIENT: NodeRole.CLIENT,
    msp_principal_pb2.MSPRole.PEER: NodeRole.PEER,
    msp_principal_pb2.MSPRole.ORDERER: NodeRole.ORDERER,
}
ROOT = "Channel"


def is_satisfied(root: Any, path: str, signers: Sequence[VerifiedIdentity]) -> bool:
    """Whether distinct ``signers`` satisfy the policy at an absolute path as ``/Channel/Application/Admins``.

    ``root`` is the channel's ``common.ConfigGroup``. A policy that is not there is satisfied by nobody.
    """
    first, *groups, name = path.strip("/").split("/")
    group = root
    for part in groups:
        if part not in group.groups:
            return False
        group = group.groups[part]
    return first == ROOT and _holds(group, name, signers)


def _holds(group: Any, name: str, signers: Sequence[VerifiedIdentity]) -> bool:
    if name not in group.policies:
        return False
    policy = group.policies[name].policy
    if policy.type == policies_pb2.Policy.SIGNATURE:
        envelope = policies_pb2.SignaturePolicyEnvelope.FromString(policy.value)
        return _taken(envelope.rule, envelope.identities, signers, frozenset()) is not None
    if policy.type != policies_pb2.Policy.IMPLICIT_META:
        return False
    meta = policies_pb2.ImplicitMetaPolicy.FromString(policy.value)
    satisfied = sum(1 for child in group.groups.values() if _holds(child, meta.sub_policy, signers))
    wanted = {
        policies_pb2.ImplicitMetaPolicy.ANY: 1,
        policies_pb2.ImplicitMetaPolicy.ALL: len(group.groups),
        policies_pb2.ImplicitMetaPolicy.MAJORITY: len(group.groups) // 2 + 1,
    }
    return satisfied >= max(1, wanted[meta.rule])


def _taken(
    rule: Any, principals: Sequence[Any], signers: Sequence[VerifiedIdentity], used: frozenset[int]
) -> frozenset[int] | None:
    """The signers used up by a rule, each by one branch only; None when the rule is not satisfied."""
    kind = rule.WhichOneof("Type")
    if kind == "signed_by" and 0 <= rule.signed_by < len(principals):
        for index, signer in enumerate(signers):
            if index not in used and _is(signer, principals[rule.signed_by]):
                return used | {index}
        return None
    if kind != "n_out_of":
        return None
    satisfied = 0
    for branch in rule.n_out_of.rules:
        taken = _taken(branch, principals, signers, used)
        if taken is not None:
            satisfied, used = satisfied + 1, taken
    return used if satisfied >= rule.n_out_of.n else None


def _is(signer: VerifiedIdentity, principal: Any) -> bool:
    if principal.principal_classification == msp_principal_pb2.MSPPrincipal.ROLE:
        role = msp_principal_pb2.MSPRole.FromString(principal.principal)
        if role.msp_identifier != signer.msp_id:
            return False
        return role.role == msp_principal_pb2.MSPRole.MEMBER or _ROLES.get(role.role) in signer.roles
    if principal.principal_classification == msp_principal_pb2.MSPPrincipal.IDENTITY:
        msp_id, certificate = parse_serialized_identity(principal.principal)
        return msp_id == signer.msp_id and signer.has_certificate(certificate)
    return False
