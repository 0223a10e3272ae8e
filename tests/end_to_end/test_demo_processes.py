"""A demo with every agent a process of its own: what it listens on, and what it leaves behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedledger.identity.profile import load_profile, profile_names

from .processes import Run
from .sockets import SocketWatch


@dataclass(frozen=True)
class Finished:
    """A demo that has ended by itself."""

    folder: Path
    document: dict[str, Any]
    sockets: set[str]
    processes: int
    is_gone: bool


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    folder = tmp_path_factory.mktemp("demo") / "run"
    run = Run.start("demo", "--rounds", "1", "--no-dp", "--processes", "--dir", str(folder), "--format", "json")
    with SocketWatch(run.pids) as watch:
        code, out, err = run.finish()
    assert code == 0, err
    return Finished(folder, json.loads(out), watch.seen, len(watch.processes), run.is_gone())


def test_eight_agents_a_node_and_a_contract_did_it(finished):
    assert finished.processes >= 11
    assert finished.document["audit"]["ok"] is True
    assert len(finished.document["rounds"][0]["accepted"]) == 4


def test_nothing_is_listened_on_but_what_the_profiles_name(finished):
    profiles = finished.folder / "network" / "fedledger.toml"
    named = {load_profile(profiles, name).gateway.removeprefix("unix:") for name in profile_names(profiles)}
    # The contract's own socket is between the node and its chaincode service, in the same private folder.
    inner = {str(finished.folder / "network" / "chaincode.sock")}
    assert named <= finished.sockets
    assert finished.sockets <= named | inner


def test_the_network_folder_is_closed_to_other_users(finished):
    assert (finished.folder / "network").stat().st_mode & 0o077 == 0


def test_no_process_is_left_behind(finished):
    assert finished.is_gone


def test_private_keys_have_mode_0600(finished):
    keys = list(finished.folder.rglob("*key*.pem"))
    assert len(keys) > 20
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
