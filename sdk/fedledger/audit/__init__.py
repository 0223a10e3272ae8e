"""The audit of a ledger: everything that it decided is checked again, offline, trusting its genesis block alone."""
