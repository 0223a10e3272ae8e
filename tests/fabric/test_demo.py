"""The demo on Fabric: four hospitals train, one of them loses all of its programs meanwhile, and the audit passes.

The demo itself looks on at the first hospital's peer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from fedledger.cli.demo.options import DemoFolder, DemoOptions
from fedledger.gateway import GatewayError
from fedledger.ledger import LedgerRefusal, TaskLedger
from fedledger_network.consortium import Consortium
from fedledger_network.fabric import FabricConfig, FabricNetwork, Programs
from tests.fabric.conftest import free_ports
from tests.fabric.ledger import channel

pytestmark = pytest.mark.fabric

SITES = ("cleveland", "hungary", "long_beach_va", "switzerland")
TASK = "heart-disease"
SECONDS = 400.0


def wait_for_round(network: FabricNetwork, number: int, demo: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert demo.poll() is None, demo.communicate()
        if network.layout.profiles.exists():
            with ExitStack() as stack:
                opened = stack.enter_context(channel(network, "cleveland-auditor"))
                try:
                    head = TaskLedger(opened, "fedledger").task(TASK).head
                except (GatewayError, LedgerRefusal):
                    head = None
            if head is not None and head.round >= number:
                return
        time.sleep(0.3)
    raise AssertionError(f"round {number} did not begin")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("victim", ["hungary", "cleveland"])
def test_training_goes_on_when_an_organisation_loses_its_programs_and_starts_them_again(
    programs: Programs, tmp_path: Path, victim: str
) -> None:
    config = FabricConfig(Consortium.of_names(*SITES), first_port=free_ports())
    options = DemoOptions(rounds=3, algorithm=None, model=None, epsilon=None, no_dp=False, seed=None)
    folder = DemoFolder.chosen(tmp_path / "demo", options).path
    network = FabricNetwork(config, folder / "network", programs, attached=True)
    network.layout.root.mkdir()
    network.save()
    arguments = ["demo", "--engine", "fabric", "--rounds", "3", "--dir", str(folder), "--format", "json"]
    demo = subprocess.Popen(
        [sys.executable, "-m", "fedledger", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    victims = [f"{kind}.{victim}" for kind in ("orderer", "peer", "chaincode")]
    try:
        wait_for_round(network, 2, demo)
        network.kill(*victims)
        network.start(*victims)
        out, told = demo.communicate(timeout=SECONDS)
    finally:
        demo.kill()
        demo.wait()
        network.down()
    assert demo.returncode == 0, told
    result = json.loads(out)
    assert len(result["rounds"]) == 3
    assert result["audit"]["ok"]
