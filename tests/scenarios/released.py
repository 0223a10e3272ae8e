"""Run by a released version's own code: makes a network, plays round 1 of a task to its end, opens 2 and sends to it.

``python released.py embedded|fabric FOLDER FIRST_PORT``, with that version's sources first on the path.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fedledger_network.consortium import Consortium
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode
from fedledger_network.fabric import FabricConfig, FabricNetwork, find_programs
from tests.fabric.conftest import ORGANISATIONS
from tests.fabric.ledger import consortium
from tests.unit.contract.ledger import MSPS, task_spec

TERMS = {
    "privacy": {
        "mechanism": "none",
        "noise_multiplier": 0,
        "record_clip_norm": 0,
        "sampling_rate": 0,
        "steps_per_round": 0,
        "delta_pico": 0,
        "epsilon_budget": 0,
        "epsilon_schedule": [],
    }
}
"""Of the task, beside those of the unit tests."""


def play(profiles: Path) -> None:
    """A task of four; in round 2 two of them have sent an update, and one of these another one."""
    with consortium(profiles, task_spec(**TERMS)) as members:
        members.propose()
        for msp in MSPS:
            members.approve(msp)
        for msp in MSPS:
            members.register(msp)
            members.join(msp)
        members.through(1)
        members.open(2)
        for msp in MSPS[:2]:
            members.submit(msp, 2)
        members.submit(MSPS[1], 2, num_examples=101)


def main(engine: str, folder: Path, first_port: int) -> None:
    organisations = Consortium.of_names(*ORGANISATIONS)
    if engine == "embedded":
        network = NetworkFolder.create(folder, organisations)
        with EmbeddedNode(network):
            play(network.profiles)
    else:
        running = FabricNetwork(FabricConfig(organisations, first_port=first_port), folder, find_programs())
        running.up()
        play(running.layout.profiles)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
