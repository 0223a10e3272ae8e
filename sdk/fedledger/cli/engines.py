"""The two engines that a network can run on, behind one set of calls: embedded, and Hyperledger Fabric.

A folder belongs to one engine: that of the network that was made in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from fedledger.cli.network_options import programs_document
from fedledger.errors import BadInputError
from fedledger_network.consortium import Consortium, Organisation
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.processes import ChildProcess
from fedledger_network.fabric.config import FabricConfig
from fedledger_network.fabric.layout import Layout
from fedledger_network.fabric.network import FabricNetwork
from fedledger_network.fabric.programs import find_programs

DEMO_ORGANISATIONS = ("cleveland", "hungary", "long_beach_va", "switzerland")
Progress = Callable[[str], None]


class Engine(StrEnum):
    """What stands behind the gateway."""

    EMBEDDED = "embedded"
    FABRIC = "fabric"


class Network(Protocol):
    """A network in a folder."""

    engine: Engine

    @property
    def profiles(self) -> Path:
        """The file with everybody's profile."""
        ...

    @property
    def consortium(self) -> Consortium: ...

    def identities(self, organisation: Organisation) -> Path:
        """The folder with an organisation's wallets and its development CA."""
        ...

    def up(self, progress: Progress, *, attached: bool) -> None:
        """Bring it up from wherever it stands; with ``attached`` it ends with this process."""
        ...

    def down(self) -> bool:
        """Stop it; whether anything ran."""
        ...

    def status(self) -> dict[str, Any]:
        """What runs, as JSON."""
        ...

    def logs(self, name: str | None, lines: int) -> str:
        """The end of a program's log."""
        ...


@dataclass
class EmbeddedEngine:
    """One process of ours in the place of all peers and orderers."""

    folder: NetworkFolder
    engine: Engine = Engine.EMBEDDED
    _process: ChildProcess | None = None

    @property
    def profiles(self) -> Path:
        return self.folder.profiles

    @property
    def consortium(self) -> Consortium:
        return self.folder.consortium()

    def identities(self, organisation: Organisation) -> Path:
        return self.folder.organisation(organisation)

    def up(self, progress: Progress, *, attached: bool) -> None:
        if running.status(self.folder) is not None:
            if attached:
                raise BadInputError(
                    "LEDGER_IN_USE",
                    f"Another process runs {self.folder.path}.",
                    "Wait for it, or choose another folder with --dir.",
                )
            return
        progress("making keys and certificates, starting the node")
        self._process = running.launch(self.folder, attached=attached)

    def down(self) -> bool:
        if self._process is not None:
            self._process.stop()
            self._process = None
            return True
        return running.stop(self.folder)

    def status(self) -> dict[str, Any]:
        found = running.status(self.folder)
        return {
            "running": found is not None,
            "gateway": found.gateway if found else None,
            "pid": found.pid if found else None,
            "log": str(self.folder.node_log),
        }

    def logs(self, name: str | None, lines: int) -> str:
        logs = {"node": self.folder.node_log, "chaincode": self.folder.chaincode_log}
        chosen = name or "node"
        if chosen not in logs or not logs[chosen].exists():
            raise BadInputError("UNKNOWN_PROGRAM", f"There is no log of {chosen}.", f"Choose: {', '.join(logs)}.")
        return "\n".join(logs[chosen].read_text(errors="replace").splitlines()[-lines:])


