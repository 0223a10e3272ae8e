"""Certificate paths to an organisation's own CAs, as Fabric's MSPs build them; refuses what they refuse.

A path is judged at the moment at which its first certificate begins to be valid, never by a clock: the judgement is the
same for ever (``msp/mspimpl.go``, ``getValidityOptsForCert``; Go's ``crypto/x509``, ``Certificate.Verify``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from fedledger.identity import der, keys
from fedledger.identity.certificate import Certificate, CertifiedKey, load_pem, parse
from fedledger.identity.der import DerError, Reader
from fedledger.identity.errors import IdentityError, malformed_msp
from fedledger.identity.revocation_list import RevocationList

_MOST_SIGNATURES = 100
"""How many signatures are checked for one certificate at most."""
_LEAST_RSA_BITS = 1024
_ANY_PURPOSE, _SERVER = "2.5.29.37.0", "1.3.6.1.5.5.7.3.1"
"""Fabric asks for certificates of TLS servers: one that is limited to other purposes is refused."""

_SHA1 = hashes.SHA1()
_ECDSA: Mapping[str, hashes.HashAlgorithm] = {
    "1.2.840.10045.4.1": _SHA1,
    "1.2.840.10045.4.3.2": hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
}
_RSA: Mapping[str, hashes.HashAlgorithm] = {
    "1.2.840.113549.1.1.5": _SHA1,
    "1.3.14.3.2.29": _SHA1,
    "1.2.840.113549.1.1.11": hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
}
_RSA_PSS, _MGF1, _ED25519 = "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.8", "1.3.101.112"
_DIGESTS: Mapping[str, hashes.HashAlgorithm] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}

Chain = tuple[Certificate, ...]
"""A path from a certificate to a root, both included."""


@dataclass(frozen=True)
class CertificatePool:
    """CA certificates from which paths are built."""

    roots: tuple[Certificate, ...]
    intermediates: tuple[Certificate, ...] = ()

    @cached_property
    def authorities(self) -> tuple[Certificate, ...]:
        """All of them, roots first, each once."""
        return tuple(dict.fromkeys(self.roots + self.intermediates))

    def chain(self, certificate: Certificate) -> Chain:
        """Return the one path to a root.

        Raises ``IdentityError``: ``UNKNOWN_ISSUER`` without a path, ``BAD_CERTIFICATE`` with several, or where the
        certificates in it do not allow it.
        """
        name = certificate.common_name or "no name"
        if certificate.not_understood:
            raise _bad(name, f"has a critical extension {certificate.not_understood[0]} unknown here")
        at = certificate.not_before + 1
        if at > certificate.not_after:
            raise _bad(name, "is valid for less than a second")
        found = [(certificate,)] if certificate in self.roots else list(_Search(self, at).paths((certificate,)))
        if not found:
            raise IdentityError(
                "UNKNOWN_ISSUER",
                f"The certificate of {name} was not issued by a CA of that organisation, or one that had not begun, had"
                " ended or was not allowed to.",
                "Enrol at the CA of the organisation whose MSP id you use.",
            )
        allowed = [path for path in found if not _objection(path)]
        if not allowed:
            raise _bad(name, _objection(found[0]))
        if len(allowed) > 1:
            raise _bad(name, f"has {len(allowed)} paths to a root, which leaves open whose it is")
        if _is_nameless_host(allowed[0]):
            raise _bad(name, "has a host's name as its common name only, below a CA that is limited in its names")
        return allowed[0]

    def sanitized(self, certificate: Certificate) -> Certificate:
        """Return the certificate with the low S that Fabric gives its signature, which its identity is made of.

        Raises as ``chain``: for that, the path has to be known.
        """
        algorithm = _name(certificate)
        if algorithm not in _ECDSA:
            return certificate
        if certificate.is_authority and signed_by(certificate, certificate):
            twin = with_low_s(certificate, certificate)
            CertificatePool((twin,), self.intermediates).chain(twin)
            return twin
        path = self.chain(certificate)
        if len(path) == 1:
            raise _bad(certificate.common_name, "stands among the roots and is not signed by itself")
        return with_low_s(certificate, path[1])


@dataclass(frozen=True)
class TrustAnchors:
    """An organisation's CA certificates and what they revoked, checked and parsed."""

    msp_id: str
    pool: CertificatePool
    lists: tuple[RevocationList, ...] = ()
    inner: frozenset[Certificate] = field(default=frozenset())
    """The CAs that certify CAs; they certify nobody else."""

    @classmethod
    def load(
        cls, msp_id: str, roots: Sequence[bytes], intermediates: Sequence[bytes], lists: Sequence[bytes]
    ) -> TrustAnchors:
        """Parse PEM certificates and revocation lists; raises ``MALFORMED_MSP`` for any that cannot serve."""
        if not roots:
            raise malformed_msp(msp_id, "it has no root certificate")
        try:
            given = CertificatePool(*(tuple(map(load_pem, pems)) for pems in (roots, intermediates)))
            for authority in given.authorities:
                if authority.key is None:
                    raise _bad(authority.common_name, "has a key of an unknown kind")
            pool = CertificatePool(
                tuple(map(given.sanitized, given.roots)), tuple(map(given.sanitized, given.intermediates))
            )
            anchors = cls(msp_id, pool, tuple(map(RevocationList.load, lists)))
            anchors.check_authorities(pool)
            paths = [pool.chain(intermediate) for intermediate in pool.intermediates]
        except IdentityError as error:
            raise malformed_msp(msp_id, f"a certificate or list of it is refused ({error.message})") from error
        return replace(anchors, inner=frozenset(above for path in paths for above in path[1:]))

    def check_authorities(self, pool: CertificatePool) -> None:
        """Raise ``IdentityError`` unless each certificate of a pool can be a CA's, and is not revoked."""
        for authority in pool.authorities:
            if not authority.is_authority:
                raise _bad(authority.common_name, "is no CA's")
            if authority.subject_key is None:
                raise _bad(authority.common_name, "has no subject key identifier")
            path = pool.chain(authority)
            if len(path) > 1:
                self.refuse_revoked(path)

    @property
    def authorities(self) -> tuple[Certificate, ...]:
        """All CA certificates, roots first."""
        return self.pool.authorities

    def certified(self, certificate: Certificate) -> tuple[Certificate, Chain]:
        """Return an identity's certificate as Fabric keeps it, and its path.

        Raises ``UNKNOWN_ISSUER``, ``BAD_CERTIFICATE``, ``UNSUPPORTED_KEY``.
        """
        if certificate.key is None:
            raise IdentityError("UNSUPPORTED_KEY", "The key is of an unknown kind.", "Use a P-256 or Ed25519 key.")
        kept = self.pool.sanitized(certificate)
        if kept.is_authority:
            raise _bad(kept.common_name, "is a CA's, which cannot act as an identity")
        path = self.pool.chain(kept)
        if len(path) < 2:
            raise _bad(kept.common_name, "stands among the roots")
        if path[1] in self.inner:
            raise _bad(kept.common_name, f"was issued by {path[1].common_name}, whose part is to certify CAs only")
        return kept, path

    def refuse_revoked(self, path: Chain) -> None:
        """Raise ``REVOKED`` if the issuer of a path's first certificate has revoked it.

        A list counts from the moment at which it is in the definition, whatever times stand in it.
        """
        first, issuer = path[0], path[1]
        for entry in self.lists:
            if entry.authority_key is None:
                raise _bad(first.common_name, "cannot be looked up: a revocation list does not say whose it is")
            if entry.authority_key != issuer.subject_key or first.serial_number not in entry.revoked:
                continue
            if verified(issuer.key, entry.algorithm, entry.to_be_signed, entry.signature, allow_sha1=True):
                raise IdentityError(
                    "REVOKED",
                    f"The certificate {first.serial_number:x} of {first.common_name} is revoked by {self.msp_id}.",
                    "Ask the organisation's registrar, then enrol again for a new certificate.",
                )


