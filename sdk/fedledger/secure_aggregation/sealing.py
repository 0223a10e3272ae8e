"""Sealing of shares to one validator with HPKE (RFC 9180); refuses whatever was altered or meant for another.

Base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, no AAD. docs/protocol/secure-aggregation.md, section 6.
"""

from __future__ import annotations

import os
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedledger.secure_aggregation.errors import KeyFileError, UpdateError
from fedledger_chaincode.rules.dealing import SEALING_BYTES

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


class SealingKey:
    """A validator's X25519 key, to which its shares are sealed."""

    def __init__(self, private_key: X25519PrivateKey) -> None:
        self._private_key = private_key

    @classmethod
    def generate(cls) -> Self:
        """A fresh key from the operating system's generator."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """The key in an unencrypted PKCS #8 PEM file.

        Raises:
            KeyFileError: ``SEALING_KEY``, the bytes are no such file or hold a key of another kind.
        """
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise KeyFileError(
                "SEALING_KEY", f"The sealing key cannot be read: {error}.", "Restore the file from its backup."
            ) from None
        if not isinstance(key, X25519PrivateKey):
            raise KeyFileError(
                "SEALING_KEY",
                "The file holds a private key, but none for X25519.",
                "Name the sealing key here, not the key of an identity.",
            )
        return cls(key)

    def to_pem(self) -> bytes:
        """Unencrypted PKCS #8 in PEM: keep it in a file that only the validator can read."""
        return self._private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public_key(self) -> str:
        """Hex of the raw public key, as the ledger holds it."""
        return self._private_key.public_key().public_bytes_raw().hex()

    def open(self, sealed: bytes, info: bytes) -> bytes | None:
        """What was sealed to this key under ``info``; None when it does not open."""
        try:
            return bytes(_SUITE.decrypt(sealed, self._private_key, info=info))
        except InvalidTag:
            return None


def seal(plaintext: bytes | memoryview, public_key: str, info: bytes) -> bytes:
    """Encapsulated key, ciphertext and tag: 48 bytes more than the plaintext.

    A public key of small order has no secret, and whoever registered it can open nothing. It gets random bytes of the
    same length: one validator's useless key must not keep participants out of a round.

    Args:
        public_key: hex of the recipient's raw X25519 key.

    Raises:
        UpdateError: ``SEALING_KEY``, the public key is not the hex of 32 bytes.
    """
    try:
        recipient = X25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    except ValueError:
        raise UpdateError(
            "SEALING_KEY",
            "A validator's sealing key is not 32 bytes in hex.",
            "Take the keys of the task's validators from the ledger.",
        ) from None
    try:
        return bytes(_SUITE.encrypt(plaintext, recipient, info=info))
    except ValueError:
        return os.urandom(len(plaintext) + SEALING_BYTES)
