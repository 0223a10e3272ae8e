"""Fabric's policies over verified signers: signature policies and implicit meta policies.

Signatures are not verified here: whoever asks hands in only signers whose certificate and signature hold. Refuses
principals other than roles and identities (hyperledger/fabric, ``common/cauthdsl``, ``common/policies``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from google.protobuf.message import DecodeError

from fedledger.audit.errors import bad_configuration, unsupported_configuration
from fedledger.identity.authority import NodeRole, load_certificate
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import VerifiedIdentity, parse_serialized_identity

_ROLES: dict[int, NodeRole | None] = {
    msp_principal_pb2.MSPRole.MEMBER: None,
    msp_principal_pb2.MSPRole.ADMIN: NodeRole.ADMIN,
    msp_principal_pb2.MSPRole.CLIENT: NodeRole.CLIENT,
    msp_principal_pb2.MSPRole.PEER: NodeRole.PEER,
    msp_principal_pb2.MSPRole.ORDERER: NodeRole.ORDERER,
}
_MAX_DEPTH = 16


class Policy(Protocol):
    """Whether a set of signers is enough."""

    def satisfied_by(self, signers: Sequence[VerifiedIdentity]) -> bool:
        """Tell whether distinct signers, in the order of their signatures, satisfy the policy."""
        ...


@dataclass(frozen=True)
class RolePrincipal:
    """Anyone of an organisation with a role; any role when it is None."""

    msp_id: str
    role: NodeRole | None

    def matches(self, signer: VerifiedIdentity) -> bool:
        return signer.msp_id == self.msp_id and self.role in (None, signer.role)


@dataclass(frozen=True)
class IdentityPrincipal:
    """Exactly one certificate of an organisation."""

    msp_id: str
    certificate: bytes
    """PEM."""

    def matches(self, signer: VerifiedIdentity) -> bool:
        return signer.msp_id == self.msp_id and signer.certificate == load_certificate(self.certificate)


Principal = RolePrincipal | IdentityPrincipal


@dataclass(frozen=True)
class SignedBy:
    """One signer that matches the principal, and that no other branch of the policy has used."""

    principal: Principal

    def take(self, signers: Sequence[VerifiedIdentity], used: frozenset[int]) -> frozenset[int] | None:
        """The used signers after this branch, None when it is not satisfied."""
        for index, signer in enumerate(signers):
            if index not in used and self.principal.matches(signer):
                return used | {index}
        return None


@dataclass(frozen=True)
class OutOf:
    """At least ``count`` of the branches, each with signers of its own."""

    count: int
    branches: tuple[SignedBy | OutOf, ...]

    def take(self, signers: Sequence[VerifiedIdentity], used: frozenset[int]) -> frozenset[int] | None:
        """The used signers after this branch, None when it is not satisfied."""
        satisfied = 0
        for branch in self.branches:
            taken = branch.take(signers, used)
            if taken is not None:
                satisfied += 1
                used = taken
        return used if satisfied >= self.count else None


@dataclass(frozen=True)
class SignaturePolicy:
    """A rule over principals (``common.SignaturePolicyEnvelope``)."""

    rule: SignedBy | OutOf

    def satisfied_by(self, signers: Sequence[VerifiedIdentity]) -> bool:
        return self.rule.take(signers, frozenset()) is not None


@dataclass(frozen=True)
class ImplicitMetaPolicy:
    """At least ``threshold`` of the sub-groups' policies; a sub-group without such a policy is never satisfied."""

    threshold: int
    policies: tuple[Policy, ...]

    def satisfied_by(self, signers: Sequence[VerifiedIdentity]) -> bool:
        return sum(1 for policy in self.policies if policy.satisfied_by(signers)) >= self.threshold


def group_policy(group: Any, name: str, path: str) -> Policy | None:
    """The policy ``name`` of a ``common.ConfigGroup``; None when the group has none. ``path`` names it in errors."""
    if name not in group.policies:
        return None
    policy = group.policies[name].policy
    if policy.type == policies_pb2.Policy.SIGNATURE:
        return signature_policy(policy.value)
    if policy.type == policies_pb2.Policy.IMPLICIT_META:
        return _implicit_meta(group, policy.value, path)
    raise unsupported_configuration(f"policy {path}/{name} is of type {policy.type}")


def signature_policy(serialized: bytes) -> SignaturePolicy:
    """Read a ``common.SignaturePolicyEnvelope``; raises ``GenesisError``."""
    envelope = policies_pb2.SignaturePolicyEnvelope()
    _parse(envelope, serialized)
    if envelope.version != 0:
        raise unsupported_configuration(f"a signature policy has version {envelope.version}")
    principals = tuple(_principal(principal) for principal in envelope.identities)
    return SignaturePolicy(_rule(envelope.rule, principals, 0))


def _implicit_meta(group: Any, serialized: bytes, path: str) -> ImplicitMetaPolicy:
    meta = policies_pb2.ImplicitMetaPolicy()
    _parse(meta, serialized)
    found = [group_policy(group.groups[name], meta.sub_policy, f"{path}/{name}") for name in sorted(group.groups)]
    thresholds = {
        policies_pb2.ImplicitMetaPolicy.ANY: 1,
        policies_pb2.ImplicitMetaPolicy.ALL: len(found),
        policies_pb2.ImplicitMetaPolicy.MAJORITY: len(found) // 2 + 1,
    }
    if not found:
        raise bad_configuration(f"the policy {meta.sub_policy} of {path} has no group below it")
    return ImplicitMetaPolicy(thresholds[meta.rule], tuple(policy for policy in found if policy is not None))


def _rule(rule: Any, principals: Sequence[Principal], depth: int) -> SignedBy | OutOf:
    if depth > _MAX_DEPTH:
        raise unsupported_configuration(f"a signature policy is nested over {_MAX_DEPTH} deep")
    kind = rule.WhichOneof("Type")
    if kind == "signed_by":
        if not 0 <= rule.signed_by < len(principals):
            raise bad_configuration("a signature policy names a principal that it does not have")
        return SignedBy(principals[rule.signed_by])
    if kind == "n_out_of":
        branches = tuple(_rule(branch, principals, depth + 1) for branch in rule.n_out_of.rules)
        return OutOf(rule.n_out_of.n, branches)
    raise bad_configuration("a signature policy has an empty rule")


def _principal(principal: Any) -> Principal:
    kind = principal.principal_classification
    if kind == msp_principal_pb2.MSPPrincipal.ROLE:
        role = msp_principal_pb2.MSPRole()
        _parse(role, principal.principal)
        return RolePrincipal(role.msp_identifier, _ROLES[role.role])
    if kind == msp_principal_pb2.MSPPrincipal.IDENTITY:
        try:
            msp_id, certificate = parse_serialized_identity(principal.principal)
            load_certificate(certificate)
        except IdentityError as error:
            raise bad_configuration(f"a policy names an identity that cannot be read ({error.message})") from error
        return IdentityPrincipal(msp_id, certificate)
    name = msp_principal_pb2.MSPPrincipal.Classification.Name(kind)
    raise unsupported_configuration(f"a policy has a principal of kind {name}")


def _parse(message: Any, serialized: bytes) -> None:
    try:
        message.ParseFromString(serialized)
    except DecodeError as error:
        raise bad_configuration(f"a {message.DESCRIPTOR.name} does not parse") from error
