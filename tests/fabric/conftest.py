"""A network of four organisations on Fabric for the tests of a module.

Without Fabric's programs the modules that need them are left out, and one test says so in their place.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedledger_network.consortium import Consortium
from fedledger_network.fabric import FabricConfig, FabricError, FabricNetwork, Programs, find_programs
from fedledger_network.fabric.processes import listening_ports

ORGANISATIONS = ("cleveland", "hungary", "long_beach", "switzerland")
_PORTS = range(20_000, 32_000)
_BLOCK = 100


def free_ports() -> int:
    """The first of a hundred ports on which nothing listens; drawn, so that two runs rarely meet."""
    while True:
        first = _PORTS.start + _BLOCK * secrets.randbelow(len(_PORTS) // _BLOCK)
        if not listening_ports() & set(range(first, first + _BLOCK)):
            return first


def _installed() -> Programs | FabricError:
    try:
        return find_programs()
    except FabricError as error:
        return error


_INSTALLED = _installed()
if isinstance(_INSTALLED, FabricError):
    collect_ignore = [
        path.name
        for path in Path(__file__).parent.glob("test_*.py")
        if "pytestmark = pytest.mark.fabric" in path.read_text()
    ]


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Fabric's programs on this machine."""
    if isinstance(_INSTALLED, FabricError):
        pytest.skip(f"NOTHING WAS TESTED ON HYPERLEDGER FABRIC. {_INSTALLED}")
    return _INSTALLED


@pytest.fixture(scope="module")
def network(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricNetwork]:
    """A network that is up as long as a module's tests run; a test that stops something starts it again."""
    config = FabricConfig(Consortium.of_names(*ORGANISATIONS), first_port=free_ports())
    running = FabricNetwork(config, tmp_path_factory.mktemp("fabric"), programs, attached=True)
    try:
        running.up()
        yield running
    finally:
        running.down()
