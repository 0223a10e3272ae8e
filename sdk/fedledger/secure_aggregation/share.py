"""A validator's side of one update: its sealed share, opened and checked against the manifest.

Nothing here trusts the artifact store or the participant: what does not match the ledger is unreadable.
docs/protocol/secure-aggregation.md, section 7.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from fedledger.secure_aggregation.errors import Defect
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.parameters import Parameters
from fedledger.secure_aggregation.publication import sealing_info
from fedledger.secure_aggregation.randomness import elements_from_bytes
from fedledger.secure_aggregation.sealing import SealingKey
from fedledger_chaincode.messages.round import Manifest
from fedledger_chaincode.rules.commitments import (
    SALT_BYTES,
    UpdateContext,
    leaf_digest,
    proof_leaf_digest,
    roots_match,
)
from fedledger_chaincode.rules.field import ELEMENT_BYTES


@dataclass(frozen=True)
class OpenedShare:
    """A share that is the one its participant committed to."""

    root: str
    proof_root: str | None
    validator: int
    parameters: Parameters
    elements: Elements
    """uint64[share_length]: the share of the update and of its norm's bits."""
    proof: Elements
    """uint64[proof_length]: the share of the projections' bits, masks and sharings of zero."""

    @property
    def update(self) -> Elements:
        """uint64[d], the share of the update alone."""
        return self.elements[: self.parameters.dimension]

    def __repr__(self) -> str:
        return f"OpenedShare(root={self.root}, validator={self.validator})"


@dataclass(frozen=True)
class Unreadable:
    """A share that cannot be used, and the first reason found."""

    reason: Defect


def open_share(
    sealed: bytes | None,
    manifest: Manifest,
    parameters: Parameters,
    validator: int,
    key: SealingKey,
) -> OpenedShare | Unreadable:
    """Open and check validator j's share of an update; any defect is a result, not an error (section 7.2).

    Args:
        sealed: bytes from the artifact store; None when they are not there.
        validator: j, counting from 1.
    """
    if sealed is None:
        return Unreadable(Defect.SHARE_MISSING)
    if not 1 <= validator <= len(manifest.shares):
        return Unreadable(Defect.ROOT_MISMATCH)
    if hashlib.sha256(sealed).hexdigest() != manifest.shares[validator - 1].digest:
        return Unreadable(Defect.WRONG_DIGEST)
    plaintext = key.open(sealed, sealing_info(UpdateContext.of(manifest), validator))
    if plaintext is None:
        return Unreadable(Defect.NOT_OPENED)
    return check_plaintext(plaintext, manifest, parameters, validator)


def check_plaintext(
    plaintext: bytes,
    manifest: Manifest,
    parameters: Parameters,
    validator: int,
) -> OpenedShare | Unreadable:
    """The checks of :func:`open_share` on what was sealed: salt, share, share of the proof (section 7.2)."""
    if not 1 <= validator <= parameters.validators == len(manifest.leaves) or not roots_match(manifest):
        return Unreadable(Defect.ROOT_MISMATCH)
    if (parameters.proof == "norm") != (manifest.proof is not None):
        return Unreadable(Defect.PROOF_MISSING)
    if len(plaintext) != parameters.plaintext_bytes:
        return Unreadable(Defect.WRONG_LENGTH)
    view = memoryview(plaintext)
    middle = SALT_BYTES + ELEMENT_BYTES * parameters.share_length
    salt, share, proof = plaintext[:SALT_BYTES], view[SALT_BYTES:middle], view[middle:]
    if leaf_digest(UpdateContext.of(manifest), validator, salt, share) != manifest.leaves[validator - 1]:
        return Unreadable(Defect.LEAF_MISMATCH)
    commitments = manifest.proof
    if commitments is not None and (
        proof_leaf_digest(manifest.root, validator, salt, proof) != commitments.leaves[validator - 1]
    ):
        return Unreadable(Defect.LEAF_MISMATCH)
    try:
        elements = elements_from_bytes(share)
        proof_elements = elements_from_bytes(proof) if proof else np.empty(0, dtype=np.uint64)
    except ValueError:
        return Unreadable(Defect.NOT_AN_ELEMENT)
    return OpenedShare(
        manifest.root,
        None if commitments is None else commitments.root,
        validator,
        parameters,
        elements,
        proof_elements,
    )
