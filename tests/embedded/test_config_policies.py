"""The node and the auditor, written apart from each other, find the same signers enough for the same policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from fabric_protos.common import configtx_pb2, policies_pb2
from fabric_protos.msp import msp_principal_pb2
from hypothesis import given
from hypothesis import strategies as st

from fedledger.identity.msp import VerifiedIdentity, serialize_identity
from fedledger.identity.wallet import Wallet
from fedledger.validation.policies import group_policy
from fedledger_network.ca.organisation import provision_organisation
from fedledger_network.embedded.config_policies import is_satisfied
from tests.embedded.clients import MSPS

_ROLE = msp_principal_pb2.MSPRole
_META = policies_pb2.ImplicitMetaPolicy


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> list[VerifiedIdentity]:
    """Admins, clients, peers and orderers of two organisations."""
    found = []
    for msp_id in MSPS[:2]:
        identities = provision_organisation(tmp_path_factory.mktemp(msp_id), msp_id)
        wallets: list[Wallet] = [identities.peer, identities.orderer, *identities.members.values()]
        for wallet in wallets:
            serialized = serialize_identity(msp_id, wallet.load().certificate_pem)
            found.append(identities.msp.identify(serialized))
    return found


def principals() -> st.SearchStrategy[Any]:
    return st.builds(
        lambda msp_id, role: msp_principal_pb2.MSPPrincipal(
            principal_classification=msp_principal_pb2.MSPPrincipal.ROLE,
            principal=_ROLE(msp_identifier=msp_id, role=role).SerializeToString(),
        ),
        st.sampled_from(MSPS[:2]),
        st.sampled_from([_ROLE.MEMBER, _ROLE.ADMIN, _ROLE.CLIENT, _ROLE.PEER, _ROLE.ORDERER]),
    )


def rules() -> st.SearchStrategy[Any]:
    signed_by = st.integers(0, 2).map(lambda index: policies_pb2.SignaturePolicy(signed_by=index))

    def out_of(branches: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.builds(
            lambda count, found: policies_pb2.SignaturePolicy(
                n_out_of=policies_pb2.SignaturePolicy.NOutOf(n=count, rules=found)
            ),
            st.integers(0, 3),
            st.lists(branches, max_size=3),
        )

    return st.recursive(signed_by, out_of, max_leaves=6)


def signature_policies() -> st.SearchStrategy[Any]:
    return st.builds(
        lambda rule, identities: policies_pb2.Policy(
            type=policies_pb2.Policy.SIGNATURE,
            value=policies_pb2.SignaturePolicyEnvelope(rule=rule, identities=identities).SerializeToString(),
        ),
        rules(),
        st.lists(principals(), min_size=3, max_size=3),
    )


def group(meta: int, members: Sequence[Any]) -> Any:
    """A group whose policy asks those of its members; a member without a policy has none."""
    made = configtx_pb2.ConfigGroup()
    value = _META(rule=meta, sub_policy="Admins").SerializeToString()
    made.policies["Admins"].policy.CopyFrom(policies_pb2.Policy(type=policies_pb2.Policy.IMPLICIT_META, value=value))
    for number, member in enumerate(members):
        below = made.groups[f"member-{number}"]
        if member is None:
            below.SetInParent()
        else:
            below.policies["Admins"].policy.CopyFrom(member)
    return made


@given(data=st.data())
def test_a_policy_is_satisfied_for_both_or_for_neither(everybody: list[VerifiedIdentity], data: st.DataObject) -> None:
    meta = data.draw(st.sampled_from([_META.ANY, _META.ALL, _META.MAJORITY]))
    made = group(meta, data.draw(st.lists(signature_policies() | st.none(), min_size=1, max_size=4)))
    chosen = data.draw(st.lists(st.sampled_from(range(len(everybody))), unique=True, max_size=6))
    signers = [everybody[index] for index in chosen]
    audited = group_policy(made, "Admins", "/Channel")
    assert audited is not None
    assert is_satisfied(made, "/Channel/Admins", signers) == audited.satisfied_by(signers)


def test_a_policy_that_is_not_there_is_satisfied_by_nobody(everybody: list[VerifiedIdentity]) -> None:
    made = group(_META.ANY, [None])
    for path in ("/Channel/Admins", "/Channel/Writers", "/Channel/nowhere/Admins", "/Elsewhere/Admins"):
        assert not is_satisfied(made, path, everybody)
