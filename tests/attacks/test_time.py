"""Nobody's clock decides about anybody else: who is late, frozen or started again is not blamed, who hurries waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fedledger.agents.openings import OpeningMemory
from fedledger.agents.steps import Step
from fedledger.agents.validator import Validator
from fedledger.cli.demo.attacks import EarlyValidator
from fedledger.cli.demo.cheating import off_by_one
from fedledger_chaincode.messages.round import Attestation
from fedledger_chaincode.messages.views import RoundView, TaskView
from tests.attacks.conftest import NAMES, ORGANISATIONS, Game, Members, begin, in_place_of, site_of, training_free_spec
from tests.attacks.test_trust import WITH, along, task_with_reference

SLOW, CHEAT = "switzerland", "cleveland"
OTHERS = tuple(organisation for organisation in ORGANISATIONS if organisation != SLOW)


@pytest.fixture
def restored(game: Game) -> Iterator[None]:
    """The game's validators in their places again after the test."""
    before = dict(game.validators)
    yield
    game.validators.update(before)


def send_all(game: Game) -> None:
    game.open()
    for organisation in ORGANISATIONS:
        game.send(organisation, game.honest(organisation))


def stakes(game: Game) -> dict[str, int]:
    return {organisation: game.validator_stake(organisation) for organisation in ORGANISATIONS}


def test_a_validator_that_comes_late_posts_nothing_is_not_blamed_and_is_there_in_the_next_round(game: Game) -> None:
    before = stakes(game)
    send_all(game)
    view = game.work(until=("settled",), without=(SLOW,))
    assert view.settlement is not None
    assert NAMES[SLOW] not in view.settlement.summers
    view = game.work(until=("finalised",))
    assert NAMES[SLOW] not in {record.validator for record in view.aggregates}
    send_all(game)
    view = game.work(until=("finalised",))
    assert view.settlement is not None and NAMES[SLOW] in view.settlement.summers
    assert stakes(game) == before


def test_a_validator_that_was_frozen_and_dealt_a_false_share_is_not_called_a_liar_when_it_comes_back(
    game: Game,
) -> None:
    """Its share is readable and wrong, and nobody could know it when the others had settled: its sum is not taken."""
    before = stakes(game)
    point = ORGANISATIONS.index(SLOW) + 1
    game.open()
    for organisation in ORGANISATIONS:
        lies = {"tamper_share": off_by_one(point, 0)} if organisation == CHEAT else {}
        game.send(organisation, game.cheating(organisation, **lies))
    view = game.work(until=("settled",), without=(SLOW,))
    assert set(game.verdicts().values()) == {"accepted"}
    assert view.settlement is not None and view.settlement.accused == ()
    game.hands.ahead += 1_000
    view = game.work(until=("finalised",))
    ledger = game.ledger(CHEAT, "auditor")
    head = ledger.task(game.spec.task).head
    assert head is not None
    assert ledger.model(game.spec.task, head.version).liars == ()
    assert stakes(game) == before


def test_a_validator_that_is_started_again_before_every_step_says_everything_once(
    game: Game, tmp_path: Path, restored: None
) -> None:
    send_all(game)
    openings, said = OpeningMemory(tmp_path), []

    class StartedAgain(Validator):
        def step(self) -> float | None:
            again = in_place_of(game, SLOW, Validator, openings=openings, on_step=said.append)
            waits = Validator.step(again)
            game.validators[SLOW] = self
            return waits

    in_place_of(game, SLOW, StartedAgain)
    view = game.work(until=("finalised",))
    assert NAMES[SLOW] in {record.validator for record in view.attestations}
    assert NAMES[SLOW] in {record.validator for record in view.aggregates}
    steps = [duty.step for duty in said]
    assert len(steps) == len({*steps})
    assert {Step.ATTEST, Step.SHARE} <= {*steps}


def test_what_a_validator_was_about_to_say_when_it_was_killed_is_what_it_says_when_it_is_back(
    ledgers: Members, tmp_path: Path
) -> None:
    """Otherwise two openings of one share could get out: here one with a reference direction and one without."""
    game = begin(ledgers, task_with_reference("killed"), reference_update=along)
    kept: list[Attestation] = []

    class KilledBeforeItSaysSo(Validator):
        def _attest(self, view: TaskView, current: RoundView) -> None:
            if not kept:
                kept.append(self._attestation(view, current))
                self.openings.keep(kept[0])

    in_place_of(game, SLOW, KilledBeforeItSaysSo, openings=OpeningMemory(tmp_path))
    game.open()
    for validator in game.validators.values():
        validator.step()
    for organisation in ORGANISATIONS:
        game.send(organisation, game.honest(organisation, WITH))
    game.work_until(lambda _: bool(kept))
    assert kept[0].reference == "used"
    in_place_of(game, SLOW, Validator, openings=OpeningMemory(tmp_path), reference_update=None)
    view = game.work(until=("finalised",))
    (mine,) = [record.attestation for record in view.attestations if record.validator == NAMES[SLOW]]
    assert mine == kept[0]
    game.validators[SLOW].step()
    assert list(tmp_path.iterdir()) == [], "when the round is over it is forgotten"


def test_one_validator_in_a_hurry_ends_nothing(game: Game, restored: None) -> None:
    hurried = in_place_of(game, SLOW, EarlyValidator)
    game.open()
    for organisation in ORGANISATIONS:
        hurried.step()
        assert game.view().record.state == "open"
        game.send(organisation, game.honest(organisation))
    view = game.work(until=("finalised",))
    assert {record.validator for record in view.late} == {NAMES[SLOW]}
    assert {record.validator for record in view.attestations} == {*NAMES.values()}
    assert {*game.verdicts().values()} == {"accepted"}
    hurried.step()
    assert game.ledger(CHEAT, "auditor").task(game.spec.task).record.state == "active"
    head = game.ledger(CHEAT, "auditor").task(game.spec.task).head
    assert head is not None and head.round == game.rounds


ENDS_AT = 2_000_000_000


def test_an_agreement_ends_when_the_clocks_of_n_minus_t_validators_say_so(ledgers: Members, tmp_path: Path) -> None:
    """The one date that is agreed on is read from the own clock: of validators to end it, of participants to stop."""
    game = begin(ledgers, training_free_spec(task="ending", agreement={"ends_at": ENDS_AT}))
    auditor = game.ledger(CHEAT, "auditor")
    in_place_of(game, SLOW, Validator, clock=lambda: ENDS_AT + 1)
    game.open()
    site = site_of(game, CHEAT, tmp_path)
    site.clock = lambda: ENDS_AT
    site.step()
    assert game.view().updates == ()
    site.clock = lambda: ENDS_AT - 1
    site.step()
    assert len(game.view().updates) == 1
    for organisation in ORGANISATIONS[1:]:
        game.send(organisation, game.honest(organisation))
    game.work(until=("finalised",))
    for _ in range(5):
        game.validators[SLOW].step()
    view = auditor.task("ending")
    assert [record.claim.phase for record in view.late] == ["agreement"]
    assert view.record.state == "active"
    for organisation in OTHERS:
        in_place_of(game, organisation, Validator, clock=lambda: ENDS_AT)
    while (state := auditor.task("ending").record.state) == "active":
        waits = [validator.step() for validator in game.validators.values()]
        game.hands.move(waits, state)
    assert state == "completed"
