"""Trust weights: what agrees with the round's reference direction counts, what points away does not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from fedledger.agents.duties import Duty
from fedledger.agents.reference import ReferenceUpdate
from fedledger.agents.steps import Step
from fedledger.agents.validator import Validator
from fedledger.training.weights import Float32Array
from fedledger_chaincode.messages.records import SettledUpdate
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.trust import trust_by_reputation
from tests.attacks.conftest import NAMES, ORGANISATIONS, Game, Members, begin, in_place_of, training_free_spec
from tests.attacks.test_validators import LiesAboutProducts
from tests.unit.contract.ledger import digest

NORM = 1 << 24
DIRECTION = np.array([1.0, 0.0, 0.0, 0.0], dtype=np.float32)
WITH = [NORM, 0, 0, 0]
AGAINST = [-NORM, 0, 0, 0]
ACROSS = [0, NORM, 0, 0]
HALF = [NORM // 2, 0, 0, 0]
FIRST = "hungary"
"""Whose direction counts in the first round of a task."""


def along(base: bytes, round_number: int) -> Float32Array:
    """What training on the reference data of this test gives."""
    return DIRECTION


def opposite(base: bytes, round_number: int) -> Float32Array:
    """What a validator claims that wants honest updates to count nothing."""
    return -DIRECTION


def tilted(base: bytes, round_number: int) -> Float32Array:
    """What a validator claims that wants a little: 18 degrees off."""
    angle = math.radians(18)
    return np.array([math.cos(angle), math.sin(angle), 0.0, 0.0], dtype=np.float32)


def nearly(base: bytes, round_number: int) -> Float32Array:
    """The same but for rounding."""
    return DIRECTION + np.array([0.0, 1e-5, 0.0, 0.0], dtype=np.float32)


class Withholds(Validator):
    """Commits to its direction and does not show it."""

    def _take_in_round(self, duty: Duty, view: TaskView, current: RoundView) -> None:
        if duty.step is not Step.REVEAL_REFERENCE:
            super()._take_in_round(duty, view, current)


class ShowsNothing(Validator):
    """Reveals its direction on the ledger and takes it out of its store."""

    def _take_in_round(self, duty: Duty, view: TaskView, current: RoundView) -> None:
        super()._take_in_round(duty, view, current)
        if duty.step is Step.REVEAL_REFERENCE:
            for digest in self.store.artifacts.digests():
                self.store.artifacts.delete(digest)


def task_with_reference(name: str) -> TaskSpec:
    return training_free_spec(
        task=name, robustness={"trust_weighting": "reference-data", "reference_digest": digest("reference data")}
    )


@pytest.fixture(scope="module")
def trusting(ledgers: Members) -> Game:
    return begin(ledgers, task_with_reference("trusting"), reference_update=along)


def with_liar(ledgers: Members, name: str, kind: type[Validator] = Validator, **changes: Any) -> Game:
    """A task of its own, in whose first round the validator that is first in the row is another one."""
    game = begin(ledgers, task_with_reference(name), reference_update=along)
    in_place_of(game, FIRST, kind, **changes)
    return game


def play(game: Game, updates: dict[str, list[int]]) -> dict[str, SettledUpdate]:
    game.open()
    if game.spec.robustness.trust_weighting == "reference-data":
        for validator in game.validators.values():
            validator.step()
        assert len(game.view().references) == len(ORGANISATIONS)
    for organisation in ORGANISATIONS:
        game.send(organisation, game.honest(organisation, updates.get(organisation, WITH)))
    view = game.work(until=("finalised", "aborted"))
    assert view.settlement is not None
    by_msp = {update.msp: update for update in view.settlement.updates}
    return {organisation: by_msp[NAMES[organisation]] for organisation in ORGANISATIONS}


def said(game: Game) -> dict[str, str]:
    """By organisation, what its validator attested about the reference direction."""
    by_msp = {record.validator: record.attestation.reference for record in game.view().attestations}
    return {organisation: by_msp[msp] for organisation, msp in NAMES.items() if msp in by_msp}


def assert_it_is_at_the_end_of_the_row_and_another_counts(game: Game) -> None:
    """In the round after the one in which it was first."""
    settled = play(game, {"switzerland": AGAINST})
    assert [reference.committed_by for reference in game.view().references][-1] == NAMES[FIRST]
    assert [told for organisation, told in said(game).items() if organisation != FIRST] == ["used"] * 3
    assert [settled[organisation].trust for organisation in ORGANISATIONS] == [15, 15, 15, 0]


def assert_reputation_decides(settled: Mapping[str, SettledUpdate]) -> None:
    """The round's direction says nothing, or there is none: who has the same reputation has the same weight."""
    for update in settled.values():
        change = update.reputation
        assert change is not None
        assert change.after == change.before
        assert update.trust == trust_by_reputation(change.before)
    weights = sorted((update.trust, update.weight) for update in settled.values())
    assert all((trust == 0) == (weight == 0) for trust, weight in weights)
    assert [weight for _, weight in weights] == sorted(weight for _, weight in weights)


