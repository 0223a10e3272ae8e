"""Messages become what is published: shares, salted leaves, roots, and one ciphertext per validator.

docs/protocol/secure-aggregation.md, sections 5.3 and 6.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.parameters import Parameters
from fedledger.secure_aggregation.sealing import seal
from fedledger.secure_aggregation.sharing import Dealing
from fedledger_chaincode.messages.round import SealedShareReference
from fedledger_chaincode.rules.commitments import (
    SALT_BYTES,
    UpdateContext,
    frame,
    initial_root,
    integer,
    leaf_digest,
    root_digest,
)
from fedledger_chaincode.rules.field import ELEMENT_BYTES

_SEAL = b"fedledger/seal/1"


@dataclass(frozen=True)
class PreparedUpdate:
    """What a participant publishes of one update: fields of its manifest, and the artifacts they name."""

    root: str
    shares: tuple[SealedShareReference, ...]
    sealed: tuple[bytes, ...] = field(repr=False)
    """Sealed share of validator 1, 2, ..., n: goes to that validator's artifact store."""


class Dealer:
    """The messages of one update, each shared and committed to before the next can be made of its root.

    Shares are computed twice, to be committed to and to be sealed: no more than one validator's are in memory at once.
    """

    def __init__(
        self,
        parameters: Parameters,
        context: UpdateContext,
        salts: Sequence[bytes],
        coefficients: Sequence[Elements],
    ) -> None:
        """Args:
        coefficients: for each message uint64[t, its length], uniform and used once.
        """
        self._context = context
        self._salts = salts
        self._coefficients = coefficients
        self._plaintext = np.empty(parameters.plaintext_bytes // ELEMENT_BYTES, dtype="<u8")
        self._dealings: list[Dealing] = []
        self._leaves: list[bytes] = []
        self._initial = initial_root(context, parameters.proof)
        self.roots: list[bytes] = []
        """R_1, R_2, ..., as far as messages have been dealt."""

    def deal(self, message: Elements) -> bytes:
        """Share the next message with every validator; the root that commits to it and to all before it."""
        previous = self.roots[-1] if self.roots else self._initial
        self._dealings.append(Dealing(message, self._coefficients[len(self.roots)]))
        share = self._plaintext[: message.shape[0]]
        leaves = []
        for validator, salt in enumerate(self._salts, start=1):
            self.write_share(len(self._dealings), validator, share)
            leaves.append(leaf_digest(previous, validator, salt, share.data))
        self._leaves += leaves
        self.roots.append(root_digest(previous, leaves))
        return self.roots[-1]

    def write_share(self, message: int, validator: int, out: Elements) -> None:
        """Validator j's share of message k, both counted from 1, written to uint64[m]."""
        self._dealings[message - 1].share_into(validator, out)

    def seal(self, sealing_keys: Sequence[str]) -> PreparedUpdate:
        """Seal salt, leaves and shares to each validator, once all messages are dealt.

        Args:
            sealing_keys: hex public keys of validators 1..n.

        Raises:
            UpdateError: ``SEALING_KEY``, a key is malformed.
        """
        plaintext, leaves = self._plaintext.data.cast("B"), b"".join(self._leaves)
        sealed = []
        for validator, (salt, key) in enumerate(zip(self._salts, sealing_keys, strict=True), start=1):
            start = SALT_BYTES + len(leaves)
            plaintext[:start] = salt + leaves
            start //= ELEMENT_BYTES
            for message, dealing in enumerate(self._dealings, start=1):
                end = start + dealing.secret.shape[0]
                self.write_share(message, validator, self._plaintext[start:end])
                start = end
            sealed.append(seal(plaintext, key, sealing_info(self._context, validator)))
        shares = (SealedShareReference(digest=hashlib.sha256(data).hexdigest(), size=len(data)) for data in sealed)
        return PreparedUpdate(self.roots[-1].hex(), tuple(shares), tuple(sealed))


def sealing_info(context: UpdateContext, validator: int) -> bytes:
    """HPKE's info: a ciphertext opens only for the update and the validator that it was made for (section 6)."""
    return frame(_SEAL, context.encode(), integer(validator))
