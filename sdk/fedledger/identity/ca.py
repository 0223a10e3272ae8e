"""Enrolment at an organisation's Fabric CA: register, enroll, reenroll, revoke, revocation list.

Keys are made here and never leave: the CA sees a signing request. Refuses an answer that is not a certificate
for that very key and name under the CA chain that came with it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fedledger.errors import BadInputError
from fedledger.identity.authority import (
    NodeRole,
    alternative_name,
    certificate_pem,
    load_certificate,
)
from fedledger.identity.ca_session import CaError, CaSession, understood
from fedledger.identity.certificate import load_pem
from fedledger.identity.chain import TrustAnchors
from fedledger.identity.keys import KeyType, PrivateKey, generate_key
from fedledger.identity.wallet import Credentials, load_certificates

TLS_PROFILE = "tls"
UNLIMITED = -1


@dataclass(frozen=True)
class Registration:
    """What a registrar asks the CA to know: who may enrol, as what, how often, with which attributes."""

    enrollment_id: str
    node_role: NodeRole = NodeRole.CLIENT
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Written into every certificate of the identity, such as ``{"fedledger.role": "validator"}``."""
    affiliation: str = ""
    """Path below the registrar's own, with dots; empty for the registrar's."""
    max_enrollments: int = 1
    """How often the secret may be used, ``UNLIMITED`` for always."""
    secret: str | None = None
    """The secret to set; by default the CA draws one."""


@dataclass(frozen=True)
class RegisteredIdentity:
    """What the CA knows about an identity; all its attributes, those not in certificates too."""

    enrollment_id: str
    node_role: str
    affiliation: str
    attributes: Mapping[str, str]
    max_enrollments: int


@dataclass(frozen=True)
class RevokedCertificate:
    """A certificate that was revoked: serial number and authority key identifier, lower-case hexadecimal."""

    serial: str
    authority_key_identifier: str


@dataclass(frozen=True)
class AuthorityInfo:
    """A CA's name and certificates, the root among them."""

    name: str
    chain: tuple[x509.Certificate, ...]


class FabricCa:
    """A Fabric CA server. Every method raises ``CaError`` when the CA refuses, ``DeadlineError`` when it is silent."""

    def __init__(
        self,
        url: str,
        *,
        roots: Path | None = None,
        ca_name: str = "",
        deadline: float = 30.0,
        session: requests.Session | None = None,
    ) -> None:
        """Prepare for the server at ``url``; the arguments are those of ``CaSession``."""
        self._ca_name = ca_name
        self._client = CaSession(url, roots=roots, ca_name=ca_name, deadline=deadline, session=session)

    def info(self) -> AuthorityInfo:
        """Return the CA's name and chain; what is in them is as trustworthy as the TLS connection."""
        answer, _ = self._client._send("POST", "cainfo", json=self._named({}))
        result = _result(answer)
        return AuthorityInfo(_text(result, "CAName"), _chain(_decoded(result, "CAChain")))

    def enroll(
        self,
        enrollment_id: str,
        secret: str,
        *,
        key_type: KeyType = KeyType.P256,
        attributes: Sequence[str] | None = None,
        profile: str = "",
        hosts: Sequence[str] = (),
    ) -> Credentials:
        """Return a new key and its certificate.

        ``attributes`` names those wanted in the certificate, all of them required; None takes those that the
        registration chose. ``profile`` ``"tls"`` gives a TLS certificate whose SANs are ``hosts``.
        """
        if not enrollment_id or ":" in enrollment_id or not secret:
            raise BadInputError(
                "BAD_ENROLLMENT",
                "An enrolment takes an id, without a colon, and a secret.",
                "Take both from the registrar's message.",
            )
        key = generate_key(key_type)
        request = signing_request(key, enrollment_id, hosts)
        with understood():
            certificate, chain = self._client.enroll(
                enrollment_id, secret, request, profile, _attribute_requests(attributes)
            )
        return _checked(certificate, chain, enrollment_id, key)

    def reenroll(
        self,
        credentials: Credentials,
        *,
        key_type: KeyType = KeyType.P256,
        attributes: Sequence[str] | None = None,
    ) -> Credentials:
        """Return a new key and certificate for the owner of a certificate that is still valid.

        The old certificate stays valid until it expires or is revoked.
        """
        key = generate_key(key_type)
        enrollment_id = _common_name(credentials.certificate)
        request: dict[str, Any] = {"certificate_request": signing_request(key, enrollment_id)}
        requested = _attribute_requests(attributes)
        if requested is not None:
            request["attr_reqs"] = requested
        with understood():
            certificate, chain = self._client.reenroll(self._named(request), credentials)
        return _checked(certificate, chain, enrollment_id, key)

    def register(self, registrar: Credentials, registration: Registration) -> str:
        """Make an identity known and return the secret with which its owner enrols."""
        request: dict[str, Any] = {
            "id": registration.enrollment_id,
            "type": registration.node_role.value,
            "affiliation": registration.affiliation,
            "max_enrollments": registration.max_enrollments,
            "attrs": [
                {"name": name, "value": value, "ecert": True} for name, value in sorted(registration.attributes.items())
            ],
        }
        if registration.secret is not None:
            request["secret"] = registration.secret
        with understood():
            return str(self._client.register(self._named(request), registrar))

    def identity(self, registrar: Credentials, enrollment_id: str) -> RegisteredIdentity:
        """Return what the CA knows about an identity that the registrar may manage."""
        answer = self._client.newIdentityService().getOne(quote(enrollment_id, safe=""), registrar)
        return _registered(_result(answer))

    def identities(self, registrar: Credentials) -> tuple[RegisteredIdentity, ...]:
        """Return all identities that the registrar may manage."""
        answer = self._client.newIdentityService().getAll(registrar)
        return tuple(_registered(entry) for entry in _result(answer).get("identities") or ())

    def revoke(
        self, registrar: Credentials, enrollment_id: str, reason: str = "unspecified"
    ) -> tuple[RevokedCertificate, ...]:
        """Revoke all certificates of an identity, which can never enrol again.

        ``reason`` is one of RFC 5280, 5.3.1, in Fabric CA's spelling: ``keycompromise``, ``superseded``...
        Peers refuse the certificates only once the new revocation list is in the channel's MSP definition.
        """
        return self._revoke(registrar, {"id": enrollment_id, "reason": reason})

    def revoke_certificate(
        self, registrar: Credentials, certificate: x509.Certificate, reason: str = "unspecified"
    ) -> tuple[RevokedCertificate, ...]:
        """Revoke one certificate of an identity, which keeps its others.

        It may be the very certificate of ``registrar``, who needs no rights for that.
        """
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        request = {
            "serial": f"{certificate.serial_number:x}",
            "aki": (issuer.key_identifier or b"").hex(),
            "reason": reason,
        }
        return self._revoke(registrar, request)

    def revocation_list(self, registrar: Credentials) -> bytes:
        """Return the CA's current revocation list in PEM, for ``Msp.revocation_list``."""
        with understood():
            encoded = self._client.generateCRL(self._named({}), registrar)
        return _decoded({"CRL": encoded}, "CRL")

    def _revoke(self, registrar: Credentials, request: dict[str, Any]) -> tuple[RevokedCertificate, ...]:
        with understood():
            revoked, _ = self._client.revoke(self._named(request), registrar)
            return tuple(RevokedCertificate(entry["Serial"], entry["AKI"]) for entry in revoked or ())

    def _named(self, request: dict[str, Any]) -> dict[str, Any]:
        return {**request, "caname": self._ca_name} if self._ca_name else request


