"""Certificate paths to an organisation's own CAs; refuses broken paths as RFC 5280, section 6 has it.

Times are left to the caller, so that a path can be remembered. Only CAs that the MSP lists may be in a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from fedledger.identity.authority import load_certificate
from fedledger.identity.errors import IdentityError, malformed_msp
from fedledger.identity.keys import has_low_s, supported_public_key

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_MAX_DEPTH = 8
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)


@dataclass(frozen=True)
class TrustAnchors:
    """An organisation's CA certificates and what they revoked, checked and parsed."""

    msp_id: str
    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...]
    revoked: frozenset[tuple[bytes, int]]
    """Pairs of issuer name (DER) and serial number."""

    @classmethod
    def load(
        cls, msp_id: str, roots: Sequence[bytes], intermediates: Sequence[bytes], lists: Sequence[bytes]
    ) -> TrustAnchors:
        """Parse PEM certificates and revocation lists; raises ``MALFORMED_MSP`` for any that cannot serve."""
        parsed_roots = tuple(_authority(msp_id, pem) for pem in roots)
        if not parsed_roots:
            raise malformed_msp(msp_id, "it has no root certificate")
        for root in parsed_roots:
            if root.subject != root.issuer or not _issued(root, root):
                raise malformed_msp(msp_id, f"its root {root.subject.rfc4514_string()} is not self-signed")
        anchors = cls(msp_id, parsed_roots, tuple(_authority(msp_id, pem) for pem in intermediates), frozenset())
        for intermediate in anchors.intermediates:
            anchors.chain_of_authority(intermediate)
        revoked = frozenset(entry for pem in lists for entry in _revoked(anchors, pem))
        loaded = cls(msp_id, anchors.roots, anchors.intermediates, revoked)
        for intermediate in loaded.intermediates:
            loaded.refuse_revoked(loaded.chain_of_authority(intermediate))
        return loaded

    @property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """All CA certificates, roots first."""
        return self.roots + self.intermediates

    def chain(self, certificate: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """Return the path from a leaf to a root, both included.

        Raises ``UNKNOWN_ISSUER``, ``HIGH_S_CERTIFICATE``, ``BAD_CERTIFICATE`` (a CA as identity, or a
        critical extension that nobody here understands).
        """
        if _is_authority(certificate) or certificate in self.authorities:
            raise _bad(certificate, "is a CA's, which cannot act as an identity")
        _refuse_unknown_critical(certificate)
        usage = _extension(certificate, x509.KeyUsage)
        if usage is not None and not usage.digital_signature:
            raise _bad(certificate, "is not meant for signatures (key usage)")
        return self._path(certificate)

    def chain_of_authority(self, certificate: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """Return the path from a CA's certificate to a root, both included."""
        return self._path(certificate)

    def refuse_revoked(self, chain: Sequence[x509.Certificate]) -> None:
        """Raise ``REVOKED`` if a certificate of the path is in its issuer's revocation list."""
        for certificate in chain:
            if (certificate.issuer.public_bytes(), certificate.serial_number) in self.revoked:
                raise IdentityError(
                    "REVOKED",
                    f"The certificate {certificate.serial_number:x} of"
                    f" {certificate.subject.rfc4514_string()} is revoked by {self.msp_id}.",
                    "Ask the organisation's registrar, then enrol again for a new certificate.",
                )

    def _path(self, certificate: x509.Certificate) -> tuple[x509.Certificate, ...]:
        path = [certificate]
        while path[-1] not in self.roots:
            issuer = next((ca for ca in self.authorities if ca not in path and _issued(ca, path[-1])), None)
            if issuer is None or len(path) == _MAX_DEPTH:
                raise IdentityError(
                    "UNKNOWN_ISSUER",
                    f"The certificate of {certificate.subject.rfc4514_string()} was not issued by"
                    f" {self.msp_id}: no CA of that organisation signed it.",
                    "Enrol at the CA of the organisation whose MSP id you use.",
                )
            if not has_low_s(path[-1].signature, supported_public_key(issuer.public_key())):
                raise IdentityError(
                    "HIGH_S_CERTIFICATE",
                    f"The certificate of {certificate.subject.rfc4514_string()} is signed with a high S;"
                    " Fabric would rewrite it, and its identity would not be the bytes that were sent.",
                    "Have it issued anew by a CA that normalises its signatures.",
                )
            if _has_unused_bits(path[-1]):
                raise _bad(path[-1], "has a signature that is no whole number of bytes, which Fabric refuses")
            path.append(issuer)
        for depth, authority in enumerate(path[1:]):
            constraints = _extension(authority, x509.BasicConstraints)
            limit = None if constraints is None else constraints.path_length
            if limit is not None and depth > limit:
                raise _bad(authority, f"allows {limit} CAs below it and has {depth}")
        return tuple(path)


def _authority(msp_id: str, pem: bytes) -> x509.Certificate:
    try:
        certificate = load_certificate(pem)
    except IdentityError as error:
        raise malformed_msp(msp_id, f"a CA certificate cannot be read ({error.message})") from error
    name = certificate.subject.rfc4514_string()
    usage = _extension(certificate, x509.KeyUsage)
    if not _is_authority(certificate):
        raise malformed_msp(msp_id, f"{name} has no BasicConstraints of a CA")
    if usage is None or not usage.key_cert_sign:
        raise malformed_msp(msp_id, f"{name} may not sign certificates (key usage)")
    if _extension(certificate, x509.SubjectKeyIdentifier) is None:
        raise malformed_msp(msp_id, f"{name} has no subject key identifier")
    _refuse_unknown_critical(certificate)
    return certificate


def _revoked(anchors: TrustAnchors, pem: bytes) -> list[tuple[bytes, int]]:
    try:
        revocations = x509.load_pem_x509_crl(pem)
    except ValueError as error:
        raise malformed_msp(anchors.msp_id, "a revocation list cannot be read") from error
    issuer = next((ca for ca in anchors.authorities if _signed_list(ca, revocations)), None)
    if issuer is None:
        raise malformed_msp(anchors.msp_id, "a revocation list is signed by none of its CAs")
    return [(issuer.subject.public_bytes(), entry.serial_number) for entry in revocations]


def _signed_list(authority: x509.Certificate, revocations: x509.CertificateRevocationList) -> bool:
    usage = _extension(authority, x509.KeyUsage)
    return (
        authority.subject == revocations.issuer
        and usage is not None
        and usage.crl_sign
        and revocations.is_signature_valid(supported_public_key(authority.public_key()))
    )


def _issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    if authority.subject != certificate.issuer or not _key_identifiers_match(authority, certificate):
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _key_identifiers_match(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    own = _extension(authority, x509.SubjectKeyIdentifier)
    named = _extension(certificate, x509.AuthorityKeyIdentifier)
    return own is None or named is None or named.key_identifier in (None, own.digest)


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _refuse_unknown_critical(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise _bad(certificate, f"has a critical extension {extension.oid.dotted_string} unknown here")


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _has_unused_bits(certificate: x509.Certificate) -> bool:
    """Whether the BIT STRING of the signature, which ends a certificate (RFC 5280, 4.1), counts bits as unused.

    Where they are zero the signature is valid all the same, so that one certificate would have several encodings.
    """
    return certificate.public_bytes(Encoding.DER)[-len(certificate.signature) - 1] != 0


def _bad(certificate: x509.Certificate, reason: str) -> IdentityError:
    return IdentityError(
        "BAD_CERTIFICATE",
        f"The certificate of {certificate.subject.rfc4514_string()} {reason}.",
        "Enrol at the organisation's CA and use the certificate that it returns.",
    )
