"""Transactions per second and latency of the embedded node: ``python benchmarks/embedded_node.py [--seconds S]``.

Members of four organisations submit to one node on the same machine, each transaction endorsed by three organisations,
ordered, validated and written durably. The contract puts one value of 32 bytes, so this measures the node, not rules.
Prints a table and the machine it ran on; the clients' own work shares the machine's cores and is shown beside it.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import machine

from fedledger.gateway import Contract
from fedledger.identity.profile import load_profile
from fedledger_chaincode.stub import Stub
from fedledger_network.consortium import Consortium
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder

NAMES = ("cleveland", "hungary", "long_beach", "switzerland")
CONTRACT = "embedded_node:Notes"
VALUE = "0123456789abcdef" * 2
CLIENTS = (1, 8, 32)


class Notes:
    """The contract under load: ``Put`` a key and a value, ``Get`` a key."""

    def invoke(self, stub: Stub) -> bytes:
        key = stub.arguments[0].decode()
        if stub.function == "Put":
            stub.put_state(key, stub.arguments[1])
            return b""
        (value,) = stub.get_state([key])
        return value or b""


@dataclass(frozen=True)
class Measured:
    """What so many clients at a time got done; latencies in seconds, sorted."""

    latencies: Sequence[float]
    seconds: float
    client_seconds: float
    """CPU time of the clients."""

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """In milliseconds."""
        return 1_000 * self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]


def measure(call: Callable[[int, int], None], clients: int, seconds: float) -> Measured:
    """Let ``clients`` threads call, each with its own number and a count, until the time is over."""
    latencies: list[float] = []
    failures: list[BaseException] = []
    until = time.monotonic() + seconds

    def run(client: int) -> None:
        count = 0
        try:
            while (begun := time.monotonic()) < until:
                call(client, count)
                latencies.append(time.monotonic() - begun)
                count += 1
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    began, cpu = time.monotonic(), machine.own_cpu_seconds()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return Measured(sorted(latencies), time.monotonic() - began, machine.own_cpu_seconds() - cpu)


@contextmanager
def network(folder: Path) -> Iterator[tuple[NetworkFolder, Sequence[Contract]]]:
    """A node as a process of its own, and a participant of each organisation."""
    made = NetworkFolder.create(folder, Consortium.of_names(*NAMES))
    process = running.launch(made, attached=True, contract=CONTRACT)
    try:
        with ExitStack() as opened:
            contracts = []
            for name in NAMES:
                profile = load_profile(made.profiles, f"{name}-participant")
                gateway = opened.enter_context(profile.connect())
                contracts.append(gateway.get_network(profile.channel).get_contract(profile.chaincode))
            yield made, contracts
    finally:
        process.stop()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="per line of the table (default: %(default)s)")
    seconds = parser.parse_args().seconds
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    print(f"Embedded node, four organisations, three endorsements; {machine.description()}\n")
    with tempfile.TemporaryDirectory() as place, network(Path(place) / "n") as (folder, contracts):
        _warm_up(contracts)
        print("clients  submits/s   p50 ms   p95 ms   p99 ms   transactions/block   clients' CPU of one core")
        for clients in CLIENTS:
            before = _blocks(folder)
            got = measure(partial(_put, contracts, clients), clients, seconds)
            size = len(got.latencies) / max(1, _blocks(folder) - before)
            print(
                f"{clients:7} {got.rate:10.1f} {got.quantile(0.5):8.1f} {got.quantile(0.95):8.1f} "
                f"{got.quantile(0.99):8.1f} {size:20.1f} {got.client_seconds / got.seconds:26.0%}"
            )
        print("\nclients  queries/s   p50 ms   p95 ms")
        for clients in CLIENTS:
            got = measure(partial(_get, contracts), clients, seconds / 2)
            print(f"{clients:7} {got.rate:10.1f} {got.quantile(0.5):8.1f} {got.quantile(0.95):8.1f}")
        print(f"\nDisk: a synchronous write of 4 KiB takes {_write_milliseconds(Path(place)):.2f} ms at the median.")


def _warm_up(contracts: Sequence[Contract]) -> None:
    for number, contract in enumerate(contracts):
        contract.submit_transaction("Put", f"warm-{number}", VALUE)


def _put(contracts: Sequence[Contract], line: int, client: int, count: int) -> None:
    contracts[client % len(contracts)].submit_transaction("Put", f"{line}-{client}-{count}", VALUE)


def _get(contracts: Sequence[Contract], client: int, count: int) -> None:
    contracts[client % len(contracts)].evaluate_transaction("Get", f"warm-{count % len(contracts)}")


def _blocks(folder: NetworkFolder) -> int:
    connection = sqlite3.connect(f"file:{folder.ledger / 'ledger.sqlite'}?mode=ro", uri=True)
    try:
        (count,) = connection.execute("SELECT COUNT(*) FROM block").fetchone()
    finally:
        connection.close()
    return int(count)


def _write_milliseconds(folder: Path) -> float:
    times = []
    with (folder / "probe").open("wb", buffering=0) as probe:
        for _ in range(50):
            begun = time.perf_counter()
            probe.write(bytes(4096))
            os.fsync(probe.fileno())
            times.append(1_000 * (time.perf_counter() - begun))
    return statistics.median(times)


if __name__ == "__main__":
    main()