def signing_request(key: PrivateKey, common_name: str, hosts: Sequence[str] = ()) -> str:
    """Return a PKCS #10 request in PEM; Fabric CA ignores all of the subject but its common name."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    )
    if hosts:
        names = x509.SubjectAlternativeName([alternative_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    algorithm = hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def _checked(certificate: bytes, chain: bytes, enrollment_id: str, key: PrivateKey) -> Credentials:
    authorities = _chain(chain)
    parsed = load_certificate(certificate)
    if _common_name(parsed) != enrollment_id:
        raise _protocol(f"The CA returned a certificate for {_common_name(parsed)}, not for {enrollment_id}.")
    roots = [certificate_pem(ca) for ca in authorities if ca.subject == ca.issuer]
    intermediates = [certificate_pem(ca) for ca in authorities if ca.subject != ca.issuer]
    TrustAnchors.load(enrollment_id, roots, intermediates, ()).certified(load_pem(certificate))
    return Credentials(parsed, key, authorities)


def _attribute_requests(names: Sequence[str] | None) -> list[dict[str, Any]] | None:
    return None if names is None else [{"name": name, "optional": False} for name in names]


def _registered(entry: Mapping[str, Any]) -> RegisteredIdentity:
    with understood():
        return RegisteredIdentity(
            enrollment_id=entry["id"],
            node_role=entry["type"],
            affiliation=entry["affiliation"],
            attributes={attribute["name"]: attribute["value"] for attribute in entry["attrs"] or ()},
            max_enrollments=int(entry["max_enrollments"]),
        )


def _chain(pem: bytes) -> tuple[x509.Certificate, ...]:
    return tuple(load_certificates(pem))


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _result(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    result = answer.get("result")
    if not isinstance(result, dict):
        raise _protocol("The CA's answer has no result.")
    return result


def _text(result: Mapping[str, Any], key: str) -> str:
    value = result.get(key)
    if not isinstance(value, str):
        raise _protocol(f"The CA's answer has no {key}.")
    return value


def _decoded(result: Mapping[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode(_text(result, key), validate=True)
    except binascii.Error as error:
        raise _protocol(f"The CA's {key} is not base64.") from error


def _protocol(message: str) -> CaError:
    return CaError("CA_PROTOCOL", message, "Check that the URL is a Fabric CA's.")
