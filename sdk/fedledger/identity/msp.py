"""An organisation's MSP: whose certificates count, read from and written to Fabric's ``FabricMSPConfig``.

Refuses an identity that does not chain to the organisation's CAs, is revoked, or does not carry exactly one NodeOU
role where roles are told apart. The rules are those of hyperledger/fabric, ``msp``; what differs is listed on the
reference page about identities. A definition is judged as Fabric judges it (``from_proto``); one that is made here has
to be one that Fabric would enforce.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fabric_protos.msp import identities_pb2, msp_config_pb2
from google.protobuf.message import DecodeError

from fedledger.gateway.wire import parse_message
from fedledger.identity import certificate as x509
from fedledger.identity.authority import NodeRole
from fedledger.identity.certificate import Certificate
from fedledger.identity.chain import CertificatePool, Chain, TrustAnchors, with_low_s
from fedledger.identity.errors import IdentityError, malformed_msp
from fedledger.identity.keys import PublicKey, verify

CACHED_IDENTITIES = 4096
"""How many validated identities an MSP remembers: validation is asked for with every transaction."""


@dataclass(frozen=True)
class NodeOu:
    """The organizational unit that stands for one role; ``certificate`` (PEM) limits it to one issuing CA."""

    unit: str
    certificate: bytes = b""


@dataclass(frozen=True)
class NodeOus:
    """The units by which Fabric tells clients, peers, admins and orderers apart; None for a role without one."""

    client: NodeOu | None = NodeOu(NodeRole.CLIENT)
    peer: NodeOu | None = NodeOu(NodeRole.PEER)
    admin: NodeOu | None = NodeOu(NodeRole.ADMIN)
    orderer: NodeOu | None = NodeOu(NodeRole.ORDERER)

    def by_role(self) -> dict[NodeRole, NodeOu]:
        """Return the units by role, in Fabric's order."""
        units = {
            NodeRole.CLIENT: self.client,
            NodeRole.PEER: self.peer,
            NodeRole.ADMIN: self.admin,
            NodeRole.ORDERER: self.orderer,
        }
        return {role: unit for role, unit in units.items() if unit is not None}


