"""The errors of the gateway client: one type for each phase that can fail, and one for unreadable blocks.

Nothing is retried here. An error carries the transaction's id and every peer's own message, so that nobody has to
search a peer's log for what went wrong.
"""

from __future__ import annotations

from fedledger.errors import FedledgerError


class BlockFormatError(FedledgerError):
    """Bytes that are no block, envelope or read-write set of Fabric's.

    Codes: ``MALFORMED_BLOCK``, ``MALFORMED_ENVELOPE``, ``MALFORMED_READ_WRITE_SET``.
    """
