"""The node killed at any moment, its starter killed, its contract's process killed: nothing is lost or left over."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path

import pytest

from fedledger.gateway import EndorseError
from fedledger.gateway.errors import GatewayError
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode
from tests.embedded.clients import NAMES, Client, client
from tests.embedded.conftest import CONTRACT
from tests.embedded.processes import launched, processes_naming, starter, within_patience
from tests.embedded.replay import assert_tables_match, replayed

_KILLS = 3
_WRITERS = 4


def _write(writer: Client, name: str, reported: list[tuple[str, str]], enough: threading.Event) -> None:
    """Submit until the node has gone; note what was reported committed."""
    for number in range(100_000):
        key = f"{name}-{number}"
        try:
            submitted = writer.contract.submit_async("Put", f"{key}=1")
            submitted.status().raise_if_invalid()
        except GatewayError:
            return
        reported.append((submitted.transaction_id, key))
        if len(reported) > 5:
            enough.set()


def test_a_node_killed_under_load_keeps_every_commit_that_it_reported_and_nothing_half(folder: NetworkFolder) -> None:
    reported: list[tuple[str, str]] = []
    moments = random.Random(20)
    for kill in range(_KILLS):
        with launched(folder) as node, client(folder, NAMES[0]) as first, client(folder, NAMES[1]) as second:
            this_time: list[tuple[str, str]] = []
            enough = threading.Event()
            writers = [
                threading.Thread(
                    target=_write, args=((first, second)[number % 2], f"{kill}-{number}", this_time, enough)
                )
                for number in range(_WRITERS)
            ]
            for writer in writers:
                writer.start()
            assert enough.wait(20)
            threading.Event().wait(moments.uniform(0, 0.3))
            os.kill(node.pid, signal.SIGKILL)
            for writer in writers:
                writer.join()
            reported += this_time
        replay = replayed(folder.ledger)
        assert_tables_match(folder.ledger, replay)
        for transaction, key in reported:
            assert replay.codes[transaction] == 0
            assert replay.state[key].value == b"1"
    with launched(folder), client(folder, NAMES[2]) as reader:
        assert reader.evaluate("Get", *(key for _, key in reported)) == ["1"] * len(reported)


def test_a_killed_node_leaves_no_process_and_its_folder_starts_again(folder: NetworkFolder) -> None:
    with launched(folder) as node:
        assert len(processes_naming(folder)) == 2
        os.kill(node.pid, signal.SIGKILL)
        assert within_patience(lambda: not processes_naming(folder))
    with launched(folder) as again, client(folder, NAMES[0]) as member:
        assert again.pid != node.pid
        assert member.submit("Put", "again=1") == 1


def test_an_attached_node_ends_with_a_starter_that_is_killed(folder: NetworkFolder) -> None:
    process = starter(folder, attached=True)
    process.kill()
    process.wait()
    assert within_patience(lambda: not processes_naming(folder))


def test_a_node_that_is_not_attached_outlives_its_starter(folder: NetworkFolder) -> None:
    process = starter(folder, attached=False)
    process.kill()
    process.wait()
    with client(folder, NAMES[0]) as member:
        assert member.submit("Put", "outlived=1") == 1
    assert running.stop(folder)
    assert running.status(folder) is None
    assert within_patience(lambda: not processes_naming(folder))


def test_a_child_started_by_a_thread_outlives_that_thread(folder: NetworkFolder) -> None:
    started: list[EmbeddedNode] = []
    node = EmbeddedNode(folder, contract=CONTRACT)
    thread = threading.Thread(target=lambda: started.append(node.__enter__()))
    thread.start()
    thread.join()
    try:
        pid = node.chaincode_pid
        with client(folder, NAMES[0]) as member:
            assert member.submit("Put", "threaded=1") == 1
        assert node.chaincode_pid == pid
    finally:
        node.stop()


def test_a_chaincode_service_that_is_killed_is_started_again(folder: NetworkFolder) -> None:
    with EmbeddedNode(folder, contract=CONTRACT) as node, client(folder, NAMES[0]) as member:
        member.submit("Put", "before=1")
        slow: list[EndorseError] = []

        def dawdle() -> None:
            with pytest.raises(EndorseError) as failed:
                member.submit("Dawdle", "20")
            slow.append(failed.value)

        under_way = threading.Thread(target=dawdle)
        under_way.start()
        threading.Event().wait(0.3)
        killed = node.chaincode_pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        under_way.join()
        assert "chaincode service" in str(slow[0])

        def works() -> bool:
            try:
                return bool(member.submit("Put", "after=1") == 1)
            except EndorseError as error:
                assert "chaincode service" in str(error)
                return False

        assert within_patience(works)
        assert node.chaincode_pid != killed
        assert member.evaluate("Get", "before", "after") == ["1", "1"]


def test_a_node_listens_on_its_two_sockets_and_nothing_else(folder: NetworkFolder) -> None:
    with launched(folder) as node, client(folder, NAMES[0]) as member:
        member.submit("Put", "listening=1")
        pids = processes_naming(folder)
        assert node.pid in pids
        inodes = {_inode(link) for pid in pids for link in _descriptors(pid)}
        for table in ("tcp", "tcp6", "udp", "udp6"):
            lines = Path(f"/proc/{node.pid}/net/{table}").read_text().splitlines()[1:]
            assert not [line for line in lines if line.split()[9] in inodes], table
        listening = set()
        for line in Path(f"/proc/{node.pid}/net/unix").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[6] in inodes and int(fields[3], 16) & _ACCEPTS_CONNECTIONS:
                listening.add(fields[7])
        assert listening == {str(folder.gateway_socket), str(folder.chaincode_socket)}
        assert folder.gateway_socket.stat().st_mode & 0o777 == 0o600


_ACCEPTS_CONNECTIONS = 1 << 16
"""``__SO_ACCEPTCON`` of Linux, as /proc/net/unix shows it."""


def _descriptors(pid: int) -> list[str]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return found


def _inode(link: str) -> str:
    return link[len("socket:[") : -1] if link.startswith("socket:[") else ""
