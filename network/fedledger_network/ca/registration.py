"""The calls ``register``, ``identities`` and ``affiliations``: who may enrol, written and read by registrars.

Refuses what the caller's ``hf.`` attributes do not allow (hyperledger/fabric-ca, ``lib/serverregister.go``,
``lib/serveridentities.go``). Identities are never changed or removed here: revoke them.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from fedledger.identity.authority import NodeRole
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.calls import Call, Caller
from fedledger_network.ca.enrollment import Answer
from fedledger_network.ca.permissions import (
    AFFILIATION_MANAGER,
    ROLES,
    is_true,
    refuse_attributes,
    refuse_managing,
)
from fedledger_network.ca.refusals import CaErrorCode, CaRefusal, unauthorized
from fedledger_network.ca.registry import UNLIMITED, Attribute, RegisteredIdentity, SecretHash

_AFFILIATION = re.compile(r"[^\s.]+(\.[^\s.]+)*")
_SECRET_BYTES = 15


def register(call: Call) -> Answer:
    """Answer ``register`` with the secret."""
    call.require_body()
    _, secret = _add(call, call.by_token())
    return 201, {"secret": secret}


def add_identity(call: Call) -> Answer:
    """Answer ``POST identities`` with the identity and its secret."""
    call.require_body()
    identity, secret = _add(call, call.by_token())
    return 201, {**_described(identity), "secret": secret, "caname": call.authority.name}


def list_identities(call: Call) -> Answer:
    """Answer ``GET identities`` with those that the caller may manage."""
    caller = call.by_token()
    if not caller.identity.attribute(ROLES):
        raise unauthorized(f"{caller.identity.id} is not a registrar")
    manageable = [
        _described(identity)
        for identity in call.authority.registry.identities()
        if refuse_managing(caller.identity, identity.type, identity.affiliation) is None
    ]
    return 200, {"identities": manageable, "caname": call.authority.name}


def show_identity(call: Call, enrollment_id: str) -> Answer:
    """Answer ``GET identities/<id>``."""
    caller = call.by_token()
    identity = call.authority.registry.identity(enrollment_id)
    if identity is None:
        raise CaRefusal(404, CaErrorCode.NOT_IN_DATABASE, f"Failed to get User: no identity {enrollment_id!r}")
    require_managing(caller, identity)
    return 200, {**_described(identity), "caname": call.authority.name}


def remove_identity(call: Call, enrollment_id: str) -> Answer:
    """Answer ``DELETE identities/<id>``, which Fabric CA refuses by default as well."""
    call.by_token()
    raise CaRefusal(403, CaErrorCode.REMOVING_IDENTITY, f"Identity removal is disabled: {enrollment_id!r} stays")


def list_affiliations(call: Call) -> Answer:
    """Answer ``GET affiliations`` with the names, flat, below the caller's own."""
    caller = _affiliation_manager(call)
    own = caller.identity.affiliation
    names = [
        {"name": name}
        for name in call.authority.registry.affiliations()
        if not own or name == own or name.startswith(f"{own}.")
    ]
    return 200, {"name": own, "affiliations": names, "caname": call.authority.name}


def add_affiliation(call: Call) -> Answer:
    """Answer ``POST affiliations``; the parent must exist unless the query says ``force=true``."""
    call.require_body()
    caller = _affiliation_manager(call)
    name = call.text("name")
    if not _AFFILIATION.fullmatch(name):
        raise CaRefusal(400, CaErrorCode.ADDING_AFFILIATION, f"{name!r} is no affiliation")
    own = caller.identity.affiliation
    if own and not name.startswith(f"{own}."):
        raise unauthorized(f"{caller.identity.id} may not act on affiliation {name!r}")
    known = set(call.authority.registry.affiliations())
    if name in known:
        raise CaRefusal(409, CaErrorCode.ADDING_AFFILIATION, "Affiliation already exists")
    parts = name.split(".")
    missing = [path for depth in range(1, len(parts)) if (path := ".".join(parts[:depth])) not in known]
    if missing and call.request.query.get("force", "").lower() != "true":
        raise CaRefusal(
            404,
            CaErrorCode.NOT_IN_DATABASE,
            "Parent affiliation does not exist, 'force' option required on request to add affiliation",
        )
    for path in (*missing, name):
        call.authority.registry.add_affiliation(path)
    return 201, {"name": name, "caname": call.authority.name}