def test_an_update_counts_as_much_as_it_agrees(trusting: Game) -> None:
    settled = play(trusting, {"cleveland": AGAINST, "hungary": HALF})
    assert [settled[organisation].trust for organisation in ORGANISATIONS] == [0, 8, 15, 15]
    assert [settled[organisation].weight > 0 for organisation in ORGANISATIONS] == [False, True, True, True]
    assert {update.verdict for update in settled.values()} == {"accepted"}


def test_where_the_median_agrees_less_the_thresholds_are_lower(trusting: Game) -> None:
    settled = play(trusting, {"cleveland": AGAINST, "hungary": ACROSS, "long_beach": HALF})
    assert [settled[organisation].trust for organisation in ORGANISATIONS] == [0, 0, 15, 15]


def test_a_round_in_which_the_median_agrees_with_nothing_leaves_reputation_as_it_is(trusting: Game) -> None:
    settled = play(trusting, {"cleveland": ACROSS, "hungary": ACROSS, "long_beach": AGAINST})
    assert_reputation_decides(settled)


def test_a_free_rider_that_sends_zeros_weighs_nothing(trusting: Game) -> None:
    settled = play(trusting, {"hungary": [0, 0, 0, 0]})
    assert (settled["hungary"].trust, settled["hungary"].weight) == (0, 0)


def test_every_validator_gives_a_direction_and_the_first_in_the_row_counts(trusting: Game) -> None:
    play(trusting, {})
    references = trusting.view().references
    assert sorted(reference.committed_by for reference in references) == sorted(NAMES.values())
    assert all(reference.revealed is not None for reference in references)
    assert said(trusting) == dict.fromkeys(ORGANISATIONS, "used")


@pytest.mark.parametrize("update", [opposite, tilted])
def test_a_false_reference_is_rejected_by_the_others_reputation_decides_and_its_turn_is_lost(
    ledgers: Members, update: ReferenceUpdate
) -> None:
    game = with_liar(ledgers, f"false-{update.__name__}", reference_update=update)
    settled = play(game, {"switzerland": AGAINST})
    assert said(game) == dict.fromkeys(ORGANISATIONS, "rejected") | {FIRST: "used"}
    assert_reputation_decides(settled)
    assert_it_is_at_the_end_of_the_row_and_another_counts(game)


def test_a_reference_that_is_never_revealed_is_waited_for_and_then_anothers_counts(ledgers: Members) -> None:
    game = with_liar(ledgers, "withheld", Withholds)
    settled = play(game, {"switzerland": AGAINST})
    hidden = [reference.committed_by for reference in game.view().references if reference.revealed is None]
    assert hidden == [NAMES[FIRST]]
    assert set(said(game).values()) == {"used"}
    assert [settled[organisation].trust for organisation in ORGANISATIONS] == [15, 15, 15, 0]
    assert_it_is_at_the_end_of_the_row_and_another_counts(game)


def test_a_reference_that_no_store_holds_is_looked_for_and_then_rejected(ledgers: Members) -> None:
    game = with_liar(ledgers, "nowhere", ShowsNothing, reference_update=nearly)
    settled = play(game, {"switzerland": AGAINST})
    assert said(game) == dict.fromkeys(ORGANISATIONS, "rejected")
    assert_reputation_decides(settled)
    assert_it_is_at_the_end_of_the_row_and_another_counts(game)


def test_a_validator_without_the_data_blames_nobody(ledgers: Members) -> None:
    game = with_liar(ledgers, "lacking", reference_update=None)
    game.open()
    for organisation in ORGANISATIONS:
        game.send(organisation, game.honest(organisation, AGAINST if organisation == "switzerland" else WITH))
    view = game.work(until=("finalised",))
    assert view.settlement is not None
    assert said(game) == dict.fromkeys(ORGANISATIONS, "used") | {FIRST: "none"}
    assert {update.msp: update.trust for update in view.settlement.updates} == {
        NAMES[organisation]: 0 if organisation == "switzerland" else 15 for organisation in ORGANISATIONS
    }


def test_who_lies_about_agreement_is_outvoted_and_convicted_at_once(ledgers: Members) -> None:
    game = with_liar(ledgers, "products", LiesAboutProducts)
    before = game.validator_stake(FIRST)
    settled = play(game, {"switzerland": AGAINST})
    settlement = game.view().settlement
    assert settlement is not None
    assert (settlement.convicted, settlement.accused) == ((NAMES[FIRST],), ())
    assert [settled[organisation].trust for organisation in ORGANISATIONS] == [15, 15, 15, 0]
    assert game.validator_stake(FIRST) == before - before // 10


def test_the_last_step_is_a_reference_from_the_second_round_on(ledgers: Members) -> None:
    game = begin(ledgers, training_free_spec(task="stepping", robustness={"trust_weighting": "last-step"}))
    first = play(game, {})
    assert_reputation_decides(first)
    second = play(game, {"cleveland": AGAINST, "hungary": HALF})
    assert [second[organisation].trust for organisation in ORGANISATIONS] == [0, 8, 15, 15]
