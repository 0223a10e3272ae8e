"""A registrar passes on no right that it does not have itself, as at a Fabric CA."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger_network.ca.permissions import (
    is_true,
    refuse_attributes,
    refuse_managing,
    registrar_attributes,
)
from fedledger_network.ca.registry import Attribute, RegisteredIdentity, SecretHash

SECRET = SecretHash(b"", b"")


def identity(affiliation: str = "", **attributes: str) -> RegisteredIdentity:
    """An identity with hf. attributes, ``__`` standing for a dot."""
    owned = tuple(Attribute(f"hf.{name.replace('__', '.')}", value) for name, value in attributes.items())
    return RegisteredIdentity("r", SECRET, "client", affiliation, owned, 1)


def bootstrap() -> RegisteredIdentity:
    return RegisteredIdentity("r", SECRET, "client", "", registrar_attributes(), 1)


@pytest.mark.parametrize(
    ("roles", "kind", "allowed"),
    [
        ("*", "peer", True),
        ("client,peer", "peer", True),
        ("client, Peer", "peer", True),
        ("client", "peer", False),
        ("client", "", False),
        ("", "client", False),
    ],
)
def test_the_roles_of_a_registrar_limit_the_types_that_it_manages(roles, kind, allowed):
    assert (refuse_managing(identity(Registrar__Roles=roles), kind, "") is None) is allowed


@pytest.mark.parametrize(
    ("own", "affiliation", "allowed"),
    [
        ("", "a.b", True),
        ("a", "a", True),
        ("a", "a.b", True),
        ("a", "ab", False),
        ("a.b", "a", False),
        ("a", "", False),
    ],
)
def test_the_affiliation_of_a_registrar_limits_whom_it_manages(own, affiliation, allowed):
    registrar = identity(own, Registrar__Roles="*")
    assert (refuse_managing(registrar, "client", affiliation) is None) is allowed


def test_who_has_no_roles_is_no_registrar():
    assert refuse_managing(identity(), "client", "") is not None


@pytest.mark.parametrize(
    ("requested", "allowed"),
    [
        ([("fedledger.role", "governor")], True),
        ([("hf.Revoker", "true")], True),
        ([("hf.Revoker", "perhaps")], False),
        ([("hf.IntermediateCA", "true")], False),
        ([("hf.EnrollmentID", "somebody")], False),
        ([("hf.Type", "admin")], False),
        ([("hf.Unheard", "x")], False),
        ([("hf.Registrar.Roles", "client,peer")], True),
        ([("hf.Registrar.Roles", "client"), ("hf.Registrar.DelegateRoles", "client")], True),
        ([("hf.Registrar.Roles", "client"), ("hf.Registrar.DelegateRoles", "peer")], False),
        ([("hf.Registrar.Attributes", "fedledger.*")], True),
        ([("hf.Registrar.Attributes", "hf.Revoker"), ("hf.Revoker", "true")], True),
        ([("hf.Registrar.Attributes", "hf.Revoker")], False),
    ],
)
def test_the_bootstrap_registrar_gives_what_fabric_ca_would_let_it_give(requested, allowed):
    attributes = [Attribute(*entry) for entry in requested]
    assert (refuse_attributes(bootstrap(), attributes) is None) is allowed


@pytest.mark.parametrize(
    ("own", "requested"),
    [
        ({"Registrar__Attributes": "fedledger.*"}, ("other", "x")),
        ({"Registrar__Attributes": "fedledger.role"}, ("fedledger.roles", "x")),
        ({"Registrar__Attributes": "hf.Revoker"}, ("hf.Revoker", "true")),
        ({"Registrar__Attributes": "hf.Revoker", "Revoker": "false"}, ("hf.Revoker", "true")),
        (
            {"Registrar__Attributes": "hf.*", "Registrar__Roles": "client"},
            ("hf.Registrar.Roles", "client,admin"),
        ),
        ({"Registrar__Attributes": "hf.*", "Registrar__Roles": "client"}, ("hf.Registrar.Roles", "*")),
        ({"Registrar__Attributes": "fedledger.*"}, ("hf.Registrar.Attributes", "*")),
        ({}, ("fedledger.role", "governor")),
    ],
)
def test_a_right_that_a_registrar_does_not_have_cannot_be_given(own, requested):
    assert refuse_attributes(identity(**own), [Attribute(*requested)]) is not None


NAMES = st.sampled_from(["fedledger.role", "other", "hf.Revoker", "hf.GenCRL", "hf.AffiliationMgr", "hf.Type"])


@given(
    allowed=st.lists(NAMES, max_size=4),
    owned=st.sets(st.sampled_from(["Revoker", "GenCRL", "AffiliationMgr"])),
    requested=NAMES,
)
def test_no_boolean_right_spreads_from_one_who_lacks_it(allowed, owned, requested):
    rights = dict.fromkeys(owned, "true")
    registrar = identity(Registrar__Attributes=",".join(allowed), **rights)
    if refuse_attributes(registrar, [Attribute(requested, "true")]) is None:
        assert requested in allowed
        assert not requested.startswith("hf.") or is_true(registrar, requested)
