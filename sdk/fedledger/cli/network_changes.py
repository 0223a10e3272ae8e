"""``fedledger network``: changes of a network that runs, each of them one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from fedledger.cli.engines import fabric_network
from fedledger.cli.network_options import DEFAULT_DIR, DirOption, shown_steps
from fedledger.cli.output import Format, show
from fedledger.cli.session import DEFAULT_CONFIG, ConfigOption, FormatOption, ProfileOption, chosen_profile
from fedledger.identity.files import read_public
from fedledger_chaincode.contract import VERSION
from fedledger_network.configuration.revocation import publish_revocation_list
from fedledger_network.consortium import Organisation
from fedledger_network.fabric import FabricNetwork
from fedledger_network.fabric.changes import (
    add_member,
    remove_member,
    replace_node,
    rotate_certificates,
    upgrade_contract,
)
from fedledger_network.fabric.identities import TLS_CERTIFICATE_FILE

NameArgument = Annotated[str, typer.Argument(help="The organisation, as the consortium's file names it.")]


def add_organisation(
    name: Annotated[str, typer.Argument(help="The new organisation: name of its folder and its profiles.")],
    msp_id: Annotated[str | None, typer.Option("--msp-id", help="Its MSP id; else made of its name.")] = None,
    folder: DirOption = DEFAULT_DIR,
    output: FormatOption = Format.TEXT,
) -> None:
    """Add an organisation with its peer, orderer and contract to a network that runs (Fabric)."""
    network = fabric_network(
        folder, "Make a network of the larger consortium: fedledger network up --consortium FILE --dir FOLDER"
    )
    member = Organisation(name, msp_id) if msp_id else Organisation.of_name(name)
    with shown_steps(f"adding {name}") as progress:
        larger = add_member(network, member, progress)
    _show_members(
        larger,
        member,
        f"{name} ({member.msp_id}) is a member. {_endorsement(larger)}\n"
        f"Its profiles are in {larger.layout.profiles}. Tasks that were approved before keep their validators; name it "
        f"in the next ones: fedledger task propose --organisation {member.msp_id} ...",
        output,
    )


def remove_organisation(
    name: NameArgument,
    folder: DirOption = DEFAULT_DIR,
    output: FormatOption = Format.TEXT,
) -> None:
    """Take an organisation out of a network that runs, whether it agrees or not; at least four stay (Fabric)."""
    network = fabric_network(
        folder, "Make a network of the smaller consortium: fedledger network up --consortium FILE --dir FOLDER"
    )
    leaving = network.config.organisation(name)
    with shown_steps(f"taking {name} out") as progress:
        smaller = remove_member(network, name, progress)
    _show_members(
        smaller,
        leaving,
        f"{name} ({leaving.msp_id}) is no member any more; its programs have ended. {_endorsement(smaller)}\n"
        f"Its folder stays: {smaller.layout.organisation(name).root}. Tasks in which it validates count it as faulty.",
        output,
    )


def rotate(
    name: NameArgument,
    folder: DirOption = DEFAULT_DIR,
    output: FormatOption = Format.TEXT,
) -> None:
    """Give an organisation's peer and orderer new keys and certificates while the network runs (Fabric)."""
    network = fabric_network(
        folder, "Members renew their own certificates: fedledger identity reenroll --profile PROFILE"
    )
    with shown_steps(f"making new certificates for {name}"):
        rotate_certificates(network, name)
    node = network.layout.organisation(name).node("orderer")
    certificate = x509.load_pem_x509_certificate((node / "tls" / TLS_CERTIFICATE_FILE).read_bytes())
    until = certificate.not_valid_after_utc
    show(
        {"organisation": name, "not_after": until.isoformat()},
        f"{name}'s peer and orderer have new keys and certificates, valid until {until:%Y-%m-%d}. The channel knows "
        "the orderer's.",
        output,
    )


def replace(
    program: Annotated[str, typer.Argument(help="peer.ORGANISATION or orderer.ORGANISATION, as `status` names it.")],
    folder: DirOption = DEFAULT_DIR,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make a peer or an orderer anew that has lost its data; it fetches all of it from the others (Fabric)."""
    network = fabric_network(folder, "Its one ledger is in its folder: keep a copy of that.")
    with shown_steps(f"making {program} anew"):
        replace_node(network, program)
    pid = network.inventory.named(program).pid()
    show(
        {"program": program, "pid": pid},
        f"{program} was made anew, has fetched everything from the others and runs as process {pid}.",
        output,
    )


def upgrade(
    version: Annotated[
        str, typer.Argument(help="The new version's name in the channel; else that of the installed contract.")
    ] = VERSION,
    folder: DirOption = DEFAULT_DIR,
    output: FormatOption = Format.TEXT,
) -> None:
    """Let the channel run the contract of the installed fedledger as a new version; the state is kept (Fabric)."""
    network = fabric_network(
        folder, "It runs the installed contract from its next start on: fedledger network down, fedledger network up"
    )
    with shown_steps(f"upgrading to {version}") as progress:
        upgrade_contract(network, version, progress)
    show(
        {"version": version, "installed": VERSION},
        f"The channel runs version {version} of the contract, which is the installed contract {VERSION}. The state was "
        "kept.",
        output,
    )


def revocations(
    crl: Annotated[
        Path, typer.Argument(help="The organisation's revocation list, PEM, as `identity revoke` wrote it.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Put an organisation's revocation list into the channel's configuration (governor)."""
    acting = chosen_profile(config, profile)
    block = publish_revocation_list(acting, [read_public(crl)])
    show(
        {"msp": acting.msp_id, "block": block},
        f"From block {block} on the channel refuses the certificates in {crl}.",
        output,
    )


def _show_members(network: FabricNetwork, changed: Organisation, text: str, output: Format) -> None:
    consortium = network.config.consortium
    show(
        {
            "organisation": changed.name,
            "msp": changed.msp_id,
            "organisations": [organisation.name for organisation in consortium.organisations],
            "endorsements": consortium.quorum,
            "profiles": str(network.layout.profiles),
        },
        text,
        output,
    )


def _endorsement(network: FabricNetwork) -> str:
    consortium = network.config.consortium
    return f"A transaction needs endorsements of {consortium.quorum} of {len(consortium.organisations)} organisations."
