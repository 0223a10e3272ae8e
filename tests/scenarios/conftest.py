"""A ledger of four organisations on each engine, as long as a module's tests run; ``CONTRACT`` of the module is served.

Without Fabric's programs the scenarios run on the embedded node alone, and say so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

import pytest

from fedledger_network.consortium import BlockCutting, Consortium
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.fabric import FabricConfig, FabricNetwork, Programs
from fedledger_network.fabric.config import Ordering
from tests.embedded.clients import NAMES, Client
from tests.embedded.conftest import importable_contract
from tests.fabric.conftest import free_ports, programs
from tests.scenarios.engines import EmbeddedEngine, Engine, FabricEngine, ServingInventory

__all__ = ["importable_contract", "programs"]

OWN_CONTRACT = "fedledger_chaincode.contract:Contract"
MOST_BYTES = 1_000_000
"""Of a transaction: little, so that scenarios about it take no time."""
CONSORTIUM = replace(Consortium.of_names(*NAMES), blocks=BlockCutting(most_bytes=MOST_BYTES))


@pytest.fixture(
    scope="module", params=["embedded", pytest.param("fabric", marks=pytest.mark.fabric)], ids=["embedded", "fabric"]
)
def engine(
    request: pytest.FixtureRequest, importable_contract: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """A running ledger."""
    contract = getattr(request.module, "CONTRACT", OWN_CONTRACT)
    if request.param == "embedded":
        with _embedded(contract) as started:
            yield started
    else:
        installed: Programs = request.getfixturevalue("programs")
        with _fabric(contract, tmp_path_factory.mktemp("fabric"), installed) as network:
            yield network


@contextmanager
def _embedded(contract: str) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="node-") as place:
        folder = NetworkFolder.create(Path(place) / "network", CONSORTIUM)
        started = EmbeddedEngine(folder, contract, running.launch(folder, attached=True, contract=contract))
        try:
            yield started
        finally:
            started.process.stop()


@contextmanager
def _fabric(contract: str, folder: Path, programs: Programs) -> Iterator[Engine]:
    config = FabricConfig(CONSORTIUM, first_port=free_ports(), ordering=Ordering(batch_milliseconds=20))
    network = FabricNetwork(config, folder, programs, attached=True)
    plain = network.inventory
    network.inventory = ServingInventory(
        **{field.name: getattr(plain, field.name) for field in fields(plain)}, contract=contract
    )
    started = FabricEngine(network)
    try:
        network.up()
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def participant(engine: Engine) -> Iterator[Client]:
    """A participant of the first organisation."""
    with engine.member(NAMES[0]) as found:
        yield found


@pytest.fixture(scope="module")
def others(engine: Engine) -> Iterator[list[Client]]:
    """A participant of each of the other organisations."""
    with engine.member(NAMES[1]) as second, engine.member(NAMES[2]) as third, engine.member(NAMES[3]) as fourth:
        yield [second, third, fourth]
