"""Finding Fabric's programs, and programs as processes: what is missing, taken or dead is named. Needs no Fabric."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import pytest

from fedledger.errors import BadInputError
from fedledger_network.fabric import FabricConfig, FabricError, FabricTimeout, find_programs
from fedledger_network.fabric.processes import Program, listening_ports, stop_all
from fedledger_network.fabric.programs import NEEDED

LISTENER = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(600)
"""

ENDING_SLOWLY = """
import ctypes, socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
threading.Thread(target=time.sleep, args=(1,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""
"""Its first thread ends, so that it counts as a zombie, a second before its socket is closed."""


def installation(home: Path, versions: dict[str, str]) -> Path:
    """A folder laid out like Fabric's release archive whose programs only tell a version."""
    for folder in (home / "bin", home / "builders" / "ccaas" / "bin"):
        folder.mkdir(parents=True)
    for name in (*(f"bin/{program}" for program in NEEDED), *(f"builders/ccaas/bin/{s}" for s in STEPS)):
        program = home / name
        program.write_text(f"#!/bin/sh\necho ' Version: {versions.get(program.name, '3.1.5')}'\n")
        program.chmod(0o755)
    return home


STEPS = ("detect", "build", "release")


def program(folder: Path, code: str, *arguments: str, ports: tuple[int, ...] = ()) -> Program:
    command = (sys.executable, "-c", code, *arguments)
    return Program("peer.cleveland", command, folder, ports, folder / "logs" / "peer.log", folder / "pids" / "peer")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_programs_are_found_where_fabric_home_says(tmp_path: Path) -> None:
    home = installation(tmp_path / "fabric", {})
    found = find_programs({"FABRIC_HOME": str(home)})
    assert (found.home, found.version) == (home, "3.1.5")


def test_programs_are_found_on_path_with_their_builder_beside_them(tmp_path: Path) -> None:
    home = installation(tmp_path / "fabric", {})
    assert find_programs({"PATH": str(home / "bin")}, tmp_path / "nowhere").home == home


def test_what_is_missing_is_named_with_where_hyperledger_publishes_it(tmp_path: Path) -> None:
    home = installation(tmp_path / "fabric", {})
    (home / "bin" / "osnadmin").unlink()
    with pytest.raises(FabricError) as refused:
        find_programs({"FABRIC_HOME": str(home)})
    assert refused.value.code == "FABRIC_MISSING"
    assert "bin/osnadmin" in refused.value.message
    assert "https://github.com/hyperledger/fabric/releases" in refused.value.remedy


@pytest.mark.parametrize("versions", [{"orderer": "3.1.4"}, dict.fromkeys(NEEDED, "2.5.9"), {"peer": "unknown"}])
def test_programs_of_other_versions_are_refused(tmp_path: Path, versions: dict[str, str]) -> None:
    home = installation(tmp_path / "fabric", versions)
    with pytest.raises(FabricError) as refused:
        find_programs({"FABRIC_HOME": str(home)})
    assert refused.value.code == "FABRIC_VERSION"


def test_a_program_listens_then_is_stopped_by_its_pid(tmp_path: Path) -> None:
    port = free_port()
    listener = program(tmp_path, LISTENER, str(port), ports=(port,))
    assert listener.start()
    listener.wait_listening()
    assert not listener.start()
    assert port in listening_ports()
    assert listener.memory()
    stop_all([listener])
    assert listener.pid() is None
    assert port not in listening_ports()


def test_a_program_that_has_just_died_is_stopped_only_when_its_ports_are_free(tmp_path: Path) -> None:
    port = free_port()
    dying = program(tmp_path, ENDING_SLOWLY, str(port), ports=(port,))
    dying.start()
    while dying.pid() is not None:
        time.sleep(0.01)
    assert port in listening_ports()
    stop_all([dying])
    assert port not in listening_ports()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(FabricError, match=rf"PORT_TAKEN: peer\.cleveland .* {port}\."):
            program(tmp_path, "", ports=(port,)).start()


def test_a_program_that_dies_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    dying = program(tmp_path, "raise SystemExit('the ledger is damaged')", ports=(free_port(),))
    dying.start()
    with pytest.raises(FabricError) as died:
        dying.wait_listening()
    assert died.value.code == "PROGRAM_DIED"
    assert "peer.cleveland" in died.value.message
    assert "the ledger is damaged" in died.value.message


def test_a_go_programs_panic_is_shown_without_its_stack(tmp_path: Path) -> None:
    code = "print('panic: no disk'); print('\\n'.join(['goroutine 1'] + ['at somewhere'] * 40)); raise SystemExit(2)"
    dying = program(tmp_path, code, ports=(free_port(),))
    dying.start()
    with pytest.raises(FabricError, match="panic: no disk"):
        dying.wait_listening()


def test_a_program_that_never_listens_is_given_up(tmp_path: Path) -> None:
    silent = program(tmp_path, "import time; time.sleep(600)", ports=(free_port(),))
    silent.start()
    try:
        with pytest.raises(FabricTimeout, match="PROGRAM_SILENT"):
            silent.wait_listening(seconds=0.2)
    finally:
        stop_all([silent])


def test_the_pid_of_another_process_is_never_taken_for_its_own(tmp_path: Path) -> None:
    other = program(tmp_path, "import time; time.sleep(600)")
    other.start()
    try:
        number, started = other.pid_file.read_text().split()
        other.pid_file.write_text(f"{number} {int(started) + 1}")
        assert other.pid() is None
        other.pid_file.write_text(f"{number} {started}")
        assert other.pid() == int(number)
    finally:
        stop_all([other])


FOUR = "organisations: [{name: a, msp_id: A}, {name: b, msp_id: B}, {name: c, msp_id: C}, {name: d, msp_id: D}]\n"


@pytest.mark.parametrize(
    "text",
    [
        FOUR,
        "version: 1\n",
        "version: 1\n" + FOUR + "fabric: {first_pot: 7050}\n",
        "version: 1\n" + FOUR + "fabric: {first_port: 65500}\n",
        "version: 1\n" + FOUR + "fabric: {hosts: {e: example.org}}\n",
        "version: 1\n" + FOUR + "fabric: {certificates: none}\n",
        "version: 1\n" + FOUR + "fabric: {ordering: {heartbeat_seconds: 0}}\n",
        "version: 1\n" + FOUR + "fabric: [1]\n",
        "- 1\n",
        "{",
    ],
)
def test_a_file_that_is_no_consortium_on_fabric_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "consortium.yaml"
    path.write_text(text)
    with pytest.raises(BadInputError, match="CONSORTIUM"):
        FabricConfig.load(path)
