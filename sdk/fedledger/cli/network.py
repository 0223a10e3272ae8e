"""``fedledger network``: an embedded consortium on this machine, up and down."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fedledger.cli.output import Format, facts, messages, show
from fedledger.cli.running import stopped_by_signals
from fedledger.cli.session import FormatOption
from fedledger.errors import BadInputError
from fedledger.identity.profile import Profile, load_profile, write_profiles
from fedledger.identity.wallet import Wallet
from fedledger_network.ca.organisation import MEMBERS, REGISTRAR, authority_folder
from fedledger_network.consortium import Consortium, Organisation
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder

app = typer.Typer(
    help="An embedded consortium on this machine. One process stands in for all peers and orderers: it is no "
    "distributed ledger, and for development only.",
    no_args_is_help=True,
)

DEMO_ORGANISATIONS = ("cleveland", "hungary", "long_beach_va", "switzerland")
DirOption = Annotated[Path, typer.Option("--dir", help="The network's folder.")]
DEFAULT_DIR = Path("run/network")
DEFAULT_CA_PORT = 7054
CA_PROFILES = "ca.toml"


@app.command()
def up(
    folder: DirOption = DEFAULT_DIR,
    config: Annotated[
        Path | None, typer.Option("--consortium", help="YAML file of the consortium; else four hospitals.")
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make the network's folder if there is none, and start its node in the background."""
    consortium = Consortium.load(config) if config else Consortium.of_names(*DEMO_ORGANISATIONS)
    network = NetworkFolder.create(folder, consortium)
    status = running.status(network)
    if status is None:
        messages.print("Making keys and certificates, starting the node...")
        running.launch(network, attached=False)
        status = running.status(network)
    names = [organisation.name for organisation in consortium.organisations]
    show(
        {
            "folder": str(network.path),
            "profiles": str(network.profiles),
            "gateway": status.gateway if status else "",
            "pid": status.pid if status else None,
            "organisations": names,
        },
        [
            facts(
                {
                    "organisations": ", ".join(names),
                    "gateway": status.gateway if status else "",
                    "profiles": f"{network.profiles} (ORGANISATION-participant, -validator, -governor, -auditor)",
                }
            ),
            f"Use it with: export FEDLEDGER_CONFIG={network.profiles}",
        ],
        output,
    )


@app.command()
def down(folder: DirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Stop the node; the ledger stays, and `up` goes on with it."""
    stopped = running.stop(NetworkFolder.existing(folder))
    show({"stopped": stopped}, "Stopped." if stopped else "It was not running.", output)


@app.command("status")
def show_status(folder: DirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Say whether the node runs."""
    network = NetworkFolder.existing(folder)
    status = running.status(network)
    document = {
        "running": status is not None,
        "gateway": status.gateway if status else None,
        "pid": status.pid if status else None,
        "log": str(network.node_log),
    }
    show(document, facts(document), output)


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
        write_profiles(
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
