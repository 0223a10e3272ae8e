"""What a newcomer sees of those who misbehave: ``fedledger demo --attack``.

Asserted is what the ledger decided and why. How good models become depends on noise and is told, not asserted.
"""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from fedledger.cli.main import run
from fedledger.errors import ExitCode

ATTACKER = "long_beach_va"
HONEST = ["cleveland", "hungary", "switzerland"]
INITIAL_REPUTATION = 0.5
STAKE = 100.0


def demo(folder: Path, *options: str, rounds: int = 2) -> dict[str, Any]:
    """The document of a demo without privacy noise; in this process, where TensorFlow starts once for all of them."""
    out, err = io.StringIO(), io.StringIO()
    command = ["demo", "--rounds", str(rounds), "--no-dp", "--format", "json", "--dir", str(folder)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*command, *options])
    assert code == ExitCode.OK, err.getvalue()
    document = dict(json.loads(out.getvalue()))
    assert document["audit"]["ok"]
    assert [(row["state"], row["reason"]) for row in document["rounds"]] == [("finalised", "")] * rounds
    return document


def fates(document: dict[str, Any], site: str) -> list[dict[str, Any]]:
    """What became of a site in each round that it was in the cohort of."""
    return [fate for row in document["rounds"] for fate in row["participants"] if fate["site"] == site]


def figures(document: dict[str, Any], site: str, key: str) -> list[Any]:
    return [fate[key] for fate in fates(document, site)]


def assert_the_ledger_agrees(document: dict[str, Any]) -> None:
    """Reputation and pay as they are told by round are those that the ledger holds in the end."""
    for site in [*HONEST, ATTACKER]:
        (wallet,) = [w for w in document["wallet"].values() if w["msp"] == f"{site.title().replace('_', '')}MSP"]
        assert figures(document, site, "reputation")[-1] == wallet["reputation"]
        assert sum(figures(document, site, "paid")) == pytest.approx(wallet["balance"])


def assert_honest_sites_count(document: dict[str, Any]) -> None:
    for row in document["rounds"]:
        assert sum(fate["share"] for fate in row["participants"]) == pytest.approx(1.0)
    for site in HONEST:
        assert figures(document, site, "verdict") == ["accepted"] * len(document["rounds"])
        assert min(figures(document, site, "share")) > 0
        assert min(figures(document, site, "paid")) > 0
        assert min(figures(document, site, "reputation")) > INITIAL_REPUTATION
        assert figures(document, site, "stake") == [STAKE] * len(document["rounds"])


def assert_three_models_were_compared(document: dict[str, Any]) -> None:
    quality = document["attack"]["quality"]
    assert set(quality) == {"plain", "plain_attacked", "defended"}
    assert quality["defended"]["auc"] == document["auc"]["federated"]
    assert quality["plain"] != quality["plain_attacked"] != quality["defended"]


@pytest.mark.parametrize(
    ("attack", "why"),
    [
        pytest.param("label-flip", "goes against training on the reference data", id="label-flip"),
        pytest.param("sign-flip", "goes against training on the reference data", id="sign-flip"),
        pytest.param("free-ride", "it moves nothing", id="free-ride"),
    ],
)
def test_an_update_that_does_not_agree_counts_nothing_and_costs_reputation_and_pay_but_no_stake(
    tmp_path: Path, attack: str, why: str
) -> None:
    document = demo(tmp_path / "demo", "--attack", attack)
    report = document["attack"]
    assert report["attacker"] == ATTACKER
    assert report["verdicts"] == ["accepted"] * 2
    assert report["shares"] == [0.0, 0.0]
    assert INITIAL_REPUTATION > report["reputation"][0] > report["reputation"][1]
    assert report["earned"] == 0.0
    assert report["stake_left"] == STAKE
    for fate in fates(document, ATTACKER):
        assert why in fate["reason"]
        assert fate["agreement"] == 0.0 if attack == "free-ride" else fate["agreement"] < 0
    for site in HONEST:
        assert min(figures(document, site, "agreement")) > 0
    assert_honest_sites_count(document)
    assert_three_models_were_compared(document)
    assert_the_ledger_agrees(document)


def test_a_scaled_update_is_refused_with_proof_and_costs_stake_and_reputation(tmp_path: Path) -> None:
    document = demo(tmp_path / "demo", "--attack", "scale")
    report = document["attack"]
    assert report["verdicts"] == ["refused: norm"] * 2
    assert [row["refused"] for row in document["rounds"]] == [{ATTACKER: "refused: norm"}] * 2
    assert figures(document, ATTACKER, "stake") == [50.0, 25.0]
    reasons = figures(document, ATTACKER, "reason")
    assert "not within the clip norm: proven" in reasons[0]
    assert "50.00 tokens of its stake are taken" in reasons[0]
    assert "25.00 tokens of its stake are taken" in reasons[1]
    assert INITIAL_REPUTATION > report["reputation"][0] > report["reputation"][1]
    assert report["earned"] == 0.0
    # Its validator is honest and paid 2.50 a round.
    assert report["organisation_gained"] == pytest.approx(-75.0 + 2 * 2.5)
    assert figures(document, ATTACKER, "agreement") == [None, None]
    assert_honest_sites_count(document)
    assert_three_models_were_compared(document)
    assert_the_ledger_agrees(document)


