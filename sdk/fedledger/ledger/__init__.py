"""The contract as typed calls: messages in, records and views out. It holds no state and decides nothing."""

from fedledger.ledger.client import TaskLedger
from fedledger.ledger.errors import LedgerRefusal
from fedledger.ledger.events import LedgerEvent

__all__ = ["LedgerEvent", "LedgerRefusal", "TaskLedger"]
