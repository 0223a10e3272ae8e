"""``fedledger network``: an embedded consortium on this machine, up and down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedledger.cli.output import Format, facts, messages, show
from fedledger.cli.session import FormatOption
from fedledger_network.consortium import Consortium
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
def down(folder: DirOption = DEFAULT_DIR) -> None:
    """Stop the node; the ledger stays, and `up` goes on with it."""
    stopped = running.stop(NetworkFolder.existing(folder))
    messages.print("Stopped." if stopped else "It was not running.")


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
