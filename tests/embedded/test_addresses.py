"""Where a node listens: on a socket in its folder, or on the one port of this machine that its consortium names."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fedledger.errors import BadInputError
from fedledger.identity.profile import load_profile
from fedledger_network.consortium import Consortium
from fedledger_network.embedded.errors import NodeError
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode
from tests.embedded.clients import NAMES, client
from tests.embedded.conftest import CONTRACT


@pytest.fixture
def port() -> int:
    """A free one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def on_port(new_folder: Callable[[], NetworkFolder], port: int) -> NetworkFolder:
    """A network whose consortium names that port."""
    path = new_folder().path
    shutil.rmtree(path)
    return NetworkFolder.create(path, replace(Consortium.of_names(*NAMES), listen=f"127.0.0.1:{port}"))


def test_a_node_serves_on_the_port_of_its_consortium(on_port: NetworkFolder, port: int) -> None:
    with EmbeddedNode(on_port, contract=CONTRACT) as node, client(on_port, NAMES[0]) as member:
        assert node.address == f"127.0.0.1:{port}"
        assert load_profile(on_port.profiles, f"{NAMES[1]}-auditor").gateway == f"127.0.0.1:{port}"
        assert member.submit("Put", "a=1") == 1
        assert not on_port.gateway_socket.exists()
        with socket.socket() as other, pytest.raises(ConnectionRefusedError):
            other.connect(("127.0.0.2", port))
    with socket.socket() as other, pytest.raises(ConnectionRefusedError):
        other.connect(("127.0.0.1", port))


def test_a_port_in_use_is_named_and_the_ledger_is_there_for_the_next_start(on_port: NetworkFolder, port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(NodeError) as refused, EmbeddedNode(on_port, contract=CONTRACT):
            pass
    assert refused.value.code == "ADDRESS_IN_USE"
    assert f"127.0.0.1:{port}" in refused.value.message
    with EmbeddedNode(on_port, contract=CONTRACT), client(on_port, NAMES[0]) as member:
        assert member.submit("Put", "a=1") == 1


def test_a_long_path_has_its_sockets_elsewhere(importable_contract: None, tmp_path: Path) -> None:
    folder = NetworkFolder.create(tmp_path / ("deep" * 20) / "network", Consortium.of_names(*NAMES))
    with EmbeddedNode(folder, contract=CONTRACT), client(folder, NAMES[0]) as member:
        assert member.submit("Put", "a=1") == 1
        assert folder.gateway_socket.parent != folder.path
        assert folder.gateway_socket.parent.stat().st_mode & 0o777 == 0o700


def test_a_consortiums_file_says_what_it_was_made_of(tmp_path: Path) -> None:
    for listen in (None, "127.0.0.1:7051", "localhost:7051"):
        consortium = replace(Consortium.of_names(*NAMES, "st_gallen"), listen=listen)
        (tmp_path / "consortium.yaml").write_text(consortium.to_yaml())
        assert Consortium.load(tmp_path / "consortium.yaml") == consortium
        assert (consortium.tolerated_faults, consortium.quorum) == (1, 4)


@pytest.mark.parametrize("listen", ["0.0.0.0:7051", "192.0.2.1:7051", "7051", "127.0.0.1:0", "127.0.0.1:65536", 7051])
def test_an_address_that_others_could_reach_is_refused(listen: str) -> None:
    with pytest.raises(BadInputError, match="CONSORTIUM"):
        replace(Consortium.of_names(*NAMES), listen=listen)
