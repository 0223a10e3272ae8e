"""The contract's package for Fabric's lifecycle: where a peer finds the chaincode service, nothing of the contract.

Every organisation packs the same bytes and gets the same package id; addresses and TLS files are filled in by its own
peer. The contract's code is agreed on by its version.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

from fedledger_network.fabric.config import LOOPBACK

_CONNECTION = {
    "address": "{{.address}}",
    "dial_timeout": "10s",
    "tls_required": True,
    "client_auth_required": True,
    "root_cert": "{{.root_cert}}",
    "client_cert": "{{.client_cert}}",
    "client_key": "{{.client_key}}",
}


def contract_label(chaincode: str, version: str) -> str:
    """The package's label."""
    return f"{chaincode}_{version}"


def contract_package(label: str) -> bytes:
    """The package, the same bytes wherever it is made."""
    code = _archive({"connection.json": _json(_CONNECTION)})
    return _archive({"metadata.json": _json({"type": "ccaas", "label": label}), "code.tar.gz": code})


def package_id(label: str, package: bytes) -> str:
    """Fabric's id of a package: its label and the SHA-256 of its bytes."""
    return f"{label}:{hashlib.sha256(package).hexdigest()}"


def builder_configuration(port: int, roots: bytes, certificate: bytes, key: bytes) -> str:
    """What the peer's builder fills into the package: the service's port on this host, and the peer's TLS identity."""
    return json.dumps(
        {
            "address": f"{LOOPBACK}:{port}",
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
