"""Who submitted a transaction, read from the creator that the peer has verified; refuses what is ambiguous.

It checks no signature, issuer, validity or revocation: the peer's MSP did, before the contract was called.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from fabric_protos.msp import identities_pb2
from google.protobuf.message import DecodeError

from fedledger_chaincode.errors import ContractError

ATTRIBUTES_OID = x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")
"""Where a Fabric CA writes ``{"attrs": {name: text}}`` (fabric-chaincode-go, pkg/attrmgr)."""

NODE_ROLES = frozenset({"client", "peer", "admin", "orderer"})
"""The organizational units by which Fabric's NodeOUs tell roles apart."""

CACHED_CREATORS = 1024


def pseudonym_of(public_key_der: bytes) -> str:
    """Hex SHA-256 of a DER SubjectPublicKeyInfo."""
    return hashlib.sha256(public_key_der).hexdigest()


@dataclass(frozen=True)
class Submitter:
    """An organisation's member, as its certificate describes it."""

    msp_id: str
    roles: tuple[str, ...]
    """The certificate's NodeOU role; empty in an MSP that tells roles apart by other names or not at all."""
    attributes: Mapping[str, str] = field(hash=False)
    """What the Fabric CA attests, read-only."""
    common_name: str
    public_key_der: bytes
    """DER SubjectPublicKeyInfo of a P-256, P-384 or Ed25519 key."""
    valid_until: int
    """Seconds since the epoch at which the certificate expires."""

    @cached_property
    def pseudonym(self) -> str:
        """Hex SHA-256 of the DER SubjectPublicKeyInfo: the same for every certificate of one key."""
        return pseudonym_of(self.public_key_der)

    @classmethod
    def from_creator(cls, creator: bytes) -> Submitter:
        """Read a serialized ``msp.SerializedIdentity``.

        Raises:
            ContractError: 403 ``BAD_IDENTITY`` when it is not one certificate with one common name, at most one
                NodeOU role, a supported key and well-formed attributes.
        """
        return _parse(creator)


@lru_cache(CACHED_CREATORS)
def _parse(creator: bytes) -> Submitter:
    identity = identities_pb2.SerializedIdentity()
    try:
        identity.ParseFromString(creator)
    except DecodeError:
        raise _refusal("the creator is no SerializedIdentity") from None
    if not identity.mspid:
        raise _refusal("the creator names no MSP")
    certificate = _certificate(bytes(identity.id_bytes))
    units = _names(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME)
    roles = tuple(unit for unit in units if unit in NODE_ROLES)
    if len(roles) > 1:
        raise _refusal(f"the certificate has {len(roles)} NodeOU roles")
    common_names = _names(certificate, NameOID.COMMON_NAME)
    if len(common_names) != 1 or not common_names[0]:
        raise _refusal("the certificate's subject does not have exactly one common name")
    return Submitter(
        msp_id=identity.mspid,
        roles=roles,
        attributes=MappingProxyType(_attributes(certificate)),
        common_name=common_names[0],
        public_key_der=_public_key(certificate),
        valid_until=int(certificate.not_valid_after_utc.timestamp()),
    )


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion):
        raise _refusal("the creator holds no PEM certificate") from None
    if len(certificates) != 1:
        raise _refusal(f"the creator holds {len(certificates)} certificates instead of one")
    return certificates[0]


def _names(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str]:
    try:
        names = [name.value for name in certificate.subject.get_attributes_for_oid(oid)]
    except ValueError:
        raise _refusal("the certificate's subject cannot be read") from None
    return [name if isinstance(name, str) else name.hex() for name in names]


def _public_key(certificate: x509.Certificate) -> bytes:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise _refusal("the certificate's key cannot be read") from None
    on_curve = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
    if not (on_curve or isinstance(key, ed25519.Ed25519PublicKey)):
        raise _refusal("the certificate's key is not P-256, P-384 or Ed25519")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _attributes(certificate: x509.Certificate) -> dict[str, str]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ATTRIBUTES_OID)
    except x509.ExtensionNotFound:
        return {}
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise _refusal("the certificate's extensions cannot be read") from None
    try:
        document = json.loads(extension.value.public_bytes(), object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        raise _refusal("the certificate's attributes are no JSON with distinct names") from None
    attributes = document.get("attrs") if isinstance(document, dict) else None
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise _refusal('the certificate\'s attributes are not {"attrs": {name: text}}')
    return attributes


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # JSON leaves open which of two equal names counts; two readers must not see two roles.
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is given twice")
    return members


def _refusal(reason: str) -> ContractError:
    return ContractError(
        403,
        "BAD_IDENTITY",
        f"The submitter is not clear: {reason}.",
        "Enrol again at your organisation's Fabric CA.",
    )