@dataclass(frozen=True)
class VerifiedIdentity:
    """A certificate that its MSP vouches for, whatever the time."""

    msp_id: str
    certificate: Certificate
    """With the low S that Fabric gives it: two certificates that differ in that are one identity."""
    roles: frozenset[NodeRole] = frozenset()
    """One, unless the MSP gives several roles one unit; none where it does not tell roles apart."""
    is_administrator: bool = False
    """By its role, or because the MSP names the certificate."""
    authorities: Chain = field(default=(), compare=False, repr=False)
    """The CAs above it, its issuer first."""

    @property
    def role(self) -> NodeRole | None:
        """The role, the first in Fabric's order."""
        return next((role for role in NodeRole if role in self.roles), None)

    @property
    def common_name(self) -> str:
        return self.certificate.common_name

    @property
    def attributes(self) -> Mapping[str, str]:
        """Those that the Fabric CA wrote into the certificate; raises ``BAD_ATTRIBUTES``."""
        return self.certificate.attributes

    @cached_property
    def public_key(self) -> PublicKey:
        """The certificate's key."""
        return _identity_key(self.certificate)

    @cached_property
    def certifiers(self) -> bytes:
        """SHA-256 over the CAs above it, by which Fabric names where an organizational unit was given."""
        return _certifiers(self.authorities)

    def has_certificate(self, pem: bytes) -> bool:
        """Whether that is the identity's certificate, but for the S of its signature."""
        try:
            return with_low_s(x509.load_pem(pem), self.authorities[0]) == self.certificate
        except IdentityError:
            return False

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a signature over ``message``; raises ``BAD_SIGNATURE`` or ``HIGH_S_SIGNATURE``."""
        verify(self.public_key, message, signature)

    def refuse_expired(self, at: datetime) -> None:
        """Raise ``EXPIRED`` if the certificate has ended before the aware time ``at``.

        That is for whoever takes something from a client: what stands in a block is judged without a clock.
        """
        if at > self.certificate.valid_until:
            raise IdentityError(
                "EXPIRED",
                f"The certificate of {self.common_name} expired on {self.certificate.valid_until}.",
                "Re-enrol with `fedledger identity enroll` to get a new one.",
            )


@dataclass(frozen=True)
class Msp:
    """One organisation's membership rules; certificates and revocation lists in PEM.

    Construction checks them all and raises ``IdentityError`` (``MALFORMED_MSP``, ``UNSUPPORTED_MSP``).
    """

    msp_id: str
    root_certificates: tuple[bytes, ...]
    tls_root_certificates: tuple[bytes, ...] = ()
    revocation_list: tuple[bytes, ...] = ()
    node_ous: NodeOus | None = field(default_factory=NodeOus)
    """None where roles are not told apart."""
    intermediate_certificates: tuple[bytes, ...] = ()
    tls_intermediate_certificates: tuple[bytes, ...] = ()
    administrators: tuple[bytes, ...] = ()
    """Certificates that are administrators' by name."""
    units: tuple[NodeOu, ...] = ()
    """Of which each identity has to have one, if there are any."""
    ed25519: bool = True
    """Whether identities may have Ed25519 keys: in channels with the capability V3_0."""

    def __post_init__(self) -> None:
        if not self.msp_id:
            raise malformed_msp(self.msp_id, "it has no name")
        _ = self._anchors, self._unit_certifiers, self._role_certifiers, self._administrators
        try:
            pems = self.tls_root_certificates, self.tls_intermediate_certificates
            tls = CertificatePool(*(tuple(map(x509.load_pem, each)) for each in pems))
            self._anchors.check_authorities(tls)
        except IdentityError as error:
            raise malformed_msp(self.msp_id, f"a TLS certificate of it is refused ({error.message})") from error

    @classmethod
    def from_proto(cls, config: bytes, *, ed25519: bool = True) -> Msp:
        """Read a serialized ``msp.FabricMSPConfig``; raises ``MALFORMED_MSP`` or ``UNSUPPORTED_MSP``."""
        message = msp_config_pb2.FabricMSPConfig()
        try:
            message.ParseFromString(config)
        except DecodeError as error:
            raise malformed_msp("", "the bytes are no FabricMSPConfig") from error
        _refuse_unsupported(message)
        return cls(
            msp_id=message.name,
            root_certificates=tuple(message.root_certs),
            tls_root_certificates=tuple(message.tls_root_certs),
            revocation_list=tuple(message.revocation_list),
            node_ous=_node_ous(message),
            intermediate_certificates=tuple(message.intermediate_certs),
            tls_intermediate_certificates=tuple(message.tls_intermediate_certs),
            administrators=tuple(message.admins),
            units=tuple(map(_node_ou, message.organizational_unit_identifiers)),
            ed25519=ed25519,
        )

    def to_proto(self) -> bytes:
        """Return the serialized ``msp.FabricMSPConfig``, the same bytes for equal values."""
        ous = {} if self.node_ous is None else self.node_ous.by_role()
        units = {f"{role.value}_ou_identifier": _ou_identifier(ou) for role, ou in ous.items()}
        message = msp_config_pb2.FabricMSPConfig(
            name=self.msp_id,
            root_certs=self.root_certificates,
            intermediate_certs=self.intermediate_certificates,
            admins=self.administrators,
            revocation_list=self.revocation_list,
            organizational_unit_identifiers=map(_ou_identifier, self.units),
            crypto_config=msp_config_pb2.FabricCryptoConfig(
                signature_hash_family="SHA2", identity_identifier_hash_function="SHA256"
            ),
            tls_root_certs=self.tls_root_certificates,
            tls_intermediate_certs=self.tls_intermediate_certificates,
            fabric_node_ous=None if self.node_ous is None else msp_config_pb2.FabricNodeOUs(enable=True, **units),
        )
        return bytes(message.SerializeToString(deterministic=True))

    def identify(self, serialized_identity: bytes) -> VerifiedIdentity:
        """Return who ``serialized_identity`` (``msp.SerializedIdentity``) is.

        No clock is asked, as at a Fabric peer that judges a block: see ``VerifiedIdentity.refuse_expired``. A revoked
        certificate is refused whenever it was used. Raises ``IdentityError``: ``MALFORMED_IDENTITY``, ``WRONG_MSP``,
        ``UNKNOWN_ISSUER``, ``BAD_CERTIFICATE``, ``UNSUPPORTED_KEY``, ``BAD_NODE_OU``, ``REVOKED``.
        """
        return self._identify(serialized_identity)

    @cached_property
    def _identify(self) -> Callable[[bytes], VerifiedIdentity]:
        # Refusals raise and are not remembered, so that invalid identities cannot push valid ones out.
        return lru_cache(CACHED_IDENTITIES)(self._read)

    @cached_property
    def _anchors(self) -> TrustAnchors:
        return TrustAnchors.load(
            self.msp_id, self.root_certificates, self.intermediate_certificates, self.revocation_list
        )

    @cached_property
    def _unit_certifiers(self) -> frozenset[tuple[str, bytes]]:
        return frozenset((unit.unit, self._certifiers_of(unit)) for unit in self.units)

    @cached_property
    def _role_certifiers(self) -> Mapping[str, bytes]:
        """By unit; empty where any CA may have given it."""
        ous = {} if self.node_ous is None else self.node_ous.by_role()
        return {ou.unit: self._certifiers_of(ou) if ou.certificate else b"" for ou in ous.values()}

    @cached_property
    def _administrators(self) -> frozenset[Certificate]:
        by_unit = self.node_ous is not None and self.node_ous.admin is not None
        if not self.administrators and not by_unit:
            raise malformed_msp(self.msp_id, "it has no administrators")
        try:
            found = [self._anchors.pool.sanitized(x509.load_pem(pem)) for pem in self.administrators]
            for certificate in found:
                if self.node_ous is None:
                    self._judged(certificate)
                elif not self._may_administrate(certificate):
                    raise IdentityError("BAD_NODE_OU", "An administrator has another role.", "Give it the role admin.")
        except IdentityError as error:
            raise malformed_msp(self.msp_id, f"an administrator of it is refused ({error.message})") from error
        return frozenset(found)

    def _may_administrate(self, certificate: Certificate) -> bool:
        ous = self.node_ous or NodeOus()
        self._anchors.certified(certificate)
        return any(ou is not None and ou.unit in certificate.units for ou in (ous.client, ous.admin))

    def _certifiers_of(self, unit: NodeOu) -> bytes:
        """SHA-256 over the path of the CA that a unit is limited to."""
        try:
            authority = self._anchors.pool.sanitized(x509.load_pem(unit.certificate))
            if authority not in self._anchors.authorities:
                raise malformed_msp(self.msp_id, f"the certificate of its unit {unit.unit} is none of its CAs'")
            path = self._anchors.pool.chain(authority)
        except IdentityError as error:
            raise malformed_msp(self.msp_id, f"its unit {unit.unit} cannot be used ({error.message})") from error
        if len(path) > 1 and authority in self._anchors.inner:
            raise malformed_msp(self.msp_id, f"the CA of its unit {unit.unit} certifies CAs only")
        return _certifiers(path)

    def _read(self, serialized_identity: bytes) -> VerifiedIdentity:
        msp_id, pem = parse_serialized_identity(serialized_identity)
        if msp_id != self.msp_id:
            raise IdentityError(
                "WRONG_MSP",
                f"The identity claims to be of {msp_id or 'no MSP'}, not of {self.msp_id}.",
                "Send the certificate together with the MSP id of the organisation that issued it.",
            )
        return self._judged(x509.load_pem(pem))

    def _judged(self, certificate: Certificate) -> VerifiedIdentity:
        kept, path = self._anchors.certified(certificate)
        if isinstance(_identity_key(kept), Ed25519PublicKey) and not self.ed25519:
            raise _unsupported_key("Ed25519, which the channel's capabilities do not allow")
        self._anchors.refuse_revoked(path)
        certifiers = _certifiers(path[1:])
        self._refuse_other_units(kept, certifiers)
        roles = self._roles(kept, certifiers)
        named = self.__dict__.get("_administrators", frozenset())
        return VerifiedIdentity(self.msp_id, kept, roles, NodeRole.ADMIN in roles or kept in named, path[1:])

    def _refuse_other_units(self, certificate: Certificate, certifiers: bytes) -> None:
        allowed = self._unit_certifiers
        if allowed and not any((unit, certifiers) in allowed for unit in certificate.units):
            raise _bad_unit("one of the organizational units that its organisation demands", "none of them")

    def _roles(self, certificate: Certificate, certifiers: bytes) -> frozenset[NodeRole]:
        if self.node_ous is None:
            return frozenset()
        wanted = "one role of client, peer, admin and orderer as its OU"
        known = self._role_certifiers
        found = [unit for unit in certificate.units if unit in known]
        for unit in found[:2]:
            if known[unit] not in (b"", certifiers):
                raise _bad_unit(wanted, f"{unit}, which another CA has to give")
        if len(found) != 1:
            raise _bad_unit(wanted, " and ".join(found) or "none of them")
        return frozenset(role for role, ou in self.node_ous.by_role().items() if ou.unit == found[0])