@dataclass
class FabricEngine:
    """Hyperledger Fabric: a peer, a SmartBFT orderer and a chaincode service for each organisation."""

    network: FabricNetwork
    engine: Engine = Engine.FABRIC

    @property
    def profiles(self) -> Path:
        return self.network.layout.profiles

    @property
    def consortium(self) -> Consortium:
        return self.network.config.consortium

    def identities(self, organisation: Organisation) -> Path:
        if self.network.config.certificates != "development":
            raise BadInputError(
                "NO_DEVELOPMENT_CA",
                "The organisations' certificates come from their Fabric CAs, which run with the network.",
                "Every profile in its file names the Fabric CA: use `fedledger identity` with them.",
            )
        return self.network.layout.organisation(organisation.name).identities

    def up(self, progress: Progress, *, attached: bool) -> None:
        self.network.up(progress)

    def down(self) -> bool:
        was_running = any(program.pid is not None for program in self.network.status())
        self.network.down()
        return was_running

    def status(self) -> dict[str, Any]:
        programs = self.network.status()
        return {
            "running": all(program.pid is not None for program in programs),
            "programs": programs_document(programs),
        }

    def logs(self, name: str | None, lines: int) -> str:
        if name is None:
            names = ", ".join(program.name for program in self.network.status())
            raise BadInputError("UNKNOWN_PROGRAM", "No program is named.", f"Choose one of: {names}.")
        return self.network.logs(name, lines)


def network_at(
    folder: Path, engine: Engine | None = None, file: Path | None = None, *, attached: bool = False
) -> Network:
    """The network in ``folder``; a new one is made of ``file``, else of four hospitals.

    Raises:
        BadInputError: ``OTHER_ENGINE``, the folder's network runs on the other one; ``CONSORTIUM``, as
            ``Consortium.load``.
        FabricError: ``FABRIC_MISSING``.
    """
    held = engine_of(folder)
    if held is not None and engine is not None and held is not engine:
        raise BadInputError(
            "OTHER_ENGINE", f"The network in {folder} runs on {held}, not on {engine}.", "Choose another folder."
        )
    if (held or engine) is Engine.FABRIC:
        return FabricEngine(_fabric(folder, file, attached))
    consortium = Consortium.load(file) if file else None
    if held is None or consortium is not None:
        return EmbeddedEngine(NetworkFolder.create(folder, consortium or Consortium.of_names(*DEMO_ORGANISATIONS)))
    return EmbeddedEngine(NetworkFolder.existing(folder))


def existing_network(folder: Path) -> Network:
    """The network that was made in ``folder``.

    Raises:
        BadInputError: ``NOT_A_NETWORK``.
    """
    if engine_of(folder) is None:
        raise BadInputError(
            "NOT_A_NETWORK", f"There is no network in {folder}.", "Make one with `fedledger network up`."
        )
    return network_at(folder)


def fabric_network(folder: Path, instead: str) -> FabricNetwork:
    """The running network on Fabric in ``folder``; ``instead`` says what to do on the embedded engine.

    Raises:
        BadInputError: ``NOT_A_NETWORK``, ``ONLY_ON_FABRIC``, ``NOT_RUNNING``.
    """
    network = existing_network(folder)
    if not isinstance(network, FabricEngine):
        raise BadInputError(
            "ONLY_ON_FABRIC",
            f"The network in {folder} runs on the embedded engine, one process in the place of all peers and orderers: "
            "there is nothing in it that this command could change.",
            instead,
        )
    if all(program.pid is None for program in network.network.status()):
        raise BadInputError(
            "NOT_RUNNING", f"The network in {folder} does not run.", f"Start it: fedledger network up --dir {folder}"
        )
    return network.network


def engine_of(folder: Path) -> Engine | None:
    """Which engine the network in a folder runs on; None when there is none."""
    file = Layout(folder.absolute()).consortium
    if not file.exists():
        return None
    return Engine.FABRIC if "\nfabric:" in file.read_text() else Engine.EMBEDDED


def _fabric(folder: Path, file: Path | None, attached: bool) -> FabricNetwork:
    layout = Layout(folder.absolute())
    if layout.member.exists():
        raise BadInputError(
            "ONE_ORGANISATION",
            f"{folder} holds {layout.member.read_text().strip()}'s part of a network only.",
            "Use the commands of `fedledger network host`.",
        )
    programs = find_programs()
    made = layout.consortium
    if file is not None:
        config = FabricConfig.load(file)
    elif made.exists():
        config = FabricConfig.load(made)
    else:
        config = FabricConfig(Consortium.of_names(*DEMO_ORGANISATIONS))
    return FabricNetwork(config, folder, programs, attached=attached)
