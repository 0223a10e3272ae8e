"""One organisation's part of a network on a host of its own, where the others are public files only.

The organisations exchange what is public (``offer``, ``accept``), agree on the channel's first block, and then each
starts, joins and approves for itself. No step needs another organisation's secrets, and none is taken for another.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedledger.errors import BadInputError
from fedledger.gateway.blocks import parse_block
from fedledger.identity.files import write_atomic
from fedledger_network.configuration.edits import config_of_block
from fedledger_network.consortium import Organisation
from fedledger_network.fabric.administration import Administrator, Definition
from fedledger_network.fabric.channel import first_block
from fedledger_network.fabric.config import FabricConfig
from fedledger_network.fabric.identities import TLS_CERTIFICATE_FILE, write_changed
from fedledger_network.fabric.inventory import Inventory
from fedledger_network.fabric.layout import Layout
from fedledger_network.fabric.preparation import make_folders, prepare_organisation, prepare_package, start_authorities
from fedledger_network.fabric.processes import Program, start_all, stop_all
from fedledger_network.fabric.programs import Programs
from fedledger_network.fabric.readiness import wait_for_contract

SECONDS_TO_CONVERGE = 60.0
_PUBLIC = (
    "msp/cacerts",
    "msp/intermediatecerts",
    "msp/tlscacerts",
    "msp/tlsintermediatecerts",
    "msp/crls",
    "msp/config.yaml",
    "orderer/msp/signcerts",
    f"orderer/tls/{TLS_CERTIFICATE_FILE}",
)
"""What others need of an organisation: whom it vouches for, and which orderer is its own."""


@dataclass(frozen=True)
class OrganisationHost:
    """What one organisation does, in ``inventory.layout.root`` on its host."""

    inventory: Inventory
    organisation: Organisation

    @classmethod
    def of(
        cls, config: FabricConfig, folder: Path, programs: Programs, name: str, *, attached: bool = False
    ) -> OrganisationHost:
        """The part of the member of that name; raises ``CONSORTIUM``."""
        inventory = Inventory(config, Layout(folder.absolute()), programs, attached)
        return cls(inventory, config.organisation(name))

    def prepare(self) -> None:
        """Make the organisation's identities, settings and profiles, and the contract's package."""
        make_folders(self.inventory)
        write_changed(self._layout.consortium, self.inventory.config.to_yaml().encode())
        start_authorities(self.inventory, [self.organisation])
        prepare_organisation(self.inventory, self.organisation)
        prepare_package(self.inventory)

    def offer(self, folder: Path) -> Path:
        """Copy what is public of the organisation into ``folder/NAME``, to be sent to the others."""
        target = folder / self.organisation.name
        _copy_public(self._layout.organisation(self.organisation.name).root, target)
        return target

    def accept(self, name: str, folder: Path) -> None:
        """Take what another organisation offers, from ``folder/NAME``; anything but public files is left there."""
        other = self.inventory.config.organisation(name)
        if other == self.organisation:
            return
        _copy_public(folder / other.name, self._layout.organisation(other.name).root)

    def make_first_block(self) -> bytes:
        """Write the channel's first block, for everybody; it takes every organisation's public files."""
        block = first_block(self.inventory.config, self._layout, self.inventory.programs)
        write_atomic(self._layout.genesis, block)
        return block

    def accept_first_block(self, block: bytes) -> None:
        """Take the first block that another organisation has made, if it says what this one would have written.

        Raises ``OTHER_GENESIS`` when it names other members, certificates or policies.
        """
        own = parse_block(first_block(self.inventory.config, self._layout, self.inventory.programs))
        if config_of_block(parse_block(block)) != config_of_block(own):
            raise BadInputError(
                "OTHER_GENESIS",
                "The first block is not the one that follows from the consortium's file and the certificates here.",
                "Compare consortium.yaml and the organisations' public files with whoever made the block.",
            )
        write_atomic(self._layout.genesis, block)

    def start(self) -> None:
        """Start the organisation's programs."""
        start_all(self._programs())

    def join(self) -> None:
        """Let its orderer and its peer join the channel; it gets going with a quorum of orderers."""
        self._administrator.join_orderer(self._layout.genesis)
        self._administrator.join_peer()

    def approve(self) -> None:
        """Install the contract on its peer and approve its first definition."""
        self._administrator.install()
        self._administrator.approve(Definition.of(self.inventory.config, 1), self.inventory.release().package_id)

    def commit(self) -> None:
        """Commit the contract's first definition, for everybody, when enough have approved it."""
        members: Sequence[Organisation] = self.inventory.config.consortium.organisations
        self._administrator.commit(Definition.of(self.inventory.config, 1), members)

    def wait_until_ready(self, seconds: float = SECONDS_TO_CONVERGE) -> None:
        """Wait until its peer serves the contract and finds enough others; raises ``NOT_CONVERGED``."""
        wait_for_contract(self.inventory, self.organisation, time.monotonic() + seconds)

    def stop(self) -> None:
        """End the organisation's programs."""
        stop_all(reversed(self._programs()))

    @property
    def _layout(self) -> Layout:
        return self.inventory.layout

    @property
    def _administrator(self) -> Administrator:
        return Administrator(self.inventory.config, self._layout, self.inventory.programs, self.organisation)

    def _programs(self) -> list[Program]:
        return [self.inventory.program(kind, self.organisation) for kind in self.inventory.kinds]


def _copy_public(source: Path, target: Path) -> None:
    for name in _PUBLIC:
        path = source / name
        for file in sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []:
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
