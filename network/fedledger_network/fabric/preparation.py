"""What has to lie in an organisation's folder before its programs start: identities, settings, profiles, the package.

Each step makes what is missing and brings up to date what is there; none touches another organisation's folder.
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from fedledger.identity.files import make_private_folder
from fedledger_network.ca.organisation import authority_folder
from fedledger_network.consortium import Organisation
from fedledger_network.fabric.fabric_ca import write_server_folder
from fedledger_network.fabric.identities import FabricIdentities, ca_ports, provision, write_changed
from fedledger_network.fabric.inventory import AUTHORITY, Inventory
from fedledger_network.fabric.processes import start_all
from fedledger_network.fabric.profiles import write_organisation_profiles
from fedledger_network.fabric.settings import orderer_settings, peer_settings


def make_folders(inventory: Inventory) -> None:
    """Make the network's folder, which nobody else may read, and its parts."""
    layout = inventory.layout
    make_private_folder(layout.root)
    for folder in (layout.shared, layout.root / "organisations"):
        folder.mkdir(exist_ok=True)


def start_authorities(inventory: Inventory, organisations: Sequence[Organisation]) -> None:
    """Start the organisations' Fabric CAs, if the consortium uses Fabric CA."""
    if AUTHORITY not in inventory.kinds:
        return
    for organisation in organisations:
        folder = authority_folder(inventory.layout.organisation(organisation.name).identities)
        write_server_folder(folder, organisation.msp_id, ca_ports(inventory.config, organisation))
    start_all([inventory.program(AUTHORITY, organisation) for organisation in organisations])


def prepare_organisation(inventory: Inventory, organisation: Organisation) -> FabricIdentities:
    """Make the organisation's identities, and write its settings and its members' profiles."""
    config, folder = inventory.config, inventory.layout.organisation(organisation.name)
    identities = provision(config, organisation, folder)
    for name, settings in (
        ("orderer.yaml", orderer_settings(config, organisation)),
        ("core.yaml", peer_settings(config, organisation, folder.root, inventory.programs.builder)),
    ):
        write_changed(folder.root / name, yaml.safe_dump(settings, sort_keys=False).encode())
    write_organisation_profiles(config, inventory.layout, organisation, identities)
    return identities


def prepare_package(inventory: Inventory) -> None:
    """Write the contract's package, the next release of it when the consortium names another version."""
    release = inventory.release()
    if release.version != inventory.config.chaincode_version:
        release = release.successor(inventory.config.chaincode_version)
    write_changed(inventory.layout.package, release.package)
    write_changed(inventory.layout.release, release.to_json())
