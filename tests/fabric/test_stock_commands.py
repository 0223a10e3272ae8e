"""Which commands of Fabric's ``peer`` work on the embedded node, and which cannot: as its page's table says."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fedledger.gateway.blocks import header_hash, parse_block
from fedledger.identity.msp import Msp
from fedledger.identity.profile import load_profile
from fedledger_network.consortium import Consortium
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode
from fedledger_network.fabric import Programs
from fedledger_network.fabric.identities import write_msp
from tests.embedded.clients import CHANNEL, MSPS, NAMES, client
from tests.embedded.conftest import CONTRACT, importable_contract
from tests.fabric.conftest import free_ports
from tests.unit.validation.replays import config_of

__all__ = ["importable_contract"]

pytestmark = pytest.mark.fabric

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "embedded-node.md"
NO_SERVICE = "code = Unimplemented"
CANNOT = {
    "peer chaincode invoke": ("-n", "fedledger", "-C", CHANNEL, "-c", '{"Args":["Get","a"]}', "-o", "ADDRESS"),
    "peer chaincode query": ("-n", "fedledger", "-C", CHANNEL, "-c", '{"Args":["Get","a"]}'),
    "peer lifecycle chaincode querycommitted": ("-C", CHANNEL),
    "peer lifecycle chaincode queryinstalled": (),
    "peer channel list": (),
    "peer channel getinfo": ("-c", CHANNEL),
    "peer channel join": ("-b", "BLOCK"),
    "peer snapshot listpending": ("-c", CHANNEL, "--peerAddress", "ADDRESS"),
}
"""Commands that cannot work, with arguments with which they would at a peer of Fabric."""


@dataclass(frozen=True)
class Node:
    folder: NetworkFolder
    address: str
    block: Path
    """The genesis block."""
    run: Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def node(programs: Programs, importable_contract: None) -> Iterator[Node]:
    with tempfile.TemporaryDirectory(prefix="node-") as place:
        root = Path(place)
        address = f"127.0.0.1:{free_ports()}"
        folder = NetworkFolder.create(root / "network", replace(Consortium.of_names(*NAMES), listen=address))
        with EmbeddedNode(folder, contract=CONTRACT):
            with (
                client(folder, NAMES[0]) as member,
                member.network.block_events(start_block=0, end_block=0) as blocks,
            ):
                genesis = next(iter(blocks)).SerializeToString()
            (root / "genesis.block").write_bytes(genesis)
            write_msp(root / "msp", _msp(genesis), load_profile(folder.profiles, f"{NAMES[0]}-governor").credentials())
            environment = {
                **os.environ,
                "FABRIC_CFG_PATH": str(programs.home / "config"),
                "CORE_PEER_ADDRESS": address,
                "CORE_PEER_LOCALMSPID": MSPS[0],
                "CORE_PEER_MSPCONFIGPATH": str(root / "msp"),
                "CORE_PEER_TLS_ENABLED": "false",
            }

            def run(*words: str) -> subprocess.CompletedProcess[str]:
                return subprocess.run(
                    [programs.path("peer"), *words],
                    env=environment,
                    cwd=root,
                    capture_output=True,
                    text=True,
                    timeout=60,
                )

            yield Node(folder, address, root / "genesis.block", run)


def _msp(genesis: bytes) -> Msp:
    return config_of(genesis).msps[MSPS[0]]


@pytest.mark.parametrize("where", ["an orderer", "a peer"])
def test_a_block_is_fetched(node: Node, where: str) -> None:
    at = ["-o", node.address] if where == "an orderer" else []
    done = node.run("channel", "fetch", "0", "fetched.block", "-c", CHANNEL, *at)
    assert done.returncode == 0, done.stderr
    fetched, genesis = parse_block((node.block.parent / "fetched.block").read_bytes()), node.block.read_bytes()
    assert header_hash(fetched.header) == header_hash(parse_block(genesis).header)


@pytest.mark.parametrize("command", CANNOT)
def test_what_asks_a_peer_s_own_services_cannot_work(node: Node, command: str) -> None:
    words = {"ADDRESS": node.address, "BLOCK": str(node.block)}
    done = node.run(*command.split()[1:], *(words.get(each, each) for each in CANNOT[command]))
    assert done.returncode != 0
    assert NO_SERVICE in done.stderr, done.stderr


def test_the_page_names_them() -> None:
    text = PAGE.read_text()
    assert [command for command in (*CANNOT, "peer channel fetch") if f"`{command}`" not in text] == []
