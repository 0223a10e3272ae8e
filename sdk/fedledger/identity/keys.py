"""Keys and signatures as Fabric takes them: P-256, P-384 and Ed25519; refuses ECDSA with a high S.

An ECDSA signature (r, s) and its twin (r, n - s) both verify; Fabric accepts only s <= n/2, so that only the
signer can produce a second valid encoding (hyperledger/fabric, ``bccsp/utils/ecdsa.go``).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from fedledger.identity.errors import IdentityError

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

# Order n of the base point (SEC 2, sections 2.4.2 and 2.5.1).
_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
    ),
}


class KeyType(StrEnum):
    """Kinds of keys that Fabric 3 accepts for identities."""

    P256 = "P-256"
    P384 = "P-384"
    ED25519 = "Ed25519"


def generate_key(key_type: KeyType = KeyType.P256) -> PrivateKey:
    """Return a fresh private key from the operating system's generator."""
    if key_type is KeyType.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1() if key_type is KeyType.P256 else ec.SECP384R1())


def private_key_pem(key: PrivateKey) -> bytes:
    """Return ``key`` as unencrypted PKCS #8 in PEM, the form in Fabric's ``keystore`` folders."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_private_key(pem: bytes) -> PrivateKey:
    """Parse a PEM private key; raises ``IdentityError`` when it is none or of an unsupported kind."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IdentityError(
            "BAD_KEY",
            "The private key cannot be read.",
            "Give an unencrypted PEM key (PKCS #8), or enrol again.",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise _unsupported(type(key).__name__)
    supported_public_key(key.public_key())
    return key


def supported_public_key(key: object) -> PublicKey:
    """Return ``key`` if it is P-256, P-384 or Ed25519; otherwise raises ``UNSUPPORTED_KEY``."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _ORDERS:
        return key
    raise _unsupported(key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__)


def same_public_key(left: PublicKey, right: PublicKey) -> bool:
    """Tell whether two public keys are equal, by their SubjectPublicKeyInfo."""
    return public_key_der(left) == public_key_der(right)


def public_key_der(key: PublicKey) -> bytes:
    """Return the DER SubjectPublicKeyInfo (RFC 5280, 4.1)."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def has_low_s(signature: bytes, key: PublicKey) -> bool:
    """Tell whether a DER signature that ``key`` verifies has s <= n/2; Ed25519 has no such twin.

    Raises ``BAD_SIGNATURE`` when the bytes are no DER signature.
    """
    if isinstance(key, ed25519.Ed25519PublicKey):
        return True
    try:
        _, s = decode_dss_signature(signature)
    except ValueError as error:
        raise _bad_signature("The signature is not an ASN.1 DER sequence of r and s.") from error
    return s <= _ORDERS[key.curve.name] >> 1


def sign(key: PrivateKey, message: bytes) -> bytes:
    """Sign ``message`` as a Fabric client does: ECDSA over SHA-256 with low S, or Ed25519."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    order = _ORDERS[key.curve.name]
    return encode_dss_signature(r, min(s, order - s))


def verify(key: PublicKey, message: bytes, signature: bytes) -> None:
    """Check a signature as a Fabric MSP does; returns nothing, raises ``IdentityError``.

    Fabric's MSP hashes with SHA-256 whatever the curve (``msp/identities.go``, ``getHashOpt``), so a P-384
    key signs a SHA-256 digest too. Codes: ``HIGH_S_SIGNATURE``, ``BAD_SIGNATURE``.
    """
    if not has_low_s(signature, key):
        raise IdentityError(
            "HIGH_S_SIGNATURE",
            "The signature has a high S, which anybody can make from a valid one.",
            "Sign with a client that normalises S to the lower half of the group order.",
        )
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise _bad_signature("The signature does not match the message and the certificate's key.") from error


def _bad_signature(message: str) -> IdentityError:
    return IdentityError("BAD_SIGNATURE", message, "Sign the exact bytes with the key that belongs to the certificate.")


def _unsupported(kind: str) -> IdentityError:
    return IdentityError(
        "UNSUPPORTED_KEY", f"A key of kind {kind} is not supported.", "Use a P-256, P-384 or Ed25519 key."
    )
