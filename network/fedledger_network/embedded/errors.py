"""Why the embedded node cannot start or go on."""

from __future__ import annotations

from fedledger.errors import FedledgerError


class NodeError(FedledgerError):
    """Codes: ``NOT_A_LEDGER``, ``NEWER_LEDGER``, ``LEDGER_DAMAGED``, ``LEDGER_IN_USE``, ``LEDGER_DENIED``,
    ``LEDGER_FULL``, ``ADDRESS_IN_USE``, ``CHAINCODE_UNAVAILABLE``, ``OTHER_IDENTITIES``, ``NODE_FAILED``,
    ``ORDERING_FAILED``, ``NODE_SILENT``, ``NODE_STUCK``."""