def test_an_update_beyond_the_norm_is_refused_though_a_voice_is_missing_and_a_validator_helps(tmp_path: Path) -> None:
    document = demo(tmp_path / "demo", "--attack", "unreadable")
    report = document["attack"]
    assert report["verdicts"] == ["refused: inconsistent", "refused: norm"], "where its validator tells the truth"
    assert report["shares"] == [0.0, 0.0]
    assert figures(document, ATTACKER, "stake") == [STAKE, STAKE / 2]
    assert "proven" in figures(document, ATTACKER, "reason")[1]
    assert report["validator_convicted_in_rounds"] == []
    assert [row["validators"] for row in document["rounds"]] == [[], []], "nobody else is blamed for it"
    assert_honest_sites_count(document)
    assert_three_models_were_compared(document)
    assert_the_ledger_agrees(document)


DUTY = 2.5
"""Tokens that a validator is paid for a round."""


def assert_a_liar_is_convicted_and_everybody_counts(document: dict[str, Any]) -> None:
    report = document["attack"]
    assert report["validator_convicted_in_rounds"] == [1, 2]
    told = [row["validators"] for row in document["rounds"]]
    assert [[(v["site"], v["fault"]) for v in row] for row in told] == [[(ATTACKER, "convicted")]] * 2
    before = STAKE
    for (fate,) in told:
        kept = before * 0.75
        assert fate["stake"] in (kept, kept - DUTY), "what it was paid before the ruling is taken back"
        before = fate["stake"]
    taken = STAKE - told[0][0]["stake"]
    assert f"{taken:.2f} tokens of its stake are taken" in told[0][0]["reason"]
    assert [sorted(row["accepted"]) for row in document["rounds"]] == [sorted([*HONEST, ATTACKER])] * 2
    assert report["organisation_gained"] < 0
    assert set(report["quality"]) == {"plain", "defended"}
    assert_honest_sites_count(document)
    assert_the_ledger_agrees(document)


def test_a_lying_validator_is_convicted_and_the_update_it_lied_about_counts_in_the_same_round(tmp_path: Path) -> None:
    assert_a_liar_is_convicted_and_everybody_counts(demo(tmp_path / "demo", "--attack", "lying-validator"))


def test_who_lies_about_everybody_and_shows_what_nobody_holds_is_convicted_and_no_update_is_refused(
    tmp_path: Path,
) -> None:
    assert_a_liar_is_convicted_and_everybody_counts(demo(tmp_path / "demo", "--attack", "bogus-reveal"))


def test_one_validator_in_a_hurry_with_a_fast_clock_ends_nothing(tmp_path: Path) -> None:
    document = demo(tmp_path / "demo", "--attack", "early-close")
    assert [sorted(row["accepted"]) for row in document["rounds"]] == [sorted([*HONEST, ATTACKER])] * 2
    assert [row["validators"] for row in document["rounds"]] == [[], []]
    assert set(document["attack"]["quality"]) == {"plain", "defended"}
    assert_honest_sites_count(document)
    assert_the_ledger_agrees(document)


def test_who_gives_a_false_reference_or_keeps_one_back_loses_its_turn_and_nothing_else_is_lost(tmp_path: Path) -> None:
    document = demo(tmp_path / "demo", "--attack", "withheld-reference", rounds=3)
    report = document["attack"]
    assert report["validator_rejected_in_rounds"] == [2]
    assert report["validator_withheld_in_rounds"] == [3]
    assert [sorted(row["accepted"]) for row in document["rounds"]] == [sorted([*HONEST, ATTACKER])] * 3
    for site in (*HONEST, ATTACKER):
        agreement = figures(document, site, "agreement")
        assert [each is None for each in agreement] == [False, True, False], "by reputation in its turn alone"
        assert figures(document, site, "stake") == [STAKE] * 3
        assert min(figures(document, site, "share")) > 0
    assert_the_ledger_agrees(document)


def test_who_drops_out_is_not_waited_for_and_the_others_go_on(tmp_path: Path) -> None:
    document = demo(tmp_path / "demo", "--attack", "dropout", rounds=3)
    assert [sorted(row["accepted"]) for row in document["rounds"]] == [
        sorted([*HONEST, ATTACKER]),
        sorted([*HONEST, ATTACKER]),
        HONEST,
    ]
    assert document["attack"]["validator_silent_in_rounds"] == [3]
    assert document["rounds"][2]["validators"][0]["stake"] == STAKE
    assert document["attack"]["stake_left"] == STAKE
    assert len(fates(document, ATTACKER)) == 2
    assert_honest_sites_count(document)


def test_a_plain_demo_tells_what_became_of_everybody_as_well(tmp_path: Path) -> None:
    document = demo(tmp_path / "demo", rounds=1)
    assert "attack" not in document
    for fate in document["rounds"][0]["participants"]:
        assert (fate["verdict"], fate["reason"], fate["agreement"]) == ("accepted", "counts by its examples", None)


def test_an_attack_needs_all_agents_in_one_process(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="BAD_ARGUMENTS"):
        demo(tmp_path / "demo", "--attack", "scale", "--processes")
