"""Who may register and manage whom: Fabric CA's rules over types, affiliations and ``hf.`` attributes.

Pure functions that return the reason of a refusal, or None (hyperledger/fabric-ca, ``lib/attr/attribute.go``
and ``lib/serverrequestcontext.go``).
"""

from __future__ import annotations

from collections.abc import Sequence

from fedledger_network.ca.registry import Attribute, RegisteredIdentity

ROLES = "hf.Registrar.Roles"
DELEGATE_ROLES = "hf.Registrar.DelegateRoles"
REGISTRAR_ATTRIBUTES = "hf.Registrar.Attributes"
REVOKER = "hf.Revoker"
GENERATES_LISTS = "hf.GenCRL"
AFFILIATION_MANAGER = "hf.AffiliationMgr"
INTERMEDIATE_CA = "hf.IntermediateCA"
ENROLLMENT_ID = "hf.EnrollmentID"
TYPE = "hf.Type"
AFFILIATION = "hf.Affiliation"

_BOOLEANS = frozenset({REVOKER, GENERATES_LISTS, AFFILIATION_MANAGER, INTERMEDIATE_CA})
_ROLE_LISTS = frozenset({ROLES, DELEGATE_ROLES})
_FIXED = frozenset({ENROLLMENT_ID, TYPE, AFFILIATION})
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def registrar_attributes() -> tuple[Attribute, ...]:
    """Return what Fabric CA's bootstrap identity may do: everything."""
    return (
        Attribute(ROLES, "*"),
        Attribute(DELEGATE_ROLES, "*"),
        Attribute(REGISTRAR_ATTRIBUTES, "*"),
        Attribute(REVOKER, "true"),
        Attribute(GENERATES_LISTS, "true"),
        Attribute(AFFILIATION_MANAGER, "true"),
    )


def is_true(identity: RegisteredIdentity, attribute: str) -> bool:
    """Tell whether a boolean attribute is there and true."""
    return identity.attribute(attribute) in _TRUE


def refuse_managing(caller: RegisteredIdentity, kind: str, affiliation: str) -> str | None:
    """Say why ``caller`` may not act on identities of this type and affiliation."""
    roles = caller.attribute(ROLES)
    if not roles:
        return f"{caller.id} is not a registrar"
    if not _contains(roles, kind) and "*" not in _members(roles):
        return f"{caller.id} may not act on type {kind!r}"
    if not _is_below(affiliation, caller.affiliation):
        return f"{caller.id} may not act on affiliation {affiliation!r}"
    return None


def refuse_attributes(registrar: RegisteredIdentity, requested: Sequence[Attribute]) -> str | None:
    """Say why ``registrar`` may not give these attributes to a new identity."""
    allowed = _members(registrar.attribute(REGISTRAR_ATTRIBUTES) or "")
    for attribute in requested:
        if not _is_listed(attribute.name, allowed):
            return f"{registrar.id} may not register the attribute {attribute.name!r}"
        reason = _refuse_reserved(registrar, attribute, requested, allowed)
        if reason:
            return reason
    return None


def _refuse_reserved(
    registrar: RegisteredIdentity,
    attribute: Attribute,
    requested: Sequence[Attribute],
    allowed: Sequence[str],
) -> str | None:
    name, value = attribute.name, attribute.value
    if not name.startswith("hf."):
        return None
    if name in _FIXED:
        return f"the value of {name} is fixed"
    if name in _BOOLEANS:
        if value and value not in _TRUE | _FALSE:
            return f"{name} must be true or false"
        return None if is_true(registrar, name) else f"{registrar.id} does not own {name}"
    if name == REGISTRAR_ATTRIBUTES:
        if registrar.attribute(name) is None:
            return f"{registrar.id} does not own {name}"
        given = {entry.name for entry in requested}
        for member in _members(value):
            if not _is_listed(member, allowed):
                return f"{registrar.id} may not pass on the right to register {member!r}"
            if member.startswith("hf.") and member not in given:
                return f"{member} is in {name} but the identity itself is not given it"
        return None
    if name in _ROLE_LISTS:
        owned = registrar.attribute(name)
        if owned is None or not _is_subset(value, owned):
            return f"{value!r} is more than {registrar.id} has of {name}"
        roles = next((entry.value for entry in requested if entry.name == ROLES), "")
        if name == DELEGATE_ROLES and not _is_subset(value, roles):
            return f"{DELEGATE_ROLES} is more than {ROLES}"
        return None
    return f"{name} is reserved and unknown"


def _is_listed(name: str, allowed: Sequence[str]) -> bool:
    return any(
        name.startswith(pattern.rstrip("*")) if pattern.endswith("*") else name == pattern for pattern in allowed
    )


def _is_subset(small: str, big: str) -> bool:
    return "*" in _members(big) or all(_contains(big, member) for member in _members(small))


def _contains(values: str, member: str) -> bool:
    return member.lower() in (value.lower() for value in _members(values))


def _members(values: str) -> list[str]:
    return [value.strip() for value in values.split(",") if value.strip()]


def _is_below(affiliation: str, own: str) -> bool:
    return not own or affiliation == own or affiliation.startswith(f"{own}.")
