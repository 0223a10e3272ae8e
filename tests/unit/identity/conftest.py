"""A small organisation with certificates at a fixed time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from fedledger.identity.authority import (
    CertificateAuthority,
    NodeRole,
    Revocation,
    Validity,
    certificate_pem,
)
from fedledger.identity.keys import KeyType, PrivateKey, generate_key
from fedledger.identity.msp import Msp, serialize_identity


@dataclass(frozen=True)
class Member:
    msp_id: str
    certificate: x509.Certificate
    key: PrivateKey

    @property
    def serialized(self) -> bytes:
        return serialize_identity(self.msp_id, certificate_pem(self.certificate))


@dataclass(frozen=True)
class Organisation:
    now: datetime
    authority: CertificateAuthority
    msp: Msp
    year = timedelta(days=365)

    def new_authority(
        self, name: str = "ca.cleveland.example", key_type: KeyType = KeyType.P256
    ) -> CertificateAuthority:
        validity = Validity.starting(self.now, 10 * self.year)
        return CertificateAuthority.self_signed(generate_key(key_type), name, "cleveland.example", validity)

    def enrol(
        self,
        units: Sequence[str] = (NodeRole.CLIENT,),
        *,
        key_type: KeyType = KeyType.P256,
        validity: Validity | None = None,
        attributes: dict[str, str] | None = None,
        by: CertificateAuthority | None = None,
    ) -> Member:
        key = generate_key(key_type)
        window = validity or Validity.starting(self.now, self.year)
        certificate = (by or self.authority).issue(key.public_key(), "alice", units, window, attributes)
        return Member(self.msp.msp_id, certificate, key)

    def revoking(self, *certificates: x509.Certificate, by: CertificateAuthority | None = None) -> Msp:
        entries = [Revocation(certificate.serial_number, self.now) for certificate in certificates]
        crl = (by or self.authority).revocation_list(entries, self.now, timedelta(days=7), number=1)
        return replace(self.msp, revocation_list=(crl,))


def _organisation() -> Organisation:
    now = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
    validity = Validity.starting(now, timedelta(days=3650))
    authorities = [
        CertificateAuthority.self_signed(generate_key(), f"{name}.cleveland.example", "cleveland", validity)
        for name in ("ca", "tlsca")
    ]
    pems = [certificate_pem(authority.certificate) for authority in authorities]
    return Organisation(now, authorities[0], Msp("ClevelandMSP", (pems[0],), (pems[1],)))


@pytest.fixture(scope="session")
def org() -> Organisation:
    return _organisation()
