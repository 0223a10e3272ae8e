"""Where an organisation's own part of a network is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedledger_network.fabric import find_programs
from fedledger_network.fabric.hosts import OrganisationHost

HostDirOption = Annotated[
    Path, typer.Option("--dir", envvar="FEDLEDGER_HOST", help="Folder of the organisation's part on this host.")
]


def host_at(folder: Path) -> OrganisationHost:
    """The part that was prepared in ``folder``; raises ``NOT_PREPARED``, ``FABRIC_MISSING``."""
    return OrganisationHost.existing(folder, find_programs())
