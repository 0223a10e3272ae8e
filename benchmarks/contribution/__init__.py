"""What sites contribute: what the ledger pays by beside exact Shapley values."""
