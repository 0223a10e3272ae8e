"""A wallet: the folder with an identity's certificate, private key and the CA certificates above it.

Refuses a key that others can read and a certificate that belongs to another key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from fedledger.identity.authority import certificate_pem, load_certificate
from fedledger.identity.errors import IdentityError
from fedledger.identity.files import (
    make_private_folder,
    read_private,
    read_public,
    rename,
    write_atomic,
    write_private,
)
from fedledger.identity.keys import (
    PrivateKey,
    load_private_key,
    private_key_pem,
    same_public_key,
    supported_public_key,
)

CERTIFICATE_FILE = "certificate.pem"
KEY_FILE = "key.pem"
CHAIN_FILE = "chain.pem"


@dataclass(frozen=True)
class Credentials:
    """A certificate with its private key; ``chain`` holds the CA certificates above it, the root among them.

    Construction raises ``KEY_MISMATCH`` when the certificate was issued for another key.
    """

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    def __post_init__(self) -> None:
        if not _belong_together(self.certificate, self.key):
            raise IdentityError(
                "KEY_MISMATCH",
                f"The certificate of {self.certificate.subject.rfc4514_string()} belongs to another private key.",
                "Use the certificate and key of one enrolment.",
            )

    @property
    def certificate_pem(self) -> bytes:
        """The certificate in PEM, the bytes of the Fabric identity."""
        return certificate_pem(self.certificate)


@dataclass(frozen=True)
class Wallet:
    """One identity's folder: ``certificate.pem``, ``key.pem`` (mode 0600) and ``chain.pem``."""

    folder: Path

    @property
    def certificate_path(self) -> Path:
        """Where the certificate lies."""
        return self.folder / CERTIFICATE_FILE

    @property
    def key_path(self) -> Path:
        """Where the private key lies."""
        return self.folder / KEY_FILE

    @property
    def chain_path(self) -> Path:
        """Where the CA certificates lie."""
        return self.folder / CHAIN_FILE

    def exists(self) -> bool:
        """Tell whether an identity was saved here."""
        return self.certificate_path.exists()

    def save(self, credentials: Credentials) -> None:
        """Store an identity, in place of the one that is there; a crash leaves the old one or the new one.

        Renaming the certificate is what commits: the new key lies beside the old one until then, and reading
        takes whichever belongs to the certificate. Raises ``UNWRITABLE_FILE``, ``KEY_EXPOSED``.
        """
        make_private_folder(self.folder)
        self._finish_interrupted_save()
        write_private(_next_key_path(self.key_path), private_key_pem(credentials.key))
        write_atomic(self.chain_path, b"".join(map(certificate_pem, credentials.chain)))
        write_atomic(self.certificate_path, credentials.certificate_pem)
        self._promote_next_key()

    def load(self) -> Credentials:
        """Return the stored identity; raises ``WALLET_MISSING`` and what ``load_credentials`` raises."""
        if not self.exists():
            raise IdentityError(
                "WALLET_MISSING",
                f"There is no identity in {self.folder}.",
                "Enrol with `fedledger identity enroll`, or name the folder of an identity.",
            )
        return load_credentials(self.certificate_path, self.key_path, self.chain_path)

    def _finish_interrupted_save(self) -> None:
        candidate = _next_key_path(self.key_path)
        if self.exists() and candidate.exists():
            certificate = load_certificate(read_public(self.certificate_path))
            if _belong_together(certificate, load_private_key(read_private(candidate))):
                self._promote_next_key()

    def _promote_next_key(self) -> None:
        rename(_next_key_path(self.key_path), self.key_path)


def load_credentials(certificate: Path, key: Path, chain: Path | None = None) -> Credentials:
    """Read an identity from its files; a ``chain`` that does not exist is an empty one.

    Raises ``MISSING_FILE``, ``KEY_EXPOSED``, ``BAD_KEY``, ``MALFORMED_IDENTITY``, ``UNSUPPORTED_KEY``,
    ``KEY_MISMATCH``.
    """
    parsed = load_certificate(read_public(certificate))
    candidate = _next_key_path(key)
    private_key = load_private_key(read_private(candidate)) if candidate.exists() else None
    if private_key is None or not _belong_together(parsed, private_key):
        private_key = load_private_key(read_private(key))
    authorities = read_public(chain) if chain is not None and chain.exists() else b""
    return Credentials(parsed, private_key, tuple(load_certificates(authorities)))


def load_certificates(pem: bytes) -> Sequence[x509.Certificate]:
    """Parse any number of concatenated PEM certificates; raises ``MALFORMED_IDENTITY``."""
    if not pem.strip():
        return []
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise IdentityError(
            "MALFORMED_IDENTITY",
            "The chain of CA certificates is not X.509 in PEM.",
            "Enrol again: the CA returns its chain with the certificate.",
        ) from error


def _next_key_path(key: Path) -> Path:
    return key.with_name(f"{key.stem}.next{key.suffix}")


def _belong_together(certificate: x509.Certificate, key: PrivateKey) -> bool:
    return same_public_key(supported_public_key(certificate.public_key()), key.public_key())
