"""Artifacts beside the ledger, addressed by their SHA-256: sealed shares, aggregate shares, models. No secrets in the
clear: whoever puts something here expects strangers to read it."""

from fedledger.store.artifacts import ArtifactStore, StoreError

__all__ = ["ArtifactStore", "StoreError"]
