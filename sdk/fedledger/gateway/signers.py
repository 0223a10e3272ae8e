"""Signers for private keys in memory: P-256 and P-384 with low S, and Ed25519; refuses every other key."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature

from fedledger.gateway.errors import SigningError
from fedledger.gateway.identity import Signer

# Order n of the base point (SEC 2, sections 2.4.2 and 2.5.1).
_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
    ),
}


def new_private_key_signer(key: object) -> Signer:
    """Return a signer that uses ``key``, a private key of the ``cryptography`` package.

    ECDSA signs a SHA-256 digest of 32 bytes and answers ASN.1 DER with s <= n/2, as Fabric demands; Ed25519 signs
    the message it is given. Raises ``SigningError`` (``UNSUPPORTED_KEY``).
    """
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _ORDERS:
        return _ecdsa_signer(key, _ORDERS[key.curve.name])
    raise SigningError(
        "UNSUPPORTED_KEY",
        f"A key of kind {type(key).__name__} cannot sign for a Fabric channel.",
        "Use a P-256, P-384 or Ed25519 private key.",
    )


def _ecdsa_signer(key: ec.EllipticCurvePrivateKey, order: int) -> Signer:
    def sign(digest: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        return encode_dss_signature(r, min(s, order - s))

    return sign
