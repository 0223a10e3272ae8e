"""``fedledger network``: a consortium on this machine, embedded or on Hyperledger Fabric, up and down."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fedledger.cli import network_changes, network_host
from fedledger.cli.engines import Engine, Network, existing_network, network_at
from fedledger.cli.network_options import DEFAULT_DIR, DirOption, programs_table, shown_steps
from fedledger.cli.output import Format, facts, safe_lines, say, show
from fedledger.cli.running import stopped_by_signals
from fedledger.cli.session import FormatOption
from fedledger.errors import BadInputError
from fedledger.identity.profile import Profile, load_profile, update_profiles
from fedledger.identity.wallet import Wallet
from fedledger_network.ca.organisation import MEMBERS, REGISTRAR, authority_folder
from fedledger_network.consortium import Organisation

app = typer.Typer(
    help="A consortium on this machine: embedded, one process and for development only, or Hyperledger Fabric.",
    no_args_is_help=True,
)

_ENGINES = {
    Engine.EMBEDDED: "embedded: one process in the place of all peers and orderers, no distributed ledger",
    Engine.FABRIC: "Hyperledger Fabric: a peer, an orderer and a chaincode service for each organisation",
}
DEFAULT_CA_PORT = 7054
CA_PROFILES = "ca.toml"


@app.command()
def up(
    folder: DirOption = DEFAULT_DIR,
    engine: Annotated[Engine | None, typer.Option(help="embedded, or fabric; else that of the folder.")] = None,
    config: Annotated[
        Path | None, typer.Option("--consortium", help="YAML file of the consortium; else four hospitals.")
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make the network's folder if there is none, start what does not run, and return when it answers."""
    network = network_at(folder, engine, config)
    with shown_steps("starting") as progress:
        network.up(progress, attached=False)
    names = [organisation.name for organisation in network.consortium.organisations]
    found = network.status()
    show(
        {"engine": network.engine.value, "folder": str(folder.absolute()), "profiles": str(network.profiles)}
        | {"organisations": names}
        | found,
        [
            facts(
                {
                    "engine": _ENGINES[network.engine],
                    "organisations": ", ".join(names),
                    "profiles": f"{network.profiles} (ORGANISATION-participant, -validator, -governor, -auditor)",
                }
            ),
            f"Use it with: export FEDLEDGER_CONFIG={network.profiles}",
        ],
        output,
    )


@app.command()
def down(folder: DirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Stop the network; everything stays, and `up` goes on with it."""
    stopped = existing_network(folder).down()
    show({"stopped": stopped}, "Stopped." if stopped else "It was not running.", output)


@app.command("status")
def show_status(folder: DirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Say what runs."""
    network = existing_network(folder)
    found = network.status()
    document = {"engine": network.engine.value} | found
    programs = found.get("programs")
    if programs is None:
        show(document, facts(document), output)
        return
    show(document, programs_table(programs), output)


@app.command()
def logs(
    program: Annotated[str | None, typer.Argument(help="Which one, as `status` names it.")] = None,
    lines: Annotated[int, typer.Option(min=1, help="How many of its last lines.")] = 50,
    folder: DirOption = DEFAULT_DIR,
) -> None:
    """Print the end of a program's log."""
    sys.stdout.write(safe_lines(existing_network(folder).logs(program, lines)) + "\n")


@app.command("ca")
def serve_authorities(
    folder: DirOption = DEFAULT_DIR,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port of 127.0.0.1; 0 for any that is free.")
    ] = DEFAULT_CA_PORT,
    output: FormatOption = Format.TEXT,
) -> None:
    """Serve the organisations' development CAs by Fabric CA's REST calls, in the foreground, until Ctrl-C.

    Writes profiles that name them, one of each organisation's registrar among them, into ca.toml of the folder.
    """
    from fedledger_network.ca.authority import DevelopmentAuthority
    from fedledger_network.ca.server import CaServer

    network = existing_network(folder)
    if not network.profiles.exists():
        raise BadInputError(
            "NOT_A_NETWORK", f"{folder} has no identities yet.", "Bring it up once with `fedledger network up`."
        )
    profiles = folder.absolute() / CA_PROFILES
    with ExitStack() as opened, stopped_by_signals() as stop:
        authorities = {}
        for organisation in network.consortium.organisations:
            place = authority_folder(network.identities(organisation))
            authority = DevelopmentAuthority.open(place, organisation.msp_id)
            opened.callback(authority.close)
            authorities[organisation] = authority
        server = opened.enter_context(CaServer(*authorities.values(), port=port))
        update_profiles(
            profiles,
            [
                replace(profile, ca=server.url, ca_name=authority.name)
                for organisation, authority in authorities.items()
                for profile in _ca_profiles(network, organisation)
            ],
        )
        show(
            {"url": server.url, "profiles": str(profiles), "authorities": [a.name for a in authorities.values()]},
            f"{len(authorities)} authorities answer at {server.url}; profiles that name them are in {profiles}.",
            output,
        )
        say("For development only. Ctrl-C ends it.")
        stop.wait()


def _ca_profiles(network: Network, organisation: Organisation) -> list[Profile]:
    """The organisation's profiles and one of its registrar, who acts at the CA alone."""
    members = [load_profile(network.profiles, f"{organisation.name}-{member.name}") for member in MEMBERS]
    wallet = Wallet(network.identities(organisation) / REGISTRAR)
    registrar = replace(
        members[-1],
        name=f"{organisation.name}-{REGISTRAR}",
        certificate=wallet.certificate_path,
        key=wallet.key_path,
    )
    return [*members, registrar]


app.add_typer(network_host.app, name="host")
for name, change in (
    ("add-organisation", network_changes.add_organisation),
    ("remove-organisation", network_changes.remove_organisation),
    ("rotate-certificates", network_changes.rotate),
    ("replace", network_changes.replace),
    ("upgrade", network_changes.upgrade),
    ("revocations", network_changes.revocations),
):
    app.command(name)(change)
