"""What a participant is bound to: the context of an update, leaves and roots; never holds a share's secret.

docs/protocol/secure-aggregation.md, sections 2.4 and 5. SHA-256 throughout; every hash has its own domain tag and every
part is preceded by its length, so that no two different inputs are hashed alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from fedledger_chaincode.messages.round import Manifest

SALT_BYTES = 16

_CONTEXT = b"fedledger/context/1"
_LEAF = b"fedledger/leaf/1"
_ROOT = b"fedledger/root/1"
_REFERENCE = b"fedledger/reference/1"
_PROOF_LEAF = b"fedledger/proof-leaf/1"
_PROOF_ROOT = b"fedledger/proof-root/1"


@dataclass(frozen=True)
class UpdateContext:
    """Where an update belongs; a share that is moved anywhere else no longer matches its leaf (section 5.1)."""

    channel: str
    task: str
    round: int
    base_model: str
    """Hex digest of the model that the update starts from."""
    participant: str
    """The participant's pseudonym."""

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        return cls(manifest.channel, manifest.task, manifest.round, manifest.base_model, manifest.participant)

    def encode(self) -> bytes:
        """The context string ctx."""
        return frame(
            _CONTEXT,
            self.channel.encode(),
            self.task.encode(),
            integer(self.round),
            bytes.fromhex(self.base_model),
            bytes.fromhex(self.participant),
        )


def frame(tag: bytes, *parts: bytes) -> bytes:
    """An injective encoding of a tag and parts: each preceded by its length, eight bytes little-endian."""
    return b"".join(integer(len(part)) + part for part in (tag, *parts))


def integer(value: int) -> bytes:
    """Eight bytes, little-endian."""
    return value.to_bytes(8, "little")


def leaf_digest(context: UpdateContext, validator: int, salt: bytes, share: bytes | memoryview) -> str:
    """leaf_j: binds validator j's share of the update (section 5.3).

    Args:
        validator: evaluation point j, counting from 1.
        share: its field elements, eight bytes each, little-endian.
    """
    return _digest_with_tail(frame(_LEAF, context.encode(), integer(validator), salt), share)


def root_digest(context: UpdateContext, leaves: Sequence[str]) -> str:
    """root: binds all leaves in the order of their validators (section 5.3)."""
    return hashlib.sha256(frame(_ROOT, context.encode(), *map(bytes.fromhex, leaves))).hexdigest()


def proof_leaf_digest(root: str, validator: int, salt: bytes, share: bytes | memoryview) -> str:
    """leaf'_j: binds validator j's share of the norm proof to the update's root (section 5.5)."""
    return _digest_with_tail(frame(_PROOF_LEAF, bytes.fromhex(root), integer(validator), salt), share)


def proof_root_digest(root: str, leaves: Sequence[str]) -> str:
    """root': binds all leaves of the norm proof; all challenges are drawn from it (section 5.5)."""
    return hashlib.sha256(frame(_PROOF_ROOT, bytes.fromhex(root), *map(bytes.fromhex, leaves))).hexdigest()


def reference_commitment(salt: bytes, digest: str) -> str:
    """Binds a validator to the artifact of a reference direction and hides it until the salt is revealed.

    Args:
        salt: 16 secret bytes.
        digest: hex SHA-256 of the artifact.
    """
    return hashlib.sha256(frame(_REFERENCE, salt, bytes.fromhex(digest))).hexdigest()


def roots_match(manifest: Manifest) -> bool:
    """Whether a manifest's roots are those of its own context and leaves."""
    if manifest.root != root_digest(UpdateContext.of(manifest), manifest.leaves):
        return False
    proof = manifest.proof
    return proof is None or proof.root == proof_root_digest(manifest.root, proof.leaves)


def _digest_with_tail(head: bytes, tail: bytes | memoryview) -> str:
    """SHA-256 of ``head`` and the framed ``tail``, without a copy of the tail."""
    view = memoryview(tail).cast("B")
    digest = hashlib.sha256(head)
    digest.update(integer(len(view)))
    digest.update(view)
    return digest.hexdigest()
