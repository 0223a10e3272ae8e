"""Profiles of everybody in a network, for its own folder and for each organisation's; both name the same identities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fedledger.identity.profile import FILE_NAME, Profile, update_profiles
from fedledger_network.ca.organisation import MEMBERS, REGISTRAR
from fedledger_network.consortium import Organisation
from fedledger_network.fabric.config import FabricConfig
from fedledger_network.fabric.fabric_ca import IDENTITY_CA
from fedledger_network.fabric.identities import FabricIdentities
from fedledger_network.fabric.layout import Layout


def write_all_profiles(config: FabricConfig, layout: Layout, identities: Mapping[str, FabricIdentities]) -> None:
    """Write the members of all organisations into ``fedledger.toml``, beside whatever else is in it."""
    profiles = [
        profile
        for organisation in config.consortium.organisations
        for profile in organisation_profiles(config, layout, organisation, identities[organisation.name])
    ]
    update_profiles(layout.profiles, profiles)


def write_organisation_profiles(
    config: FabricConfig, layout: Layout, organisation: Organisation, identities: FabricIdentities
) -> None:
    """Write the organisation's own members into ``fedledger.toml`` of its folder, beside whatever else is in it."""
    profiles = organisation_profiles(config, layout, organisation, identities)
    update_profiles(layout.organisation(organisation.name).root / FILE_NAME, profiles)


def drop_profiles(layout: Layout, organisation: Organisation) -> None:
    """Take the members of an organisation that has left out of the network's ``fedledger.toml``."""
    members = (*(member.name for member in MEMBERS), REGISTRAR)
    update_profiles(layout.profiles, [], dropped=[f"{organisation.name}-{member}" for member in members])


def organisation_profiles(
    config: FabricConfig, layout: Layout, organisation: Organisation, identities: FabricIdentities
) -> list[Profile]:
    """One profile per member of the organisation, at its own peer; named ``organisation-member``.

    With Fabric CA one more for the registrar, who acts there alone.
    """
    folder = layout.organisation(organisation.name)
    roots: Path = folder.definition / "tlscacerts" / "0.pem"
    at_fabric_ca = config.certificates == "fabric-ca"
    wallets = dict(identities.organisation.members)
    if at_fabric_ca:
        wallets[REGISTRAR] = identities.organisation.registrar
    return [
        Profile(
            name=f"{organisation.name}-{member}",
            gateway=config.peer_address(organisation),
            channel=config.consortium.channel,
            chaincode=config.consortium.chaincode,
            msp_id=organisation.msp_id,
            certificate=wallet.certificate_path,
            key=wallet.key_path,
            store=str(folder.store),
            tls_roots=roots,
            ca=f"https://localhost:{config.ports(organisation).authority}" if at_fabric_ca else None,
            ca_name=IDENTITY_CA if at_fabric_ca else None,
            ca_roots=folder.definition / "cacerts" / "0.pem" if at_fabric_ca else None,
            sealing_key=folder.root / "validator" / "sealing-key.pem" if member == "validator" else None,
            participant=folder.root / "participant" if member == "participant" else None,
        )
        for member, wallet in wallets.items()
    ]
