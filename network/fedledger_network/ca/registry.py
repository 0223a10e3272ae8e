"""What the development CA remembers: identities, certificates, affiliations; one SQLite file that survives a kill.

Refuses a file that a newer version wrote. Decides nothing: callers ask and write inside one transaction.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fedledger.errors import BadInputError

SCHEMA_VERSION = 1
DISABLED = -1
UNLIMITED = -1

_SCHEMA = """
CREATE TABLE identities (
    id TEXT PRIMARY KEY, salt BLOB NOT NULL, secret BLOB NOT NULL, type TEXT NOT NULL,
    affiliation TEXT NOT NULL, attributes TEXT NOT NULL, max_enrollments INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0, failed_attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE certificates (
    serial TEXT NOT NULL, aki TEXT NOT NULL, id TEXT NOT NULL, pem BLOB NOT NULL, expires_at TEXT NOT NULL,
    revoked_at TEXT, reason TEXT NOT NULL DEFAULT '', PRIMARY KEY (serial, aki)
) STRICT;
CREATE INDEX certificates_by_identity ON certificates (id);
CREATE TABLE affiliations (name TEXT PRIMARY KEY) STRICT;
CREATE TABLE revocation_lists (number INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;
"""

_SCRYPT = {"n": 2**13, "r": 8, "p": 1}
"""RFC 7914 parameters; 8 MiB and some 20 ms an attempt."""


@dataclass(frozen=True)
class Attribute:
    """An identity's attribute; ``ecert`` puts it into certificates that ask for none in particular."""

    name: str
    value: str
    ecert: bool = False


@dataclass(frozen=True)
class SecretHash:
    """A salted scrypt digest of an enrolment secret."""

    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, secret: str) -> SecretHash:
        """Hash ``secret`` under a fresh salt."""
        salt = os.urandom(16)
        return cls(salt, hashlib.scrypt(secret.encode(), salt=salt, **_SCRYPT))

    def matches(self, secret: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.digest, hashlib.scrypt(secret.encode(), salt=self.salt, **_SCRYPT))


@dataclass(frozen=True)
class RegisteredIdentity:
    """One that may enrol. ``state`` counts its enrolments; ``DISABLED`` means revoked."""

    id: str
    secret: SecretHash
    type: str
    affiliation: str
    attributes: tuple[Attribute, ...]
    max_enrollments: int
    state: int = 0
    failed_attempts: int = 0

    def attribute(self, name: str) -> str | None:
        """Return the value of an attribute, None if the identity does not have it."""
        return next((entry.value for entry in self.attributes if entry.name == name), None)


@dataclass(frozen=True)
class IssuedCertificate:
    """A certificate by serial number and authority key identifier, lower-case hex without leading zeros."""

    serial: str
    aki: str
    id: str
    pem: bytes
    expires_at: datetime
    revoked_at: datetime | None = None
    reason: str = ""


class Registry:
    """The file. Safe for several threads; another process waits for the end of a transaction."""

    def __init__(self, path: Path) -> None:
        """Open or create the file with mode 0600; raises ``CA_NEWER_VERSION``."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        with self.transaction():
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise BadInputError(
                    "CA_NEWER_VERSION",
                    f"{path} was written by another version ({version}; this one writes {SCHEMA_VERSION}).",
                    "Use the fedledger that wrote it, or a new folder.",
                )

    def close(self) -> None:
        """Close the file; nothing is pending."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block alone; all that it wrote is on the disk at its end, or nothing if it raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def identity(self, identity: str) -> RegisteredIdentity | None:
        """Return the identity, None if it is not registered."""
        rows = self._query("SELECT * FROM identities WHERE id = ?", identity)
        return _identity(rows[0]) if rows else None

    def identities(self) -> tuple[RegisteredIdentity, ...]:
        """Return all identities by their id."""
        return tuple(_identity(row) for row in self._query("SELECT * FROM identities ORDER BY id"))

    def put_identity(self, identity: RegisteredIdentity) -> None:
        """Write an identity, in place of one with its id."""
        attributes = json.dumps([[a.name, a.value, a.ecert] for a in identity.attributes])
        self._query(
            "INSERT OR REPLACE INTO identities VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            identity.id,
            identity.secret.salt,
            identity.secret.digest,
            identity.type,
            identity.affiliation,
            attributes,
            identity.max_enrollments,
            identity.state,
            identity.failed_attempts,
        )

    def remove_identity(self, identity: str) -> None:
        """Forget an identity; its certificates stay on record."""
        self._query("DELETE FROM identities WHERE id = ?", identity)

    def count_enrollment(self, identity: str) -> None:
        """Note that the secret was used once more."""
        self._query("UPDATE identities SET state = state + 1, failed_attempts = 0 WHERE id = ?", identity)

    def count_failure(self, identity: str) -> None:
        """Note a wrong secret."""
        self._query("UPDATE identities SET failed_attempts = failed_attempts + 1 WHERE id = ?", identity)

    def disable(self, identity: str) -> None:
        """Bar an identity from enrolling again."""
        self._query("UPDATE identities SET state = ? WHERE id = ?", DISABLED, identity)

    def add_certificate(self, certificate: IssuedCertificate) -> None:
        """Note a certificate before anybody gets it."""
        self._query(
            "INSERT INTO certificates (serial, aki, id, pem, expires_at) VALUES (?, ?, ?, ?, ?)",
            certificate.serial,
            certificate.aki,
            certificate.id,
            certificate.pem,
            certificate.expires_at.astimezone(UTC).isoformat(),
        )

    def certificate(self, serial: str, aki: str) -> IssuedCertificate | None:
        """Return one certificate, None if it was not issued here."""
        rows = self._query("SELECT * FROM certificates WHERE serial = ? AND aki = ?", serial, aki)
        return _certificate(rows[0]) if rows else None

    def valid_certificates(self, identity: str) -> tuple[IssuedCertificate, ...]:
        """Return an identity's certificates that are not revoked."""
        rows = self._query("SELECT * FROM certificates WHERE id = ? AND revoked_at IS NULL ORDER BY serial", identity)
        return tuple(_certificate(row) for row in rows)

    def revoked_certificates(self, aki: str) -> tuple[IssuedCertificate, ...]:
        """Return what the CA with this key identifier issued and revoked."""
        rows = self._query("SELECT * FROM certificates WHERE aki = ? AND revoked_at IS NOT NULL ORDER BY serial", aki)
        return tuple(_certificate(row) for row in rows)

    def revoke(self, certificate: IssuedCertificate, at: datetime, reason: str) -> None:
        """Mark a certificate as revoked."""
        self._query(
            "UPDATE certificates SET revoked_at = ?, reason = ? WHERE serial = ? AND aki = ?",
            at.astimezone(UTC).isoformat(),
            reason,
            certificate.serial,
            certificate.aki,
        )

    def next_list_number(self) -> int:
        """Return a number greater than all that it returned before."""
        with self._lock:
            number = self._connection.execute("INSERT INTO revocation_lists DEFAULT VALUES").lastrowid
        if number is None:
            raise RuntimeError("SQLite gave no row id to an inserted row")
        return number

    def affiliations(self) -> tuple[str, ...]:
        """Return all affiliations, sorted."""
        return tuple(row[0] for row in self._query("SELECT name FROM affiliations ORDER BY name"))

    def add_affiliation(self, name: str) -> None:
        """Add an affiliation that is not there."""
        self._query("INSERT INTO affiliations VALUES (?)", name)

    def _query(self, statement: str, *parameters: str | bytes | int) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(statement, parameters).fetchall()


def _identity(row: Sequence[Any]) -> RegisteredIdentity:
    identity, salt, secret, kind, affiliation, attributes, maximum, state, failed = row
    return RegisteredIdentity(
        id=identity,
        secret=SecretHash(salt, secret),
        type=kind,
        affiliation=affiliation,
        attributes=tuple(Attribute(*entry) for entry in json.loads(attributes)),
        max_enrollments=maximum,
        state=state,
        failed_attempts=failed,
    )


def _certificate(row: Sequence[Any]) -> IssuedCertificate:
    serial, aki, identity, pem, expires_at, revoked_at, reason = row
    return IssuedCertificate(
        serial=serial,
        aki=aki,
        id=identity,
        pem=pem,
        expires_at=datetime.fromisoformat(expires_at),
        revoked_at=None if revoked_at is None else datetime.fromisoformat(revoked_at),
        reason=reason,
    )
