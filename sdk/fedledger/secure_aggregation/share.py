"""A validator's side of one update: its sealed share, opened and checked against the manifest.

Nothing here trusts the artifact store or the participant: what does not match the ledger is unreadable.
docs/protocol/secure-aggregation.md, section 7.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fedledger_chaincode.messages.round import Manifest
from fedledger_chaincode.rules.commitments import SALT_BYTES, UpdateContext, leaf_digest, roots_match

from fedledger.secure_aggregation.errors import Defect
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.parameters import Parameters
from fedledger.secure_aggregation.randomness import elements_from_bytes
from fedledger.secure_aggregation.sealing import SealingKey
from fedledger.secure_aggregation.update import sealing_info


@dataclass(frozen=True)
class OpenedShare:
    """A share that is the one its participant committed to."""

    root: str
    validator: int
    elements: Elements
    """uint64[d], the share of the update."""

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
    if not (1 <= validator <= parameters.validators == len(manifest.leaves)) or not roots_match(manifest):
        return Unreadable(Defect.ROOT_MISMATCH)
    if hashlib.sha256(sealed).hexdigest() != manifest.shares[validator - 1].digest:
        return Unreadable(Defect.WRONG_DIGEST)
    context = UpdateContext.of(manifest)
    plaintext = key.open(sealed, sealing_info(context, validator))
    if plaintext is None:
        return Unreadable(Defect.NOT_OPENED)
    if len(plaintext) != parameters.plaintext_bytes:
        return Unreadable(Defect.WRONG_LENGTH)
    salt, share = plaintext[:SALT_BYTES], memoryview(plaintext)[SALT_BYTES:]
    if leaf_digest(context, validator, salt, share) != manifest.leaves[validator - 1]:
        return Unreadable(Defect.LEAF_MISMATCH)
    try:
        elements = elements_from_bytes(share)
    except ValueError:
        return Unreadable(Defect.NOT_AN_ELEMENT)
    return OpenedShare(manifest.root, validator, elements)
