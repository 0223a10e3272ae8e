"""Hyperledger's own client for Node.js, ``@hyperledger/fabric-gateway``, uses the node like any Fabric network.

Skipped where there is no Node.js, no npm, or nowhere to get the locked packages from.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest
from fabric_protos.peer import transaction_pb2

from fedledger.identity.profile import load_profile
from fedledger_network.embedded.folder import NetworkFolder
from tests.embedded.clients import CHAINCODE, CHANNEL, MSPS, NAMES, Client

_SOURCE = Path(__file__).parent / "node_client"
_CACHE = Path(__file__).parents[2] / ".tools" / "node-client"
_INSTALL_SECONDS = 120
_RUN_SECONDS = 60

pytestmark = pytest.mark.node


@pytest.fixture(scope="session")
def installed() -> Path:
    """The client with its packages as locked, installed once per lock file."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node.js and npm are not installed: the official client was NOT tried against the node")
    lock = (_SOURCE / "package-lock.json").read_bytes()
    folder = _CACHE / hashlib.sha256(lock).hexdigest()[:16]
    done = folder / "installed"
    folder.mkdir(parents=True, exist_ok=True)
    for source in _SOURCE.iterdir():
        if source.is_file():
            shutil.copy(source, folder)
    if not done.exists():
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.skip("npm ci took too long: the official client was NOT tried against the node")
        if outcome.returncode:
            pytest.skip(f"npm ci failed, the official client was NOT tried against the node: {outcome.stderr[-300:]}")
        done.touch()
    return folder


@pytest.fixture(scope="module")
def seen(installed: Path, running: NetworkFolder) -> Any:
    """What the official client saw."""
    profile = load_profile(running.profiles, f"{NAMES[0]}-participant")
    told = {
        "gateway": profile.gateway,
        "channel": CHANNEL,
        "chaincode": CHAINCODE,
        "mspId": profile.msp_id,
        "certificate": str(profile.certificate),
        "key": str(profile.key),
    }
    outcome = subprocess.run(
        ["node", "client.js", json.dumps(told)], cwd=installed, capture_output=True, text=True, timeout=_RUN_SECONDS
    )
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


def test_it_submits_and_evaluates(seen: Any, participant: Client) -> None:
    assert seen["submitted"] == "2"
    assert json.loads(seen["evaluated"]) == ["official"]
    assert participant.evaluate("Get", "node", "other") == ["official", "1"]


def test_it_waits_for_the_commit_and_reads_the_event_of_it(seen: Any) -> None:
    announced = seen["announced"]
    assert announced["successful"]
    assert seen["events"] == [
        {
            "transactionId": announced["transactionId"],
            "blockNumber": announced["blockNumber"],
            "chaincodeName": CHAINCODE,
            "eventName": "Spoke",
            "payload": "node speaks",
        }
    ]


def test_it_reads_blocks_and_filtered_blocks(seen: Any) -> None:
    assert [block["number"] for block in seen["blocks"]] == [0, 1, 2]
    assert seen["blocks"][0]["previousHash"] == ""
    assert len(seen["blocks"][1]["previousHash"]) == 64
    assert all(block["transactions"] >= 1 for block in seen["blocks"])
    assert seen["announced"]["transactionId"] in seen["filtered"]


def test_it_understands_refusals_with_each_peers_own_words(seen: Any) -> None:
    query, transaction = seen["refusedQuery"], seen["refused"]
    assert query["gateway"]
    assert query["code"] == grpc.StatusCode.UNKNOWN.value[0]
    assert query["details"][0]["mspId"] == MSPS[0]
    assert "chaincode response 404, NO_TASK: No such task." in query["details"][0]["message"]
    assert transaction["endorse"]
    assert transaction["code"] == grpc.StatusCode.ABORTED.value[0]
    assert {detail["mspId"] for detail in transaction["details"]} <= set(MSPS)
    assert all("ROUND_CLOSED" in detail["message"] for detail in transaction["details"])


def test_it_sees_a_conflict_by_fabrics_code(seen: Any) -> None:
    assert seen["conflict"] == {"successful": False, "code": transaction_pb2.MVCC_READ_CONFLICT}
