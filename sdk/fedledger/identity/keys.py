"""Keys and signatures as Fabric takes them; refuses ECDSA with a high S, and other keys for what is made here.

An ECDSA signature (r, s) and its twin (r, n - s) both verify; Fabric accepts only s <= n/2, so that only the
signer can produce a second pair (fabric-lib-go, ``bccsp/utils/ecdsa.go``). Keys made here are P-256, P-384 or Ed25519;
of others' Fabric takes P-224 and P-521 as well.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from fedledger.identity import der
from fedledger.identity.der import DerError, Reader
from fedledger.identity.errors import IdentityError

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

# Order n of the base point (SEC 2, sections 2.3.2, 2.4.2, 2.5.1 and 2.6.1).
_ORDERS = {
    "secp224r1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFF16A2E0B8F03E13DD29455C5C2A3D,
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
    ),
    "secp521r1": (1 << 521) - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
}
_OWN_CURVES = ("secp256r1", "secp384r1")


class KeyType(StrEnum):
    """Kinds of keys that are made here."""

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
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _OWN_CURVES:
        return key
    raise _unsupported(key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__)


def same_public_key(left: PublicKey, right: PublicKey) -> bool:
    """Tell whether two public keys are equal, by their SubjectPublicKeyInfo."""
    return public_key_der(left) == public_key_der(right)


def public_key_der(key: PublicKey) -> bytes:
    """Return the DER SubjectPublicKeyInfo (RFC 5280, 4.1)."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def has_low_s(signature: bytes, key: PublicKey) -> bool:
    """Tell whether a signature has s <= n/2 by the curve of ``key``; Ed25519 has no such twin.

    Raises ``BAD_SIGNATURE`` when the bytes hold no r and s.
    """
    if isinstance(key, ed25519.Ed25519PublicKey):
        return True
    return _numbers(signature)[1] <= _ORDERS[key.curve.name] >> 1


def with_low_s(signature: bytes, key: PublicKey) -> bytes:
    """Return the signature, or its twin where its S is high; raises as ``has_low_s``."""
    if isinstance(key, ed25519.Ed25519PublicKey) or has_low_s(signature, key):
        return signature
    r, s = _numbers(signature)
    return encode_dss_signature(r, _ORDERS[key.curve.name] - s)


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
    key signs a SHA-256 digest too. It looks at r and s alone, so that bytes behind them mean nothing. Codes:
    ``HIGH_S_SIGNATURE``, ``BAD_SIGNATURE``.
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
            key.verify(canonical(signature), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise _bad_signature("The signature does not match the message and the certificate's key.") from error


def canonical(signature: bytes) -> bytes:
    """Return the one DER encoding of an ECDSA signature's numbers; raises ``BAD_SIGNATURE``."""
    return encode_dss_signature(*_numbers(signature))


def _numbers(signature: bytes) -> tuple[int, int]:
    """r and s, both positive."""
    try:
        reader = Reader(signature).inside(der.SEQUENCE)
        r, s = reader.integer(), reader.integer()
    except DerError as error:
        raise _bad_signature("The signature is not an ASN.1 DER sequence of r and s.") from error
    if r <= 0 or s <= 0:
        raise _bad_signature("The signature has a number that is not positive.")
    return r, s


def _bad_signature(message: str) -> IdentityError:
    return IdentityError("BAD_SIGNATURE", message, "Sign the exact bytes with the key that belongs to the certificate.")


def _unsupported(kind: str) -> IdentityError:
    return IdentityError(
        "UNSUPPORTED_KEY", f"A key of kind {kind} is not supported.", "Use a P-256, P-384 or Ed25519 key."
    )
