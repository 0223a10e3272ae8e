"""Signature policies and implicit meta policies decide as Fabric's cauthdsl and policy manager do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fabric_protos.common import configtx_pb2, policies_pb2
from fabric_protos.msp import msp_principal_pb2

from fedledger.audit.errors import GenesisError
from fedledger.identity.authority import CertificateAuthority, NodeRole, Validity, certificate_pem
from fedledger.identity.keys import generate_key
from fedledger.identity.msp import Msp, VerifiedIdentity, serialize_identity
from fedledger.validation.policies import (
    IdentityPrincipal,
    ImplicitMetaPolicy,
    OutOf,
    RolePrincipal,
    SignaturePolicy,
    SignedBy,
    group_policy,
    signature_policy,
)
from tests.unit.identity.certificate_maker import pem

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_WINDOW = Validity.starting(_NOW, timedelta(days=1))


def _members(msp_id: str) -> dict[str, VerifiedIdentity]:
    authority = CertificateAuthority.self_signed(generate_key(), f"ca.{msp_id}", msp_id, _WINDOW)
    msp = Msp(msp_id, (certificate_pem(authority.certificate),))

    def member(name: str, role: NodeRole) -> VerifiedIdentity:
        certificate = authority.issue(generate_key().public_key(), name, [role], _WINDOW)
        return msp.identify(serialize_identity(msp_id, certificate_pem(certificate)))

    named = {role.value: member(role.value, role) for role in NodeRole}
    return named | {"peer1": member("peer1", NodeRole.PEER)}


A, B, C = (_members(name) for name in ("A", "B", "C"))


def by(msp_id: str, role: NodeRole | None = NodeRole.PEER) -> SignedBy:
    return SignedBy(RolePrincipal(msp_id, role))


class TestSignaturePolicies:
    def test_a_role_is_of_one_organisation(self) -> None:
        policy = SignaturePolicy(by("A"))
        assert policy.satisfied_by([A["peer"]])
        assert not policy.satisfied_by([B["peer"]])
        assert not policy.satisfied_by([A["client"]])
        assert not policy.satisfied_by([])

    def test_a_member_has_any_role(self) -> None:
        policy = SignaturePolicy(by("A", None))
        assert all(policy.satisfied_by([A[role.value]]) for role in NodeRole)

    def test_one_signer_fills_one_place(self) -> None:
        both = SignaturePolicy(OutOf(2, (by("A"), by("A"))))
        assert not both.satisfied_by([A["peer"]])
        assert both.satisfied_by([A["peer"], A["peer1"]])

    def test_a_branch_that_fails_gives_its_signers_back(self) -> None:
        policy = SignaturePolicy(OutOf(2, (OutOf(2, (by("A"), by("B"))), by("A"), by("C"))))
        assert policy.satisfied_by([A["peer"], C["peer"]])

    def test_two_of_three_organisations(self) -> None:
        policy = SignaturePolicy(OutOf(2, (by("A"), by("B"), by("C"))))
        assert policy.satisfied_by([C["peer"], A["peer"]])
        assert not policy.satisfied_by([C["peer"], C["peer1"]])

    def test_an_identity_is_one_certificate(self) -> None:
        named = IdentityPrincipal("A", pem(A["peer"].certificate.encoded))
        policy = SignaturePolicy(SignedBy(named))
        assert policy.satisfied_by([A["peer"]])
        assert not policy.satisfied_by([A["peer1"]])


class TestImplicitMetaPolicies:
    policies = tuple(SignaturePolicy(by(msp_id)) for msp_id in "ABC")

    def test_need_so_many_groups(self) -> None:
        majority = ImplicitMetaPolicy(2, self.policies)
        assert majority.satisfied_by([A["peer"], B["peer"]])
        assert not majority.satisfied_by([A["peer"], A["peer1"]])

    @pytest.mark.parametrize(("rule", "enough"), [("ANY", 1), ("MAJORITY", 3), ("ALL", 4)])
    def test_count_a_group_without_such_a_policy(self, rule: str, enough: int) -> None:
        group = configtx_pb2.ConfigGroup()
        for name in "ABCD":
            group.groups[name].SetInParent()
        for name in "ABC":
            group.groups[name].policies["Endorsement"].policy.CopyFrom(_role_policy(name))
        meta = policies_pb2.ImplicitMetaPolicy(
            sub_policy="Endorsement", rule=policies_pb2.ImplicitMetaPolicy.Rule.Value(rule)
        )
        group.policies["Endorsement"].policy.CopyFrom(
            policies_pb2.Policy(type=policies_pb2.Policy.IMPLICIT_META, value=meta.SerializeToString())
        )
        policy = group_policy(group, "Endorsement", "/Channel/Application")
        assert policy is not None
        signers = [A["peer"], B["peer"], C["peer"]]
        assert [policy.satisfied_by(signers[:count]) for count in range(4)] == [count >= enough for count in range(4)]


class TestOtherPrincipals:
    Kind = msp_principal_pb2.MSPPrincipal

    def satisfied(self, kind: int, content: bytes, signer: VerifiedIdentity) -> bool:
        principal = self.Kind(principal_classification=kind, principal=content)
        policy = signature_policy(_envelope(policies_pb2.SignaturePolicy(signed_by=0), [principal]))
        return policy.satisfied_by([signer])

    def test_a_unit_is_one_that_a_certain_ca_gave(self) -> None:
        def unit(msp_id: str, name: str, certifiers: bytes) -> bytes:
            named = msp_principal_pb2.OrganizationUnit(
                msp_identifier=msp_id, organizational_unit_identifier=name, certifiers_identifier=certifiers
            )
            return bytes(named.SerializeToString())

        own, kind = A["peer"].certifiers, self.Kind.ORGANIZATION_UNIT
        assert self.satisfied(kind, unit("A", "peer", own), A["peer"])
        assert not self.satisfied(kind, unit("A", "client", own), A["peer"])
        assert not self.satisfied(kind, unit("A", "peer", B["peer"].certifiers), A["peer"])
        assert not self.satisfied(kind, unit("B", "peer", own), A["peer"])

    def test_a_combined_one_is_all_of_its_parts(self) -> None:
        def combined(*parts: Any) -> bytes:
            return bytes(msp_principal_pb2.CombinedPrincipal(principals=parts).SerializeToString())

        assert self.satisfied(self.Kind.COMBINED, combined(_principal("A")), A["peer"])
        assert not self.satisfied(self.Kind.COMBINED, combined(_principal("A"), _principal("B")), A["peer"])
        assert not self.satisfied(self.Kind.COMBINED, combined(), A["peer"])

    def test_nobody_is_anonymous(self) -> None:
        anonymity = msp_principal_pb2.MSPIdentityAnonymity
        for kind, expected in ((anonymity.NOMINAL, True), (anonymity.ANONYMOUS, False)):
            content = anonymity(anonymity_type=kind).SerializeToString()
            assert self.satisfied(self.Kind.ANONYMITY, content, A["peer"]) is expected

    @pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 9])
    def test_a_malformed_one_means_nobody(self, kind: int) -> None:
        assert not self.satisfied(kind, b"\xff", A["peer"])


class TestRefusals:
    def test_of_a_principal_that_is_not_there(self) -> None:
        with pytest.raises(GenesisError, match="BAD_CONFIGURATION"):
            signature_policy(_envelope(policies_pb2.SignaturePolicy(signed_by=1), [_principal("A")]))

    def test_of_an_empty_rule(self) -> None:
        with pytest.raises(GenesisError, match="BAD_CONFIGURATION"):
            signature_policy(_envelope(policies_pb2.SignaturePolicy(), [_principal("A")]))

    def test_of_bytes_that_do_not_parse(self) -> None:
        with pytest.raises(GenesisError, match="BAD_CONFIGURATION"):
            signature_policy(b"\xff")

    def test_of_a_nesting_without_end(self) -> None:
        rule = policies_pb2.SignaturePolicy(signed_by=0)
        for _ in range(20):
            rule = policies_pb2.SignaturePolicy(n_out_of=policies_pb2.SignaturePolicy.NOutOf(n=1, rules=[rule]))
        with pytest.raises(GenesisError, match="UNSUPPORTED_CONFIGURATION"):
            signature_policy(_envelope(rule, [_principal("A")]))


def _principal(msp_id: str) -> Any:
    role = msp_principal_pb2.MSPRole(msp_identifier=msp_id, role=msp_principal_pb2.MSPRole.PEER)
    return msp_principal_pb2.MSPPrincipal(
        principal_classification=msp_principal_pb2.MSPPrincipal.ROLE, principal=role.SerializeToString()
    )


def _envelope(rule: Any, principals: Sequence[Any]) -> bytes:
    envelope = policies_pb2.SignaturePolicyEnvelope(version=0, rule=rule, identities=principals)
    return bytes(envelope.SerializeToString())


def _role_policy(msp_id: str) -> Any:
    value = _envelope(policies_pb2.SignaturePolicy(signed_by=0), [_principal(msp_id)])
    return policies_pb2.Policy(type=policies_pb2.Policy.SIGNATURE, value=value)
