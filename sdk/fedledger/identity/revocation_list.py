"""A certificate revocation list as Fabric's MSPs read it: whose it is and which serial numbers stand in it.

The list's own times, its issuer's name and reasons mean nothing to Fabric. Judges no signature.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedledger.identity import der
from fedledger.identity.certificate import malformed
from fedledger.identity.der import DerError, Reader
from fedledger.identity.keys import canonical
from fedledger.identity.pem import first_block

_AUTHORITY_KEY = "2.5.29.35"
_PEM = b"-----BEGIN X509 CRL"
_TIMES = (der.UTC_TIME, der.GENERALIZED_TIME)
_ECDSA = ("1.2.840.10045.4.1", "1.2.840.10045.4.3.2", "1.2.840.10045.4.3.3", "1.2.840.10045.4.3.4")


@dataclass(frozen=True)
class RevocationList:
    """One list."""

    authority_key: bytes | None
    """The key identifier of the CA that it is of; None when it does not say."""
    revoked: frozenset[int]
    """Serial numbers."""
    algorithm: bytes
    """DER of the signature's ``AlgorithmIdentifier``."""
    to_be_signed: bytes
    signature: bytes

    @classmethod
    def load(cls, content: bytes) -> RevocationList:
        """Read PEM or DER; raises ``IdentityError``."""
        block = first_block(content) if content.startswith(_PEM) else None
        try:
            return _read(content if block is None else block)
        except DerError as error:
            raise malformed(f"a revocation list is none: {error}") from error


def _read(encoded: bytes) -> RevocationList:
    outer = Reader(encoded)
    reader = outer.inside(der.SEQUENCE)
    if outer:
        raise DerError("there is something behind it")
    body = reader.take(der.SEQUENCE)
    algorithm = reader.take(der.SEQUENCE)
    signature = reader.bits().aligned()
    if Reader(algorithm.content).oid() in _ECDSA:
        signature = canonical(signature)
    fields = Reader(body.content)
    fields.optional(der.INTEGER)
    fields.take(der.SEQUENCE)
    fields.take(der.SEQUENCE)
    fields.time()
    if any(map(fields.next_is, _TIMES)):
        fields.time()
    revoked = set()
    entries = Reader(b"")
    if fields.next_is(der.SEQUENCE):
        entries = fields.inside(der.SEQUENCE)
    while entries:
        entry = entries.inside(der.SEQUENCE)
        revoked.add(entry.integer())
        entry.time()
    return RevocationList(_authority_key(fields), frozenset(revoked), algorithm.encoded, body.encoded, signature)


def _authority_key(fields: Reader) -> bytes | None:
    explicit = fields.optional(0xA0)
    extensions = Reader(b"") if explicit is None else Reader(explicit.content).inside(der.SEQUENCE)
    while extensions:
        entry = extensions.inside(der.SEQUENCE)
        name = entry.oid()
        if entry.next_is(der.BOOLEAN):
            entry.boolean()
        value = entry.take(der.OCTET_STRING).content
        if name == _AUTHORITY_KEY:
            key = Reader(value).inside(der.SEQUENCE).optional(0x80)
            return b"" if key is None else key.content
    return None
