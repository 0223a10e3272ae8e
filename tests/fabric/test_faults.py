"""Programs are killed while two organisations submit: what was committed stays, the others go on, all agree again."""

from __future__ import annotations

import secrets
import signal
import threading

import pytest

from fedledger.gateway import EventsError, InMemoryCheckpointer
from fedledger.ledger import TaskLedger
from fedledger_network.fabric import FabricNetwork
from tests.fabric.ledger import channel, commit_hashes
from tests.fabric.load import Load, missing, under_load
from tests.unit.contract.ledger import task_spec

pytestmark = pytest.mark.fabric

VICTIM = "hungary"
FIRST_LEADER = "cleveland"
"""The orderer of the first consenter leads the first view."""


def nothing_is_lost(network: FabricNetwork, load: Load) -> None:
    assert len(set(commit_hashes(network).values())) == 1
    assert missing(network, load) == []


@pytest.mark.parametrize(
    "kinds",
    [("orderer",), ("peer",), ("chaincode",), ("orderer", "peer", "chaincode")],
    ids=lambda kinds: " and ".join(kinds),
)
def test_one_organisations_programs_are_killed_and_come_back(network: FabricNetwork, kinds: tuple[str, ...]) -> None:
    victims = [f"{kind}.{VICTIM}" for kind in kinds]
    with under_load(network, "long_beach", "switzerland") as load:
        load.goes_on()
        network.kill(*victims)
        load.goes_on(10)
        network.start(*victims)
        load.goes_on()
    nothing_is_lost(network, load)
    network.wait_until_ready()


def test_the_orderer_that_leads_is_killed_and_another_takes_over(network: FabricNetwork) -> None:
    leader = f"orderer.{FIRST_LEADER}"
    with under_load(network, "long_beach", "switzerland") as load:
        load.goes_on()
        network.kill(leader)
        load.goes_on(10)
        network.start(leader)
        load.goes_on()
    nothing_is_lost(network, load)


def test_an_organisation_that_freezes_and_thaws_catches_up(network: FabricNetwork) -> None:
    """To the others a process that answers nothing looks like a host behind a cut line."""
    frozen = [network.inventory.named(f"{kind}.{VICTIM}") for kind in ("orderer", "peer", "chaincode")]
    with under_load(network, "long_beach", "switzerland") as load:
        load.goes_on()
        for program in frozen:
            program.send(signal.SIGSTOP)
        try:
            load.goes_on(10)
        finally:
            for program in frozen:
                program.send(signal.SIGCONT)
        load.goes_on()
    nothing_is_lost(network, load)


def test_all_chaincode_services_are_killed_at_once(network: FabricNetwork) -> None:
    services = [f"chaincode.{organisation.name}" for organisation in network.config.consortium.organisations]
    with under_load(network, "long_beach", "switzerland") as load:
        load.goes_on()
        network.kill(*services)
        network.start(*services)
        load.goes_on()
    nothing_is_lost(network, load)


def test_everything_is_killed_at_once(network: FabricNetwork) -> None:
    with under_load(network, "long_beach", "switzerland") as load:
        load.goes_on()
    network.kill(*(program.name for program in network.status()))
    network.up()
    nothing_is_lost(network, load)
    with under_load(network, "cleveland", VICTIM) as further:
        further.goes_on()
    nothing_is_lost(network, further)


def test_a_reader_of_events_goes_on_from_its_checkpoint_when_its_peer_comes_back(network: FabricNetwork) -> None:
    peer = f"peer.{VICTIM}"
    tasks = [f"events-{secrets.token_hex(4)}" for _ in range(4)]
    checkpoint = InMemoryCheckpointer()
    with channel(network, "long_beach-governor") as proposing, channel(network, f"{VICTIM}-auditor") as reading:
        ledger = TaskLedger(proposing, "fedledger")
        read: list[str] = []
        done = threading.Event()

        def read_all() -> None:
            while len(read) < len(tasks):
                try:
                    with reading.chaincode_events("fedledger", start_block=1, checkpoint=checkpoint) as events:
                        for event in events:
                            checkpoint.checkpoint_chaincode_event(event)
                            read.extend(task for task in tasks if task.encode() in event.payload)
                            if len(read) == len(tasks):
                                break
                except EventsError:
                    done.wait(0.2)
            done.set()

        reader = threading.Thread(target=read_all, daemon=True)
        reader.start()
        ledger.propose_task(task_spec(task=tasks[0]))
        network.kill(peer)
        for task in tasks[1:3]:
            ledger.propose_task(task_spec(task=task))
        network.start(peer)
        ledger.propose_task(task_spec(task=tasks[3]))
        assert done.wait(60)
    assert read == tasks
