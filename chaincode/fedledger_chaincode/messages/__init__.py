"""The messages that cross the ledger and the records in its state: strict, frozen, with one encoding."""
