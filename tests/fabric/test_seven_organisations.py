"""Seven organisations tolerate two: with all programs of two of them gone, the other five decide."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedledger.ledger import TaskLedger
from fedledger_network.consortium import Consortium
from fedledger_network.fabric import FabricConfig, FabricNetwork, Programs
from tests.fabric.conftest import free_ports
from tests.fabric.ledger import channel, commit_hashes
from tests.unit.contract.ledger import task_spec

pytestmark = pytest.mark.fabric

NAMES = ("amsterdam", "bergen", "coimbra", "dresden", "espoo", "florence", "graz")


def test_two_of_seven_organisations_may_be_gone(programs: Programs, tmp_path: Path) -> None:
    config = FabricConfig(Consortium.of_names(*NAMES), first_port=free_ports())
    network = FabricNetwork(config, tmp_path / "network", programs, attached=True)
    members = sorted(organisation.msp_id for organisation in config.consortium.organisations)
    aggregation = {"validators": members, "tolerated_faults": 2, "minimum_accepted": 4}
    gone = [f"{kind}.{name}" for name in NAMES[1:3] for kind in ("orderer", "peer", "chaincode")]
    try:
        network.up()
        network.kill(*gone)
        with channel(network, "graz-governor") as opened:
            ledger = TaskLedger(opened, "fedledger")
            for number in range(3):
                ledger.propose_task(task_spec(task=f"task-{number}", organisations=members, aggregation=aggregation))
        network.start(*gone)
        network.wait_until_ready()
        assert len(set(commit_hashes(network).values())) == 1
    finally:
        network.down()
