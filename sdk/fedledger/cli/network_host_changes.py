"""``fedledger network host``: changes of a channel that runs over separate hosts, checked and signed by each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from fedledger.cli.network_host_folder import HostDirOption, host_at
from fedledger.cli.network_options import DEFAULT_DIR, shown_steps
from fedledger.cli.output import Format, show
from fedledger.cli.session import FormatOption
from fedledger.identity.files import read_public, write_atomic
from fedledger_network.configuration.updates import ChannelUpdate
from fedledger_network.fabric.host_changes import (
    needed_signatures,
    newest_config_block,
    proposed_update,
    renew_certificates,
    signed_update,
    submit_update,
)
from fedledger_network.fabric.hosts import OrganisationHost

UpdateArgument = Annotated[Path, typer.Argument(help="The update, as `propose` wrote it and others have signed it.")]


def renew(folder: HostDirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Make new keys and certificates for the peer and the orderer, for their next start."""
    host = host_at(folder)
    with shown_steps("making new certificates"):
        renew_certificates(host)
    show(
        {"organisation": host.organisation.name},
        "Peer and orderer have new certificates and go on with the old ones until they are stopped and started. Before "
        "that: offer them, let the others accept them, and one propose the update.",
        output,
    )


def propose(
    update: Annotated[Path, typer.Argument(help="Where to write the update.")],
    folder: HostDirOption = DEFAULT_DIR,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write and sign the update that gives the channel the members and orderers of this host's files."""
    host = host_at(folder)
    _show_update(host, proposed_update(host), update, output)


def sign(update: UpdateArgument, folder: HostDirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Sign an update if it says what follows from this host's files, and refuse it otherwise."""
    host = host_at(folder)
    _show_update(host, signed_update(host, ChannelUpdate.from_bytes(read_public(update))), update, output)


def submit(update: UpdateArgument, folder: HostDirOption = DEFAULT_DIR, output: FormatOption = Format.TEXT) -> None:
    """Have an update ordered that a majority has signed."""
    host = host_at(folder)
    with shown_steps("changing the channel"):
        block = submit_update(host, ChannelUpdate.from_bytes(read_public(update)))
    show({"block": block}, f"From block {block} on the channel has the new configuration.", output)


def config_block(
    block: Annotated[Path, typer.Argument(help="Where to write it.")],
    folder: HostDirOption = DEFAULT_DIR,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write the block with the channel's configuration, for an organisation that joins."""
    host = host_at(folder)
    write_atomic(block, newest_config_block(host))
    show(
        {"file": str(block), "genesis": str(host.layout.genesis)},
        f"Send {block} and {host.layout.genesis} to the organisation that joins.",
        output,
    )


def _show_update(host: OrganisationHost, update: ChannelUpdate, path: Path, output: Format) -> None:
    write_atomic(path, update.to_bytes())
    needed = needed_signatures(host)
    missing = needed - len(update.signers)
    following = (
        f"{missing} more: fedledger network host sign {path}"
        if missing > 0
        else f"That is enough: fedledger network host submit {path}"
    )
    show(
        {"file": str(path), "signers": list(update.signers), "needed": needed},
        f"{path} is signed by {', '.join(update.signers)}; {needed} signatures are needed. {following}",
        output,
    )


COMMANDS: Mapping[str, Callable[..., None]] = {
    "renew-certificates": renew,
    "propose": propose,
    "sign": sign,
    "submit": submit,
    "config-block": config_block,
}