def parse_serialized_identity(serialized_identity: bytes) -> tuple[str, bytes]:
    """Return MSP id and certificate PEM of a ``msp.SerializedIdentity``; raises ``MALFORMED_IDENTITY``."""
    try:
        message = parse_message(identities_pb2.SerializedIdentity, serialized_identity)
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


def _identity_key(certificate: Certificate) -> PublicKey:
    if certificate.key is None or isinstance(certificate.key, rsa.RSAPublicKey):
        raise _unsupported_key("RSA or unknown")
    return certificate.key


def _unsupported_key(kind: str) -> IdentityError:
    return IdentityError("UNSUPPORTED_KEY", f"A key of kind {kind} cannot sign for an identity.", "Use a P-256 key.")


def _certifiers(path: Chain) -> bytes:
    return hashlib.sha256(b"".join(certificate.encoded for certificate in path)).digest()


def _bad_unit(wanted: str, found: str) -> IdentityError:
    return IdentityError(
        "BAD_NODE_OU",
        f"The certificate must name {wanted}; it names {found}.",
        "Register the identity with one type at the organisation's Fabric CA and enrol it.",
    )


def _refuse_unsupported(message: msp_config_pb2.FabricMSPConfig) -> None:
    crypto = (
        message.crypto_config.signature_hash_family or "SHA2",
        message.crypto_config.identity_identifier_hash_function or "SHA256",
    )
    if crypto != ("SHA2", "SHA256"):
        raise _unsupported_msp(message.name, f"its hash functions are {crypto[0]} and {crypto[1]}")


def _node_ous(message: msp_config_pb2.FabricMSPConfig) -> NodeOus | None:
    """The units; None where they are switched off, or there are none."""
    told = message.fabric_node_ous
    found = {
        role.value: _node_ou(getattr(told, f"{role.value}_ou_identifier"))
        for role in NodeRole
        if told.HasField(f"{role.value}_ou_identifier")
    }
    if not told.enable or not found:
        return None
    return NodeOus(**{role.value: found.get(role.value) for role in NodeRole})


def _node_ou(identifier: msp_config_pb2.FabricOUIdentifier) -> NodeOu:
    return NodeOu(identifier.organizational_unit_identifier, identifier.certificate)


def _ou_identifier(ou: NodeOu) -> msp_config_pb2.FabricOUIdentifier:
    return msp_config_pb2.FabricOUIdentifier(certificate=ou.certificate, organizational_unit_identifier=ou.unit)


def _unsupported_msp(msp_id: str, reason: str) -> IdentityError:
    return IdentityError(
        "UNSUPPORTED_MSP",
        f"The MSP definition {msp_id} is not supported: {reason}.",
        "Use X.509 MSPs with SHA2/SHA256, Fabric's own default.",
    )