def require_managing(caller: Caller, identity: RegisteredIdentity) -> None:
    """Refuse a caller who may not manage ``identity``."""
    reason = refuse_managing(caller.identity, identity.type, identity.affiliation)
    if reason:
        raise unauthorized(reason)


def _add(call: Call, caller: Caller) -> tuple[RegisteredIdentity, str]:
    registrar = caller.identity
    name = call.text("id")
    if not name:
        raise CaRefusal(400, CaErrorCode.ADDING_IDENTITY, "Missing 'ID' in request to add a new identity")
    requested = tuple(_attribute(entry) for entry in call.objects("attrs") or ())
    affiliation = _affiliation(call, registrar)
    secret = call.text("secret") or secrets.token_urlsafe(_SECRET_BYTES)
    identity = RegisteredIdentity(
        id=name,
        secret=SecretHash.of(secret),
        type=call.text("type") or registrar.type or NodeRole.CLIENT,
        affiliation=affiliation,
        attributes=requested,
        max_enrollments=_max_enrollments(call),
    )
    reason = (
        refuse_managing(registrar, identity.type, affiliation)
        or _refuse_affiliation(call.authority, affiliation)
        or refuse_attributes(registrar, requested)
    )
    if reason:
        raise unauthorized(f"registration of {name!r} failed: {reason}")
    if call.authority.registry.identity(name) is not None:
        raise CaRefusal(409, CaErrorCode.ALREADY_REGISTERED, f"Identity '{name}' is already registered")
    call.authority.registry.put_identity(identity)
    return identity, secret


def _affiliation(call: Call, registrar: RegisteredIdentity) -> str:
    affiliation = call.text("affiliation")
    if affiliation == ".":  # Fabric CA's way to ask for the root
        return ""
    return affiliation or registrar.affiliation


def _refuse_affiliation(authority: DevelopmentAuthority, affiliation: str) -> str | None:
    if not affiliation or affiliation in authority.registry.affiliations():
        return None
    return f"there is no affiliation {affiliation!r}"


def _max_enrollments(call: Call) -> int:
    value = call.request.document.get("max_enrollments") or UNLIMITED
    if not isinstance(value, int) or isinstance(value, bool):
        raise CaRefusal(400, CaErrorCode.BAD_BODY, "Invalid request body: max_enrollments is not an integer")
    if value < UNLIMITED:
        raise CaRefusal(
            400,
            CaErrorCode.INVALID_MAX_ENROLLMENTS,
            f"Max enrollment in registration request may not be less than {UNLIMITED}, but was {value}",
        )
    return value


def _attribute(entry: Any) -> Attribute:
    name, value, ecert = entry.get("name"), entry.get("value"), entry.get("ecert", False)
    if not isinstance(name, str) or not name or not isinstance(value, str) or not isinstance(ecert, bool):
        raise CaRefusal(400, CaErrorCode.BAD_BODY, "Invalid request body: an attribute is malformed")
    return Attribute(name, value, ecert)


def _described(identity: RegisteredIdentity) -> dict[str, object]:
    return {
        "id": identity.id,
        "type": identity.type,
        "affiliation": identity.affiliation,
        "attrs": [
            {"name": attribute.name, "value": attribute.value, **({"ecert": True} if attribute.ecert else {})}
            for attribute in identity.attributes
        ],
        "max_enrollments": identity.max_enrollments,
    }


def _affiliation_manager(call: Call) -> Caller:
    caller = call.by_token()
    if not is_true(caller.identity, AFFILIATION_MANAGER):
        raise unauthorized(f"{caller.identity.id} is no affiliation manager")
    return caller
