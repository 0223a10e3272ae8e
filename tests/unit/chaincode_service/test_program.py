"""``python -m fedledger_chaincode.service``: settings in, exit code out, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fedledger_chaincode.contract import TRANSACTIONS
from fedledger_chaincode.errors import parse_contract_fault
from fedledger_chaincode.service import ServiceError
from fedledger_chaincode.service.settings import Settings, load_contract
from tests.unit.chaincode_service.peer import SECONDS, ScriptedPeer

WARD = "tests.unit.chaincode_service.ward:Ward"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fedledger_chaincode.service", *arguments]


@contextmanager
def running(address: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The program, with its first log line."""
    environment = {**os.environ, "CHAINCODE_ID": "ward_1.0:4ac5", "CHAINCODE_SERVER_ADDRESS": address}
    with subprocess.Popen(command(*arguments), env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            yield process, json.loads(process.stderr.readline())
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_fedledgers_contract_until_it_is_told_to_stop(number):
    with running("127.0.0.1:0") as (process, started):
        assert started["event"] == "serving"
        with ScriptedPeer(started["address"]) as peer:
            document = json.loads(peer.run("org.hyperledger.fabric:GetMetadata").response.payload)
            refusal = peer.run("GetTask", "heart-disease").response
            process.send_signal(number)
            assert peer.ended.wait(SECONDS)
        assert process.wait(SECONDS) == 0
    named = [transaction["name"] for transaction in document["contracts"]["fedledger"]["transactions"]]
    assert sorted(named) == sorted(TRANSACTIONS)
    fault = parse_contract_fault(f"chaincode response {refusal.status}, {refusal.message}")
    assert fault is not None and (fault.status, fault.code) == (403, "BAD_IDENTITY")


def test_it_serves_the_contract_that_is_named_and_logs_bugs_as_json(socket_path):
    with running(f"unix:{socket_path}", "--contract", WARD, "--clock-skew", "20") as (process, started):
        with ScriptedPeer(started["address"], world={"patient": b"secret diagnosis"}) as peer:
            assert peer.registered_as == "ward_1.0:4ac5"
            assert peer.run("Crash", "patient", transaction="f00d").response.status == 500
            assert "CLOCK_SKEW" in peer.run("Describe", at=1_000_000_000).response.message
        process.terminate()
        assert process.wait(SECONDS) == 0
        log = process.stderr.read()
    assert "secret" not in log
    (entry,) = [entry for entry in map(json.loads, log.splitlines()) if entry["event"] == "contract_failed"]
    assert entry["transaction"] == "f00d" and entry["traceback"]


def test_a_contract_that_never_returns_does_not_keep_the_process(socket_path):
    arguments = ("--contract", "tests.unit.chaincode_service.ward:Endless", "--grace", "1")
    with running(f"unix:{socket_path}", *arguments) as (process, started), ScriptedPeer(started["address"]) as peer:
        peer.begin("Loop")
        assert peer.run("Enter").response.status == 200
        process.terminate()
        assert process.wait(SECONDS) == 1


@pytest.mark.parametrize(
    "name",
    ["nonsense", "", ":", "no.such.module:Contract", "fedledger_chaincode.contract:NoSuchClass", "builtins:int"],
)
def test_a_contract_that_cannot_be_loaded_is_refused(name):
    with pytest.raises(ServiceError, match="BAD_CONTRACT"):
        load_contract(name)


def test_it_says_what_keeps_it_from_starting(socket_path):
    environment = {**os.environ, "CHAINCODE_ID": "ward", "CHAINCODE_SERVER_ADDRESS": f"unix:{socket_path}/none/x"}
    result = subprocess.run(command(), env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 4
    assert result.stderr.splitlines()[-1].startswith("CANNOT_LISTEN: ")
    assert "Traceback" not in result.stderr


GIVEN = {"CHAINCODE_ID": "ward_1.0:4ac5", "CHAINCODE_SERVER_ADDRESS": "0.0.0.0:9999"}


def test_without_tls_files_it_serves_in_the_clear():
    assert Settings.from_environment(GIVEN) == Settings("ward_1.0:4ac5", "0.0.0.0:9999", None)


def test_tls_files_are_read_unless_tls_is_disabled(tmp_path):
    for name in ("key", "certificate", "ca"):
        (tmp_path / name).write_bytes(name.encode())
    files = {
        "CHAINCODE_TLS_KEY": str(tmp_path / "key"),
        "CHAINCODE_TLS_CERT": str(tmp_path / "certificate"),
        "CHAINCODE_CLIENT_CA_CERT": str(tmp_path / "ca"),
    }
    tls = Settings.from_environment({**GIVEN, **files}).tls
    assert tls is not None and (tls.key, tls.certificate, tls.client_ca) == (b"key", b"certificate", b"ca")
    assert Settings.from_environment({**GIVEN, **files, "CHAINCODE_TLS_DISABLED": "false"}).tls == tls
    assert Settings.from_environment({**GIVEN, **files, "CHAINCODE_TLS_DISABLED": "true"}).tls is None


@pytest.mark.parametrize(
    "environment",
    [
        {"CHAINCODE_SERVER_ADDRESS": "0.0.0.0:9999"},
        {"CHAINCODE_ID": "ward"},
        {**GIVEN, "CHAINCODE_ID": ""},
        {**GIVEN, "CHAINCODE_TLS_DISABLED": "false"},
        {**GIVEN, "CHAINCODE_TLS_DISABLED": "perhaps"},
        {**GIVEN, "CHAINCODE_CLIENT_CA_CERT": "/dev/null"},
        {**GIVEN, "CHAINCODE_TLS_KEY": "/dev/null"},
        {**GIVEN, "CHAINCODE_TLS_KEY": "/dev/null", "CHAINCODE_TLS_CERT": "/no/such/file"},
    ],
)
def test_settings_that_are_missing_or_half_are_refused(environment):
    with pytest.raises(ServiceError, match="BAD_SETTINGS"):
        Settings.from_environment(environment)
