"""A network of four organisations that serves the shelf, one for all tests of a file that do not stop it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedledger_network.consortium import Consortium
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode
from tests.embedded.clients import NAMES, Client, client

CONTRACT = "tests.embedded.shelf:Shelf"
_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def importable_contract() -> Iterator[None]:
    """Let the chaincode service, a process of its own, find the tests' contract from any folder."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(_ROOT), prepend=":")
        yield


@pytest.fixture(scope="session")
def new_folder(importable_contract: None) -> Iterator[Callable[[], NetworkFolder]]:
    """Make networks that have not run yet; pytest's own folders have names too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="node-") as place:
        numbers = iter(range(1_000))
        consortium = Consortium.of_names(*NAMES)
        yield lambda: NetworkFolder.create(Path(place) / str(next(numbers)), consortium)


@pytest.fixture
def folder(new_folder: Callable[[], NetworkFolder]) -> NetworkFolder:
    """A network of the test's own."""
    return new_folder()


@pytest.fixture(scope="module")
def running(new_folder: Callable[[], NetworkFolder]) -> Iterator[NetworkFolder]:
    """A network whose node runs in this process."""
    network = new_folder()
    with EmbeddedNode(network, contract=CONTRACT):
        yield network


@pytest.fixture(scope="module")
def participant(running: NetworkFolder) -> Iterator[Client]:
    """A participant of the first organisation."""
    with client(running, NAMES[0]) as found:
        yield found
