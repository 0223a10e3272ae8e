"""A Fabric network whose programs are profiled: Go's own profiles of peers and orderers, samples of the services."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import machine

from fedledger_network.consortium import Organisation
from fedledger_network.fabric import FabricNetwork
from fedledger_network.fabric.inventory import ORDERER, PEER, Inventory
from fedledger_network.fabric.processes import Program
from ledger_load.breakdown import GRPC_THREADS
from ledger_load.go_profile import Stack, fetch
from ledger_load.measuring import CHAINCODE
from ledger_load.sampling.sitecustomize import SECONDS

SAMPLER = Path(__file__).parent / "sampling"
_FIRST_PROFILE_PORT = 60
"""Behind the network's own ports."""
_STACK = "Stack (most recent call first):\n"
_FUNCTION = re.compile(r'^  File "(.*)", line \d+ in (.*)$', re.MULTILINE)


@dataclass(frozen=True)
class ProfiledInventory(Inventory):
    """The same programs, with an environment that switches on their profiles."""

    samples: Path = Path()
    """Folder for what the services' samplers write."""

    def program(self, kind: str, organisation: Organisation) -> Program:
        program = super().program(kind, organisation)
        address = self.address(program.name)
        if kind == PEER:
            switched = {"CORE_PEER_PROFILE_ENABLED": "true", "CORE_PEER_PROFILE_LISTENADDRESS": address}
        elif kind == ORDERER:
            switched = {"ORDERER_GENERAL_PROFILE_ENABLED": "true", "ORDERER_GENERAL_PROFILE_ADDRESS": address}
        else:
            path = os.pathsep.join(filter(None, [str(SAMPLER), os.environ.get("PYTHONPATH")]))
            switched = {"CPU_SAMPLES_FOLDER": str(self.samples), "PYTHONPATH": path}
        return replace(program, environment=lambda: {**program.environment(), **switched})

    def address(self, name: str) -> str:
        """Where the program of that name answers with its profile."""
        names = [f"{kind}.{each.name}" for kind in self.kinds for each in self.config.consortium.organisations]
        return f"127.0.0.1:{self.config.first_port + _FIRST_PROFILE_PORT + names.index(name)}"


@dataclass(frozen=True)
class Samples:
    """What the services have used so far, and what their samplers have written."""

    cpu_seconds: float
    stacks: Counter[str]
    """How often each stack was seen."""

    @classmethod
    def read(cls, folder: Path, services: Iterable[Program]) -> Samples:
        """The sum over the services."""
        pids = [pid for service in services if (pid := service.pid()) is not None]
        stacks: Counter[str] = Counter()
        for pid in pids:
            stacks.update((folder / f"{pid}.stacks").read_text(errors="replace").split(_STACK)[1:])
        return cls(sum(map(machine.cpu_seconds, pids)), stacks)

    def since(self, before: Samples) -> list[Stack]:
        """What came on top; what no thread of Python has used is gRPC's."""
        seen = self.stacks - before.stacks
        rest = self.cpu_seconds - before.cpu_seconds - seen.total() * SECONDS
        stacks = [Stack(_FUNCTION.sub(r"\1:\2", stack).splitlines(), count * SECONDS) for stack, count in seen.items()]
        return [*stacks, Stack([GRPC_THREADS], max(0.0, rest))]


def profiled_network(network: FabricNetwork, samples: Path) -> FabricNetwork:
    """Let the network's programs be profiled; before they are started."""
    samples.mkdir()
    plain = network.inventory
    network.inventory = ProfiledInventory(plain.config, plain.layout, plain.programs, plain.attached, samples=samples)
    return network


@contextmanager
def profiled(network: FabricNetwork, seconds: int) -> Iterator[dict[str, list[Stack]]]:
    """Profile all programs for ``seconds``, about as long as the context lasts; then tell stacks by kind of program."""
    inventory = network.inventory
    assert isinstance(inventory, ProfiledInventory)
    found: dict[str, list[Stack]] = {}
    services = inventory.of_kind(CHAINCODE)
    before = Samples.read(inventory.samples, services)
    programs = [program for kind in (PEER, ORDERER) for program in inventory.of_kind(kind)]
    with ThreadPoolExecutor(len(programs)) as pool:
        fetched = {each.name: pool.submit(fetch, inventory.address(each.name), seconds) for each in programs}
        yield found
        found[CHAINCODE] = Samples.read(inventory.samples, services).since(before)
    for kind in (PEER, ORDERER):
        found[kind] = [stack for name, each in fetched.items() if name.startswith(kind) for stack in each.result()]
