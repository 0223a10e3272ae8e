"""``fedledger round status``: what a round waits for, who says that it is late, and what became of a liar, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedledger.errors import ExitCode
from tests.attacks.conftest import NAMES, ORGANISATIONS, Game, in_place_of
from tests.attacks.test_trust import Withholds, along
from tests.attacks.test_validators import LiesAbout
from tests.end_to_end.commands import Played, Said, play, said
from tests.unit.contract.ledger import digest

LIAR, SILENT, WITHHOLDING = "hungary", "switzerland", "hungary"
AUDITOR = "cleveland-auditor"


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    with play(tmp_path / "network") as opened:
        yield opened


@pytest.fixture
def status(played: Played, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    return lambda *arguments: said(played, capsys, AUDITOR, "round", "status", "heart", *arguments)


def send(game: Game, *organisations: str) -> None:
    game.open()
    for organisation in organisations:
        game.send(organisation, game.honest(organisation))


def test_a_round_tells_what_it_waits_for_and_who_says_that_it_is_late(
    played: Played, status: Callable[..., Said]
) -> None:
    game = played.game
    send(game, *ORGANISATIONS[:3])
    assert f"updates of {NAMES[SILENT]}" in status().out
    game.work(until=("closed",))
    told = status().out
    assert "updates are late, say " in told and "(2 go on without what is late, 3 end the round)" in told
    assert "attestations of " in told
    game.work(until=("finalised",), without=(SILENT,))
    told = status().out
    assert "attestations are late, say " in told
    assert f"readers          {NAMES['cleveland']}, {NAMES['hungary']}, {NAMES['long_beach']}\n" in told


def test_a_round_tells_whose_values_contradict_the_others_and_what_the_others_ruled(
    played: Played, status: Callable[..., Said]
) -> None:
    game = played.game
    in_place_of(game, LIAR, LiesAbout)
    send(game, *ORGANISATIONS)
    game.work(until=("finalised",))
    assert "Validators whose values contradict the others'" in status().out
    assert status().out.count("not decided yet") == len(ORGANISATIONS)
    game.settle_disputes()
    told = status("1")
    assert told.out.count("convicted: its share does not confirm what it told") == len(ORGANISATIONS)
    document = status("1", "--format", "json").document
    assert {each["ruling"] for each in document["dispute"]["accusations"]} == {"denies"}


def test_a_round_tells_whose_reference_direction_counts_and_who_kept_one_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    robustness = {"trust_weighting": "reference-data", "reference_digest": digest("reference data")}
    with play(tmp_path / "network", robustness=robustness) as played:
        game = played.game
        for organisation in ORGANISATIONS:
            in_place_of(game, organisation, type(game.validators[organisation]), reference_update=along)
        in_place_of(game, WITHHOLDING, Withholds)
        game.open()
        assert "updates of " in said(played, capsys, AUDITOR, "round", "status", "heart").out
        for organisation in ORGANISATIONS:
            game.send(organisation, game.honest(organisation))
        assert "2 more reference directions" in said(played, capsys, AUDITOR, "round", "status", "heart").out
        for validator in game.validators.values():
            validator.step()
        game.work_until(lambda view: view.record.state == "closed")
        game.work_until(lambda view: sum(1 for each in view.references if each.revealed) == 3)
        told = said(played, capsys, AUDITOR, "round", "status", "heart")
        assert told.code == ExitCode.OK
        assert f"reference directions of {NAMES[WITHHOLDING]}" in told.out
        game.work(until=("finalised",))
        told = said(played, capsys, AUDITOR, "round", "status", "heart")
        assert f"that of {NAMES['long_beach']} counts; used by " in told.out
        assert f"not shown by {NAMES[WITHHOLDING]}" in told.out
