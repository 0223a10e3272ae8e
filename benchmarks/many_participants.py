"""A round of a hundred participants: on Hyperledger Fabric, on the embedded node, and by plain TFF, in one run.

``python benchmarks/many_participants.py [--participants 100] [--rounds 5]``. The heart-disease task without privacy
noise, its records dealt out to the participants. All participants are of this one process: each trains, shares, proves,
delivers and signs as its agent does, one after the other, and its organisation submits up to 100 manifests in a
transaction. The four validators are the agents themselves, threads of this process. Plain TFF is
``build_weighted_fed_avg`` in TFF's own runtime on the same model and records, as a process of its own. The first round
is left out: TensorFlow traces its graphs in it. Prints tables, asserts nothing; without Fabric's programs it says so
and leaves Fabric out.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import machine
from ledger_load.engines import free_ports
from ledger_load.federation import Federation, Spans, task_of

from fedledger.cli.engines import DEMO_ORGANISATIONS
from fedledger.cli.output import configure_logging
from fedledger.cli.session import quiet_tensorflow
from fedledger_network.consortium import Consortium
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.fabric import FabricConfig, FabricError, FabricNetwork, find_programs

PLAIN = "ledger_load.plain_tff"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", type=int, default=100, help="of all organisations (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="the first is not counted (default: %(default)s)")
    arguments = parser.parse_args()
    quiet_tensorflow()
    configure_logging(verbose=False, quiet=True)
    print(f"{machine.description('tensorflow-federated')}; {arguments.participants} participants, four organisations\n")
    plain = plain_tff(arguments.participants, arguments.rounds)
    measured = {}
    for name, network in (("fabric", on_fabric), ("embedded", on_embedded)):
        try:
            with tempfile.TemporaryDirectory() as folder, network(Path(folder)) as (profiles, consortium, pids):
                federation = Federation(profiles, consortium, Path(folder), arguments.participants)
                measured[name] = federation.run(task_of(arguments.rounds))
                tell_memory(name, pids())
        except FabricError as error:
            print(f"NOTHING WAS MEASURED ON HYPERLEDGER FABRIC. {error}")
    tell(measured, plain)


def tell(measured: Mapping[str, Sequence[Spans]], plain: Sequence[float]) -> None:
    """Print seconds by part of a round and engine, and how they compare with plain TFF's round."""
    reference = statistics.fmean(plain[1:])
    means = {name: Spans.mean(rounds[1:]) for name, rounds in measured.items()}
    print(f"\n{'Seconds of one round, mean':40}" + "".join(f"{name:>12}" for name in means))
    for part in next(iter(means.values())):
        print(f"  {part:38}" + "".join(f"{mean[part]:12.2f}" for mean in means.values()))
    whole = {name: sum(mean.values()) for name, mean in means.items()}
    print(f"  {'the whole round':38}" + "".join(f"{seconds:12.2f}" for seconds in whole.values()))
    print(f"\nPlain TFF: {reference:.2f} s a round")
    for name, seconds in whole.items():
        print(f"  {name}: {seconds / reference:.1f} times as long")
    if {"fabric", "embedded"} <= whole.keys():
        print(f"  fabric against embedded: {whole['fabric'] / whole['embedded']:.2f} times as long")


def tell_memory(name: str, pids: Mapping[str, int]) -> None:
    """Print every process's resident memory."""
    sizes = {each: machine.resident_bytes(pid) >> 20 for each, pid in {**pids, "participants": os.getpid()}.items()}
    print(f"{name}, memory in MiB: " + ", ".join(f"{each} {size}" for each, size in sizes.items()))


Network = tuple[Path, Consortium, Callable[[], dict[str, int]]]


@contextmanager
def on_fabric(folder: Path) -> Iterator[Network]:
    """Profiles, members and processes of a network on Fabric."""
    consortium = Consortium.of_names(*DEMO_ORGANISATIONS)
    config = FabricConfig(consortium, first_port=free_ports())
    network = FabricNetwork(config, folder / "fabric", find_programs(), attached=True)
    try:
        network.up()
        yield (
            network.layout.profiles,
            consortium,
            lambda: {each.name: each.pid for each in network.status() if each.pid is not None},
        )
    finally:
        network.down()


@contextmanager
def on_embedded(folder: Path) -> Iterator[Network]:
    """Profiles, members and processes of an embedded node."""
    consortium = Consortium.of_names(*DEMO_ORGANISATIONS)
    network = NetworkFolder.create(folder / "n", consortium)
    process = running.launch(network, attached=True)
    try:
        yield (
            network.profiles,
            consortium,
            lambda: {"node": process.pid} | {f"service {pid}": pid for pid in machine.descendants(process.pid)},
        )
    finally:
        process.stop()


def plain_tff(participants: int, rounds: int) -> list[float]:
    """Seconds of each round in TFF's own runtime, whose server outlives Python: its whole session is ended."""
    command = [sys.executable, "-m", PLAIN, str(participants), str(rounds)]
    here = Path(__file__).parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=here, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(rounds)]
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    return [float(line) for line in lines]


if __name__ == "__main__":
    main()
