"""What an audit cannot even begin with: files and genesis blocks that say nothing. A finding is no error."""

from __future__ import annotations

from fedledger.errors import BadInputError, FedledgerError
from fedledger.validation.errors import GenesisError, bad_configuration, unsupported_configuration

__all__ = [
    "ArchiveError",
    "ArchiveFormatError",
    "GenesisError",
    "bad_configuration",
    "unsupported_configuration",
]


class ArchiveError(FedledgerError):
    """An exported ledger that is truncated or damaged, or that cannot be written.

    Codes: ``ARCHIVE_TRUNCATED``, ``ARCHIVE_DAMAGED``, ``ARCHIVE_UNWRITABLE``.
    """


class ArchiveFormatError(BadInputError):
    """A file that is no exported ledger of a version that is known here.

    Codes: ``NOT_AN_ARCHIVE``, ``ARCHIVE_VERSION``, ``ARCHIVE_MISSING``.
    """
