"""The contract's package for Fabric's lifecycle: where a peer finds the chaincode service, nothing of the contract.

Every organisation packs the same bytes and gets the same package id; addresses and TLS files are filled in by its own
peer. The contract's code is agreed on by its version. Two places, A and B, take turns from version to version, so that
the services of the old version serve until those of the new one take over.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from fedledger_network.fabric.config import LOOPBACK

_CONNECTION = {
    "dial_timeout": "10s",
    "tls_required": True,
    "client_auth_required": True,
    "root_cert": "{{.root_cert}}",
    "client_cert": "{{.client_cert}}",
    "client_key": "{{.client_key}}",
}


class Place(StrEnum):
    """Which of an organisation's two ports for chaincode services a version has."""

    A = "a"
    B = "b"

    @property
    def other(self) -> Place:
        """The next version's."""
        return Place.B if self is Place.A else Place.A


@dataclass(frozen=True)
class Release:
    """A version of the contract, and the place of its services."""

    chaincode: str
    version: str
    place: Place = Place.A

    @property
    def label(self) -> str:
        """The package's label."""
        return f"{self.chaincode}_{self.version}"

    @property
    def package(self) -> bytes:
        """The package, the same bytes wherever it is made."""
        connection = {**_CONNECTION, "address": f"{{{{.address_{self.place}}}}}"}
        code = _archive({"connection.json": _json(connection)})
        return _archive({"metadata.json": _json({"type": "ccaas", "label": self.label}), "code.tar.gz": code})

    @property
    def package_id(self) -> str:
        """Fabric's id of the package: its label and the SHA-256 of its bytes."""
        return f"{self.label}:{hashlib.sha256(self.package).hexdigest()}"

    def successor(self, version: str) -> Release:
        """The release of another version."""
        return Release(self.chaincode, version, self.place.other)

    def to_json(self) -> bytes:
        """What ``from_json`` reads."""
        return _json(asdict(self))

    @classmethod
    def from_json(cls, document: bytes) -> Release:
        """A release that was written down."""
        fields = json.loads(document)
        return cls(fields["chaincode"], fields["version"], Place(fields["place"]))


def builder_configuration(ports: Mapping[Place, int], roots: bytes, certificate: bytes, key: bytes) -> str:
    """What the peer's builder fills into packages: the services' ports on this host, and the peer's TLS identity."""
    return json.dumps(
        {
            **{f"address_{place}": f"{LOOPBACK}:{port}" for place, port in ports.items()},
            "root_cert": roots.decode(),
            "client_cert": certificate.decode(),
            "client_key": key.decode(),
        }
    )


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _archive(files: Mapping[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)  # owner, mode and time have fixed defaults
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=0)