class _Search:
    """The paths from one certificate to the roots, at a moment in seconds since 1970."""

    def __init__(self, pool: CertificatePool, at: int) -> None:
        self._pool = pool
        self._at = at
        self._checked = 0

    def paths(self, path: Chain) -> Iterator[Chain]:
        """All continuations of a path."""
        for is_root, authorities in ((True, self._pool.roots), (False, self._pool.intermediates)):
            for authority in dict.fromkeys(authorities):
                if authority.subject != path[-1].issuer or not self._continues(path, authority, is_root):
                    continue
                if is_root:
                    yield (*path, authority)
                else:
                    yield from self.paths((*path, authority))

    def _continues(self, path: Chain, authority: Certificate, is_root: bool) -> bool:
        self._checked += 1
        if self._checked > _MOST_SIGNATURES or authority.key is None or _is_in(authority, path):
            return False
        constraints = authority.constraints
        return (
            signed_by(path[-1], authority)
            and not authority.not_understood
            and authority.not_before <= self._at <= authority.not_after
            and (is_root or authority.is_authority)
            and (constraints is None or constraints[1] < 0 or len(path) - 1 <= constraints[1])
        )


def signed_by(certificate: Certificate, authority: Certificate) -> bool:
    """Whether an authority's key signed a certificate, and may sign certificates."""
    if authority.constraints is None and authority.version == 3:
        return False
    if authority.constraints is not None and not authority.constraints[0]:
        return False
    return authority.may_sign_certificates and verified(
        authority.key, certificate.signature_algorithm, certificate.to_be_signed, certificate.signature
    )


