"""What a newcomer sees of those who misbehave: ``fedledger demo --attack``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def demo(folder: Path, attack: str, *options: str) -> dict[str, Any]:
    """The document of a demo with an attack; two rounds without privacy noise."""
    command = [sys.executable, "-m", "fedledger", "demo", "--rounds", "2", "--no-dp", "--format", "json"]
    ended = subprocess.run(
        [*command, "--attack", attack, "--dir", str(folder), *options], capture_output=True, text=True, timeout=500
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def test_a_scaled_update_is_refused_with_proof_and_costs_stake_and_reputation(tmp_path: Path) -> None:
    document = demo(tmp_path / "demo", "scale")
    report = document["attack"]
    assert report["verdicts"] == ["refused: norm"] * 2
    assert [row["refused"] for row in document["rounds"]] == [{"long_beach_va": "refused: norm"}] * 2
    assert report["organisation_gained"] < 0
    others = [w["reputation"] for w in document["wallet"].values() if w["msp"] != "LongBeachVaMSP"]
    assert report["reputation"] < min(others)
    assert document["auc"]["federated"] > report["auc_without_defence"]
    assert document["audit"]["ok"]


def test_a_lying_validator_is_convicted_and_the_update_it_lied_about_counts(tmp_path: Path) -> None:
    document = demo(tmp_path / "demo", "lying-validator")
    assert document["attack"]["validator_convicted_in_rounds"] == [1, 2]
    assert [sorted(row["accepted"]) for row in document["rounds"]] == [
        ["cleveland", "hungary", "long_beach_va", "switzerland"]
    ] * 2
    assert document["attack"]["organisation_gained"] < 0
    assert document["audit"]["ok"]


def test_an_attack_needs_all_agents_in_one_process(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="BAD_ARGUMENTS"):
        demo(tmp_path / "demo", "scale", "--processes")
