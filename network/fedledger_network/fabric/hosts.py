"""One organisation's part of a network on a host of its own, where the others are public files only.

The organisations exchange what is public (``offer``, ``accept``), agree on the channel's first block, and then each
starts, joins and approves for itself. No step needs another organisation's secrets, and none is taken for another.
Every step can be repeated. ``host_changes`` changes a channel that runs.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from fedledger_network.fabric.inventory import PEER, Inventory
from fedledger_network.fabric.layout import Layout
from fedledger_network.fabric.network import ProgramStatus
from fedledger_network.fabric.preparation import make_folders, prepare_organisation, prepare_package, start_authorities
from fedledger_network.fabric.processes import Program, start_all, stop_all
from fedledger_network.fabric.programs import Programs
from fedledger_network.fabric.readiness import wait_for_contract

SECONDS_TO_CONVERGE = 60.0
_NEEDED = (
    "msp/cacerts",
    "msp/tlscacerts",
    "msp/config.yaml",
    "orderer/msp/signcerts",
    f"orderer/tls/{TLS_CERTIFICATE_FILE}",
)
_PUBLIC = (*_NEEDED, "msp/intermediatecerts", "msp/tlsintermediatecerts", "msp/crls")
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
        """The part of the member of that name, for ``prepare``.

        Raises:
            BadInputError: ``CONSORTIUM``, there is no such member; ``OTHER_CONSORTIUM``, the folder holds something
                else, or the organisation in another place.
        """
        host = cls(Inventory(config, Layout(folder.absolute()), programs, attached), config.organisation(name))
        host._refuse_other_folder()
        return host

    @classmethod
    def existing(cls, folder: Path, programs: Programs, *, attached: bool = False) -> OrganisationHost:
        """The part that was prepared in ``folder``; raises ``NOT_PREPARED``."""
        layout = Layout(folder.absolute())
        if not layout.member.exists():
            raise BadInputError(
                "NOT_PREPARED",
                f"{folder} holds no organisation's part of a network.",
                "Name its folder with --dir, or make it with `fedledger network host prepare`.",
            )
        name = layout.member.read_text().strip()
        return cls.of(FabricConfig.load(layout.consortium), folder, programs, name, attached=attached)

    def prepare(self) -> None:
        """Make the organisation's identities, settings and profiles, and the contract's package."""
        make_folders(self.inventory)
        write_changed(self.layout.consortium, self.inventory.config.to_yaml().encode())
        write_changed(self.layout.member, f"{self.organisation.name}\n".encode())
        start_authorities(self.inventory, [self.organisation])
        prepare_organisation(self.inventory, self.organisation)
        prepare_package(self.inventory)

    # --- what is public

    def offer(self, folder: Path) -> Path:
        """Copy what is public of the organisation into ``folder/NAME``, to be sent to the others."""
        target = folder / self.organisation.name
        _copy_public(self.layout.organisation(self.organisation.name).root, target)
        return target

    def accept(self, name: str, folder: Path) -> str:
        """Take what another organisation offers, from ``folder/NAME``; anything but public files is left there.

        Returns its fingerprint, which is to be compared with what the other organisation reads out.
        Raises ``NOT_AN_OFFER`` when something that is needed is not there.
        """
        other = self.inventory.config.organisation(name)
        if other != self.organisation:
            _copy_public(folder / other.name, self.layout.organisation(other.name).root)
        return fingerprint(self.layout.organisation(other.name).root)

    def missing(self) -> tuple[str, ...]:
        """Names of the organisations of which nothing has been accepted yet."""
        members = self.inventory.config.consortium.organisations
        return tuple(each.name for each in members if _lacks(self.layout.organisation(each.name).root))

    # --- the first block

    def make_first_block(self) -> bytes:
        """Write the channel's first block, for everybody; it takes every organisation's public files.

        Raises ``NOT_ACCEPTED`` when some are missing.
        """
        block = self.own_first_block()
        write_atomic(self.layout.genesis, block)
        return block

    def accept_first_block(self, block: bytes) -> None:
        """Take the first block that another organisation has made, if it says what this one would have written.

        Raises ``OTHER_GENESIS`` when it names other members, certificates or policies, and as ``make_first_block``.
        """
        if config_of_block(parse_block(block)) != config_of_block(parse_block(self.own_first_block())):
            raise BadInputError(
                "OTHER_GENESIS",
                "The first block is not the one that follows from the consortium's file and the certificates here.",
                "Compare consortium.yaml and the organisations' fingerprints with whoever made the block.",
            )
        write_atomic(self.layout.genesis, block)

    def own_first_block(self) -> bytes:
        """The first block of a channel of the consortium as it is now; raises ``NOT_ACCEPTED``."""
        missing = self.missing()
        if missing:
            raise BadInputError(
                "NOT_ACCEPTED",
                f"Nothing of {', '.join(missing)} is here yet.",
                "Take what they offer with `fedledger network host accept FOLDER`.",
            )
        return first_block(self.inventory.config, self.layout, self.inventory.programs)

    # --- running

    def start(self) -> None:
        """Start the organisation's programs, a new version of the contract beside the one that runs."""
        if self.inventory.program(PEER, self.organisation).pid() is None:
            # The builder's output holds the peer's TLS key; the peer makes it anew from the installed package.
            data = self.layout.organisation(self.organisation.name).node(PEER) / "data"
            shutil.rmtree(data / "externalbuilder", ignore_errors=True)
        start_all(self.programs())

    def join(self) -> None:
        """Let its orderer and its peer join the channel; it gets going with a quorum of orderers.

        Raises ``NO_GENESIS`` before there is a first block.
        """
        if not self.layout.genesis.exists():
            raise BadInputError(
                "NO_GENESIS",
                "The channel's first block is not here yet.",
                "One organisation makes it with `fedledger network host genesis`, the others take it with "
                "`fedledger network host accept-genesis FILE`.",
            )
        newest = self.layout.config_block
        self.administrator.join_orderer(newest if newest.exists() else self.layout.genesis)
        self.administrator.join_peer()

    def approve(self) -> Definition:
        """Install the contract on its peer and approve the definition that is due; returns it."""
        due = self.due_definition()
        self.administrator.install()
        self.administrator.approve(due, self.inventory.release().package_id)
        return due

    def commit(self) -> Definition:
        """Commit the definition that is due, for everybody, when enough have approved it; returns it."""
        due = self.due_definition()
        if due != self.administrator.definition():
            members: Sequence[Organisation] = self.inventory.config.consortium.organisations
            self.administrator.commit(due, members)
        return due

    def due_definition(self) -> Definition:
        """The contract's definition by the consortium's file; the committed one when that says the same."""
        committed = self.administrator.definition()
        if committed is None:
            return Definition.of(self.inventory.config, 1)
        wanted = Definition.of(self.inventory.config, committed.sequence + 1)
        return committed if committed.means_the_same_as(wanted) else wanted

    def wait_until_ready(self, seconds: float = SECONDS_TO_CONVERGE) -> None:
        """Wait until its peer serves the contract and finds enough others, then end the version before it, if any.

        Raises ``NOT_CONVERGED``.
        """
        wait_for_contract(self.inventory, self.organisation, time.monotonic() + seconds)
        stop_all([self._earlier_service()])

    def stop(self) -> None:
        """End the organisation's programs."""
        stop_all([self._earlier_service(), *reversed(self.programs())])

    def status(self) -> tuple[ProgramStatus, ...]:
        """Which of the organisation's programs run."""
        return tuple(map(ProgramStatus.of, self.programs()))

    def logs(self, name: str, lines: int = 100) -> str:
        """The end of one program's log; ``name`` such as ``peer``. Raises ``UNKNOWN_PROGRAM``."""
        kind = name.removesuffix(f".{self.organisation.name}")
        if kind not in self.inventory.kinds:
            known = ", ".join(self.inventory.kinds)
            raise BadInputError("UNKNOWN_PROGRAM", f"There is no program {name!r} here.", f"Choose one of: {known}.")
        return self.inventory.program(kind, self.organisation).tail(lines)

    # --- parts

    @property
    def layout(self) -> Layout:
        """Where everything lies."""
        return self.inventory.layout

    @property
    def administrator(self) -> Administrator:
        """The organisation's administrator."""
        return Administrator(self.inventory.config, self.layout, self.inventory.programs, self.organisation)

    def programs(self) -> list[Program]:
        """The organisation's programs, in the order in which they are started."""
        return [self.inventory.program(kind, self.organisation) for kind in self.inventory.kinds]

    def _earlier_service(self) -> Program:
        release = self.inventory.release()
        earlier = self.inventory.services(replace(release, place=release.place.other))
        return earlier[self.inventory.config.consortium.organisations.index(self.organisation)]

    def _refuse_other_folder(self) -> None:
        if not self.layout.consortium.exists():
            return
        if not self.layout.member.exists() or self.layout.member.read_text().strip() != self.organisation.name:
            raise _other_consortium(f"{self.layout.root} holds something else than {self.organisation.name}'s part")
        before, now = FabricConfig.load(self.layout.consortium), self.inventory.config
        earlier = before.organisation(self.organisation.name)
        for then, wanted in (
            (earlier.msp_id, self.organisation.msp_id),
            (before.consortium.channel, now.consortium.channel),
            (before.consortium.chaincode, now.consortium.chaincode),
        ):
            if then != wanted:
                raise _other_consortium(f"{self.layout.root} is for {then}, not for {wanted}")
        if before.ports(earlier) != now.ports(self.organisation):
            raise BadInputError(
                "OTHER_CONSORTIUM",
                f"{self.organisation.name} would get other ports, and its orderer another number.",
                f"Append new organisations, and write fabric.places for those behind one that has left: its place is "
                f"{before.place(earlier)}.",
            )


def fingerprint(root: Path) -> str:
    """SHA-256, in hex, over names and contents of the public files below an organisation's folder."""
    digest = hashlib.sha256()
    for file in _public_files(root):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _copy_public(source: Path, target: Path) -> None:
    lacking = _lacks(source)
    if lacking:
        raise BadInputError(
            "NOT_AN_OFFER",
            f"{source} is not what `fedledger network host offer` writes: it has no {', '.join(lacking)}.",
            "Name the folder in which the organisations' folders are.",
        )
    copies = [(target / file.relative_to(source), file.read_bytes()) for file in _public_files(source)]
    for name in _PUBLIC:
        shutil.rmtree(target / name, ignore_errors=True)
    for copy, content in copies:
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_changed(copy, content)


def _public_files(root: Path) -> list[Path]:
    found: list[Path] = []
    for name in sorted(_PUBLIC):
        path = root / name
        found += sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    return found


def _lacks(root: Path) -> list[str]:
    return [name for name in _NEEDED if not (root / name).exists()]


def _other_consortium(reason: str) -> BadInputError:
    return BadInputError("OTHER_CONSORTIUM", f"{reason}.", "Choose another folder.")
