"""An organisation's identities as the folders that Fabric's programs read: MSP folders and TLS files.

The wallets are the truth; the folders are copies that a later run brings up to date. Certificates come from Fabric CA
or from ``fedledger_network.ca``, whose authority is for development only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import yaml

from fedledger.identity.authority import NodeRole, certificate_pem
from fedledger.identity.files import make_private_folder, write_atomic, write_private
from fedledger.identity.keys import private_key_pem
from fedledger.identity.msp import Msp
from fedledger.identity.wallet import Credentials, Wallet
from fedledger_network.ca.authority import DevelopmentAuthority
from fedledger_network.ca.organisation import (
    MEMBERS,
    REGISTRAR,
    ROLE_ATTRIBUTE,
    OrganisationIdentities,
    authority_folder,
    provision_organisation,
)
from fedledger_network.consortium import Organisation
from fedledger_network.fabric.config import LOOPBACK, FabricConfig
from fedledger_network.fabric.fabric_ca import CaPorts, FabricCaIssuer
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


class Issuer(Protocol):
    """Makes keys with certificates for an organisation."""

    def identity(self, name: str, role: NodeRole, attributes: Mapping[str, str] | None = None) -> Credentials:
        """A new key and identity certificate."""
        ...

    def tls(self, name: str, role: NodeRole, hosts: Sequence[str]) -> Credentials:
        """A new key and TLS certificate for ``hosts``."""
        ...


@dataclass(frozen=True)
class DevelopmentIssuer:
    """The development CA, in this process."""

    authority: DevelopmentAuthority

    def identity(self, name: str, role: NodeRole, attributes: Mapping[str, str] | None = None) -> Credentials:
        """A new key and identity certificate."""
        return self.authority.issue_identity(name, role, attributes)

    def tls(self, name: str, role: NodeRole, hosts: Sequence[str]) -> Credentials:
        """A new key and TLS certificate for ``hosts``."""
        return self.authority.issue_tls(name, role, hosts)


def ca_ports(config: FabricConfig, organisation: Organisation) -> CaPorts:
    """Where the organisation's Fabric CA listens."""
    ports = config.ports(organisation)
    return CaPorts(ports.authority, ports.authority_operations)


@contextmanager
def issuer(config: FabricConfig, organisation: Organisation, folder: OrganisationFolder) -> Iterator[Issuer]:
    """Whoever issues the organisation's certificates; a Fabric CA has to be up."""
    if config.certificates == "fabric-ca":
        yield _fabric_ca(config, organisation, folder)
        return
    authority = DevelopmentAuthority.open(authority_folder(folder.identities), organisation.msp_id)
    try:
        yield DevelopmentIssuer(authority)
    finally:
        authority.close()


def node_hosts(config: FabricConfig, organisation: Organisation) -> tuple[str, ...]:
    """The names in the TLS certificates of the organisation's peer and orderer."""
    return tuple(dict.fromkeys(("localhost", LOOPBACK, config.host(organisation))))


def provision(config: FabricConfig, organisation: Organisation, folder: OrganisationFolder) -> FabricIdentities:
    """Create or load the organisation's identities and write its MSP and TLS folders."""
    hosts = node_hosts(config, organisation)
    if config.certificates == "fabric-ca":
        made = _enrol_at_fabric_ca(_fabric_ca(config, organisation, folder), folder.identities, hosts)
    else:
        made = provision_organisation(folder.identities, organisation.msp_id, hosts=hosts)
    identities = FabricIdentities(
        organisation=made,
        chaincode_tls=Wallet(folder.identities / "chaincode-tls"),
        administrator_tls=Wallet(folder.identities / "administrator-tls"),
    )
    with issuer(config, organisation, folder) as authority:
        for name, wallet in ((CHAINCODE, identities.chaincode_tls), (ADMINISTRATION, identities.administrator_tls)):
            if not wallet.exists():
                local = ("localhost", LOOPBACK)
                wallet.save(authority.tls(f"{name}.{organisation.msp_id}", NodeRole.CLIENT, local))
    write_folders(folder, identities)
    return identities


def issue_nodes_anew(config: FabricConfig, organisation: Organisation, folder: OrganisationFolder) -> None:
    """Give the organisation's peer and orderer new keys and certificates."""
    with issuer(config, organisation, folder) as authority:
        for role in (NodeRole.PEER, NodeRole.ORDERER):
            name = f"{role.value}.{organisation.msp_id}"
            Wallet(folder.identities / role.value).save(authority.identity(name, role))
            tls = authority.tls(name, role, node_hosts(config, organisation))
            Wallet(folder.identities / f"{role.value}-tls").save(tls)


def _fabric_ca(config: FabricConfig, organisation: Organisation, folder: OrganisationFolder) -> FabricCaIssuer:
    server, ports = authority_folder(folder.identities), ca_ports(config, organisation)
    return FabricCaIssuer.open(server, folder.identities, organisation.msp_id, ports)


def _enrol_at_fabric_ca(authority: FabricCaIssuer, folder: Path, hosts: Sequence[str]) -> OrganisationIdentities:
    identities = OrganisationIdentities(
        msp=authority.msp(),
        peer=Wallet(folder / "peer"),
        peer_tls=Wallet(folder / "peer-tls"),
        orderer=Wallet(folder / "orderer"),
        orderer_tls=Wallet(folder / "orderer-tls"),
        registrar=Wallet(folder / REGISTRAR),
        members={member.name: Wallet(folder / "members" / member.name) for member in MEMBERS},
    )
    for role, identity, tls in (
        (NodeRole.PEER, identities.peer, identities.peer_tls),
        (NodeRole.ORDERER, identities.orderer, identities.orderer_tls),
    ):
        name = f"{role.value}.{authority.msp_id}"
        if not identity.exists():
            identity.save(authority.identity(name, role))
        if not tls.exists():
            tls.save(authority.tls(name, role, hosts))
    for member in MEMBERS:
        wallet = identities.members[member.name]
        if not wallet.exists():
            attributes = {ROLE_ATTRIBUTE: member.ledger_role}
            wallet.save(authority.identity(f"{member.name}@{authority.msp_id}", member.node_role, attributes))
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
        for role, ou in ({} if msp.node_ous is None else msp.node_ous.by_role()).items()
    }
    return yaml.safe_dump({"NodeOUs": {"Enable": bool(units), **units}}, sort_keys=False)
