"""What a certificate authority issues: its own certificate, leaves with a NodeOU role, revocation lists.

Refuses nothing about who asks: that is the caller's to decide. Everything is signed until S is low: Fabric reads a
certificate with a high S as its twin, so that a peer's identity would not be the bytes in its file.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedledger.identity.certificate import ATTRIBUTES, read_attributes
from fedledger.identity.errors import IdentityError
from fedledger.identity.keys import PrivateKey, PublicKey, has_low_s, supported_public_key

ATTRIBUTES_OID = x509.ObjectIdentifier(ATTRIBUTES)
"""Fabric CA's certificate extension: the raw JSON ``{"attrs": {name: value}}``."""

UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the certificate parser raises, at the latest when a field is looked at, for a certificate that is none."""

BACKDATING = timedelta(minutes=5)
"""How far before "now" a certificate starts, so that machines whose clocks differ a little accept it."""

_Signed = TypeVar("_Signed", bound=x509.Certificate | x509.CertificateRevocationList, covariant=True)


class _Signable(Protocol[_Signed]):
    def sign(self, private_key: PrivateKey, algorithm: hashes.SHA256 | hashes.SHA384 | None) -> _Signed: ...


class NodeRole(StrEnum):
    """Fabric's NodeOU roles; the value is the certificate's organizational unit."""

    CLIENT = "client"
    PEER = "peer"
    ADMIN = "admin"
    ORDERER = "orderer"


@dataclass(frozen=True)
class Validity:
    """The window, both ends included, in which a certificate is valid; timezone-aware times."""

    not_before: datetime
    not_after: datetime

    @classmethod
    def starting(cls, now: datetime, lifetime: timedelta) -> Validity:
        """Return a window from a little before ``now`` until ``lifetime`` after it."""
        return cls(now - BACKDATING, now + lifetime)


@dataclass(frozen=True)
class Revocation:
    """One entry of a revocation list."""

    serial_number: int
    revoked_at: datetime
    reason: x509.ReasonFlags = x509.ReasonFlags.unspecified


@dataclass(frozen=True)
class CertificateAuthority:
    """A certificate that may sign certificates, with its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    @classmethod
    def self_signed(
        cls, key: PrivateKey, common_name: str, organisation: str, validity: Validity
    ) -> CertificateAuthority:
        """Return a root authority: SKI, critical BasicConstraints, keyCertSign and cRLSign."""
        name = subject_name(common_name, organisation)
        builder = (
            _builder(name, name, key.public_key(), validity)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True, key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return cls(_sign_low_s(builder, key), key)

    @property
    def organisation(self) -> str:
        """The O of the authority's subject, repeated in every certificate that it issues."""
        return str(self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)

    def issue(
        self,
        public_key: PublicKey,
        common_name: str,
        units: Sequence[str],
        validity: Validity,
        attributes: Mapping[str, str] | None = None,
    ) -> x509.Certificate:
        """Return an identity certificate; ``units`` are its OUs: the NodeOU role, then any affiliations."""
        builder = self._leaf(public_key, common_name, units, validity).add_extension(
            _key_usage(digital_signature=True), critical=True
        )
        if attributes:
            builder = builder.add_extension(attributes_extension(attributes), critical=False)
        return _sign_low_s(builder, self.key)

    def issue_tls(
        self,
        public_key: PublicKey,
        common_name: str,
        hosts: Sequence[str],
        validity: Validity,
        units: Sequence[str] = (),
    ) -> x509.Certificate:
        """Return a TLS certificate for server and client whose SANs are ``hosts`` (names or IP addresses)."""
        builder = self._leaf(public_key, common_name, units, validity)
        encipherment = isinstance(public_key, ec.EllipticCurvePublicKey)
        builder = builder.add_extension(
            _key_usage(digital_signature=True, key_encipherment=encipherment), critical=True
        ).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        if hosts:
            names = x509.SubjectAlternativeName([alternative_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return _sign_low_s(builder, self.key)

    def revocation_list(
        self, revocations: Iterable[Revocation], now: datetime, lifetime: timedelta, number: int
    ) -> bytes:
        """Return the signed list in PEM (RFC 5280, 5); ``number`` must grow from list to list."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            .next_update(now + lifetime)
            .add_extension(_authority_key_identifier(self.certificate), critical=False)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for revocation in sorted(revocations, key=lambda entry: entry.serial_number):
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(revocation.serial_number)
                .revocation_date(revocation.revoked_at)
            )
            if revocation.reason is not x509.ReasonFlags.unspecified:  # RFC 5280, 5.3.1
                entry = entry.add_extension(x509.CRLReason(revocation.reason), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        return _sign_low_s(builder, self.key).public_bytes(serialization.Encoding.PEM)

    def _leaf(
        self, public_key: PublicKey, common_name: str, units: Sequence[str], validity: Validity
    ) -> x509.CertificateBuilder:
        subject = subject_name(common_name, self.organisation, units)
        return (
            _builder(subject, self.certificate.subject, public_key, validity)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(_authority_key_identifier(self.certificate), critical=False)
        )


def subject_name(common_name: str, organisation: str, units: Sequence[str] = ()) -> x509.Name:
    """Return the distinguished name O, OU..., CN."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            *(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return the certificate in PEM, the bytes that become a Fabric identity."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def load_certificate(pem: bytes) -> x509.Certificate:
    """Parse exactly one PEM certificate; raises ``MALFORMED_IDENTITY`` and ``UNSUPPORTED_KEY``."""
    try:
        certificates = x509.load_pem_x509_certificates(pem)
        public_key = certificates[0].public_key()
        _ = certificates[0].extensions
    except UNREADABLE as error:
        raise _malformed("The certificate is not X.509 in PEM.") from error
    if len(certificates) != 1 or not pem.strip().endswith(b"-----END CERTIFICATE-----"):
        raise _malformed("There is more than one certificate in the PEM.")
    supported_public_key(public_key)
    return certificates[0]


def attributes_extension(attributes: Mapping[str, str]) -> x509.UnrecognizedExtension:
    """Return Fabric CA's attribute extension with the names sorted."""
    text = json.dumps({"attrs": dict(attributes)}, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return x509.UnrecognizedExtension(ATTRIBUTES_OID, text.encode())


def certificate_attributes(certificate: x509.Certificate) -> dict[str, str]:
    """Return a certificate's attributes, empty if it has none; raises ``BAD_ATTRIBUTES``."""
    try:
        extension = certificate.extensions.get_extension_for_oid(ATTRIBUTES_OID).value
    except x509.ExtensionNotFound:
        return {}
    return read_attributes(extension.public_bytes())


def _malformed(message: str) -> IdentityError:
    return IdentityError("MALFORMED_IDENTITY", message, "Give the one PEM certificate that the CA returned.")


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: PublicKey, validity: Validity
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.not_before)
        .not_valid_after(validity.not_after)
    )


def _sign_low_s(builder: _Signable[_Signed], key: PrivateKey) -> _Signed:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else _digest(key)
    while True:  # each attempt draws a new nonce; half of them give a low S
        signed = builder.sign(key, algorithm)
        if has_low_s(signed.signature, key.public_key()):
            return signed


def _digest(key: ec.EllipticCurvePrivateKey) -> hashes.SHA256 | hashes.SHA384:
    return hashes.SHA384() if key.curve.name == "secp384r1" else hashes.SHA256()


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def alternative_name(host: str) -> x509.GeneralName:
    """Return the SAN of a host, by its IP address where it is one, else by its DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
