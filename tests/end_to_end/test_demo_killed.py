"""A demo that is killed at three different points and continued by the same command."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedledger.audit.sources import verify_network
from fedledger.cli.session import connected
from fedledger.identity.profile import load_profile
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder

from .processes import Run, until_event

ROUNDS = 3
SITES = {"cleveland", "hungary", "long_beach_va", "switzerland"}


@dataclass(frozen=True)
class Survivor:
    """What is left of a demo that was killed again and again."""

    folder: Path
    document: dict[str, Any]
    messages: str
    left_after_kills: list[bool]
    """Whether nothing of the killed command was left, by kill."""


@pytest.fixture(scope="module")
def survivor(tmp_path_factory) -> Survivor:
    folder = tmp_path_factory.mktemp("demo") / "run"
    command = ("demo", "--rounds", str(ROUNDS), "--dir", str(folder), "--format", "json")
    profiles = folder / "network" / "fedledger.toml"
    points = (
        lambda event: event.name == "TaskProposed",
        lambda event: event.name == "UpdateReceived" and event.fields["round"] == 2,
        lambda event: event.name == "ModelPublished" and event.fields["version"] == ROUNDS,
    )
    gone = []
    for point in points:
        run = Run.start(*command)
        until_event(run, profiles, point)
        run.kill()
        gone.append(run.is_gone())
    code, out, err = Run.start(*command).finish()
    assert code == 0, err
    return Survivor(folder, json.loads(out), err, gone)


def test_nothing_outlives_a_demo_that_was_killed(survivor):
    assert survivor.left_after_kills == [True, True, True]


def test_no_round_is_lost_and_every_update_counts(survivor):
    rounds = survivor.document["rounds"]
    assert [row["round"] for row in rounds] == list(range(1, ROUNDS + 1))
    for row in rounds:
        assert set(row["accepted"]) == SITES
        assert row["refused"] == {}


def test_no_participant_signed_two_updates_of_a_round(survivor):
    with_node = NetworkFolder.existing(survivor.folder / "network")
    process = running.launch(with_node, attached=True)
    try:
        with connected(load_profile(with_node.profiles, "cleveland-auditor")) as opened:
            for number in range(1, ROUNDS + 1):
                view = opened.ledger.round("heart-disease", number)
                assert len(view.updates) == len(SITES)
                assert not view.equivocations
            assert {m.standing.contributions for m in opened.ledger.members("heart-disease")} == {ROUNDS}
            assert verify_network(opened.network).ok
    finally:
        process.stop()


def test_stdout_is_one_document_of_the_agreed_shape(survivor):
    document = survivor.document
    assert {"task", "rounds", "auc", "delta", "wallet", "audit", "model"} <= set(document)
    for row in document["rounds"]:
        assert {"round", "accepted", "refused", "epsilon", "auc", "seconds", "block", "tx"} <= set(row)
        assert set(row["epsilon"]) == set(row["auc"]) == SITES
        assert row["block"] > 0
        assert len(row["tx"]) == 64
    assert {"federated", "pooled", "alone"} <= set(document["auc"])
    assert set(document["auc"]["alone"]) == SITES
    assert document["delta"] == pytest.approx(abs(document["auc"]["federated"] - document["auc"]["pooled"]))
    assert {entry["msp"] for entry in document["wallet"].values()} == {
        "ClevelandMSP",
        "HungaryMSP",
        "LongBeachVaMSP",
        "SwitzerlandMSP",
    }
    assert all({"balance", "reputation", "msp"} == set(entry) for entry in document["wallet"].values())
    assert document["audit"]["ok"] is True
    assert document["audit"]["checks"]
    assert document["model"]["version"] == ROUNDS
    assert len(document["model"]["digest"]) == 64


def test_epsilon_grows_with_each_round_and_stays_within_the_budget(survivor):
    for site in SITES:
        spent = [row["epsilon"][site] for row in survivor.document["rounds"]]
        assert spent == sorted(set(spent))
        assert 0 < spent[-1] <= 3.0


def test_the_rounds_are_told_as_they_happen_in_plain_lines(survivor):
    assert "\x1b" not in survivor.messages
    lines = survivor.messages.splitlines()
    told = [line.split()[0] for line in lines if line.strip()[:1].isdigit()]
    assert told == [str(number) for number in range(1, ROUNDS + 1)]


def test_the_same_command_refuses_a_folder_of_a_demo_with_other_options(survivor):
    code, out, err = Run.start("demo", "--rounds", "9", "--dir", str(survivor.folder), "--format", "json").finish()
    assert (code, out) == (4, "")
    assert "DEMO_DIFFERS" in err
