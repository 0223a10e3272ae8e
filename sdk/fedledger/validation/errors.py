"""The error of a channel configuration by which nothing can be judged."""

from __future__ import annotations

from fedledger.errors import BadInputError


class GenesisError(BadInputError):
    """A first block that cannot be trusted, because it is no channel configuration that is understood here.

    Codes: ``NO_BLOCKS``, ``NOT_GENESIS``, ``OTHER_GENESIS``, ``BAD_CONFIGURATION``, ``UNSUPPORTED_CONFIGURATION``.
    """


def bad_configuration(reason: str) -> GenesisError:
    """Return the error for a channel configuration that Fabric itself would refuse, and why."""
    return GenesisError(
        "BAD_CONFIGURATION",
        f"The channel configuration cannot be used: {reason}.",
        "Fetch the channel's genesis block from an organisation that you trust.",
    )


def unsupported_configuration(reason: str) -> GenesisError:
    """Return the error for a channel configuration that Fabric may allow and this auditor cannot judge."""
    return GenesisError(
        "UNSUPPORTED_CONFIGURATION",
        f"The channel configuration is not supported by the audit: {reason}.",
        "Use X.509 MSPs with NodeOUs, and policies of roles and identities.",
    )
