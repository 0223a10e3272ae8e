"""The one error of identities: a certificate, key, signature or MSP that is refused, and why."""

from __future__ import annotations

from fedledger.errors import AccessError


class IdentityError(AccessError):
    """An identity, a signature or an MSP definition is refused.

    Codes: ``MALFORMED_IDENTITY``, ``WRONG_MSP``, ``UNKNOWN_ISSUER``, ``BAD_CERTIFICATE``, ``EXPIRED``,
    ``NOT_YET_VALID``, ``REVOKED``, ``BAD_NODE_OU``, ``BAD_ATTRIBUTES``, ``HIGH_S_CERTIFICATE``,
    ``UNSUPPORTED_KEY``, ``BAD_KEY``, ``BAD_SIGNATURE``, ``HIGH_S_SIGNATURE``,
    ``MALFORMED_MSP``, ``UNSUPPORTED_MSP``.
    """
