"""Verifying a participant's signature over its manifest; refuses malleable and unsupported ones.

ECDSA on P-256 or P-384 over SHA-256, as Fabric hashes whatever the curve, DER with low S; Ed25519 (RFC 8032).
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

_HALF_ORDER = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 >> 1,
    "secp384r1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
    >> 1,
}


_REMEMBERED_KEYS = 1024


def is_supported(public_key_der: bytes) -> bool:
    """Whether it is the one DER encoding of a P-256, P-384 or Ed25519 key."""
    try:
        key = load_der_public_key(public_key_der)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    on_curve = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _HALF_ORDER
    if not (on_curve or isinstance(key, ed25519.Ed25519PublicKey)):
        return False
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public_key_der


@lru_cache(_REMEMBERED_KEYS)
def _loaded(public_key_der: bytes) -> object:
    """A participant signs with the same key in every round."""
    return load_der_public_key(public_key_der)


def is_signed(public_key_der: bytes, signature: bytes, message: bytes) -> bool:
    """Whether ``signature`` over ``message`` verifies under the DER SubjectPublicKeyInfo."""
    key = _loaded(public_key_der)
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
            return True
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HALF_ORDER:
            return False
        r, s = decode_dss_signature(signature)
        if s > _HALF_ORDER[key.curve.name] or encode_dss_signature(r, s) != signature:
            return False
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
