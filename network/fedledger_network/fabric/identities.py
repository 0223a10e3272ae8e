"""An organisation's identities as the folders that Fabric's programs read: MSP folders and TLS files.

The wallets are the truth; the folders are copies that a later run brings up to date. Certificates come from
``fedledger_network.ca``, whose authority is for development only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from fedledger.identity.authority import NodeRole, certificate_pem
from fedledger.identity.files import make_private_folder, write_atomic, write_private
from fedledger.identity.keys import private_key_pem
from fedledger.identity.msp import Msp
from fedledger.identity.wallet import Credentials, Wallet
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.organisation import OrganisationIdentities, authority_folder, provision_organisation
from fedledger_network.consortium import Organisation
from fedledger_network.fabric.config import LOOPBACK, FabricConfig
from fedledger_network.fabric.layout import OrganisationFolder

ADMINISTRATOR = "governor"
"""The member whose certificate has the admin role: it changes channel and contract in the organisation's name."""
TLS_ROOTS_FILE = "ca.crt"
TLS_CERTIFICATE_FILE = "server.crt"
TLS_KEY_FILE = "server.key"
CHAINCODE = "chaincode"
ADMINISTRATION = "administrator"


@dataclass(frozen=True)
class FabricIdentities:
    """What ``provision_organisation`` made, and two TLS identities that only Fabric needs."""

    organisation: OrganisationIdentities
    chaincode_tls: Wallet
    administrator_tls: Wallet


def provision(config: FabricConfig, organisation: Organisation, folder: OrganisationFolder) -> FabricIdentities:
    """Create or load the organisation's identities and write its MSP and TLS folders."""
    hosts = tuple(dict.fromkeys(("localhost", LOOPBACK, config.host(organisation))))
    made = provision_organisation(folder.identities, organisation.msp_id, hosts=hosts)
    identities = FabricIdentities(
        organisation=made,
        chaincode_tls=Wallet(folder.identities / "chaincode-tls"),
        administrator_tls=Wallet(folder.identities / "administrator-tls"),
    )
    _issue_tls(folder, organisation.msp_id, identities)
    write_folders(folder, identities)
    return identities


def write_folders(folder: OrganisationFolder, identities: FabricIdentities) -> None:
    """Bring the folders that Fabric's programs read up to date with the wallets."""
    made = identities.organisation
    write_msp(folder.definition, made.msp)
    for node, identity, tls in (
        ("peer", made.peer, made.peer_tls),
        ("orderer", made.orderer, made.orderer_tls),
        (ADMINISTRATION, made.members[ADMINISTRATOR], identities.administrator_tls),
    ):
        write_msp(folder.node(node) / "msp", made.msp, identity.load())
        write_tls(folder.node(node) / "tls", tls.load())
    write_tls(folder.node(CHAINCODE) / "tls", identities.chaincode_tls.load())


def write_msp(folder: Path, msp: Msp, credentials: Credentials | None = None) -> None:
    """Write an MSP folder in Fabric's form; with ``credentials`` it is a local MSP that can sign."""
    files: dict[str, Sequence[bytes]] = {
        "cacerts": msp.root_certificates,
        "intermediatecerts": msp.intermediate_certificates,
        "tlscacerts": msp.tls_root_certificates,
        "tlsintermediatecerts": msp.tls_intermediate_certificates,
        "crls": msp.revocation_list,
    }
    make_private_folder(folder)
    for name, contents in files.items():
        _write_numbered(folder / name, contents)
    write_changed(folder / "config.yaml", _node_ous(msp).encode())
    if credentials is not None:
        _write_numbered(folder / "signcerts", [credentials.certificate_pem])
        make_private_folder(folder / "keystore")
        write_changed(folder / "keystore" / "key.pem", private_key_pem(credentials.key), private=True)


def write_tls(folder: Path, credentials: Credentials) -> None:
    """Write a TLS key, its certificate and the roots above it."""
    make_private_folder(folder)
    write_changed(folder / TLS_ROOTS_FILE, b"".join(map(certificate_pem, credentials.chain)))
    write_changed(folder / TLS_CERTIFICATE_FILE, credentials.certificate_pem)
    write_changed(folder / TLS_KEY_FILE, private_key_pem(credentials.key), private=True)


def write_changed(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write ``data`` unless it is there already."""
    if path.exists() and path.read_bytes() == data:
        return
    if private:
        write_private(path, data)
    else:
        write_atomic(path, data)


def _issue_tls(folder: OrganisationFolder, msp_id: str, identities: FabricIdentities) -> None:
    missing: Mapping[str, Wallet] = {
        name: wallet
        for name, wallet in ((CHAINCODE, identities.chaincode_tls), (ADMINISTRATION, identities.administrator_tls))
        if not wallet.exists()
    }
    if not missing:
        return
    authority = DevelopmentAuthority.open(authority_folder(folder.identities), msp_id)
    try:
        for name, wallet in missing.items():
            wallet.save(authority.issue_tls(f"{name}.{msp_id}", NodeRole.CLIENT, ("localhost", LOOPBACK)))
    finally:
        authority.close()


def _write_numbered(folder: Path, contents: Sequence[bytes]) -> None:
    if not contents and not folder.exists():
        return
    make_private_folder(folder)
    kept = {f"{number}.pem" for number in range(len(contents))}
    for number, content in enumerate(contents):
        write_changed(folder / f"{number}.pem", content)
    for stale in folder.iterdir():
        if stale.name not in kept:
            stale.unlink()


def _node_ous(msp: Msp) -> str:
    units = {
        f"{role.value.capitalize()}OUIdentifier": {"OrganizationalUnitIdentifier": str(ou.unit)}
        for role, ou in msp.node_ous.by_role().items()
    }
    return yaml.safe_dump({"NodeOUs": {"Enable": True, **units}}, sort_keys=False)
