"""Certificates that a real Fabric CA issues, for the table of certificates."""

from __future__ import annotations

from pathlib import Path

from fedledger.identity.authority import NodeRole
from fedledger_network.ca.organisation import authority_folder
from fedledger_network.consortium import Consortium
from fedledger_network.fabric import FabricConfig, Programs
from fedledger_network.fabric.fabric_ca import FabricCaIssuer, write_server_folder
from fedledger_network.fabric.identities import ca_ports
from fedledger_network.fabric.inventory import AUTHORITY, Inventory
from fedledger_network.fabric.layout import Layout
from fedledger_network.fabric.processes import stop_all
from tests.unit.identity.certificate_table import Issued

_NAMES = ("issuer", "second", "third", "fourth")


def enrolled(programs: Programs, folder: Path, first_port: int) -> list[Issued]:
    """Enrol one identity of each role at a Fabric CA that is started for it and stopped again."""
    config = FabricConfig(Consortium.of_names(*_NAMES), first_port=first_port, certificates="fabric-ca")
    organisation, layout = config.consortium.organisations[0], Layout(folder)
    wallets = layout.organisation(organisation.name).identities
    home, ports = authority_folder(wallets), ca_ports(config, organisation)
    write_server_folder(home, organisation.msp_id, ports)
    program = Inventory(config, layout, programs, attached=True).program(AUTHORITY, organisation)
    try:
        program.start()
        program.wait_listening()
        authority = FabricCaIssuer.open(home, wallets, organisation.msp_id, ports)
        roots = b"".join(authority.msp().root_certificates)
        issued = []
        for role in NodeRole:
            made = authority.identity(f"{role.value}.judged", role, {"fedledger.role": "auditor"})
            issued.append(Issued(f"Fabric CA, {role.value}", roots, made.certificate_pem, made.key))
        return issued
    finally:
        stop_all([program])
