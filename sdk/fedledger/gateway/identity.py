"""Who signs: an identity's certificate, how messages become digests, and who turns a digest into a signature.

The private key stays behind the ``Signer`` function; nothing here sees it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from fabric_protos.msp import identities_pb2

from fedledger.gateway.errors import SigningError

Signer: TypeAlias = Callable[[bytes], bytes]
"""Turns a digest (what ``Hash`` returns) into a signature; may be called by several threads at a time."""

Hash: TypeAlias = Callable[[bytes], bytes]
"""Turns a message into what the signer gets."""


@dataclass(frozen=True)
class Identity:
    """An organisation's MSP id and an X.509 certificate in PEM."""

    msp_id: str
    credentials: bytes

    def serialize(self) -> bytes:
        """Return the ``msp.SerializedIdentity`` that stands as creator in what the client signs."""
        serialized: bytes = identities_pb2.SerializedIdentity(
            mspid=self.msp_id, id_bytes=self.credentials
        ).SerializeToString()
        return serialized


def sha256(message: bytes) -> bytes:
    """Return the SHA-256 digest: what ECDSA signs on a Fabric channel, whatever the curve."""
    return hashlib.sha256(message).digest()


def unhashed(message: bytes) -> bytes:
    """Return the message itself: Ed25519 signs whole messages (RFC 8032, 5.1)."""
    return message


def hash_for(identity: Identity) -> Hash:
    """Return the hash that goes with the certificate's key; raises ``SigningError`` when it is no certificate."""
    try:
        key = x509.load_pem_x509_certificate(identity.credentials).public_key()
    except ValueError as error:
        raise SigningError(
            "MALFORMED_CERTIFICATE",
            f"The credentials of the identity of {identity.msp_id} are no X.509 certificate in PEM.",
            "Give the enrolment certificate, not the key or a TLS certificate's path.",
        ) from error
    return unhashed if isinstance(key, ed25519.Ed25519PublicKey) else sha256


class SigningIdentity:
    """An identity with its hash and, unless signing happens elsewhere, its signer."""

    def __init__(self, identity: Identity, sign: Signer | None, hash_message: Hash) -> None:
        self.identity = identity
        self.creator = identity.serialize()
        self._sign = sign
        self._hash = hash_message

    def digest(self, message: bytes) -> bytes:
        """Return what a signer is to be given for ``message``."""
        return self._hash(message)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message``; raises ``SigningError`` (``NO_SIGNER``) without a signer."""
        if self._sign is None:
            raise SigningError(
                "NO_SIGNER",
                "This has no signature and the gateway was connected without a signer.",
                "Sign get_digest() where the key is; pass bytes and signature to the gateway's new_signed_... method.",
            )
        return self._sign(self._hash(message))
