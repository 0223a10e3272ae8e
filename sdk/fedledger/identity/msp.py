"""An organisation's MSP: whose certificates count, read from and written to Fabric's ``FabricMSPConfig``.

Refuses an identity that does not chain to the organisation's roots, is outside its validity, is revoked, or
does not carry exactly one NodeOU role; refuses MSP definitions that Fabric would load and silently not
enforce. The rules are those of hyperledger/fabric, ``msp/mspimplvalidate.go`` and ``msp/identities.go``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from types import MappingProxyType

from cryptography import x509
from cryptography.x509.oid import NameOID
from fabric_protos.msp import identities_pb2, msp_config_pb2
from google.protobuf.message import DecodeError

from fedledger.identity.authority import UNREADABLE, NodeRole, certificate_attributes, load_certificate
from fedledger.identity.chain import TrustAnchors
from fedledger.identity.errors import IdentityError, malformed_msp
from fedledger.identity.keys import PublicKey, supported_public_key, verify

CACHED_IDENTITIES = 4096
"""How many validated identities an MSP remembers: validation is asked for with every transaction."""


@dataclass(frozen=True)
class NodeOu:
    """The organizational unit that stands for one role; ``certificate`` (PEM) limits it to one issuing CA."""

    unit: str
    certificate: bytes = b""


@dataclass(frozen=True)
class NodeOus:
    """The four units by which Fabric tells clients, peers, admins and orderers apart."""

    client: NodeOu = NodeOu(NodeRole.CLIENT)
    peer: NodeOu = NodeOu(NodeRole.PEER)
    admin: NodeOu = NodeOu(NodeRole.ADMIN)
    orderer: NodeOu = NodeOu(NodeRole.ORDERER)

    def by_role(self) -> dict[NodeRole, NodeOu]:
        """Return the units by role, in Fabric's order."""
        return {
            NodeRole.CLIENT: self.client,
            NodeRole.PEER: self.peer,
            NodeRole.ADMIN: self.admin,
            NodeRole.ORDERER: self.orderer,
        }


