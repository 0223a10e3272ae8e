"""Programs are killed while two organisations submit: what was committed stays, the others go on, all agree again."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fedledger.gateway import Network
from fedledger.ledger import LedgerEvent, TaskLedger
from fedledger_network.fabric import FabricNetwork
from tests.fabric.ledger import channel, commit_hashes, height
from tests.fabric.load import Load, missing, under_load

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


def test_a_reader_of_events_goes_on_when_its_peer_comes_back(network: FabricNetwork) -> None:
    with channel(network, f"{VICTIM}-auditor") as reading, following(reading) as read:
        with under_load(network, "long_beach", "switzerland") as load:
            load.goes_on()
            network.kill(f"peer.{VICTIM}")
            load.goes_on()
            network.start(f"peer.{VICTIM}")
            load.goes_on()
        tells_all(read, load)
    network.wait_until_ready()


@pytest.mark.parametrize("kind", ["peer", "chaincode"])
def test_members_whose_organisation_lost_a_program_go_on_through_others(network: FabricNetwork, kind: str) -> None:
    with channel(network, f"{VICTIM}-auditor", anywhere=True) as reading, following(reading) as read:
        with under_load(network, VICTIM, anywhere=True) as load:
            load.goes_on()
            network.kill(f"{kind}.{VICTIM}")
            load.goes_on()
            assert {task.task for task in TaskLedger(reading, "fedledger").tasks()} >= set(load.committed[:-1])
            network.start(f"{kind}.{VICTIM}")
            load.goes_on()
        tells_all(read, load)
    assert not load.failures
    nothing_is_lost(network, load)
    network.wait_until_ready()


@contextmanager
def following(network: Network) -> Iterator[list[str]]:
    """The names of the tasks that the contract's events tell, in their order, while the context lasts."""
    read: list[str] = []
    with network.chaincode_events("fedledger", start_block=height(network), reconnect=True) as events:

        def follow() -> None:
            for event in events:
                read.append(LedgerEvent.decode(event).task)

        reader = threading.Thread(target=follow, daemon=True)
        reader.start()
        yield read
    reader.join(30)
    assert not reader.is_alive()


def tells_all(read: list[str], load: Load, seconds: float = 60.0) -> None:
    """Each committed task once and no other."""
    deadline = time.monotonic() + seconds
    while len(read) < len(load.committed):
        assert time.monotonic() < deadline, f"of {len(load.committed)} events {len(read)} came"
        time.sleep(0.05)
    assert sorted(read) == sorted(load.committed)
