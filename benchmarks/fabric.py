"""What a consortium on Hyperledger Fabric costs: bring-up, latency, throughput, whole rounds, CPU and memory.

``python benchmarks/fabric.py [--participants 200] [--in-flight 64] [--rounds 3]``. Four organisations, each with a
peer, a SmartBFT orderer and a chaincode service, all of them and the load on this one machine; then, in the same run,
the embedded node under the same load. Updates are made up: this measures the ledger, not training. Prints tables,
asserts nothing; without Fabric's programs it measures nothing and says so. Where the CPU time goes is told by
``benchmarks/fabric_profile.py``.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

import machine
import structlog
from ledger_load.engines import Engine, free_ports, on_embedded, on_fabric
from ledger_load.measuring import tell_memory
from ledger_load.phases import BATCH, batched_round, one_at_a_time, single_updates
from ledger_load.rounds import Task

from fedledger_network.consortium import Consortium
from fedledger_network.fabric import FabricConfig, FabricError, FabricNetwork, find_programs

ORGANISATIONS = ("cleveland", "hungary", "long_beach", "switzerland")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=200, help="of each organisation (default: %(default)s)")
    parser.add_argument("--in-flight", type=int, default=64, help="submissions at a time (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds with batched updates (default: %(default)s)")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        programs = find_programs()
    except FabricError as error:
        sys.exit(f"NOTHING WAS MEASURED ON HYPERLEDGER FABRIC. {error}")
    print(f"{machine.description()}; Fabric {programs.version}; four organisations on this machine\n")
    consortium = Consortium.of_names(*ORGANISATIONS)
    with tempfile.TemporaryDirectory() as folder:
        network = FabricNetwork(
            FabricConfig(consortium, first_port=free_ports()), Path(folder) / "fabric", programs, attached=True
        )
        try:
            bring_up(network)
            with on_fabric(network, arguments.participants) as engine:
                fabric = load(engine, consortium, arguments)
        finally:
            network.down()
        with on_embedded(consortium, Path(folder) / "embedded", arguments.participants) as engine:
            embedded = load(engine, consortium, arguments)
    print("\nFabric, the embedded node, same machine, same load")
    for name, seconds in fabric.items():
        ratio = f"Fabric takes {seconds / embedded[name]:.1f} times as long"
        print(f"  {name:44} {seconds:8.2f} s {embedded[name]:8.2f} s   {ratio}")


def bring_up(network: FabricNetwork) -> None:
    """From nothing to a committed contract, by steps."""
    print("From nothing to a committed contract that every peer serves")
    start = time.monotonic()
    network.up(lambda step: print(f"  {time.monotonic() - start:6.1f} s  {step}"))


def load(engine: Engine, consortium: Consortium, arguments: argparse.Namespace) -> dict[str, float]:
    """Everything on one engine; returns seconds by what is compared between engines."""
    print(f"\n=== {engine.name}")
    msps = [organisation.msp_id for organisation in consortium.organisations]
    latency = one_at_a_time(engine, msps)
    started = time.monotonic()
    task = Task.joined(engine, msps)
    participants = len(engine.participants())
    print(f"A task agreed on, {participants} participants admitted: {time.monotonic() - started:.1f} s")
    single = single_updates(engine, task, task.open(1), arguments.in_flight)
    task.finish(1)
    rounds = [batched_round(engine, task, number + 2) for number in range(arguments.rounds)]
    tell_memory(engine)
    return {
        "one submission, p50": latency,
        f"{participants} updates, one transaction each": single.seconds,
        f"{participants} updates, {BATCH} a transaction": statistics.median(each[0] for each in rounds),
        "a whole round with them": statistics.median(each[1] for each in rounds),
    }


if __name__ == "__main__":
    main()
