"""``fedledger network``: a consortium on this machine, embedded or on Hyperledger Fabric, up and down."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from fedledger.cli.engines import Engine, existing_network, network_at
from fedledger.cli.output import Format, facts, messages, show, table
from fedledger.cli.running import stopped_by_signals
from fedledger.cli.session import DEFAULT_CONFIG, ConfigOption, FormatOption, ProfileOption, chosen_profile
from fedledger.errors import BadInputError
from fedledger.identity.files import read_public
from fedledger.identity.profile import Profile, load_profile, update_profiles
from fedledger.identity.wallet import Wallet
from fedledger_network.ca.organisation import MEMBERS, REGISTRAR, authority_folder
from fedledger_network.consortium import Organisation
from fedledger_network.embedded.folder import NetworkFolder

app = typer.Typer(
    help="A consortium on this machine: embedded, one process and for development only, or Hyperledger Fabric.",
    no_args_is_help=True,
)

_ENGINES = {
    Engine.EMBEDDED: "embedded: one process in the place of all peers and orderers, no distributed ledger",
    Engine.FABRIC: "Hyperledger Fabric: a peer, an orderer and a chaincode service for each organisation",
}
DirOption = Annotated[Path, typer.Option("--dir", help="The network's folder.")]
DEFAULT_DIR = Path("run/network")
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
    with messages.status("starting") as status:
        network.up(_progress(status), attached=False)
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
    rows = [
        (
            name,
            program["pid"] or "does not run",
            ", ".join(map(str, program["ports"])),
            f"{program['memory'] / 2**20:.0f} MiB" if program["memory"] else "",
            program["log"],
        )
        for name, program in programs.items()
    ]
    show(document, table("Programs", ["program", "pid", "ports", ">memory", "log"], rows), output)


@app.command()
def logs(
    program: Annotated[str | None, typer.Argument(help="Which one, as `status` names it.")] = None,
    lines: Annotated[int, typer.Option(min=1, help="How many of its last lines.")] = 50,
    folder: DirOption = DEFAULT_DIR,
) -> None:
    """Print the end of a program's log."""
    sys.stdout.write(existing_network(folder).logs(program, lines) + "\n")


def _progress(status: Any) -> Callable[[str], None]:
    def show_step(text: str) -> None:
        messages.print(f"{text[:1].upper()}{text[1:]}...")
        status.update(text)

    return show_step


@app.command("revocations")
def publish_revocations(
    crl: Annotated[
        Path, typer.Argument(help="The organisation's revocation list, PEM, as `identity revoke` wrote it.")
    ],
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Put an organisation's revocation list into the channel's configuration (governor)."""
    from fedledger_network.configuration.revocation import publish_revocation_list

    acting = chosen_profile(config, profile)
    block = publish_revocation_list(acting, [read_public(crl)])
    show(
        {"msp": acting.msp_id, "block": block},
        f"From block {block} on the channel refuses the certificates in {crl}.",
        output,
    )


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

    network = NetworkFolder.existing(folder)
    if not network.profiles.exists():
        raise BadInputError(
            "NOT_A_NETWORK", f"{network.path} has no identities yet.", "Bring it up once with `fedledger network up`."
        )
    profiles = network.path / CA_PROFILES
    with ExitStack() as opened, stopped_by_signals() as stop:
        authorities = {}
        for organisation in network.consortium().organisations:
            place = authority_folder(network.organisation(organisation))
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
        messages.print("For development only. Ctrl-C ends it.")
        stop.wait()


def _ca_profiles(network: NetworkFolder, organisation: Organisation) -> list[Profile]:
    """The organisation's profiles and one of its registrar, who acts at the CA alone."""
    members = [load_profile(network.profiles, f"{organisation.name}-{member.name}") for member in MEMBERS]
    wallet = Wallet(network.organisation(organisation) / REGISTRAR)
    registrar = replace(
        members[-1],
        name=f"{organisation.name}-{REGISTRAR}",
        certificate=wallet.certificate_path,
        key=wallet.key_path,
    )
    return [*members, registrar]
