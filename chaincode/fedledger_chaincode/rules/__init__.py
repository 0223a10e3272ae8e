"""Pure rules on values: what may happen, what follows from it. Nothing here reads or writes the ledger."""
