"""The development CA of one organisation: root keys, what it issues and what it revokes. FOR DEVELOPMENT ONLY.

It keeps its root keys in plain files beside the identities that it vouches for, and signs with them in the process
that asks: an organisation that runs a real channel runs Fabric CA, or its own PKI, on a machine of its own.
One authority for identities and one for TLS, as Fabric wants them apart. Refuses root keys that others can read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from fedledger.identity.authority import (
    CertificateAuthority,
    NodeRole,
    Revocation,
    Validity,
    certificate_pem,
)
from fedledger.identity.chain import TrustAnchors
from fedledger.identity.files import make_private_folder
from fedledger.identity.keys import PublicKey, generate_key
from fedledger.identity.msp import Msp
from fedledger.identity.wallet import Credentials, Wallet
from fedledger_network.ca.permissions import registrar_attributes
from fedledger_network.ca.registry import (
    DISABLED,
    UNLIMITED,
    IssuedCertificate,
    RegisteredIdentity,
    Registry,
    SecretHash,
)

AUTHORITY_LIFETIME = timedelta(days=15 * 365)
CERTIFICATE_LIFETIME = timedelta(days=365)
LIST_LIFETIME = timedelta(days=7)

REASONS: Mapping[str, x509.ReasonFlags] = {
    "": x509.ReasonFlags.unspecified,
    "unspecified": x509.ReasonFlags.unspecified,
    "keycompromise": x509.ReasonFlags.key_compromise,
    "cacompromise": x509.ReasonFlags.ca_compromise,
    "affiliationchange": x509.ReasonFlags.affiliation_changed,
    "affiliationchanged": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessationofoperation": x509.ReasonFlags.cessation_of_operation,
    "certificatehold": x509.ReasonFlags.certificate_hold,
    "removefromcrl": x509.ReasonFlags.remove_from_crl,
    "privilegewithdrawn": x509.ReasonFlags.privilege_withdrawn,
    "aacompromise": x509.ReasonFlags.aa_compromise,
}
"""RFC 5280's reasons in the spellings of Fabric CA's server and of hfc."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the machine's time, the default clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class DevelopmentAuthority:
    """One organisation's CA, open; for development only. Methods may be called from several threads."""

    msp_id: str
    name: str
    """The CA's name in Fabric CA's requests (``caname``)."""
    identity_ca: CertificateAuthority
    tls_ca: CertificateAuthority
    registry: Registry
    clock: Clock = utc_now

    @classmethod
    def open(
        cls, folder: Path, msp_id: str, *, name: str | None = None, clock: Clock = utc_now
    ) -> DevelopmentAuthority:
        """Load the authority in ``folder``, or create it there with fresh root keys of mode 0600.

        Raises ``IdentityError`` (``KEY_EXPOSED``, ``KEY_MISMATCH``...) and ``BadInputError``
        (``UNWRITABLE_FILE``, ``CA_NEWER_VERSION``).
        """
        make_private_folder(folder)
        label = name or f"ca-{msp_id}"
        return cls(
            msp_id=msp_id,
            name=label,
            identity_ca=_root(Wallet(folder / "root"), label, msp_id, clock()),
            tls_ca=_root(Wallet(folder / "tls-root"), f"tls{label}", msp_id, clock()),
            registry=Registry(folder / "registry.sqlite"),
            clock=clock,
        )

    def close(self) -> None:
        """Close the registry."""
        self.registry.close()

    def msp(self, revocation_list: bytes | None = None) -> Msp:
        """Return the organisation's MSP definition with NodeOUs, for the channel configuration."""
        return Msp(
            msp_id=self.msp_id,
            root_certificates=(certificate_pem(self.identity_ca.certificate),),
            tls_root_certificates=(certificate_pem(self.tls_ca.certificate),),
            revocation_list=() if revocation_list is None else (revocation_list,),
        )

    def anchors(self) -> TrustAnchors:
        """Return what identity certificates of this organisation chain to."""
        return TrustAnchors.load(self.msp_id, [certificate_pem(self.identity_ca.certificate)], (), ())

    def set_registrar(self, enrollment_id: str, secret: str) -> None:
        """Make ``enrollment_id`` a registrar with all rights and this secret, whatever it was before."""
        identity = RegisteredIdentity(
            id=enrollment_id,
            secret=SecretHash.of(secret),
            type=NodeRole.ADMIN,
            affiliation="",
            attributes=registrar_attributes(),
            max_enrollments=UNLIMITED,
        )
        with self.registry.transaction():
            self.registry.put_identity(identity)

    def forget(self, enrollment_id: str) -> None:
        """Drop a registration whose owner holds nothing, so that it can be made anew; a revoked one stays."""
        with self.registry.transaction():
            identity = self.registry.identity(enrollment_id)
            if identity is not None and identity.state != DISABLED:
                self.registry.remove_identity(enrollment_id)

    def issue_identity(
        self, common_name: str, role: NodeRole, attributes: Mapping[str, str] | None = None
    ) -> Credentials:
        """Make a key here and return it with its certificate, for peers and orderers of a development network."""
        key = generate_key()
        with self.registry.transaction():
            certificate = self.sign_identity(key.public_key(), common_name, [role], attributes or {})
        return Credentials(certificate, key, (self.identity_ca.certificate,))

    def issue_tls(self, common_name: str, role: NodeRole, hosts: Sequence[str]) -> Credentials:
        """Make a TLS key here and return it with its server and client certificate for ``hosts``."""
        key = generate_key()
        with self.registry.transaction():
            certificate = self.sign_tls(key.public_key(), common_name, [role], hosts)
        return Credentials(certificate, key, (self.tls_ca.certificate,))

    def sign_identity(
        self, key: PublicKey, common_name: str, units: Sequence[str], attributes: Mapping[str, str]
    ) -> x509.Certificate:
        """Sign and note an identity certificate; the caller holds the registry's transaction."""
        validity = self._validity(self.identity_ca)
        return self._noted(
            self.identity_ca, self.identity_ca.issue(key, common_name, units, validity, attributes), common_name
        )

    def sign_tls(
        self, key: PublicKey, common_name: str, units: Sequence[str], hosts: Sequence[str]
    ) -> x509.Certificate:
        """Sign and note a TLS certificate; the caller holds the registry's transaction."""
        validity = self._validity(self.tls_ca)
        return self._noted(self.tls_ca, self.tls_ca.issue_tls(key, common_name, hosts, validity, units), common_name)

    def sign_revocation_list(self, revoked: Iterable[IssuedCertificate]) -> bytes:
        """Return the list of ``revoked`` in PEM; the caller holds the registry's transaction."""
        entries = [
            Revocation(int(entry.serial, 16), entry.revoked_at, REASONS[entry.reason])
            for entry in revoked
            if entry.revoked_at is not None
        ]
        number = self.registry.next_list_number()
        return self.identity_ca.revocation_list(entries, self.clock(), LIST_LIFETIME, number)

    def _validity(self, authority: CertificateAuthority) -> Validity:
        wanted = Validity.starting(self.clock(), CERTIFICATE_LIFETIME)
        return Validity(
            max(wanted.not_before, authority.certificate.not_valid_before_utc),
            min(wanted.not_after, authority.certificate.not_valid_after_utc),
        )

    def _noted(self, authority: CertificateAuthority, certificate: x509.Certificate, identity: str) -> x509.Certificate:
        self.registry.add_certificate(
            IssuedCertificate(
                serial=f"{certificate.serial_number:x}",
                aki=key_identifier(authority.certificate),
                id=identity,
                pem=certificate_pem(certificate),
                expires_at=certificate.not_valid_after_utc,
            )
        )
        return certificate


def key_identifier(authority: x509.Certificate) -> str:
    """Return a CA's subject key identifier as Fabric CA keeps it: lower-case hex without leading zeros."""
    extension = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return extension.value.digest.hex().lstrip("0")


def _root(wallet: Wallet, common_name: str, msp_id: str, now: datetime) -> CertificateAuthority:
    if not wallet.exists():
        validity = Validity.starting(now, AUTHORITY_LIFETIME)
        root = CertificateAuthority.self_signed(generate_key(), common_name, msp_id, validity)
        wallet.save(Credentials(root.certificate, root.key))
    credentials = wallet.load()
    return CertificateAuthority(credentials.certificate, credentials.key)
