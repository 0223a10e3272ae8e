"""The one error of identities: a certificate, key, signature or MSP that is refused, and why."""

from __future__ import annotations

from fedledger.errors import AccessError


class IdentityError(AccessError):
    """An identity, a signature or an MSP definition is refused.

    Codes: ``MALFORMED_IDENTITY``, ``WRONG_MSP``, ``UNKNOWN_ISSUER``, ``BAD_CERTIFICATE``, ``EXPIRED``, ``REVOKED``,
    ``BAD_NODE_OU``, ``BAD_ATTRIBUTES``, ``UNSUPPORTED_KEY``, ``BAD_KEY``, ``BAD_SIGNATURE``, ``HIGH_S_SIGNATURE``,
    ``KEY_EXPOSED``, ``KEY_MISMATCH``, ``WALLET_MISSING``, ``MALFORMED_MSP``, ``UNSUPPORTED_MSP``.
    """


def malformed_msp(msp_id: str, reason: str) -> IdentityError:
    """Return the error for an MSP definition that cannot be used, and why."""
    return IdentityError(
        "MALFORMED_MSP",
        f"The MSP definition {msp_id} cannot be used: {reason}.",
        "Write the channel configuration anew from the organisations' CA certificates.",
    )
