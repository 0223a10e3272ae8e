"""Certificates by Fabric CA, Hyperledger's server: one per organisation, with one CA for identities and one for TLS.

Everything is asked for through the same REST calls, by the same client, as at the development CA. The registrar's
secret is made once and lies in the organisation's folder alone; the secrets of its own nodes and members derive from
it, so that an enrolment that was interrupted can be repeated.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fedledger.identity.authority import NodeRole, certificate_pem
from fedledger.identity.ca import TLS_PROFILE, UNLIMITED, FabricCa, Registration
from fedledger.identity.ca_session import CaError
from fedledger.identity.files import make_private_folder, read_private, write_private
from fedledger.identity.msp import Msp
from fedledger.identity.wallet import Credentials, Wallet
from fedledger_network.ca.organisation import REGISTRAR
from fedledger_network.fabric.config import LOOPBACK

SETTINGS_FILE = "fabric-ca-server-config.yaml"
IDENTITY_CA = "ca"
TLS_CA = "tlsca"
_SECRET_FILE = "registrar.secret"
_LIFETIME = "8760h"
_AUTHORITY_LIFETIME = "131400h"
_LIST_LIFETIME = "168h"
_REGISTRAR_RIGHTS: Mapping[str, str] = {
    "hf.Registrar.Roles": "*",
    "hf.Registrar.DelegateRoles": "*",
    "hf.Registrar.Attributes": "*",
    "hf.Revoker": "1",
    "hf.GenCRL": "1",
    "hf.AffiliationMgr": "1",
}


@dataclass(frozen=True)
class CaPorts:
    """Where an organisation's Fabric CA listens, on loopback only."""

    requests: int
    operations: int


def write_server_folder(folder: Path, msp_id: str, ports: CaPorts) -> None:
    """Write what ``fabric-ca-server start --home folder`` needs; an existing folder keeps its registrar's secret."""
    make_private_folder(folder)
    secret = registrar_secret(folder)
    tls_folder = folder / TLS_CA
    make_private_folder(tls_folder)
    write_private(tls_folder / SETTINGS_FILE, _yaml(_authority(TLS_CA, msp_id, secret)))
    server = {
        "address": LOOPBACK,
        "port": ports.requests,
        "tls": {"enabled": True},
        "operations": {"listenAddress": f"{LOOPBACK}:{ports.operations}", "tls": {"enabled": False}},
        "metrics": {"provider": "disabled"},
        "cafiles": [str(tls_folder / SETTINGS_FILE)],
        **_authority(IDENTITY_CA, msp_id, secret),
    }
    write_private(folder / SETTINGS_FILE, _yaml(server))


def registrar_secret(folder: Path) -> str:
    """The registrar's secret, made when there is none."""
    path = folder / _SECRET_FILE
    if not path.exists():
        write_private(path, secrets.token_urlsafe().encode())
    return read_private(path).decode()


@dataclass(frozen=True)
class FabricCaIssuer:
    """Registers and enrols an organisation's nodes and members at its Fabric CA, which must be up."""

    msp_id: str
    identity_ca: FabricCa
    tls_ca: FabricCa
    secret: str
    registrar: Credentials
    tls_registrar: Credentials

    @classmethod
    def open(cls, server: Path, wallets: Path, msp_id: str, ports: CaPorts) -> FabricCaIssuer:
        """The issuer at the server in ``server``; its registrars' own certificates are kept in ``wallets``."""
        url, roots = f"https://localhost:{ports.requests}", server / "ca-cert.pem"
        secret = registrar_secret(server)
        authorities = {name: FabricCa(url, roots=roots, ca_name=name) for name in (IDENTITY_CA, TLS_CA)}
        registrars = {}
        for name, authority in authorities.items():
            wallet = Wallet(wallets / (REGISTRAR if name == IDENTITY_CA else f"{REGISTRAR}-tls"))
            if not wallet.exists():
                wallet.save(authority.enroll(REGISTRAR, secret))
            registrars[name] = wallet.load()
        return cls(
            msp_id, authorities[IDENTITY_CA], authorities[TLS_CA], secret, registrars[IDENTITY_CA], registrars[TLS_CA]
        )

    def msp(self, revocation_list: Sequence[bytes] = ()) -> Msp:
        """The organisation's MSP definition."""
        return Msp(
            msp_id=self.msp_id,
            root_certificates=tuple(map(certificate_pem, self.identity_ca.info().chain)),
            tls_root_certificates=tuple(map(certificate_pem, self.tls_ca.info().chain)),
            revocation_list=tuple(revocation_list),
        )

    def identity(self, name: str, role: NodeRole, attributes: Mapping[str, str] | None = None) -> Credentials:
        """A new key and identity certificate; the identity is registered when it is not known yet."""
        secret = self._register(self.identity_ca, self.registrar, Registration(name, role, attributes or {}))
        return self.identity_ca.enroll(name, secret)

    def tls(self, name: str, role: NodeRole, hosts: Sequence[str]) -> Credentials:
        """A new key and TLS certificate for ``hosts``."""
        secret = self._register(self.tls_ca, self.tls_registrar, Registration(name, role))
        return self.tls_ca.enroll(name, secret, profile=TLS_PROFILE, hosts=hosts)

    def _register(self, ca: FabricCa, registrar: Credentials, wanted: Registration) -> str:
        secret = hmac.new(self.secret.encode(), wanted.enrollment_id.encode(), hashlib.sha256).hexdigest()
        try:
            ca.register(
                registrar,
                Registration(
                    wanted.enrollment_id,
                    wanted.node_role,
                    wanted.attributes,
                    max_enrollments=UNLIMITED,
                    secret=secret,
                ),
            )
        except CaError as error:
            if error.code != "CA_ALREADY_REGISTERED":
                raise
        return secret


def _authority(name: str, msp_id: str, secret: str) -> dict[str, Any]:
    signing = {
        "default": {"usage": ["digital signature"], "expiry": _LIFETIME},
        "profiles": {
            TLS_PROFILE: {
                "usage": ["signing", "key encipherment", "server auth", "client auth", "key agreement"],
                "expiry": _LIFETIME,
            }
        },
    }
    registrar = {"name": REGISTRAR, "pass": secret, "type": NodeRole.ADMIN.value, "affiliation": ""}
    return {
        "ca": {"name": name},
        "crl": {"expiry": _LIST_LIFETIME},
        "registry": {"maxenrollments": UNLIMITED, "identities": [{**registrar, "attrs": dict(_REGISTRAR_RIGHTS)}]},
        "db": {"type": "sqlite3", "datasource": "fabric-ca-server.db"},
        "affiliations": {},
        "signing": signing,
        "csr": {
            "cn": f"{name}-{msp_id}",
            "keyrequest": {"algo": "ecdsa", "size": 256},
            "names": [{"O": msp_id}],
            "hosts": ["localhost", LOOPBACK],
            "ca": {"expiry": _AUTHORITY_LIFETIME, "pathlength": 0},
        },
        "bccsp": {"default": "SW", "sw": {"hash": "SHA2", "security": 256}},
    }


def _yaml(document: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(dict(document), sort_keys=False).encode()
