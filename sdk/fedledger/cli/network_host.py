"""``fedledger network host``: one organisation's part of a network on Hyperledger Fabric, on a host of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fedledger.cli import network_host_changes
from fedledger.cli.network_host_folder import HostDirOption, host_at
from fedledger.cli.network_options import DEFAULT_DIR, programs_document, programs_table, shown_steps
from fedledger.cli.output import Format, facts, safe_lines, say, show, table
from fedledger.cli.session import FormatOption
from fedledger.errors import BadInputError
from fedledger.gateway.blocks import header_hash, parse_block
from fedledger.identity.files import read_public
from fedledger.identity.profile import FILE_NAME
from fedledger_network.fabric import FabricConfig, find_programs
from fedledger_network.fabric.administration import Definition
from fedledger_network.fabric.host_changes import accept_running_channel
from fedledger_network.fabric.hosts import OrganisationHost, fingerprint

app = typer.Typer(help="One organisation's part of a network on Fabric, on its own host.", no_args_is_help=True)


@app.command()
def prepare(
    consortium: Annotated[Path, typer.Option("--consortium", help="YAML file of the consortium, the same everywhere.")],
    organisation: Annotated[str, typer.Option("--organisation", help="Whose host this is, as the file names it.")],
    folder: HostDirOption = DEFAULT_DIR,
    output: FormatOption = Format.TEXT,
) -> None:
    """Make the organisation's keys, certificates, settings and profiles; again with a changed file: take that over."""
    host = OrganisationHost.of(FabricConfig.load(consortium), folder, find_programs(), organisation)
    with shown_steps(f"preparing {organisation}"):
        host.prepare()
    profiles = host.layout.organisation(organisation).root / FILE_NAME
    peer, orderer = (
        address(host.organisation)
        for address in (host.inventory.config.peer_address, host.inventory.config.orderer_address)
    )
    show(
        {"organisation": organisation, "folder": str(host.layout.root), "profiles": str(profiles)}
        | {"peer": peer, "orderer": orderer},
        [
            facts(
                {
                    "organisation": f"{organisation} ({host.organisation.msp_id})",
                    "folder": host.layout.root,
                    "profiles": profiles,
                    "others reach": f"peer {peer}, orderer {orderer}",
                }
            ),
            "Next: fedledger network host offer FOLDER",
        ],
        output,
    )


@app.command()
def offer(
    outbox: Annotated[Path, typer.Argument(help="Folder into which the organisation's public files are copied.")],
    folder: HostDirOption = DEFAULT_DIR,
    output: FormatOption = Format.TEXT,
) -> None:
    """Copy what the others need and nothing secret, and say its fingerprint."""
    host = host_at(folder)
    target = host.offer(outbox)
    show(
        {"organisation": host.organisation.name, "folder": str(target), "fingerprint": fingerprint(target)},
        f"{target} is for the others, and holds no secret. Read its fingerprint out to them:\n{fingerprint(target)}",
        output,
    )


@app.command()
def accept(
    inbox: Annotated[Path, typer.Argument(help="Folder with the others' folders, one named after each.")],
    names: Annotated[list[str] | None, typer.Argument(help="Whose; else all that are there.")] = None,
    folder: HostDirOption = DEFAULT_DIR,
    output: FormatOption = Format.TEXT,
) -> None:
    """Take what other organisations offer, and say their fingerprints: compare them with what they read out."""
    host = host_at(folder)
    others = [each.name for each in host.inventory.config.consortium.organisations if each != host.organisation]
    chosen = names or [name for name in others if (inbox / name).is_dir()]
    if not chosen:
        raise BadInputError("NOT_AN_OFFER", f"{inbox} holds no folder of {', '.join(others)}.", "Name another folder.")
    taken = {name: host.accept(name, inbox) for name in chosen}
    missing = host.missing()
    show(
        {"accepted": taken, "missing": list(missing)},
        [
            table("Accepted", ["organisation", "fingerprint"], list(taken.items())),
            f"Still missing: {', '.join(missing)}." if missing else "Nobody is missing.",
        ],
        output,
    )


