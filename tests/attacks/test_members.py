"""No member ends another's agent: stores that cannot be used, steps that fail, rounds that go on meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedledger.agents.stores import ValidatorStore
from fedledger.agents.validator import Validator
from fedledger.ledger import LedgerRefusal
from fedledger.training import LocalResult
from fedledger_chaincode.messages.round import ValidatorRegistration
from fedledger_chaincode.messages.views import RoundView, TaskView
from tests.attacks.conftest import (
    NAMES,
    ORGANISATIONS,
    Game,
    Members,
    Site,
    begin,
    in_place_of,
    site_of,
    training_free_spec,
)

ODD = "hungary"
OTHERS = tuple(organisation for organisation in ORGANISATIONS if organisation != ODD)


def a_file(folder: Path) -> str:
    """A path that is no folder."""
    place = folder / "file"
    place.write_text("not a folder")
    return str(place)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        pytest.param("file", a_file, id="a file in the place of a folder"),
        pytest.param("scheme", lambda _: "nosuch://x", id="a protocol without a driver"),
    ],
)
def test_a_store_that_nobody_can_use_stops_neither_participants_nor_other_validators(
    ledgers: Members, tmp_path: Path, name: str, url: Callable[[Path], str]
) -> None:
    game = begin(ledgers, training_free_spec(task=f"store-{name}"))
    key = game.validators[ODD].sealing_key.public_key
    game.ledger(ODD, "validator").register_validator(
        ValidatorRegistration(task=game.spec.task, sealing_key=key, store=url(tmp_path))
    )
    game.open()
    sites = [site_of(game, organisation, tmp_path / "journals") for organisation in ORGANISATIONS]
    for site in sites:
        assert site.step() == 0.0
    game.work(until=("finalised",), without=(ODD,))
    assert {*game.verdicts().values()} == {"accepted"}
    assert all(site.step() is not None for site in sites)


def test_a_sealing_key_to_which_nothing_can_be_sealed_does_not_get_onto_the_ledger(ledgers: Members) -> None:
    game = begin(ledgers, training_free_spec(task="small-order"))
    with pytest.raises(LedgerRefusal) as refusal:
        game.ledger(ODD, "validator").register_validator(
            ValidatorRegistration(task=game.spec.task, sealing_key="00" * 32, store=game.validators[ODD].store.url)
        )
    assert refusal.value.code == "SEALING_KEY"


def test_a_step_that_fails_for_whatever_reason_keeps_a_validator_from_no_other(game: Game) -> None:
    before = dict(game.validators)

    class Stumbles(Validator):
        def _share(self, view: TaskView, current: RoundView) -> None:
            raise KeyError("whatever")

    in_place_of(game, ODD, Stumbles)
    game.open()
    for organisation in ORGANISATIONS:
        game.send(organisation, game.honest(organisation))
    view = game.work(until=("finalised",))
    assert NAMES[ODD] not in {record.validator for record in view.aggregates}
    game.validators.update(before)
    reported = {record.validator for record in game.view().reports}
    assert len(reported) >= game.spec.aggregation.quorum


def test_a_share_that_its_store_does_not_give_keeps_nobody_from_telling_of_the_others(
    game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a file that whoever put it into a folder of many owners lets nobody else read."""
    game.open()
    for organisation in ORGANISATIONS:
        game.send(organisation, game.honest(organisation))
    forbidden = {share.digest for share in game.pending[ODD].signed.manifest.shares}
    ask = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        if path in forbidden:
            raise PermissionError(f"{path} is somebody else's")
        return ask(path, **options)

    monkeypatch.setattr("fedledger.store.folder.os.stat", stat)
    game.work(until=("closed",))
    for validator in game.validators.values():
        validator.step()
    assert game.view().attestations == (), "it may be there in a moment"
    game.hands.ahead += game.spec.deadlines.attestations / 2
    game.work(until=("finalised",))
    assert game.verdicts() == dict.fromkeys(ORGANISATIONS, "accepted") | {ODD: "unreadable"}


def test_an_update_that_is_ready_when_the_round_has_closed_does_not_leave_its_site(
    ledgers: Members, tmp_path: Path
) -> None:
    game = begin(ledgers, training_free_spec(task="overtaken"))

    class Overtaken(Site):
        def _train(self, view: TaskView, current: RoundView) -> LocalResult:
            game.work(until=("closed", "settled", "finalised"))
            return super()._train(view, current)

    game.open()
    for organisation in OTHERS:
        game.send(organisation, game.honest(organisation))
    agent = site_of(game, ODD, tmp_path)
    agent.__class__ = Overtaken
    agent.step()
    for validator in game.view().cohort.validators:
        area = ValidatorStore(validator.store).shares_of("fedledger", game.spec.task, game.rounds)
        assert len(area.digests()) == len(OTHERS)
    game.work(until=("finalised",))
    assert game.verdicts()[ODD] == "absent"
    assert agent.step() is not None


def test_an_agent_that_was_killed_sends_the_same_update_again(ledgers: Members, tmp_path: Path) -> None:
    game = begin(ledgers, training_free_spec(task="again"))
    game.open()
    first, second = (site_of(game, ODD, tmp_path, update=(0.1, value, 0.0, 0.0)) for value in (0.2, 0.3))
    current = game.view()
    task = game.ledger(ODD, "participant").task(game.spec.task)
    pending = first._prepare(task, current, first._train(task, current))
    first.journal.write(game.spec.task, game.rounds, pending)
    assert second.step() == 0.0
    (update,) = game.view().updates
    assert update.signed == pending.signed
