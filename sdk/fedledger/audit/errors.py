"""What an audit cannot even begin with: files and genesis blocks that say nothing. A finding is no error."""

from __future__ import annotations

from fedledger.errors import BadInputError, FedledgerError


class ArchiveError(FedledgerError):
    """An exported ledger that is truncated or damaged, or that cannot be written.

    Codes: ``ARCHIVE_TRUNCATED``, ``ARCHIVE_DAMAGED``, ``ARCHIVE_UNWRITABLE``.
    """


class ArchiveFormatError(BadInputError):
    """A file that is no exported ledger of a version that is known here.

    Codes: ``NOT_AN_ARCHIVE``, ``ARCHIVE_VERSION``, ``ARCHIVE_MISSING``.
    """


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
