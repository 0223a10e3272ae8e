"""One organisation behind a line that can be cut: its programs run in a network namespace of their own.

``unshare --net python -m tests.fabric.partition FOLDER FIRST_PORT`` brings a network up, cuts one organisation off
under load, joins the line again and prints what happened as a line of JSON. Everything happens in namespaces that end
with the process; nothing of the machine's own network is touched.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedledger.gateway import GatewayError
from fedledger.ledger import TaskLedger
from fedledger_network.consortium import Consortium
from fedledger_network.fabric import FabricConfig, FabricNetwork, find_programs
from fedledger_network.fabric.hosts import OrganisationHost
from tests.fabric.conftest import ORGANISATIONS
from tests.fabric.ledger import channel, commit_hashes, height
from tests.fabric.load import missing, under_load
from tests.unit.contract.ledger import task_spec

CUT_OFF = "hungary"
NEAR, FAR = "10.77.0.1", "10.77.0.2"
_FAR_SIDE = "--far"


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


class FarSide:
    """The other namespace, with a process of ours in it that does what it is told and answers in JSON."""

    def __init__(self, folder: Path) -> None:
        module = (sys.executable, "-m", "tests.fabric.partition", str(folder), _FAR_SIDE)
        self._process = subprocess.Popen(
            ("unshare", "--net", *module), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, step: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{step}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the far side ended at {step}"
        return json.loads(answer)

    def end(self) -> None:
        self._process.communicate()


@contextmanager
def two_namespaces(folder: Path) -> Iterator[FarSide]:
    """This one and another, with a line between them."""
    far = FarSide(folder)
    try:
        far.tell("ready")  # it is in its own namespace from here on
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
        run("ip", "link", "set", "far", "netns", str(far.pid))
        run("ip", "address", "add", f"{NEAR}/30", "dev", "near")
        run("ip", "link", "set", "near", "up")
        far.tell("line")
        yield far
    finally:
        far.end()


def at(network: FabricNetwork, name: str) -> OrganisationHost:
    return OrganisationHost(network.inventory, network.config.organisation(name))


def bring_up(network: FabricNetwork, far: FarSide) -> None:
    """Each organisation on its side of the line; the identities were made on this one."""
    near = [at(network, name) for name in ORGANISATIONS if name != CUT_OFF]

    def everywhere(step: str, here: Callable[[OrganisationHost], object]) -> None:
        with ThreadPoolExecutor(len(near) + 1) as pool:
            told = pool.submit(far.tell, step)
            list(pool.map(here, near))
            told.result()

    everywhere("start", OrganisationHost.start)
    everywhere("join", OrganisationHost.join)
    everywhere("approve", OrganisationHost.approve)
    near[0].commit()
    everywhere("wait_until_ready", OrganisationHost.wait_until_ready)


def story(network: FabricNetwork, far: FarSide) -> dict[str, Any]:
    """Cut the line under load, look at both sides, join it again."""
    with under_load(network, "long_beach", "switzerland") as load:
        load.goes_on()
        run("ip", "link", "set", "near", "down")
        behind = far.tell("height")
        load.goes_on(10)
        during = {"tasks": far.tell("tasks"), "submission": far.tell("submission"), "height": far.tell("height")}
        ahead = max(_height(network, name) for name in ORGANISATIONS if name != CUT_OFF)
        run("ip", "link", "set", "near", "up")
        load.goes_on()
    hashes = commit_hashes(network)
    return {
        "behind": behind,
        "during": during,
        "ahead": ahead,
        "hashes": sorted({value.hex() for value in hashes.values()}),
        "organisations": sorted(hashes),
        "lost": missing(network, load),
        "submission": far.tell("submission"),
    }


def near_side(folder: Path, first_port: int) -> None:
    hosts = {name: FAR if name == CUT_OFF else NEAR for name in ORGANISATIONS}
    config = FabricConfig(Consortium.of_names(*ORGANISATIONS), first_port=first_port, hosts=hosts)
    network = FabricNetwork(config, folder, find_programs(), attached=True)
    network.prepare()
    with two_namespaces(folder) as far:
        try:
            bring_up(network, far)
            told = story(network, far)
        finally:
            far.tell("stop")
            for name in ORGANISATIONS:
                if name != CUT_OFF:
                    at(network, name).stop()
    sys.stdout.write(f"{json.dumps(told)}\n")


def far_side(folder: Path) -> None:
    """Do what is told on stdin."""
    network = FabricNetwork.existing(folder, find_programs())
    network = FabricNetwork(network.config, folder, network.programs, attached=True)
    for line in sys.stdin:
        answer = _far_step(network, line.strip())
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _far_step(network: FabricNetwork, step: str) -> Any:
    if step == "line":
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{FAR}/30", "dev", "far")
        run("ip", "link", "set", "far", "up")
    elif step in ("start", "join", "approve", "wait_until_ready", "stop"):
        getattr(at(network, CUT_OFF), step)()
    elif step == "height":
        return _height(network, CUT_OFF)
    elif step == "tasks":
        with channel(network, f"{CUT_OFF}-auditor") as opened:
            return len(TaskLedger(opened, "fedledger").tasks())
    elif step == "submission":
        return _submission(network)
    return "done"


def _height(network: FabricNetwork, organisation: str) -> int:
    with channel(network, f"{organisation}-auditor") as opened:
        return height(opened)


def _submission(network: FabricNetwork) -> str:
    """The code with which a submission on the far side fails; empty when it does not."""
    with channel(network, f"{CUT_OFF}-governor") as opened:
        try:
            TaskLedger(opened, "fedledger").propose_task(task_spec(task=f"far-{time.time_ns()}"))
        except GatewayError as error:
            return error.code
    return ""


if __name__ == "__main__":
    place, second = sys.argv[1:]
    if second == _FAR_SIDE:
        far_side(Path(place))
    else:
        near_side(Path(place), int(second))
