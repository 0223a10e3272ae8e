"""What a consortium on Hyperledger Fabric costs: bring-up, latency, throughput, whole rounds, CPU and memory.

``python benchmarks/fabric.py [--participants 100] [--in-flight 64] [--rounds 3]``. Four organisations, each with a
peer, a SmartBFT orderer and a chaincode service, all of them and the load on this one machine; then, in the same run,
the embedded node under the same load. Updates are made up: this measures the ledger, not training. Prints tables,
asserts nothing; without Fabric's programs it measures nothing and says so.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from ledger_load.engines import Engine, Member, on_embedded, on_fabric
from ledger_load.rounds import Task, at_once, task_spec

from fedledger.gateway import GatewayError
from fedledger_chaincode.messages.round import SignedManifest
from fedledger_chaincode.messages.views import SubmissionResults
from fedledger_network.consortium import Consortium
from fedledger_network.fabric import FabricConfig, FabricError, FabricNetwork, find_programs
from fedledger_network.fabric.processes import listening_ports

ORGANISATIONS = ("cleveland", "hungary", "long_beach", "switzerland")
TICKS = os.sysconf("SC_CLK_TCK")
SINGLE_SUBMISSIONS = 30
BATCH = 100


@dataclass
class Phase:
    """How long one part of the load took, and which programs spent how much CPU on it."""

    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by kind of program; ``load`` is this process: clients that sign, serialise and wait."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=100, help="of each organisation (default: %(default)s)")
    parser.add_argument("--in-flight", type=int, default=64, help="submissions at a time (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds with batched updates (default: %(default)s)")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        programs = find_programs()
    except FabricError as error:
        sys.exit(f"NOTHING WAS MEASURED ON HYPERLEDGER FABRIC. {error}")
    print(f"{_machine()}; Fabric {programs.version}; four organisations on this machine\n")
    consortium = Consortium.of_names(*ORGANISATIONS)
    with tempfile.TemporaryDirectory() as folder:
        network = FabricNetwork(
            FabricConfig(consortium, first_port=_free_ports()), Path(folder) / "fabric", programs, attached=True
        )
        try:
            bring_up(network)
            with on_fabric(network, arguments.participants) as engine:
                fabric = load(engine, consortium, arguments)
        finally:
            network.down()
        with on_embedded(consortium, Path(folder) / "embedded", arguments.participants) as engine:
            embedded = load(engine, consortium, arguments)
    print("\nThe embedded node against Fabric, same machine, same load")
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
    joining = time.monotonic() - started
    participants = engine.participants()
    print(f"{len(participants)} participants joined in {joining:.1f} s")
    single = single_updates(engine, task, participants, arguments.in_flight)
    rounds = [batched_round(engine, task, number + 2) for number in range(arguments.rounds)]
    memory(engine)
    return {
        "one submission, p50": latency,
        f"{len(participants)} updates, one transaction each": single,
        f"{len(participants)} updates, {BATCH} a transaction": statistics.median(each[0] for each in rounds),
        "a whole round with them": statistics.median(each[1] for each in rounds),
    }


def one_at_a_time(engine: Engine, msps: Sequence[str]) -> float:
    """Latency without other load: p50 of a submission until its commit, in seconds."""
    governor = engine.of("governor")[msps[0]]
    contract = governor.gateway.get_network("fedledger").get_contract("fedledger")
    steps: dict[str, list[float]] = defaultdict(list)
    for _ in range(SINGLE_SUBMISSIONS):
        specification = task_spec(f"latency-{secrets.token_hex(4)}", msps).canonical()
        times = [time.monotonic()]
        endorsed = contract.new_proposal("ProposeTask", arguments=[specification]).endorse()
        times.append(time.monotonic())
        commit = endorsed.submit()
        times.append(time.monotonic())
        commit.status().raise_if_invalid()
        times.append(time.monotonic())
        for name, before, after in zip(("endorse", "submit", "commit"), times, times[1:], strict=False):
            steps[name].append(after - before)
        steps["all"].append(times[-1] - times[0])
        before = time.monotonic()
        contract.evaluate_transaction("TotalSupply")
        steps["evaluate"].append(time.monotonic() - before)
    print(f"One submission at a time, {SINGLE_SUBMISSIONS} of them, milliseconds p50 / p95")
    for name in ("all", "endorse", "submit", "commit", "evaluate"):
        print(f"  {name:10} {_milliseconds(steps[name], 0.5):7.0f} {_milliseconds(steps[name], 0.95):7.0f}")
    return _quantile(steps["all"], 0.5)


def single_updates(engine: Engine, task: Task, participants: Sequence[Member], in_flight: int) -> float:
    """A round in which every participant submits its own update at the same time; seconds for all of them."""
    view = task.open(1)
    manifests = task.manifests(participants, view)
    taken: list[float] = []
    failures: Counter[str] = Counter()

    def submit(member: Member, manifest: SignedManifest) -> None:
        begun = time.monotonic()
        try:
            contract = member.gateway.get_network("fedledger").get_contract("fedledger")
            contract.submit_transaction("SubmitUpdates", manifest.canonical())
        except GatewayError as error:
            failures[error.code] += 1
        else:
            taken.append(time.monotonic() - begun)

    with _measured(engine) as phase:
        at_once(
            [
                lambda member=member, manifest=manifest: submit(member, manifest)  # type: ignore[misc]
                for member, manifest in zip(participants, manifests, strict=True)
            ],
            workers=in_flight,
        )
    print(
        f"One update a transaction, {in_flight} in flight: {len(taken) / phase.seconds:.1f} a second, p50 "
        f"{_milliseconds(taken, 0.5):.0f} ms, p95 {_milliseconds(taken, 0.95):.0f} ms; "
        f"failures: {dict(failures) or 'none'}"
    )
    cpu(engine, phase, len(taken))
    with _measured(engine) as rest:
        task.finish(1)
    print(f"  the rest of the round: {rest.seconds:.2f} s")
    return phase.seconds


def batched_round(engine: Engine, task: Task, number: int) -> tuple[float, float]:
    """A round in which each organisation's gateway submits its participants' manifests; seconds for updates and all."""
    started = time.monotonic()
    view = task.open(number)
    opened = time.monotonic()
    batches: list[tuple[Member, list[SignedManifest]]] = []
    for (_, role), members in engine.members.items():
        if role == "participant":
            manifests = task.manifests(members, view)
            batches += [(members[0], manifests[first : first + BATCH]) for first in range(0, len(manifests), BATCH)]
    prepared = time.monotonic()
    taken: list[float] = []

    def submit(member: Member, batch: Sequence[SignedManifest]) -> int:
        begun = time.monotonic()
        results = SubmissionResults.decode(member.submit("SubmitUpdates", *batch)).results
        taken.append(time.monotonic() - begun)
        return sum(result.status == "received" for result in results)

    with _measured(engine) as phase:
        received = at_once([lambda member=member, batch=batch: submit(member, batch) for member, batch in batches])  # type: ignore[misc]
    with _measured(engine) as rest:
        task.finish(number)
    whole = (opened - started) + phase.seconds + rest.seconds
    print(
        f"Round {number}: {sum(received)} updates in {len(batches)} transactions: "
        f"{sum(received) / phase.seconds:.0f} updates a second, p95 {_milliseconds(taken, 0.95):.0f} ms; "
        f"whole round {whole:.2f} s (signing all manifests {prepared - opened:.2f} s not counted)"
    )
    cpu(engine, phase, sum(received))
    return phase.seconds, whole


def cpu(engine: Engine, phase: Phase, units: int) -> None:
    """Where the time went, and, for Fabric, what it means for organisations on machines of their own."""
    total = sum(phase.cpu.values())
    spent = ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in sorted(phase.cpu.items(), key=lambda each: -each[1]))
    print(f"  CPU seconds: {spent}; {total / phase.seconds:.1f} of {os.cpu_count()} cores busy")
    servers = total - phase.cpu["load"]
    own = servers / len(ORGANISATIONS)
    if engine.name == "fabric" and own > 0:
        print(
            f"  by calculation, {len(ORGANISATIONS)} machines with {os.cpu_count()} cores each: "
            f"{units * (os.cpu_count() or 1) / own:.0f} a second, bound by CPU"
        )


def memory(engine: Engine) -> None:
    """Resident memory of every program after the load."""
    print(
        "Memory after the load, MiB: "
        + ", ".join(f"{name} {_resident(pid) >> 20}" for name, pid in sorted(engine.pids().items()))
    )


@contextmanager
def _measured(engine: Engine) -> Iterator[Phase]:
    phase = Phase()
    pids = engine.pids()
    before, own, start = {name: _cpu_seconds(pid) for name, pid in pids.items()}, time.process_time(), time.monotonic()
    yield phase
    phase.seconds = time.monotonic() - start
    for name, pid in pids.items():
        kind = name.partition(".")[0]
        phase.cpu[kind] = phase.cpu.get(kind, 0.0) + _cpu_seconds(pid) - before[name]
    phase.cpu["load"] = time.process_time() - own


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _quantile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def _milliseconds(values: Sequence[float], part: float) -> float:
    return 1000 * _quantile(values, part) if values else float("nan")


def _machine() -> str:
    models = [
        line.partition(": ")[2]
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    load_average = os.getloadavg()[0]
    return (
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores, {memory_bytes >> 30} GiB, "
        f"Python {platform.python_version()}, load average before the start {load_average:.1f}"
    )


def _free_ports() -> int:
    taken = listening_ports()
    return next(first for first in range(20_000, 32_000, 100) if not taken & set(range(first, first + 100)))


if __name__ == "__main__":
    main()