@app.command()
def genesis(folder: HostDirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Make the channel's first block for everybody: one organisation does."""
    host = host_at(folder)
    _show_genesis(host, host.make_first_block(), "Send it to the others.", output)


@app.command("accept-genesis")
def accept_genesis(
    block: Annotated[Path, typer.Argument(help="The first block that another organisation has made.")],
    newest: Annotated[
        Path | None,
        typer.Option("--config-block", help="To join a channel that runs: what a member's `host config-block` wrote."),
    ] = None,
    folder: HostDirOption = DEFAULT_DIR,
    output: FormatOption = Format.TEXT,
) -> None:
    """Take the channel's first block if it says what this host's own files say, and refuse it otherwise."""
    host = host_at(folder)
    content = read_public(block)
    if newest is None:
        host.accept_first_block(content)
        told = "It says what follows from the consortium's file and the certificates here."
    else:
        accept_running_channel(host, content, read_public(newest))
        told = "The channel's members and orderers are those of the consortium's file and the certificates here."
    _show_genesis(host, content, told, output)


@app.command()
def start(folder: HostDirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Start what does not run of the organisation's programs."""
    host = host_at(folder)
    with shown_steps("starting"):
        host.start()
    _show_programs(host, output)


@app.command()
def join(folder: HostDirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Let the organisation's orderer and peer join the channel."""
    host = host_at(folder)
    with shown_steps("joining the channel"):
        host.join()
    channel = host.inventory.config.consortium.channel
    show(
        {"organisation": host.organisation.name, "channel": channel},
        f"{host.organisation.name} has joined channel {channel}. It gets going when a quorum of orderers has.",
        output,
    )


@app.command()
def approve(folder: HostDirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Install the contract and approve its definition by the consortium's file, for the organisation."""
    host = host_at(folder)
    with shown_steps("approving the contract"):
        due = host.approve()
    _show_definition(host, due, "approves", "When a majority has: fedledger network host commit", output)


@app.command()
def commit(folder: HostDirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Commit the contract's definition for everybody, when a majority has approved it: one organisation does."""
    host = host_at(folder)
    with shown_steps("committing the contract"):
        due = host.commit()
    _show_definition(host, due, "committed", "Each checks: fedledger network host ready", output)


@app.command()
def ready(folder: HostDirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Wait until the organisation's peer serves the contract and finds enough others; ends an old version's service."""
    host = host_at(folder)
    with shown_steps("waiting for the peer"):
        host.wait_until_ready()
    address = host.inventory.config.peer_address(host.organisation)
    show(
        {"organisation": host.organisation.name, "peer": address},
        f"The peer of {host.organisation.name} at {address} serves the contract.",
        output,
    )


@app.command()
def stop(folder: HostDirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """End the organisation's programs; everything stays, and `start` goes on with it."""
    host = host_at(folder)
    stopped = any(program.pid is not None for program in host.status())
    host.stop()
    show({"stopped": stopped}, "Stopped." if stopped else "Nothing was running.", output)


@app.command("status")
def show_status(folder: HostDirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Say which of the organisation's programs run."""
    _show_programs(host_at(folder), output)


@app.command()
def logs(
    program: Annotated[str, typer.Argument(help="peer, orderer, chaincode or authority.")],
    lines: Annotated[int, typer.Option(min=1, help="How many of its last lines.")] = 50,
    folder: HostDirOption = DEFAULT_DIR,
) -> None:
    """Print the end of a program's log."""
    sys.stdout.write(safe_lines(host_at(folder).logs(program, lines)) + "\n")


def _show_genesis(host: OrganisationHost, block: bytes, text: str, output: Format) -> None:
    found = header_hash(parse_block(block).header).hex()
    show(
        {"file": str(host.layout.genesis), "hash": found},
        f"The channel's first block is {host.layout.genesis}. {text} Its hash, which auditors trust:\n{found}",
        output,
    )


def _show_programs(host: OrganisationHost, output: Format) -> None:
    status = host.status()
    programs = programs_document(status)
    running = all(program.pid is not None for program in status)
    show(
        {"organisation": host.organisation.name, "running": running, "programs": programs},
        programs_table(programs),
        output,
    )


def _show_definition(host: OrganisationHost, definition: Definition, done: str, following: str, output: Format) -> None:
    name, contract = host.organisation.name, host.inventory.config.consortium.chaincode
    show(
        {"organisation": name, "version": definition.version, "sequence": definition.sequence}
        | {"endorsements": definition.endorsements, "organisations": sorted(definition.organisations)},
        f"{name} {done} version {definition.version} of {contract}, its definition {definition.sequence}, endorsed by "
        f"{definition.endorsements} of {len(definition.organisations)} organisations.",
        output,
    )
    say(following)


for _name, _change in network_host_changes.COMMANDS.items():
    app.command(_name)(_change)