@dataclass(frozen=True)
class VerifiedIdentity:
    """A certificate that its MSP vouches for; ``attributes`` are those that the Fabric CA wrote into it."""

    msp_id: str
    role: NodeRole
    certificate: x509.Certificate
    attributes: Mapping[str, str]
    common_name: str

    @cached_property
    def public_key(self) -> PublicKey:
        """The certificate's key."""
        return supported_public_key(self.certificate.public_key())

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a signature over ``message``; raises ``BAD_SIGNATURE`` or ``HIGH_S_SIGNATURE``."""
        verify(self.public_key, message, signature)


@dataclass(frozen=True)
class _Accepted:
    """The part of a verdict that no clock changes: the identity and its path, leaf first."""

    identity: VerifiedIdentity
    chain: tuple[x509.Certificate, ...]


@dataclass(frozen=True)
class Msp:
    """One organisation's membership rules; certificates and revocation lists in PEM.

    Construction checks them all and raises ``IdentityError`` (``MALFORMED_MSP``, ``UNSUPPORTED_KEY``).
    Admins are those with the admin unit; explicit admin certificates are not supported.
    """

    msp_id: str
    root_certificates: tuple[bytes, ...]
    tls_root_certificates: tuple[bytes, ...] = ()
    revocation_list: tuple[bytes, ...] = ()
    node_ous: NodeOus = field(default_factory=NodeOus)
    intermediate_certificates: tuple[bytes, ...] = ()
    tls_intermediate_certificates: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not self.msp_id:
            raise malformed_msp(self.msp_id, "it has no name")
        anchors = self._anchors
        if self.tls_root_certificates:
            TrustAnchors.load(self.msp_id, self.tls_root_certificates, self.tls_intermediate_certificates, ())
        elif self.tls_intermediate_certificates:
            raise malformed_msp(self.msp_id, "it has TLS intermediates but no TLS root")
        ous = self.node_ous.by_role()
        if len({ou.unit for ou in ous.values()}) != len(ous) or not all(ou.unit for ou in ous.values()):
            raise malformed_msp(self.msp_id, "its four NodeOU units are not four different names")
        for role, ou in ous.items():
            if ou.certificate and load_certificate(ou.certificate) not in anchors.authorities:
                raise malformed_msp(
                    self.msp_id, f"the certificate of its NodeOU {role.value} is none of its CA certificates"
                )

    @classmethod
    def from_proto(cls, config: bytes) -> Msp:
        """Read a serialized ``msp.FabricMSPConfig``; raises ``MALFORMED_MSP`` or ``UNSUPPORTED_MSP``."""
        message = msp_config_pb2.FabricMSPConfig()
        try:
            message.ParseFromString(config)
        except DecodeError as error:
            raise malformed_msp("", "the bytes are no FabricMSPConfig") from error
        _refuse_unsupported(message)
        ous = message.fabric_node_ous
        return cls(
            msp_id=message.name,
            root_certificates=tuple(message.root_certs),
            tls_root_certificates=tuple(message.tls_root_certs),
            revocation_list=tuple(message.revocation_list),
            node_ous=NodeOus(
                client=_node_ou(ous.client_ou_identifier),
                peer=_node_ou(ous.peer_ou_identifier),
                admin=_node_ou(ous.admin_ou_identifier),
                orderer=_node_ou(ous.orderer_ou_identifier),
            ),
            intermediate_certificates=tuple(message.intermediate_certs),
            tls_intermediate_certificates=tuple(message.tls_intermediate_certs),
        )

    def to_proto(self) -> bytes:
        """Return the serialized ``msp.FabricMSPConfig``, the same bytes for equal values."""
        ous = self.node_ous
        message = msp_config_pb2.FabricMSPConfig(
            name=self.msp_id,
            root_certs=self.root_certificates,
            intermediate_certs=self.intermediate_certificates,
            revocation_list=self.revocation_list,
            crypto_config=msp_config_pb2.FabricCryptoConfig(
                signature_hash_family="SHA2", identity_identifier_hash_function="SHA256"
            ),
            tls_root_certs=self.tls_root_certificates,
            tls_intermediate_certs=self.tls_intermediate_certificates,
            fabric_node_ous=msp_config_pb2.FabricNodeOUs(
                enable=True,
                client_ou_identifier=_ou_identifier(ous.client),
                peer_ou_identifier=_ou_identifier(ous.peer),
                admin_ou_identifier=_ou_identifier(ous.admin),
                orderer_ou_identifier=_ou_identifier(ous.orderer),
            ),
        )
        return bytes(message.SerializeToString(deterministic=True))

    def validate(self, serialized_identity: bytes, at: datetime) -> VerifiedIdentity:
        """Return who ``serialized_identity`` (``msp.SerializedIdentity``) is, valid at the aware time ``at``.

        A revoked certificate is refused for every ``at``, as Fabric does: a revocation list says nothing
        trustworthy about when the key was lost. Raises ``IdentityError``: ``MALFORMED_IDENTITY``,
        ``WRONG_MSP``, ``UNKNOWN_ISSUER``, ``BAD_CERTIFICATE``, ``HIGH_S_CERTIFICATE``, ``UNSUPPORTED_KEY``,
        ``BAD_ATTRIBUTES``, ``BAD_NODE_OU``, ``REVOKED``, ``EXPIRED``, ``NOT_YET_VALID``.
        """
        accepted = self._accept(serialized_identity)
        for certificate in accepted.chain:
            _check_validity(certificate, at)
        return accepted.identity

    @cached_property
    def _anchors(self) -> TrustAnchors:
        return TrustAnchors.load(
            self.msp_id, self.root_certificates, self.intermediate_certificates, self.revocation_list
        )

    @cached_property
    def _accept(self) -> Callable[[bytes], _Accepted]:
        # Refusals raise and are not remembered, so that invalid identities cannot push valid ones out.
        return lru_cache(CACHED_IDENTITIES)(self._inspect)

    def _inspect(self, serialized_identity: bytes) -> _Accepted:
        try:
            return self._read(serialized_identity)
        except UNREADABLE as error:
            raise IdentityError(
                "MALFORMED_IDENTITY",
                f"The certificate cannot be read: {error}.",
                "Enrol again at the organisation's Fabric CA.",
            ) from error

    def _read(self, serialized_identity: bytes) -> _Accepted:
        msp_id, pem = parse_serialized_identity(serialized_identity)
        if msp_id != self.msp_id:
            raise IdentityError(
                "WRONG_MSP",
                f"The identity claims to be of {msp_id or 'no MSP'}, not of {self.msp_id}.",
                "Send the certificate together with the MSP id of the organisation that issued it.",
            )
        certificate = load_certificate(pem)
        chain = self._anchors.chain(certificate)
        identity = VerifiedIdentity(
            msp_id=msp_id,
            role=self._role(certificate, chain[1]),
            certificate=certificate,
            attributes=MappingProxyType(certificate_attributes(certificate)),
            common_name=_common_name(certificate),
        )
        self._anchors.refuse_revoked(chain)
        return _Accepted(identity, chain)

    def _role(self, certificate: x509.Certificate, issuer: x509.Certificate) -> NodeRole:
        units = {
            str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        }
        roles = [
            role
            for role, ou in self.node_ous.by_role().items()
            if ou.unit in units and (not ou.certificate or load_certificate(ou.certificate) == issuer)
        ]
        if len(roles) == 1:
            return roles[0]
        found = " and ".join(role.value for role in roles) if roles else "none of them"
        raise IdentityError(
            "BAD_NODE_OU",
            f"The certificate must name one role of client, peer, admin and orderer as its OU; it names {found}.",
            "Register the identity with one type at the organisation's Fabric CA and enrol it.",
        )


def parse_serialized_identity(serialized_identity: bytes) -> tuple[str, bytes]:
    """Return MSP id and certificate PEM of a ``msp.SerializedIdentity``; raises ``MALFORMED_IDENTITY``."""
    message = identities_pb2.SerializedIdentity()
    try:
        message.ParseFromString(serialized_identity)
    except DecodeError as error:
        raise IdentityError(
            "MALFORMED_IDENTITY",
            "The creator is no SerializedIdentity.",
            "Send MSP id and certificate as Fabric's msp.SerializedIdentity.",
        ) from error
    return message.mspid, message.id_bytes


def serialize_identity(msp_id: str, certificate_pem: bytes) -> bytes:
    """Return the ``msp.SerializedIdentity`` bytes, the creator of a proposal."""
    message = identities_pb2.SerializedIdentity(mspid=msp_id, id_bytes=certificate_pem)
    return bytes(message.SerializeToString(deterministic=True))


def _refuse_unsupported(message: msp_config_pb2.FabricMSPConfig) -> None:
    crypto = (
        message.crypto_config.signature_hash_family,
        message.crypto_config.identity_identifier_hash_function,
    )
    if crypto != ("SHA2", "SHA256"):
        raise _unsupported_msp(message.name, f"its hash functions are {crypto[0]} and {crypto[1]}")
    if not message.fabric_node_ous.enable:
        raise _unsupported_msp(message.name, "it does not tell roles apart by NodeOUs")
    if message.admins:
        raise _unsupported_msp(message.name, "it lists admin certificates beside the admin NodeOU")
    if message.organizational_unit_identifiers:
        raise _unsupported_msp(message.name, "it demands organizational units beyond the NodeOUs")


def _check_validity(certificate: x509.Certificate, at: datetime) -> None:
    if at > certificate.not_valid_after_utc:
        raise IdentityError(
            "EXPIRED",
            f"The certificate of {_common_name(certificate)} expired on {certificate.not_valid_after_utc}.",
            "Re-enrol with `fedledger identity enroll` to get a new one.",
        )
    if at < certificate.not_valid_before_utc:
        raise IdentityError(
            "NOT_YET_VALID",
            f"The certificate of {_common_name(certificate)} is valid from {certificate.not_valid_before_utc}"
            f" only, and it is used at {at}.",
            "Compare the clocks of the CA and of this machine.",
        )


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _node_ou(identifier: msp_config_pb2.FabricOUIdentifier) -> NodeOu:
    return NodeOu(identifier.organizational_unit_identifier, identifier.certificate)


def _ou_identifier(ou: NodeOu) -> msp_config_pb2.FabricOUIdentifier:
    return msp_config_pb2.FabricOUIdentifier(certificate=ou.certificate, organizational_unit_identifier=ou.unit)


def _unsupported_msp(msp_id: str, reason: str) -> IdentityError:
    return IdentityError(
        "UNSUPPORTED_MSP",
        f"The MSP definition {msp_id} is not supported: {reason}.",
        "Use X.509 MSPs with NodeOUs enabled and SHA2/SHA256, Fabric's own default.",
    )
