"""Trust weights: what agrees with the round's reference direction counts, what points away does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

import numpy as np
import pytest

from fedledger.agents.validator import Validator
from fedledger.training.weights import Float32Array
from fedledger_chaincode.messages.records import SettledUpdate
from fedledger_chaincode.rules.trust import trust_by_reputation
from tests.attacks.conftest import NAMES, ORGANISATIONS, Game, Members, begin, training_free_spec
from tests.unit.contract.ledger import digest

NORM = 1 << 24
DIRECTION = np.array([1.0, 0.0, 0.0, 0.0], dtype=np.float32)
WITH = [NORM, 0, 0, 0]
AGAINST = [-NORM, 0, 0, 0]
ACROSS = [0, NORM, 0, 0]
HALF = [NORM // 2, 0, 0, 0]


def along(base: bytes, round_number: int) -> Float32Array:
    """What training on the reference data of this test gives."""
    return DIRECTION


def opposite(base: bytes, round_number: int) -> Float32Array:
    """What a validator claims that wants honest updates to count nothing."""
    return -DIRECTION


@pytest.fixture(scope="module")
def trusting(ledgers: Members) -> Game:
    spec = training_free_spec(
        task="trusting",
        robustness={"trust_weighting": "reference-data", "reference_digest": digest("reference data")},
    )
    return begin(ledgers, spec, reference_update=along)


@pytest.fixture
def restored(trusting: Game) -> Iterator[None]:
    before = dict(trusting.validators)
    yield
    trusting.validators.clear()
    trusting.validators.update(before)


def replace_opener(game: Game, **changes: object) -> None:
    honest = game.validators["cleveland"]
    values = {field.name: getattr(honest, field.name) for field in fields(honest) if field.init}
    game.validators["cleveland"] = Validator(**values | changes)


def play(game: Game, updates: dict[str, list[int]]) -> dict[str, SettledUpdate]:
    game.open()
    game.validators["cleveland"].step()
    for organisation in ORGANISATIONS:
        game.send(organisation, game.honest(organisation, updates.get(organisation, WITH)))
    view = game.work(until=("finalised", "aborted"))
    assert view.settlement is not None
    by_msp = {update.msp: update for update in view.settlement.updates}
    return {organisation: by_msp[NAMES[organisation]] for organisation in ORGANISATIONS}


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


def test_a_false_reference_is_rejected_by_the_others_and_reputation_decides(trusting: Game, restored: None) -> None:
    replace_opener(trusting, reference_update=opposite)
    settled = play(trusting, {"hungary": AGAINST})
    assert {attestation.attestation.reference for attestation in trusting.view().attestations} == {"used", "rejected"}
    assert_reputation_decides(settled)


def test_a_reference_that_is_never_revealed_holds_a_round_up_for_a_while_and_no_longer(
    trusting: Game, restored: None
) -> None:
    trusting.open()
    trusting.validators["cleveland"].step()
    replace_opener(trusting, memory=None)
    for organisation in ORGANISATIONS:
        trusting.send(organisation, trusting.honest(organisation, WITH))
    view = trusting.work(until=("finalised",))
    assert view.reference is not None
    assert view.reference.revealed is None
    assert view.settlement is not None
    assert_reputation_decides({update.participant: update for update in view.settlement.updates})


def test_the_last_step_is_a_reference_from_the_second_round_on(ledgers: Members) -> None:
    game = begin(ledgers, training_free_spec(task="stepping", robustness={"trust_weighting": "last-step"}))
    first = play(game, {})
    assert_reputation_decides(first)
    second = play(game, {"cleveland": AGAINST, "hungary": HALF})
    assert [second[organisation].trust for organisation in ORGANISATIONS] == [0, 8, 15, 15]
