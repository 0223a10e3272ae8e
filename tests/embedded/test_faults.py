"""Faults that a node meets on its machine: each is named, nothing is half applied, and it goes on when it can."""

from __future__ import annotations

import resource
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from fedledger.errors import BadInputError, FedledgerError
from fedledger.gateway import CommitStatusError, SubmitError
from fedledger_network.consortium import BlockCutting, Consortium
from fedledger_network.embedded import running as nodes
from fedledger_network.embedded.errors import NodeError
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode
from tests.embedded.clients import NAMES, Client, client
from tests.embedded.conftest import CONTRACT
from tests.embedded.processes import launched, processes_naming
from tests.embedded.replay import FILE, assert_tables_match, replayed


@pytest.fixture(scope="module")
def stopped(new_folder: Callable[[], NetworkFolder]) -> NetworkFolder:
    """A network that has run and has a transaction; its ledger is copied before it is harmed."""
    network = new_folder()
    with EmbeddedNode(network, contract=CONTRACT), client(network, NAMES[0]) as member:
        member.submit("Put", "a=1")
    return network


@pytest.fixture
def harmed(stopped: NetworkFolder, new_folder: Callable[[], NetworkFolder]) -> NetworkFolder:
    """A copy of that network, for a test to harm."""
    network = new_folder()
    shutil.rmtree(network.path)
    shutil.copytree(stopped.path, network.path, ignore=shutil.ignore_patterns("*.sock"))
    return network


def refusal(folder: NetworkFolder, contract: str = CONTRACT) -> NodeError:
    """Why the node of a folder does not start."""
    with pytest.raises(NodeError) as refused, EmbeddedNode(folder, contract=contract):
        pass
    assert refused.value.remedy
    return refused.value


def test_a_ledger_of_a_newer_version_is_left_alone(harmed: NetworkFolder) -> None:
    with sqlite3.connect(harmed.ledger / FILE) as connection:
        connection.execute("PRAGMA user_version = 2")
    before = (harmed.ledger / FILE).read_bytes()
    assert refusal(harmed).code == "NEWER_LEDGER"
    assert (harmed.ledger / FILE).read_bytes() == before
    with pytest.raises(FedledgerError) as told:
        nodes.launch(harmed, attached=True)
    assert told.value.code == "NEWER_LEDGER"
    assert told.value.exit_code == 1


def test_a_file_that_is_no_ledger_is_left_alone(harmed: NetworkFolder) -> None:
    (harmed.ledger / FILE).write_bytes(b"something else entirely" * 100)
    assert refusal(harmed).code == "NOT_A_LEDGER"
    (harmed.ledger / FILE).unlink()
    with sqlite3.connect(harmed.ledger / FILE) as connection:
        connection.execute("CREATE TABLE patients (name TEXT)")
    assert refusal(harmed).code == "NOT_A_LEDGER"


def test_a_ledger_that_lacks_a_block_is_refused(harmed: NetworkFolder) -> None:
    with sqlite3.connect(harmed.ledger / FILE) as connection:
        connection.execute("DELETE FROM block WHERE number = 0")
    assert refusal(harmed).code == "LEDGER_DAMAGED"


def test_peers_that_the_ledgers_channel_does_not_know_are_refused(harmed: NetworkFolder) -> None:
    shutil.rmtree(harmed.path / "organisations" / NAMES[1])
    refused = refusal(harmed)
    assert refused.code == "OTHER_IDENTITIES"
    assert NAMES[1] in refused.message


def test_one_folder_has_one_node(stopped: NetworkFolder) -> None:
    with launched(stopped) as node:
        assert refusal(stopped).code == "LEDGER_IN_USE"
        with pytest.raises(FedledgerError) as told:
            nodes.launch(stopped, attached=True)
        assert told.value.code == "LEDGER_IN_USE"
        status = nodes.status(stopped)
        assert status is not None
        assert status.pid == node.pid
        assert nodes.stop(stopped)
    assert not nodes.stop(stopped)


def test_an_address_that_somebody_listens_on_is_not_taken_away(harmed: NetworkFolder) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(harmed.gateway_socket))
        other.listen()
        assert refusal(harmed).code == "ADDRESS_IN_USE"
        assert harmed.gateway_socket.is_socket()
    harmed.gateway_socket.unlink()
    harmed.gateway_socket.write_text("notes")
    assert refusal(harmed).code == "ADDRESS_IN_USE"
    assert harmed.gateway_socket.read_text() == "notes"


