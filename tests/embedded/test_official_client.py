"""Hyperledger's own gateway client for Node evaluates, submits, and reads events and blocks of the embedded node.

The client comes from npm, in the versions and with the hashes of its lock file, into a folder that is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fedledger.gateway.blocks import header_hash
from fedledger.identity.keys import private_key_pem
from fedledger_network.embedded.folder import NetworkFolder
from tests.embedded.clients import CHAINCODE, CHANNEL, MSPS, Client

_SOURCES = Path(__file__).parent / "official_client"
_OLDEST_NODE = 18
_INSTALLING_SECONDS = 180
_SESSION_SECONDS = 60

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def installed() -> Path:
    """The folder with the client and its session; without Node.js or npm's registry the tests are skipped."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            _skip(f"There is no {program} on this machine.")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < _OLDEST_NODE:
        _skip(f"Node.js is {version}; the client needs {_OLDEST_NODE} or newer.")
    lock = (_SOURCES / "package-lock.json").read_bytes()
    folder = _cache() / f"official-client-{hashlib.sha256(lock).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    for source in _SOURCES.iterdir():
        shutil.copyfile(source, folder / source.name)
    if not (folder / "installed").exists():
        install = ["npm", "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"]
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=_INSTALLING_SECONDS)
        if done.returncode:
            _skip(f"npm could not install the client: {done.stderr[-500:]}")
        (folder / "installed").touch()
    return folder


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fedledger"


def _skip(reason: str) -> None:
    pytest.skip(f"NOTHING WAS TESTED WITH FABRIC'S OWN CLIENT. {reason}")


@pytest.fixture(scope="module")
def seen(installed: Path, running: NetworkFolder, participant: Client) -> dict[str, Any]:
    """What the client saw in one session."""
    settings = {
        "address": f"unix:{running.gateway_socket}",
        "channel": CHANNEL,
        "chaincode": CHAINCODE,
        "mspId": participant.msp_id,
        "certificate": participant.gateway.identity.credentials.decode(),
        "key": private_key_pem(participant.key).decode(),
    }
    done = subprocess.run(
        ["node", "session.mjs"],
        input=json.dumps(settings),
        cwd=installed,
        capture_output=True,
        text=True,
        timeout=_SESSION_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_submits_and_evaluates(seen: dict[str, Any], participant: Client) -> None:
    assert seen["submitted"] == "1"
    assert seen["evaluated"] == ["20", None]
    assert participant.evaluate("Get", "node") == ["20"]


def test_it_sees_a_commit_with_its_block(seen: dict[str, Any], participant: Client) -> None:
    status = participant.status(seen["announced"]["id"])
    assert seen["announced"]["result"] == seen["announced"]["id"]
    assert seen["status"] == {"successful": status.successful, "block": status.block_number}


def test_it_hands_over_transient_data(seen: dict[str, Any]) -> None:
    assert seen["transient"] == "4"


def test_it_takes_signatures_made_elsewhere(seen: dict[str, Any], participant: Client) -> None:
    assert seen["offline"] is True
    assert participant.evaluate("Get", "offline") == ["1"]


def test_it_sees_a_conflict(seen: dict[str, Any]) -> None:
    assert seen["conflict"] == {"successful": False, "code": 11}


def test_it_reads_events_and_goes_on_after_a_checkpoint(seen: dict[str, Any]) -> None:
    first, second = seen["events"]
    assert first == [seen["status"]["block"], seen["announced"]["id"], "Greeting", "hello"]
    assert second[2:] == ["Greeting", "again"]
    assert seen["resumed"] == [second]


def test_it_reads_blocks(seen: dict[str, Any], participant: Client) -> None:
    with participant.network.block_events(start_block=0, end_block=1) as blocks:
        genesis, following = blocks
    assert seen["blocks"] == [
        {"number": 0, "transactions": 1, "previous": ""},
        {"number": 1, "transactions": len(following.data.data), "previous": header_hash(genesis.header).hex()},
    ]


def test_it_reads_filtered_blocks(seen: dict[str, Any]) -> None:
    (block,) = seen["filtered"]
    assert block["number"] == seen["status"]["block"]
    assert seen["announced"]["id"] in block["ids"]


@pytest.mark.parametrize(("call", "code"), [("refusedSubmit", 10), ("refusedEvaluate", 2)])
def test_it_sees_what_the_contract_refused(seen: dict[str, Any], call: str, code: int) -> None:
    refusal = seen[call]
    assert refusal["isGatewayError"] is True
    assert refusal["isEndorseError"] is (call == "refusedSubmit")
    assert refusal["code"] == code
    assert {detail["mspId"] for detail in refusal["details"]} <= set(MSPS)
    assert refusal["details"][0]["message"].endswith(
        "chaincode response 409, ROUND_CLOSED: Round 3 is closed. Do something else."
    )
