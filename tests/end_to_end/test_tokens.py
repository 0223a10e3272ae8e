"""Tokens and reputations from the command line: two rounds on an embedded ledger, in the second of which one cheats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fedledger.errors import ExitCode
from tests.attacks.conftest import NAMES, ORGANISATIONS
from tests.end_to_end.commands import Played, Said, play, said

CHEAT, HONEST = ORGANISATIONS[0], ORGANISATIONS[1:]
CLEVELAND, HUNGARY = "org:ClevelandMSP", "org:HungaryMSP"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with play(tmp_path_factory.mktemp("tokens")) as opened:
        for cheating in (False, True):
            game = opened.game
            game.open()
            for organisation in HONEST:
                game.send(organisation, game.honest(organisation))
            too_long = game.cheating(CHEAT, [1 << 25, 0, 0, 0])
            game.send(CHEAT, too_long if cheating else game.honest(CHEAT))
            game.work(until=("finalised",))
        yield opened


@pytest.fixture
def command(played: Played, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    return lambda profile, *arguments: said(played, capsys, profile, *arguments)


def events(played: Played, *names: str) -> list[tuple[str, dict[str, Any]]]:
    """Events of these names so far, as a client hears them."""
    governor = played.game.ledger(CHEAT, "governor")
    last = governor.transfer("insurance:heart", 1)
    assert last > 0
    heard: list[tuple[str, dict[str, Any]]] = []
    for event in governor.decoded_events(0):
        if event.fields.get("to") == "insurance:heart" and event.fields.get("value") == 1:
            return heard
        if event.name in names:
            heard.append((event.name, dict(event.fields)))
    raise AssertionError("the events ended")


def test_payments_and_allowances(played: Played, command: Callable[..., Said]) -> None:
    governor, other = "cleveland-governor", "hungary-governor"
    before = command(governor, "token", "balance", "--format", "json").document
    assert before["account"] == CLEVELAND
    paid = command(governor, "token", "transfer", HUNGARY, "2.000001", "--format", "json").document
    assert paid["balance"] == pytest.approx(before["balance"] - 2.000001, abs=1e-9)
    assert "may take 5.00 tokens" in command(governor, "token", "approve", HUNGARY, "5").out
    refused = command(governor, "token", "approve", HUNGARY, "4")
    assert refused.code == ExitCode.FAILED and "ALLOWANCE_IN_USE" in refused.err and not refused.out
    assert command(governor, "token", "approve", HUNGARY, "1", "--less", "--format", "json").document["allowance"] == 4
    assert command(governor, "token", "approve", HUNGARY, "2", "--more", "--format", "json").document["allowance"] == 6
    taken = command(other, "token", "transfer-from", CLEVELAND, "insurance:heart", "1.5", "--format", "json").document
    assert taken["allowance"] == 4.5
    shown = command(governor, "token", "allowance", HUNGARY, "--format", "json").document
    assert shown == {"owner": CLEVELAND, "spender": HUNGARY, "allowance": 4.5}
    said = events(played, "Transfer", "Approval")
    spent = {"from": CLEVELAND, "to": "insurance:heart", "value": 1_500_000}
    assert said[-1] == ("Transfer", spent)
    assert ("Approval", {"from": CLEVELAND, "to": HUNGARY, "value": 5_000_000}) in said
    too_much = command(other, "token", "transfer-from", CLEVELAND, HUNGARY, "4.6")
    assert too_much.code == ExitCode.FAILED and "INSUFFICIENT_ALLOWANCE" in too_much.err


def test_minting_by_vote(command: Callable[..., Said]) -> None:
    def supply() -> float:
        return float(command("cleveland-auditor", "token", "supply", "--format", "json").document["supply"])

    before = supply()
    arguments = ("token", "mint-propose", "heart", HUNGARY, "12.5", "--reason", "more\nwork")
    proposal = command("cleveland-governor", *arguments, "--format", "json").document
    assert command("cleveland-governor", *arguments, "--format", "json").document == proposal
    vote = ("token", "mint-vote", "heart", proposal["id"][:12])
    assert command("hungary-governor", *vote, "--reject", "--format", "json").document["state"] == "open"
    assert command("hungary-governor", *vote, "--format", "json").document["state"] == "open"
    assert supply() == before
    assert "minted" in command("long_beach-governor", *vote).out
    assert supply() == before + 12.5
    listed = command("switzerland-auditor", "token", "mint-list", "heart").out
    assert "12.50" in listed and "more work" in listed and "+HungaryMSP" in listed
    late = command("switzerland-governor", *vote)
    assert late.code == ExitCode.FAILED and "DECIDED" in late.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("token", "transfer", HUNGARY, "0"), "BAD_AMOUNT"),
        (("token", "transfer", HUNGARY, "0.0000001"), "BAD_AMOUNT"),
        (("token", "transfer", HUNGARY, "NaN"), "BAD_AMOUNT"),
        (("token", "approve", HUNGARY, "0", "--more"), "BAD_AMOUNT"),
        (("token", "approve", HUNGARY, "1", "--more", "--less"), "BAD_OPTIONS"),
        (("token", "mint-propose", "heart", "pool:heart", "1", "--reason", "x"), "BAD_PROPOSAL"),
        (("token", "mint-propose", "heart", HUNGARY, "1", "--reason", " "), "BAD_PROPOSAL"),
        (("token", "mint-vote", "heart", "zz"), "BAD_PROPOSAL"),
        (("reputation", "explain", "zz", "--task", "heart"), "BAD_PSEUDONYM"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    command: Callable[..., Said], arguments: tuple[str, ...], code: str
) -> None:
    said = command("cleveland-governor", *arguments)
    assert said.code == ExitCode.BAD_ARGUMENTS and code in said.err and not said.out


def test_a_reputation_is_explained_round_by_round(played: Played, command: Callable[..., Said]) -> None:
    pseudonym = played.game.pseudonym(CHEAT)
    explain = ("reputation", "explain", pseudonym[:20], "--task", "heart")
    document = command("hungary-auditor", *explain, "--format", "json").document
    settlements = [played.game.ledger(CHEAT, "auditor").round("heart", number).settlement for number in range(1, 3)]
    stored = [
        next(update.reputation for update in settlement.updates if update.msp == NAMES[CHEAT])
        for settlement in settlements
        if settlement is not None
    ]
    assert [round_["verdict"] for round_ in document["rounds"]] == ["accepted", "refused: norm"]
    assert [round_["after"] for round_ in document["rounds"]] == [s.after / 1e6 for s in stored if s is not None]
    assert document["differences"] == [] and document["rounds"][1]["score"] == 0
    said = command("hungary-auditor", *explain)
    assert said.code == ExitCode.OK and "All of it is what the contract stored." in said.out
    assert "not within the clip norm: proven" in said.out


def test_the_cheats_stake_is_the_tasks_insurance(played: Played, command: Callable[..., Said]) -> None:
    accounts = command("cleveland-governor", "wallet", "show", "heart", "--format", "json").document["accounts"]
    slashed = played.game.spec.incentive.participant_stake * played.game.spec.incentive.slashing_norm / 1e12
    assert accounts["insurance:heart"] >= slashed > 0
