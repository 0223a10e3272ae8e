"""The contract: what the ledger decides, the messages that cross it, and the service a Fabric peer talks to.

Deterministic by construction: no clock, no randomness, no float, no unordered iteration, no network in the rules.
"""
