"""Fabric's policies over verified signers: signature policies and implicit meta policies.

Signatures are not verified here: whoever asks hands in only signers whose certificate and signature hold. Refuses
policies that Fabric refuses too (hyperledger/fabric, ``common/cauthdsl``, ``common/policies``, ``msp``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from google.protobuf.message import DecodeError

from fedledger.identity.authority import NodeRole
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import VerifiedIdentity, parse_serialized_identity
from fedledger.validation.errors import bad_configuration, unsupported_configuration

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


class Principal(Protocol):
    """Whom a signature policy means."""

    def matches(self, signer: VerifiedIdentity) -> bool:
        """Tell whether it means that one."""
        ...


@dataclass(frozen=True)
class RolePrincipal:
    """Anyone of an organisation with a role; any role when it is None."""

    msp_id: str
    role: NodeRole | None

    def matches(self, signer: VerifiedIdentity) -> bool:
        if signer.msp_id != self.msp_id:
            return False
        return (
            signer.is_administrator if self.role is NodeRole.ADMIN else self.role is None or self.role in signer.roles
        )


@dataclass(frozen=True)
class IdentityPrincipal:
    """Exactly one certificate of an organisation."""

    msp_id: str
    certificate: bytes
    """PEM."""

    def matches(self, signer: VerifiedIdentity) -> bool:
        return signer.msp_id == self.msp_id and signer.has_certificate(self.certificate)


@dataclass(frozen=True)
class UnitPrincipal:
    """Anyone of an organisation with an organizational unit that a certain CA gave."""

    msp_id: str
    unit: str
    certifiers: bytes
    """SHA-256 over that CA's path."""

    def matches(self, signer: VerifiedIdentity) -> bool:
        units = signer.certificate.units
        return signer.msp_id == self.msp_id and self.unit in units and signer.certifiers == self.certifiers


@dataclass(frozen=True)
class AllOf:
    """Whoever matches each of several principals; nobody when there are none."""

    principals: tuple[Principal, ...]

    def matches(self, signer: VerifiedIdentity) -> bool:
        return bool(self.principals) and all(principal.matches(signer) for principal in self.principals)


@dataclass(frozen=True)
class Anybody:
    """Every signer, or none: X.509 identities are never anonymous, and some principals mean nothing."""

    signs: bool

    def matches(self, signer: VerifiedIdentity) -> bool:
        return self.signs


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
    if meta.rule not in thresholds:
        raise unsupported_configuration(f"the policy {meta.sub_policy} of {path} has a rule that is unknown here")
    return ImplicitMetaPolicy(
        thresholds[meta.rule] if found else 0, tuple(policy for policy in found if policy is not None)
    )


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
    """Whom a ``MSPPrincipal`` means; nobody where it is malformed, as in Fabric."""
    try:
        return _PRINCIPALS[principal.principal_classification](principal.principal)
    except (DecodeError, IdentityError, KeyError):
        return Anybody(False)


def _role(content: bytes) -> Principal:
    role = msp_principal_pb2.MSPRole.FromString(content)
    return RolePrincipal(role.msp_identifier, _ROLES[role.role])


def _named(content: bytes) -> Principal:
    return IdentityPrincipal(*parse_serialized_identity(content))


def _unit(content: bytes) -> Principal:
    unit = msp_principal_pb2.OrganizationUnit.FromString(content)
    return UnitPrincipal(unit.msp_identifier, unit.organizational_unit_identifier, unit.certifiers_identifier)


def _combined(content: bytes) -> Principal:
    parts = msp_principal_pb2.CombinedPrincipal.FromString(content).principals
    return AllOf(tuple(map(_principal, parts)))


def _anonymity(content: bytes) -> Principal:
    kind = msp_principal_pb2.MSPIdentityAnonymity.FromString(content).anonymity_type
    return Anybody(kind == msp_principal_pb2.MSPIdentityAnonymity.NOMINAL)


_PRINCIPALS: Mapping[int, Callable[[bytes], Principal]] = {
    msp_principal_pb2.MSPPrincipal.ROLE: _role,
    msp_principal_pb2.MSPPrincipal.IDENTITY: _named,
    msp_principal_pb2.MSPPrincipal.ORGANIZATION_UNIT: _unit,
    msp_principal_pb2.MSPPrincipal.COMBINED: _combined,
    msp_principal_pb2.MSPPrincipal.ANONYMITY: _anonymity,
}


def _parse(message: Any, serialized: bytes) -> None:
    try:
        message.ParseFromString(serialized)
    except DecodeError as error:
        raise bad_configuration(f"a {message.DESCRIPTOR.name} does not parse") from error