def verified(
    key: CertifiedKey | None, algorithm: bytes, message: bytes, signature: bytes, *, allow_sha1: bool = False
) -> bool:
    """Whether a signature of X.509 holds; ``algorithm`` is the DER of its ``AlgorithmIdentifier``."""
    try:
        reader = Reader(algorithm).inside(der.SEQUENCE)
        name = reader.oid()
        parameters = reader.any().encoded if reader else b""
        if isinstance(key, ec.EllipticCurvePublicKey):
            digest = _ECDSA.get(name)
            if digest is None or (digest is _SHA1 and not allow_sha1):
                return False
            key.verify(signature, message, ec.ECDSA(digest))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            if name != _ED25519 or parameters:
                return False
            key.verify(signature, message)
        elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS:
            return _rsa_verified(key, name, parameters, message, signature, allow_sha1)
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True


def _rsa_verified(
    key: rsa.RSAPublicKey, name: str, parameters: bytes, message: bytes, signature: bytes, allow_sha1: bool
) -> bool:
    if name == _RSA_PSS:
        digest = _pss_digest(parameters)
        if digest is None:
            return False
        key.verify(signature, message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        return True
    found = _RSA.get(name)
    if found is None or (found is _SHA1 and not allow_sha1):
        return False
    key.verify(signature, message, padding.PKCS1v15(), found)
    return True


def _pss_digest(parameters: bytes) -> hashes.HashAlgorithm | None:
    """The digest of RSASSA-PSS parameters in which all parts belong together; None for others."""
    try:
        reader = Reader(parameters).inside(der.SEQUENCE)
        digest = _algorithm_of(Reader(reader.take(0xA0).content))
        mask = Reader(reader.take(0xA1).content).inside(der.SEQUENCE)
        if mask.oid() != _MGF1 or _algorithm_of(mask) != digest:
            return None
        salt = Reader(reader.take(0xA2).content).integer()
        trailer = reader.optional(0xA3)
        found = _DIGESTS.get(digest)
        if found is None or salt != found.digest_size or (trailer and Reader(trailer.content).integer() != 1):
            return None
        return found
    except DerError:
        return None


def _algorithm_of(reader: Reader) -> str:
    """The name of an algorithm whose parameters are NULL or none; empty for others."""
    inner = reader.inside(der.SEQUENCE)
    name = inner.oid()
    return name if inner.rest in (b"", der.encode(der.NULL)) else ""


def _objection(path: Chain) -> str:
    """Why the certificates of a path do not allow it; empty when they do."""
    if any(certificate.demands_policy for certificate in path):
        return "is below, or has, a demand for certificate policies, which are not followed here"
    purposes = {_SERVER}
    for certificate in reversed(path):
        limited = set(certificate.extended_usages)
        if limited and _ANY_PURPOSE not in limited:
            purposes &= limited
    if not purposes:
        return "is limited to purposes that do not include a TLS server's, which Fabric asks for"
    for place, certificate in enumerate(path):
        if certificate.names is None:
            continue
        for above in path[place + 1 :]:
            if above.name_constraints is not None and not above.name_constraints.allows(certificate.names):
                return f"has a name that {above.common_name} may not certify"
    return ""


def _is_nameless_host(path: Chain) -> bool:
    """Whether names are limited above a certificate that has none but a common name that a host could have."""
    first, *above = path
    return (
        first.names is None
        and _could_be_host(first.common_name)
        and any(certificate.name_constraints is not None for certificate in above)
    )


def _could_be_host(name: str) -> bool:
    labels = name.removesuffix(".").split(".")
    return all(
        (place == 0 and label == "*")
        or (
            bool(label)
            and not label.startswith("-")
            and all(letter.isascii() and (letter.isalnum() or letter in "-_:") for letter in label)
        )
        for place, label in enumerate(labels)
    )


def _is_in(authority: Certificate, path: Iterable[Certificate]) -> bool:
    """Whether a path has a certificate of the same name and key already."""
    for certificate in path:
        if (certificate.subject, certificate.key_info) != (authority.subject, authority.key_info):
            continue
        if (certificate.names is None) != (authority.names is None):
            return False
        if certificate.names == authority.names:
            return True
    return False


def with_low_s(certificate: Certificate, issuer: Certificate) -> Certificate:
    """Return the certificate, or its twin where its issuer's ECDSA signature has a high S."""
    key = issuer.key
    if not isinstance(key, ec.EllipticCurvePublicKey) or keys.has_low_s(certificate.signature, key):
        return certificate
    bits = der.encode(der.BIT_STRING, b"\x00", keys.with_low_s(certificate.signature, key))
    return parse(der.encode(der.SEQUENCE, certificate.to_be_signed, certificate.signature_algorithm, bits))


def _name(certificate: Certificate) -> str:
    return Reader(certificate.signature_algorithm).inside(der.SEQUENCE).oid()


def _bad(name: str, reason: str) -> IdentityError:
    return IdentityError(
        "BAD_CERTIFICATE",
        f"The certificate of {name or 'no name'} {reason}.",
        "Enrol at the organisation's CA and use the certificate that it returns.",
    )
