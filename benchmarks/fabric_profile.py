"""Where the CPU time of a consortium on Hyperledger Fabric goes, and what machines apart would give by calculation.

``python benchmarks/fabric_profile.py [--participants 200] [--in-flight 64] [--tasks 6]``. The network and the
load of ``benchmarks/fabric.py``, all on this one machine. Peers and orderers tell their own profiles (Go's
``/debug/pprof``), the contract's services are sampled from within, each a hundred times in a second of CPU time. A
profile says which part of a process's work is of which kind; how much a process has worked is what the kernel counts.
Profiling itself takes a few hundredths. Prints tables, asserts nothing.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import machine
import structlog
from ledger_load.breakdown import GO_SIGNATURES, GO_WORK, PYTHON_WORK, Rule, only, parts, table
from ledger_load.engines import Engine, free_ports, on_fabric
from ledger_load.go_profile import Stack
from ledger_load.measuring import CHAINCODE, LOAD, Phase, measured, tell_apart, tell_memory
from ledger_load.phases import batched_updates, single_updates
from ledger_load.profiling import profiled, profiled_network
from ledger_load.rounds import Task

from fedledger_chaincode.messages.views import RoundView
from fedledger_network.consortium import Consortium
from fedledger_network.fabric import FabricConfig, FabricError, FabricNetwork, find_programs
from fedledger_network.fabric.inventory import ORDERER, PEER

ORGANISATIONS = ("cleveland", "hungary", "long_beach", "switzerland")
SECONDS_IDLE = 10
SECONDS_SINGLE, SECONDS_BATCHED = 20, 10
RULES: Mapping[str, Sequence[Rule]] = {PEER: GO_WORK, ORDERER: GO_WORK, CHAINCODE: PYTHON_WORK}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=200, help="of each organisation (default: %(default)s)")
    parser.add_argument("--in-flight", type=int, default=64, help="submissions at a time (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=6, help="rounds of batched updates (default: %(default)s)")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        programs = find_programs()
    except FabricError as error:
        sys.exit(f"NOTHING WAS MEASURED ON HYPERLEDGER FABRIC. {error}")
    print(f"{machine.description()}; Fabric {programs.version}; four organisations on this machine")
    with tempfile.TemporaryDirectory() as folder:
        config = FabricConfig(Consortium.of_names(*ORGANISATIONS), first_port=free_ports())
        network = profiled_network(
            FabricNetwork(config, Path(folder) / "fabric", programs, attached=True), Path(folder) / "samples"
        )
        try:
            network.up()
            with on_fabric(network, arguments.participants) as engine:
                load(network, engine, arguments)
        finally:
            network.down()


def load(network: FabricNetwork, engine: Engine, arguments: argparse.Namespace) -> None:
    """Profile the network idle, under single updates, and under batches of them."""
    with measured(engine) as idle:
        time.sleep(SECONDS_IDLE)
    used = ", ".join(f"{kind} {100 * seconds / idle.seconds:.1f}" for kind, seconds in idle.by_kind().items())
    print(f"\nIdle, hundredths of a core: {used}")
    msps = [organisation.msp_id for organisation in network.config.consortium.organisations]
    participants = len(engine.participants())
    task, view = _opened(engine, msps)
    print()
    tell(network, SECONDS_SINGLE, lambda: [single_updates(engine, task, view, arguments.in_flight)], participants)
    opened = [_opened(engine, msps) for _ in range(arguments.tasks)]
    print()
    tell(
        network,
        SECONDS_BATCHED,
        lambda: [batched_updates(engine, *each) for each in opened],
        participants * arguments.tasks,
    )
    tell_memory(engine)


def _opened(engine: Engine, msps: Sequence[str]) -> tuple[Task, RoundView]:
    """A task and its first round, which waits for updates: nothing else of a round is profiled."""
    task = Task.joined(engine, msps)
    return task, task.open(1)


def tell(network: FabricNetwork, seconds: int, work: Callable[[], list[Phase]], updates: int) -> None:
    """Profile ``work`` and print what it was spent on, in milliseconds an update."""
    with profiled(network, seconds) as stacks:
        phases = work()
    whole = Phase(sum(phase.seconds for phase in phases))
    for phase in phases:
        for name, spent in phase.cpu.items():
            whole.cpu[name] = whole.cpu.get(name, 0.0) + spent
    used = whole.by_kind()
    columns = {kind: _spent(used[kind], rules, stacks[kind]) for kind, rules in RULES.items()}
    columns[LOAD] = {"clients: signing, serialising, waiting": used[LOAD]}
    print(f"\nCPU milliseconds an update, over all {len(ORGANISATIONS)} organisations")
    print("\n".join(table(columns, updates)))
    go_signatures = {kind: _signatures(used[kind], stacks[kind]) for kind in (PEER, ORDERER)}
    print("Of these for signatures, by whose")
    print("\n".join(table(go_signatures, updates)))
    tell_apart(whole, updates)


def _spent(seconds: float, rules: Sequence[Rule], stacks: Sequence[Stack]) -> dict[str, float]:
    return {work: part * seconds for work, part in parts(rules, stacks).items()}


def _signatures(seconds: float, stacks: Sequence[Stack]) -> dict[str, float]:
    checking = only(GO_WORK[0], stacks)
    part = sum(stack.seconds for stack in checking) / max(1e-9, sum(stack.seconds for stack in stacks))
    return _spent(seconds * part, GO_SIGNATURES, checking)


if __name__ == "__main__":
    main()
