"""Sealing of shares to one validator with HPKE (RFC 9180); refuses whatever was altered or meant for another.

Base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, no AAD. docs/protocol/secure-aggregation.md,
section 6. Sealing is spelt out here and not left to a library because a participant must be able to prove what it
sealed: the ephemeral key comes from a 32-byte secret that it keeps, and that opens this one ciphertext and no other.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fedledger.secure_aggregation.errors import KeyFileError, UpdateError

SEED_BYTES = 32
OVERHEAD_BYTES = 32 + 16
"""Encapsulated key and authentication tag."""

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
_KEM_ID = b"KEM" + b"\x00\x20"
_HPKE_ID = b"HPKE" + b"\x00\x20" + b"\x00\x01" + b"\x00\x01"


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


def new_seed() -> bytes:
    """A fresh secret for one sealing."""
    return os.urandom(SEED_BYTES)


def seal(plaintext: bytes, public_key: str, info: bytes, seed: bytes) -> bytes:
    """Encapsulated key, ciphertext and tag: ``OVERHEAD_BYTES`` longer than the plaintext.

    Args:
        public_key: hex of the recipient's raw X25519 key.
        seed: from :func:`new_seed`, used for this one sealing.

    Raises:
        UpdateError: ``SEALING_KEY``, the public key is malformed or of small order.
    """
    encapsulated, key, nonce = sender_schedule(public_key, info, seed)
    return encapsulated + AESGCM(key).encrypt(nonce, plaintext, None)


def open_with_seed(sealed: bytes, public_key: str, info: bytes, seed: bytes) -> bytes | None:
    """What was sealed to ``public_key`` with ``seed``; None when the seed is not the one of this ciphertext.

    For whoever judges a complaint: needs no private key.
    """
    encapsulated, key, nonce = sender_schedule(public_key, info, seed)
    if not hmac.compare_digest(sealed[: len(encapsulated)], encapsulated):
        return None
    try:
        return AESGCM(key).decrypt(nonce, sealed[len(encapsulated) :], None)
    except InvalidTag:
        return None


def sender_schedule(public_key: str, info: bytes, seed: bytes) -> tuple[bytes, bytes, bytes]:
    """Encapsulated key, AEAD key and nonce (RFC 9180, sections 4.1, 5.1, 7.1.3)."""
    ephemeral = X25519PrivateKey.from_private_bytes(derive_private_key(seed))
    encapsulated = ephemeral.public_key().public_bytes_raw()
    try:
        recipient = X25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        shared = ephemeral.exchange(recipient)
    except ValueError:
        raise UpdateError(
            "SEALING_KEY",
            "A validator's sealing key on the ledger is not a usable X25519 key.",
            "Ask that organisation to register its validator again.",
        ) from None
    secret = _expand(
        _KEM_ID,
        _extract(_KEM_ID, b"", b"eae_prk", shared),
        b"shared_secret",
        encapsulated + recipient.public_bytes_raw(),
        32,
    )
    return encapsulated, *key_schedule(secret, info)


def derive_private_key(seed: bytes) -> bytes:
    """DeriveKeyPair for X25519 (RFC 9180, section 7.1.3)."""
    return _expand(_KEM_ID, _extract(_KEM_ID, b"", b"dkp_prk", seed), b"sk", b"", 32)


def key_schedule(shared_secret: bytes, info: bytes) -> tuple[bytes, bytes]:
    """AEAD key and first nonce in base mode (RFC 9180, section 5.1)."""
    context = b"\x00" + _extract(_HPKE_ID, b"", b"psk_id_hash", b"") + _extract(_HPKE_ID, b"", b"info_hash", info)
    secret = _extract(_HPKE_ID, shared_secret, b"secret", b"")
    return _expand(_HPKE_ID, secret, b"key", context, 16), _expand(_HPKE_ID, secret, b"base_nonce", context, 12)


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    """LabeledExtract (RFC 9180, section 4)."""
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, hashlib.sha256)


def _expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """LabeledExpand (RFC 9180, section 4) for at most one block of 32 bytes."""
    message = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(key, message + b"\x01", hashlib.sha256)[:length]
