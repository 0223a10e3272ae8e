"""The calls ``revoke`` and ``gencrl``: which certificates count no longer.

Refuses to revoke another's certificate without ``hf.Revoker``, and a revocation list without ``hf.GenCRL``
(hyperledger/fabric-ca, ``lib/serverrevoke.go``, ``lib/servergencrl.go``).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime

from fedledger_network.ca.authority import REASONS, key_identifier
from fedledger_network.ca.calls import Call, Caller, identifiers
from fedledger_network.ca.enrollment import Answer
from fedledger_network.ca.permissions import GENERATES_LISTS, REVOKER, is_true
from fedledger_network.ca.refusals import CaErrorCode, CaRefusal, unauthorized
from fedledger_network.ca.registration import require_managing
from fedledger_network.ca.registry import IssuedCertificate, RegisteredIdentity


def revoke(call: Call) -> Answer:
    """Answer ``revoke``, of one certificate or of an identity with all its certificates."""
    call.require_body()
    caller = call.by_token()
    serial, aki = _hexadecimal(call.text("serial")), _hexadecimal(call.text("aki"))
    name, reason = call.text("id"), call.text("reason").lower()
    reason = reason if reason in REASONS else "unspecified"
    if serial and aki:
        revoked: Sequence[IssuedCertificate] = [_one_certificate(call, caller, serial, aki, name)]
    elif name:
        revoked = _whole_identity(call, caller, name)
    else:
        raise CaRefusal(
            400,
            CaErrorCode.MISSING_REVOCATION_ARGUMENTS,
            "Either Name or Serial and AKI are required for a revoke request",
        )
    for certificate in revoked:
        call.authority.registry.revoke(certificate, call.authority.clock(), reason)
    wants_list = call.request.document.get("gencrl") is True and revoked
    return 200, {
        "RevokedCerts": [{"Serial": entry.serial, "AKI": entry.aki} for entry in revoked],
        "CRL": _encoded_list(call, _revoked(call)) if wants_list else "",
    }


def generate_list(call: Call) -> Answer:
    """Answer ``gencrl`` with all that is revoked, or what the four time bounds of the request select."""
    call.require_body()
    caller = call.by_token()
    if not is_true(caller.identity, GENERATES_LISTS):
        raise unauthorized(f"{caller.identity.id} may not generate a revocation list")
    times = {name.lower(): value for name, value in call.request.document.items()}
    revoked_after, revoked_before = (_time(times, f"revoked{end}") for end in ("after", "before"))
    expire_after, expire_before = (_time(times, f"expire{end}") for end in ("after", "before"))
    if revoked_after and revoked_before and revoked_after > revoked_before:
        raise _disordered(CaErrorCode.INVALID_REVOKED_AFTER, "revoked")
    if expire_after and expire_before and expire_after > expire_before:
        raise _disordered(CaErrorCode.INVALID_EXPIRED_AFTER, "expire")
    selected = [
        entry
        for entry in _revoked(call)
        if _between(entry.revoked_at, revoked_after, revoked_before)
        and _between(entry.expires_at, expire_after, expire_before)
    ]
    return 200, {"CRL": _encoded_list(call, selected)}


def _one_certificate(call: Call, caller: Caller, serial: str, aki: str, name: str) -> IssuedCertificate:
    certificate = call.authority.registry.certificate(serial, aki)
    if certificate is None:
        raise CaRefusal(
            404,
            CaErrorCode.REVOKED_CERTIFICATE_NOT_FOUND,
            f"Certificate with serial {serial} and AKI {aki} was not found",
        )
    _require_revoker(caller, certificate.id)
    if certificate.revoked_at is not None:
        raise CaRefusal(
            404,
            CaErrorCode.CERTIFICATE_ALREADY_REVOKED,
            f"Certificate with serial {serial} and AKI {aki} was already revoked",
        )
    if name not in ("", certificate.id):
        raise CaRefusal(
            400,
            CaErrorCode.CERTIFICATE_OF_ANOTHER,
            f"Certificate with serial {serial} and AKI {aki} is not owned by {name}",
        )
    own = caller.certificate is not None and identifiers(caller.certificate) == (serial, aki)
    owner = call.authority.registry.identity(certificate.id)
    if owner is not None and not own:  # None: a node's certificate, issued without registration
        require_managing(caller, owner)
    return certificate


def _whole_identity(call: Call, caller: Caller, name: str) -> Sequence[IssuedCertificate]:
    _require_revoker(caller, name)
    identity: RegisteredIdentity | None = call.authority.registry.identity(name)
    if identity is None:
        raise CaRefusal(404, CaErrorCode.REVOKED_IDENTITY_NOT_FOUND, f"Identity {name} was not found")
    if caller.identity.id != name:
        require_managing(caller, identity)
    call.authority.registry.disable(name)
    return call.authority.registry.valid_certificates(name)


def _require_revoker(caller: Caller, owner: str) -> None:
    if caller.identity.id != owner and not is_true(caller.identity, REVOKER):
        raise unauthorized(f"{caller.identity.id} does not have authority to revoke")


def _revoked(call: Call) -> Sequence[IssuedCertificate]:
    aki = key_identifier(call.authority.identity_ca.certificate)
    return call.authority.registry.revoked_certificates(aki)


def _encoded_list(call: Call, revoked: Sequence[IssuedCertificate]) -> str:
    return base64.b64encode(call.authority.sign_revocation_list(revoked)).decode()


def _hexadecimal(text: str) -> str:
    return text.lower().replace(":", "").lstrip("0")


def _time(times: dict[str, object], name: str) -> datetime | None:
    value = times.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise CaRefusal(400, CaErrorCode.BAD_BODY, f"Invalid request body: {name} is no time") from error
    if moment.tzinfo is None:
        raise CaRefusal(400, CaErrorCode.BAD_BODY, f"Invalid request body: {name} has no time zone")
    return None if moment.year == 1 else moment  # Go's zero time means no bound


def _between(moment: datetime | None, after: datetime | None, before: datetime | None) -> bool:
    return moment is not None and (after is None or moment > after) and (before is None or moment < before)


def _disordered(code: CaErrorCode, kind: str) -> CaRefusal:
    return CaRefusal(
        400,
        code,
        f"Invalid '{kind}after' value. It must not be a timestamp greater than '{kind}before'",
    )
