"""A validator's side of one update: its sealed share, opened and checked against the manifest.

Nothing here trusts the artifact store or the participant: what does not match the ledger is unreadable, and what has
another size than the task's is not even hashed. docs/protocol/secure-aggregation.md, sections 7 and 11.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedledger.secure_aggregation.errors import Defect
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.parameters import Parameters
from fedledger.secure_aggregation.publication import sealing_info
from fedledger.secure_aggregation.randomness import elements_from_bytes
from fedledger.secure_aggregation.sealing import SealingKey
from fedledger_chaincode.messages.round import Manifest
from fedledger_chaincode.rules.commitments import SALT_BYTES, UpdateContext, initial_root, leaf_digest, root_digest
from fedledger_chaincode.rules.dealing import DIGEST_BYTES
from fedledger_chaincode.rules.field import ELEMENT_BYTES


@dataclass(frozen=True)
class OpenedShare:
    """A share that is the one its participant committed to."""

    root: str
    """R, the last of ``roots``."""
    validator: int
    parameters: Parameters
    messages: tuple[Elements, ...]
    """uint64, the share of each message."""
    roots: tuple[bytes, ...]
    """R_1, R_2, ..., after each message."""

    @property
    def update(self) -> Elements:
        """uint64[d], the share of the update alone."""
        return self.messages[0][: self.parameters.dimension]

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
    if sealed is None or not 1 <= validator <= len(manifest.shares):
        return Unreadable(Defect.SHARE_MISSING)
    named = manifest.shares[validator - 1]
    if not len(sealed) == named.size == parameters.sealed_bytes:
        return Unreadable(Defect.WRONG_LENGTH)
    if hashlib.sha256(sealed).hexdigest() != named.digest:
        return Unreadable(Defect.WRONG_DIGEST)
    plaintext = disclosable(sealed, manifest, validator, key)
    if plaintext is None:
        return Unreadable(Defect.NOT_OPENED)
    return check_plaintext(plaintext, manifest, parameters, validator)


def disclosable(sealed: bytes, manifest: Manifest, validator: int, key: SealingKey) -> bytes | None:
    """What was sealed: salt, leaves and messages, which an accused validator discloses (section 11.1); None when it
    does not open."""
    return key.open(sealed, sealing_info(UpdateContext.of(manifest), validator))


def check_plaintext(
    plaintext: bytes,
    manifest: Manifest,
    parameters: Parameters,
    validator: int,
) -> OpenedShare | Unreadable:
    """The checks of :func:`open_share` on what was sealed: salt, leaves, messages (section 7.2)."""
    if len(plaintext) != parameters.plaintext_bytes:
        return Unreadable(Defect.WRONG_LENGTH)
    if not 1 <= validator <= parameters.validators:
        return Unreadable(Defect.LEAF_MISMATCH)
    view = memoryview(plaintext)
    lengths = parameters.message_lengths
    salt, *parts = _cut(view, [SALT_BYTES, *[DIGEST_BYTES] * (parameters.validators * len(lengths))])
    leaves = [bytes(leaf) for leaf in parts]
    shares = list(_cut(view[SALT_BYTES + DIGEST_BYTES * len(leaves) :], [ELEMENT_BYTES * length for length in lengths]))
    roots = _roots(leaves, manifest, parameters)
    if roots[-1].hex() != manifest.root:
        return Unreadable(Defect.ROOT_MISMATCH)
    own = leaves[validator - 1 :: parameters.validators]
    for root, leaf, share in zip(roots, own, shares, strict=False):
        if leaf_digest(root, validator, bytes(salt), share) != leaf:
            return Unreadable(Defect.LEAF_MISMATCH)
    try:
        messages = tuple(elements_from_bytes(share) for share in shares)
    except ValueError:
        return Unreadable(Defect.NOT_AN_ELEMENT)
    return OpenedShare(manifest.root, validator, parameters, messages, tuple(roots[1:]))


def _roots(leaves: Sequence[bytes], manifest: Manifest, parameters: Parameters) -> list[bytes]:
    """R_0, R_1, ...: where the leaves lead from the manifest's own context."""
    roots = [initial_root(UpdateContext.of(manifest), parameters.proof)]
    for start in range(0, len(leaves), parameters.validators):
        roots.append(root_digest(roots[-1], leaves[start : start + parameters.validators]))
    return roots


def _cut(data: memoryview, sizes: Sequence[int]) -> Iterator[memoryview]:
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size