def test_a_contract_that_cannot_be_loaded_is_named(harmed: NetworkFolder) -> None:
    refused = refusal(harmed, contract="tests.embedded.nowhere:Contract")
    assert refused.code == "CHAINCODE_UNAVAILABLE"
    assert "tests.embedded.nowhere" in refused.message
    assert processes_naming(harmed) == set()


def test_a_full_disk_stops_the_ledger_and_nothing_else(harmed: NetworkFolder) -> None:
    with launched(harmed) as node, client(harmed, NAMES[0]) as member:
        member.submit("Put", "before=1")
        allowed = (harmed.ledger / f"{FILE}-wal").stat().st_size + 30_000
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (allowed, resource.RLIM_INFINITY))
        with pytest.raises(CommitStatusError) as failed:
            member.submit("Fill", "lost-", "2000")
        assert failed.value.status is grpc.StatusCode.UNAVAILABLE
        assert "LEDGER_FULL" in str(failed.value)
        with pytest.raises(SubmitError, match="LEDGER_FULL"):
            member.submit("Put", "later=1")
        assert member.evaluate("Get", "a", "before", "lost-000000", "later") == ["1", "1", None, None]
        with member.network.block_events(start_block=0, end_block=0) as blocks:
            assert next(iter(blocks)).header.number == 0
        assert "LEDGER_FULL" in harmed.node_log.read_text()
    replay = replayed(harmed.ledger)
    assert_tables_match(harmed.ledger, replay)
    assert set(replay.state) == {"a", "before"}
    with launched(harmed), client(harmed, NAMES[1]) as member:
        assert member.submit("Fill", "found-", "2000") == 2000
        assert member.evaluate("Get", "before", "lost-000000", "found-001999") == ["1", None, "x"]


def test_a_disk_that_is_full_from_the_start_is_named(folder: NetworkFolder, importable_contract: None) -> None:
    folder.ledger.mkdir()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))
    try:
        with pytest.raises(NodeError) as refused:
            EmbeddedNode(folder, contract=CONTRACT).__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert refused.value.code == "LEDGER_FULL"


def test_a_transaction_that_is_too_large_is_refused_and_the_next_is_not(
    new_folder: Callable[[], NetworkFolder],
) -> None:
    path = new_folder().path
    small = Consortium(Consortium.of_names(*NAMES).organisations, blocks=BlockCutting(most_bytes=200_000))
    shutil.rmtree(path)
    network = NetworkFolder.create(path, small)
    with EmbeddedNode(network, contract=CONTRACT), client(network, NAMES[0]) as member:
        with pytest.raises(SubmitError, match="exceeds maximum allowed 200000 bytes"):
            member.submit("Put", f"large={'x' * 200_000}")
        prepared = [member.endorsed("Put", f"half-{n}={'x' * 50_000}") for n in range(4)]
        for each in prepared:
            member.hand_over(each)
        assert all(member.status(each.transaction_id).successful for each in prepared)
        assert _largest_block(member) <= 200_000


def _largest_block(reader: Client) -> int:
    height = reader.status(reader.contract.submit_async("Put", "end=1").transaction_id).block_number
    with reader.network.block_events(start_block=1, end_block=height) as blocks:
        return max(sum(len(data) for data in block.data.data) for block in blocks)


@pytest.mark.parametrize(
    "line",
    [
        "version: 2",
        "blocks: {most_transactions: 0}",
        "blocks: {milliseconds: soon}",
        "blocks: {most_bytes: 200000000}",
        "chaincode: qscc",
        "channel: Upper_Case",
        "organisations: [{name: a, msp_id: AMSP}]",
        "colour: blue",
    ],
)
def test_a_consortium_that_cannot_be_is_refused(tmp_path: Path, line: str) -> None:
    key = line.partition(":")[0]
    lines = [
        each
        for each in Consortium.of_names(*NAMES).to_yaml().splitlines()
        if not (each.startswith(f"{key}:") or (key in ("organisations", "blocks") and each.startswith((" ", "-"))))
    ]
    path = tmp_path / "consortium.yaml"
    path.write_text("\n".join([*lines, line]) + "\n")
    with pytest.raises(BadInputError) as refused:
        Consortium.load(path)
    assert refused.value.code == "CONSORTIUM"
