"""One REST call to the CA as a value: who calls, proven by secret or signed token, and what is asked.

Refuses wrong and used-up secrets, and tokens that do not cover method, URI and body or whose certificate is
unknown, expired or revoked (hyperledger/fabric-ca, ``lib/serverrequestcontext.go``).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from fedledger.errors import FedledgerError
from fedledger.identity.authority import load_certificate
from fedledger.identity.certificate import load_pem
from fedledger.identity.keys import supported_public_key, verify
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.refusals import CaErrorCode, CaRefusal, unauthenticated
from fedledger_network.ca.registry import DISABLED, UNLIMITED, RegisteredIdentity

PASSWORD_ATTEMPTS = 10


@dataclass(frozen=True)
class Request:
    """An HTTP request; ``target`` is path and query exactly as sent, which is what a token signs."""

    method: str
    target: str
    authorization: str
    body: bytes

    @property
    def path(self) -> str:
        """The path, percent-encoded as sent."""
        return urlsplit(self.target).path

    @cached_property
    def query(self) -> Mapping[str, str]:
        """The last value of each query parameter."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The body's JSON object, empty for an empty body; raises ``CaRefusal``."""
        if not self.body:
            return {}
        try:
            document = json.loads(self.body)
        except ValueError as error:
            raise _bad_body(str(error)) from error
        if not isinstance(document, dict):
            raise _bad_body("not an object")
        return document


@dataclass(frozen=True)
class Caller:
    """An authenticated caller; ``certificate`` is the one that signed the token, None after a secret."""

    identity: RegisteredIdentity
    certificate: x509.Certificate | None = None


@dataclass(frozen=True)
class Call:
    """A request to one authority. Handlers run inside the registry's transaction."""

    authority: DevelopmentAuthority
    request: Request
    accept_v1_tokens: bool = False

    def require_body(self) -> None:
        """Refuse a request without a body."""
        if not self.request.body:
            raise CaRefusal(400, CaErrorCode.EMPTY_BODY, "Empty request body")

    def text(self, name: str) -> str:
        """Return a text of the body, empty when it is absent or null."""
        value = self.request.document.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise _bad_body(f"{name} is not a string")
        return value

    def objects(self, name: str) -> list[Mapping[str, Any]] | None:
        """Return a list of objects of the body, None when it is absent or null."""
        value = self.request.document.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise _bad_body(f"{name} is not a list of objects")
        return value

    def by_secret(self) -> Caller:
        """Authenticate an enrolment by id and secret, HTTP Basic (RFC 7617)."""
        header = self._authorization()
        scheme, _, encoded = header.partition(" ")
        try:
            name, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError as error:
            raise unauthenticated("no id and secret in the authorization header") from error
        if scheme.lower() != "basic" or not colon:
            raise unauthenticated("no id and secret in the authorization header")
        identity = self.authority.registry.identity(name)
        if identity is None:
            raise unauthenticated(f"{name!r} is not registered")
        if identity.failed_attempts >= PASSWORD_ATTEMPTS:
            reason = (
                f"Incorrect password entered {PASSWORD_ATTEMPTS} times, max incorrect password limit of"
                f" {PASSWORD_ATTEMPTS} reached"
            )
            raise CaRefusal(401, CaErrorCode.PASSWORD_ATTEMPTS, reason)
        if not identity.secret.matches(secret):
            raise WrongSecret(name)
        if identity.state == DISABLED:
            raise unauthenticated(f"{name!r} is revoked")
        if identity.max_enrollments not in (UNLIMITED, 0) and identity.state >= identity.max_enrollments:
            raise unauthenticated(f"{name!r} has enrolled {identity.state} times, which is its maximum")
        return Caller(identity)

    def by_token(self) -> Caller:
        """Authenticate by a token that an enrolment certificate's key signed."""
        encoded, _, signature = self._authorization().partition(".")
        try:
            pem = base64.b64decode(encoded, validate=True)
            certificate = load_certificate(pem)
            self._verify(certificate, encoded, base64.b64decode(signature, validate=True))
            self.authority.anchors().certified(load_pem(pem))
        except (ValueError, FedledgerError) as error:
            raise unauthenticated(f"invalid token: {error}") from error
        now = self.authority.clock()
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise unauthenticated("the certificate in the token is expired or not yet valid")
        issued = self.authority.registry.certificate(*identifiers(certificate))
        if issued is None or issued.revoked_at is not None:
            raise unauthenticated("the certificate in the token is revoked or unknown")
        identity = self.authority.registry.identity(_common_name(certificate))
        if identity is None:
            raise unauthenticated("the owner of the certificate in the token is not registered")
        return Caller(identity, certificate)

    def _authorization(self) -> str:
        if not self.request.authorization:
            raise CaRefusal(401, CaErrorCode.NO_AUTHORIZATION_HEADER, "No authorization header")
        return self.request.authorization

    def _verify(self, certificate: x509.Certificate, encoded: str, signature: bytes) -> None:
        key = supported_public_key(certificate.public_key())
        uri, body = _base64(self.request.target.encode()), _base64(self.request.body)
        current = f"{self.request.method}.{uri}.{body}.{encoded}"
        try:
            verify(key, current.encode(), signature)
        except FedledgerError:
            if not self.accept_v1_tokens:
                raise
            verify(key, f"{body}.{encoded}".encode(), signature)


class WrongSecret(CaRefusal):
    """A secret that does not match; the service counts it against ``identity``."""

    def __init__(self, identity: str) -> None:
        refusal = unauthenticated(f"wrong secret for {identity!r}")
        super().__init__(refusal.status, refusal.code, refusal.message, refusal.reason)
        self.identity = identity


def identifiers(certificate: x509.Certificate) -> tuple[str, str]:
    """Return serial number and authority key identifier as the registry keeps them."""
    extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    return f"{certificate.serial_number:x}", (extension.value.key_identifier or b"").hex().lstrip("0")


def _bad_body(reason: str) -> CaRefusal:
    return CaRefusal(400, CaErrorCode.BAD_BODY, f"Invalid request body: {reason}")


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
