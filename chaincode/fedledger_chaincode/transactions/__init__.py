"""The contract's transactions: each reads records, asks the rules, writes records and sets at most one event."""
