"""Shares become what is published: salted leaves, roots, and one ciphertext per validator; sees shares, no secrets.

docs/protocol/secure-aggregation.md, sections 5.3, 5.5 and 6.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.randomness import elements_to_bytes
from fedledger.secure_aggregation.sealing import seal
from fedledger_chaincode.messages.round import ProofCommitments, SealedShareReference
from fedledger_chaincode.rules.commitments import (
    UpdateContext,
    frame,
    integer,
    leaf_digest,
    proof_leaf_digest,
    proof_root_digest,
    root_digest,
)

ShareOf: TypeAlias = Callable[[int], Elements]
"""The share of validator j in 1..n."""

_SEAL = b"fedledger/seal/1"


@dataclass(frozen=True)
class PreparedUpdate:
    """What a participant publishes of one update: fields of its manifest, and the artifacts they name."""

    root: str
    leaves: tuple[str, ...]
    shares: tuple[SealedShareReference, ...]
    proof: ProofCommitments | None
    sealed: tuple[bytes, ...] = field(repr=False)
    """Sealed share of validator 1, 2, ..., n: goes to that validator's artifact store."""
    seeds: tuple[bytes, ...] = field(repr=False)
    """Secret of each sealing: answers a validator's complaint by opening that one ciphertext to everybody."""


@dataclass(frozen=True)
class Committed:
    """The commitments of an update, before anything is sealed."""

    root: str
    leaves: tuple[str, ...]
    proof: ProofCommitments | None = None


def commit(context: UpdateContext, salts: Sequence[bytes], share_of: ShareOf) -> Committed:
    """Leaves and root over every validator's share of the update."""
    leaves = tuple(
        leaf_digest(context, validator, salt, elements_to_bytes(share_of(validator)))
        for validator, salt in enumerate(salts, start=1)
    )
    return Committed(root_digest(context, leaves), leaves)


def commit_proof(root: str, salts: Sequence[bytes], share_of: ShareOf) -> ProofCommitments:
    """Leaves and root over every validator's share of the proof for the update with that root."""
    leaves = tuple(
        proof_leaf_digest(root, validator, salt, elements_to_bytes(share_of(validator)))
        for validator, salt in enumerate(salts, start=1)
    )
    return ProofCommitments(root=proof_root_digest(root, leaves), leaves=leaves)


def seal_update(
    context: UpdateContext,
    committed: Committed,
    salts: Sequence[bytes],
    parts: Sequence[ShareOf],
    sealing_keys: Sequence[str],
    seeds: Sequence[bytes],
) -> PreparedUpdate:
    """Seal salt and shares to each validator.

    Args:
        parts: the share of the update and, with a proof, that of the proof.
        sealing_keys: hex public keys of validators 1..n.
        seeds: one fresh secret for each sealing.

    Raises:
        UpdateError: ``SEALING_KEY``, a key is unusable.
    """
    sealed = tuple(
        seal(
            b"".join([salt, *(elements_to_bytes(part(validator)) for part in parts)]),
            key,
            sealing_info(context, validator),
            seed,
        )
        for validator, (salt, key, seed) in enumerate(zip(salts, sealing_keys, seeds, strict=True), start=1)
    )
    return PreparedUpdate(
        root=committed.root,
        leaves=committed.leaves,
        shares=tuple(SealedShareReference(digest=hashlib.sha256(data).hexdigest(), size=len(data)) for data in sealed),
        proof=committed.proof,
        sealed=sealed,
        seeds=tuple(seeds),
    )


def sealing_info(context: UpdateContext, validator: int) -> bytes:
    """HPKE's info: a ciphertext opens only for the update and the validator that it was made for (section 6)."""
    return frame(_SEAL, context.encode(), integer(validator))
