"""The calls ``enroll`` and ``reenroll``: a signing request becomes a certificate.

Refuses a request whose common name is not the caller's enrolment id, one that its key did not sign, one for a CA
certificate, and attributes that the identity does not have. All else in the request's subject is ignored: type and
affiliation of the registration decide the organizational units (hyperledger/fabric-ca, ``lib/serverenroll.go``).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from fedledger.identity.authority import CertificateAuthority, certificate_pem
from fedledger.identity.errors import IdentityError
from fedledger.identity.keys import supported_public_key
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.calls import Call, Caller
from fedledger_network.ca.permissions import AFFILIATION, ENROLLMENT_ID, TYPE
from fedledger_network.ca.refusals import CaErrorCode, CaRefusal, unauthorized
from fedledger_network.ca.registry import RegisteredIdentity

TLS_PROFILE = "tls"
LONGEST_NAME = 64
"""Characters of a common name (RFC 5280, appendix A.1, ub-common-name)."""

Answer = tuple[int, object]


def authority_info(authority: DevelopmentAuthority, signer: CertificateAuthority) -> dict[str, str]:
    """Return Fabric CA's description of a CA."""
    return {
        "CAName": authority.name,
        "CAChain": base64.b64encode(certificate_pem(signer.certificate)).decode(),
        "IssuerPublicKey": "",
        "IssuerRevocationPublicKey": "",
        "Version": "fedledger-development",
    }


def info(call: Call) -> Answer:
    """Answer ``cainfo``, which needs no authorization."""
    return 200, authority_info(call.authority, call.authority.identity_ca)


def enroll(call: Call) -> Answer:
    """Answer ``enroll``, authorized by a secret, and count its use."""
    caller = call.by_secret()
    answer = _certify(call, caller)
    call.authority.registry.count_enrollment(caller.identity.id)
    return answer


def reenroll(call: Call) -> Answer:
    """Answer ``reenroll``, authorized by the certificate that is to be renewed."""
    return _certify(call, call.by_token())


def _certify(call: Call, caller: Caller) -> Answer:
    call.require_body()
    request = _signing_request(call.text("certificate_request"))
    identity = caller.identity
    if _common_names(request) != [identity.id]:
        raise CaRefusal(
            403,
            CaErrorCode.COMMON_NAME_NOT_ENROLLMENT_ID,
            "The CSR subject common name must equal the enrollment ID",
        )
    if len(identity.id) > LONGEST_NAME:
        raise CaRefusal(400, CaErrorCode.BAD_CSR_INPUT, "CSR input validation failed: the CN is too long")
    key = supported_public_key(request.public_key())
    units = [identity.type, *filter(None, identity.affiliation.split("."))]
    profile = call.text("profile")
    if profile == TLS_PROFILE:
        signer = call.authority.tls_ca
        certificate = call.authority.sign_tls(key, identity.id, units, _hosts(request))
    elif profile == "":
        signer = call.authority.identity_ca
        certificate = call.authority.sign_identity(key, identity.id, units, _attributes(call, identity))
    else:
        raise CaRefusal(500, CaErrorCode.UNKNOWN, f"Invalid profile: '{profile}'")
    return 201, {
        "Cert": base64.b64encode(certificate_pem(certificate)).decode(),
        "ServerInfo": authority_info(call.authority, signer),
    }


def _signing_request(pem: str) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        supported_public_key(request.public_key())
        signed = request.is_signature_valid
        constraints = _constraints(request)
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, IdentityError, x509.DuplicateExtension) as error:
        raise CaRefusal(400, CaErrorCode.BAD_CSR, f"CSR Decode failed: {error}") from error
    if not signed:
        raise CaRefusal(400, CaErrorCode.BAD_CSR, "CSR Decode failed: its key did not sign it")
    if constraints is not None and constraints.ca:
        raise unauthorized("a CA certificate was requested, which this CA never issues")
    return request


def _constraints(request: x509.CertificateSigningRequest) -> x509.BasicConstraints | None:
    try:
        return request.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _attributes(call: Call, identity: RegisteredIdentity) -> Mapping[str, str]:
    wanted = call.objects("attr_reqs")
    owned = {
        **{attribute.name: attribute.value for attribute in identity.attributes},
        ENROLLMENT_ID: identity.id,
        TYPE: identity.type,
        AFFILIATION: identity.affiliation,
    }
    if wanted is None:
        chosen = {attribute.name for attribute in identity.attributes if attribute.ecert}
        return {name: owned[name] for name in (*chosen, ENROLLMENT_ID, TYPE, AFFILIATION)}
    names = [str(entry.get("name", "")) for entry in wanted]
    missing = [
        name
        for name, entry in zip(names, wanted, strict=True)
        if name not in owned and not entry.get("optional", False)
    ]
    if missing:
        raise CaRefusal(
            500,
            CaErrorCode.UNKNOWN,
            f"Failed to find requested attributes: The following required attributes are missing: {missing}",
        )
    return {name: owned[name] for name in names if name in owned}


def _hosts(request: x509.CertificateSigningRequest) -> list[str]:
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return [*names.get_values_for_type(x509.DNSName), *addresses]


def _common_names(request: x509.CertificateSigningRequest) -> list[str]:
    return [str(name.value) for name in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
