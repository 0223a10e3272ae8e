"""What a participant is bound to: the context of an update, leaves and roots; never holds a share's secret.

docs/protocol/secure-aggregation.md, sections 2.4, 5.1 and 5.3. SHA-256 throughout; every hash has its own domain tag
and every part is preceded by its length, so that no two different inputs are hashed alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from fedledger_chaincode.messages.round import Manifest

SALT_BYTES = 16

_CONTEXT = b"fedledger/context/1"
_INITIAL = {"norm": b"fedledger/proof/2", "none": b"fedledger/dealing/2"}
_LEAF = b"fedledger/leaf/2"
_ROOT = b"fedledger/root/2"
_REFERENCE = b"fedledger/reference/1"


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
    return b"".join([piece for part in (tag, *parts) for piece in (len(part).to_bytes(8, "little"), part)])


def integer(value: int) -> bytes:
    """Eight bytes, little-endian."""
    return value.to_bytes(8, "little")


def initial_root(context: UpdateContext, proof: Literal["none", "norm"]) -> bytes:
    """R_0: where the transcript of an update begins, in a task with or without norm proof (section 5.3)."""
    return hashlib.sha256(frame(_INITIAL[proof], context.encode())).digest()


def leaf_digest(root: bytes, validator: int, salt: bytes, share: bytes | memoryview) -> bytes:
    """leaf_kj: binds validator j's share of message k, and with the root all messages before it (section 5.3).

    Args:
        root: R_{k-1}.
        validator: evaluation point j, counting from 1.
        share: its field elements, eight bytes each, little-endian.
    """
    view = memoryview(share).cast("B")
    digest = hashlib.sha256(frame(_LEAF, root, integer(validator), salt))
    digest.update(integer(len(view)))
    digest.update(view)
    return digest.digest()


def root_digest(root: bytes, leaves: Sequence[bytes]) -> bytes:
    """R_k: binds R_{k-1} and the leaves of message k in the order of their validators (section 5.3)."""
    return hashlib.sha256(frame(_ROOT, root, *leaves)).digest()


def reference_commitment(salt: bytes, digest: str) -> str:
    """Binds a validator to the artifact of a reference direction and hides it until the salt is revealed.

    Args:
        salt: 16 secret bytes.
        digest: hex SHA-256 of the artifact.
    """
    return hashlib.sha256(frame(_REFERENCE, salt, bytes.fromhex(digest))).hexdigest()
