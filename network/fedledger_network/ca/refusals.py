"""Fabric CA's refusals: an HTTP status, its error number and what the caller may know of the reason.

Numbers and statuses are those of hyperledger/fabric-ca, ``lib/caerrors/servererror.go``.
"""

from __future__ import annotations

from enum import IntEnum


class CaErrorCode(IntEnum):
    """The numbers that this CA uses, with Fabric CA's meaning."""

    UNKNOWN = 0
    METHOD_NOT_ALLOWED = 1
    NO_AUTHORIZATION_HEADER = 2
    READING_BODY = 3
    EMPTY_BODY = 4
    BAD_BODY = 5
    REVOKED_CERTIFICATE_NOT_FOUND = 8
    CERTIFICATE_OF_ANOTHER = 9
    REVOKED_IDENTITY_NOT_FOUND = 10
    MISSING_REVOCATION_ARGUMENTS = 15
    CA_NOT_FOUND = 19
    AUTHENTICATION_FAILURE = 20
    BAD_CSR = 31
    INVALID_REVOKED_AFTER = 36
    INVALID_EXPIRED_AFTER = 37
    ADDING_IDENTITY = 52
    REMOVING_IDENTITY = 56
    ADDING_AFFILIATION = 60
    NOT_IN_DATABASE = 63
    CERTIFICATE_ALREADY_REVOKED = 66
    AUTHORIZATION_FAILURE = 71
    PASSWORD_ATTEMPTS = 73
    ALREADY_REGISTERED = 74
    COMMON_NAME_NOT_ENROLLMENT_ID = 77
    BAD_CSR_INPUT = 80
    INVALID_MAX_ENROLLMENTS = 82


class CaRefusal(Exception):
    """A request that is refused. ``message`` goes to the caller, ``reason`` to the log only."""

    def __init__(self, status: int, code: CaErrorCode, message: str, reason: str = "") -> None:
        super().__init__(reason or message)
        self.status = status
        self.code = code
        self.message = message
        self.reason = reason or message


def unauthenticated(reason: str) -> CaRefusal:
    """Return the refusal of a caller who did not prove who he is, which does not say why."""
    return CaRefusal(401, CaErrorCode.AUTHENTICATION_FAILURE, "Authentication failure", reason)


def unauthorized(reason: str) -> CaRefusal:
    """Return the refusal of a known caller who may not do this, which does not say why."""
    return CaRefusal(403, CaErrorCode.AUTHORIZATION_FAILURE, "Authorization failure", reason)
