"""A consortium on Hyperledger Fabric as processes of this machine: bring up, look at, take down, and up again.

``up`` asks at every step what is there and does the rest, so that it continues wherever an earlier run ended. It
refuses a folder of another consortium. It is for one machine; ``hosts`` is for one organisation's part on its
own.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from fedledger.errors import BadInputError
from fedledger.gateway.blocks import parse_block
from fedledger.identity.files import write_atomic
from fedledger.identity.profile import Profile, load_profile
from fedledger_network.configuration.edits import config_of_block, members
from fedledger_network.configuration.reading import current_config
from fedledger_network.consortium import Organisation
from fedledger_network.fabric.administration import Administrator, Definition
from fedledger_network.fabric.channel import first_block
from fedledger_network.fabric.config import FabricConfig
from fedledger_network.fabric.errors import FabricError
from fedledger_network.fabric.identities import ADMINISTRATOR, write_changed
from fedledger_network.fabric.inventory import PEER, Inventory
from fedledger_network.fabric.layout import Layout
from fedledger_network.fabric.preparation import make_folders, prepare_organisation, prepare_package, start_authorities
from fedledger_network.fabric.processes import Program, start_all, stop_all
from fedledger_network.fabric.profiles import write_all_profiles
from fedledger_network.fabric.programs import Programs
from fedledger_network.fabric.readiness import wait_for_contract

SECONDS_TO_CONVERGE = 60.0

Progress = Callable[[str], None]
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class ProgramStatus:
    """One program of the network: ``pid`` and ``memory`` (bytes) while it runs; where it listens; its log."""

    name: str
    pid: int | None
    ports: tuple[int, ...]
    memory: int | None
    log: Path

    @classmethod
    def of(cls, program: Program) -> ProgramStatus:
        """What a program does now."""
        return cls(program.name, program.pid(), program.ports, program.memory(), program.log)


class FabricNetwork:
    """The network of ``config`` in ``folder``, run by ``programs``."""

    def __init__(self, config: FabricConfig, folder: Path, programs: Programs, *, attached: bool = False) -> None:
        """With ``attached`` its processes end with the process that starts them; else only ``down`` ends them."""
        self.config = config
        self.programs = programs
        self.layout = Layout(folder.absolute())
        self.inventory = Inventory(config, self.layout, programs, attached)

    @classmethod
    def existing(cls, folder: Path, programs: Programs) -> FabricNetwork:
        """The network that an earlier ``up`` made in ``folder``; raises ``NOT_A_NETWORK``."""
        path = Layout(folder.absolute()).consortium
        if not path.exists():
            raise BadInputError(
                "NOT_A_NETWORK", f"{folder} holds no network.", "Make one there with `fedledger network up`."
            )
        return cls(FabricConfig.load(path), folder, programs)

    # --- all of it

    def up(self, progress: Progress = lambda _: None) -> None:
        """Make what is missing, start what does not run, and return when every peer serves the contract.

        Raises:
            FabricError: ``PORT_TAKEN``, ``PROGRAM_DIED``, ``COMMAND_FAILED``; they show what the program said.
            FabricTimeout: ``PROGRAM_SILENT``, ``COMMAND_SILENT``, ``NOT_CONVERGED``.
        """
        self.prepare(progress)
        progress("starting orderers, peers and the contract's services")
        start_all(self.inventory.all())
        progress("joining the channel")
        self._each(lambda administrator: administrator.join_orderer(self.layout.genesis))
        self._each(Administrator.join_peer)
        self.deploy(progress)
        progress("waiting until every peer answers")
        self.wait_until_ready()
        progress("ready")

    def prepare(self, progress: Progress = lambda _: None) -> None:
        """Make identities, settings, the channel's first block and the contract's package; starts nothing.

        Raises ``OTHER_CONSORTIUM`` when the folder belongs to another network.
        """
        self._refuse_other_consortium()
        make_folders(self.inventory)
        self.save()
        self.provide(progress)

    def save(self) -> None:
        """Write the consortium's file."""
        write_changed(self.layout.consortium, self.config.to_yaml().encode())

    def provide(self, progress: Progress = lambda _: None) -> None:
        """Make whatever is missing beside the consortium's file."""
        progress("making identities")
        make_folders(self.inventory)
        members = self.config.consortium.organisations
        start_authorities(self.inventory, members)
        with ThreadPoolExecutor(len(members)) as pool:  # it is the disk that takes time
            made = list(pool.map(lambda member: prepare_organisation(self.inventory, member), members))
        identities = {member.name: each for member, each in zip(members, made, strict=True)}
        write_all_profiles(self.config, self.layout, identities)
        prepare_package(self.inventory)
        if not self.layout.genesis.exists():
            progress("writing the channel's first block")
            write_atomic(self.layout.genesis, first_block(self.config, self.layout, self.programs))

    def deploy(self, progress: Progress = lambda _: None, *, renew: bool = False) -> None:
        """Install, approve and commit the contract's definition where that is due, with ``renew`` in any case.

        Services of the old version serve until the new one is committed; then they are stopped.

        Raises:
            FabricError: ``NOT_A_MEMBER``, an organisation was taken out of the channel and is still in the file.
        """
        organisations = self.config.consortium.organisations
        release = self.inventory.release()
        current = self.administrator(organisations[0]).definition()
        wanted = Definition.of(self.config, 1 if current is None else current.sequence + 1)
        if renew or current is None or not current.means_the_same_as(wanted):
            self._refuse_former_members()
            progress("installing the contract")
            self._each(Administrator.install)
            progress("approving the contract")
            self._each(lambda administrator: administrator.approve(wanted, release.package_id))
            progress("committing the contract")
            self.administrator(organisations[0]).commit(wanted, organisations)
        stop_all(self.inventory.services(replace(release, place=release.place.other)))

    def down(self) -> None:
        """Stop every program; everything stays on disk. Raises ``PROGRAM_STUCK``."""
        release = self.inventory.release()
        earlier = self.inventory.services(replace(release, place=release.place.other))
        stop_all([*earlier, *reversed(self.inventory.all())])

    def destroy(self) -> None:
        """Stop every program and delete the network with all its keys and data."""
        self.down()
        shutil.rmtree(self.layout.root)

    # --- looking

    def status(self) -> tuple[ProgramStatus, ...]:
        """What runs."""
        return tuple(map(ProgramStatus.of, self.inventory.all()))

    def logs(self, name: str, lines: int = 100) -> str:
        """The end of one program's log; raises ``UNKNOWN_PROGRAM``."""
        return self.inventory.named(name).tail(lines)

    def require_running(self) -> None:
        """Raise ``PROGRAM_DIED`` for a program that was started and has ended by itself."""
        for program in self.inventory.all():
            program.require_running()

    def wait_until_ready(self, seconds: float = SECONDS_TO_CONVERGE) -> None:
        """Wait until every organisation's peer runs the contract and gets endorsements from all peers that run.

        Raises:
            FabricError: ``PROGRAM_DIED``.
            FabricTimeout: ``NOT_CONVERGED`` with the last reason.
        """
        deadline = time.monotonic() + seconds
        members = self.config.consortium.organisations
        running = [each for each in members if self.inventory.program(PEER, each).pid() is not None]
        self._each(
            lambda administrator: wait_for_contract(self.inventory, administrator.organisation, deadline, running)
        )

    # --- one program

    def start(self, *names: str) -> None:
        """Start programs by name and wait until they listen."""
        start_all([self.inventory.named(name) for name in names])

    def stop(self, *names: str) -> None:
        """End programs by name, in peace."""
        stop_all([self.inventory.named(name) for name in names])

    def kill(self, *names: str) -> None:
        """End programs by SIGKILL."""
        programs = [self.inventory.named(name) for name in names]
        for program in programs:
            program.send(signal.SIGKILL)
        stop_all(programs)

    # --- parts

    def administrator(self, organisation: Organisation) -> Administrator:
        """The administrator of one organisation."""
        return Administrator(self.config, self.layout, self.programs, organisation)

    def fresh_config(self) -> Any:
        """The ``common.Config`` that the channel would have if it were made now."""
        return config_of_block(parse_block(first_block(self.config, self.layout, self.programs)))

    def member_ids(self) -> frozenset[str]:
        """MSP ids of the channel's members, by whichever peer has the newest configuration."""
        configs = []
        for organisation in self.config.consortium.organisations:
            administrator = self.administrator_profile(organisation)
            with administrator.connect() as gateway:
                configs.append(current_config(gateway.get_network(administrator.channel)))
        return members(max(configs, key=lambda config: config.sequence))

    def administrator_profile(self, organisation: Organisation) -> Profile:
        """Who acts for an organisation in the channel's configuration."""
        return load_profile(self.layout.profiles, f"{organisation.name}-{ADMINISTRATOR}")

    def _refuse_former_members(self) -> None:
        """Nothing can be agreed on with who is out of the channel, which an interrupted removal leaves behind."""
        in_channel = self.member_ids()
        for organisation in self.config.consortium.organisations:
            if organisation.msp_id not in in_channel:
                raise FabricError(
                    "NOT_A_MEMBER",
                    f"{organisation.name} ({organisation.msp_id}) is in {self.layout.consortium} and no member of the "
                    "channel: its removal was interrupted.",
                    f"Finish it: fedledger network remove-organisation {organisation.name}; or take it in again: "
                    f"fedledger network add-organisation {organisation.name}.",
                )

    def _each(self, step: Callable[[Administrator], ResultT]) -> list[ResultT]:
        """Take one step for every organisation at the same time; the first error counts."""
        administrators = [self.administrator(each) for each in self.config.consortium.organisations]
        with ThreadPoolExecutor(len(administrators)) as pool:
            return list(pool.map(step, administrators))

    def _refuse_other_consortium(self) -> None:
        path = self.layout.consortium
        if path.exists() and not FabricConfig.load(path).has_members_of(self.config):
            raise BadInputError(
                "OTHER_CONSORTIUM",
                f"{self.layout.root} holds the network of another consortium.",
                "Choose another folder, or that consortium's file.",
            )
