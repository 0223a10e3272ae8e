"""Seven validators of which two are faulty, ten of which three are: rounds end with the right sum, liars are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from fedledger.training.weights import flatten, load_weights
from fedledger_chaincode.messages.records import ModelRecord
from tests.attacks.conftest import ORGANISATIONS, Game, Members, begin, everybody, in_place_of, training_free_spec
from tests.attacks.test_validators import LiesAbout, LiesInTheSum

Float64Array = npt.NDArray[np.float64]
SEVEN = (*ORGANISATIONS, "oslo", "porto", "quito")
TEN = (*SEVEN, "riga", "sofia", "tallinn")
NORM = 1 << 24
UPDATES = {name: [NORM // (2 + i), -NORM // (3 + i), 5 * i, -i] for i, name in enumerate(TEN)}
"""Different for everybody, so that a sum over the wrong ones is another sum."""


def game_of(members: Members, tolerated: int) -> Game:
    msps = sorted(members.names.values())
    spec = training_free_spec(
        task=f"task-of-{len(msps)}",
        organisations=msps,
        aggregation={
            "proof": "norm",
            "validators": msps,
            "tolerated_faults": tolerated,
            "minimum_accepted": tolerated + 2,
        },
    )
    return begin(members, spec)


@pytest.fixture(scope="module")
def seven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Game]:
    with everybody(tmp_path_factory.mktemp("seven"), *SEVEN) as members:
        yield game_of(members, 2)


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Game]:
    with everybody(tmp_path_factory.mktemp("ten"), *TEN) as members:
        yield game_of(members, 3)


@pytest.fixture(autouse=True)
def restored(request: pytest.FixtureRequest) -> Iterator[None]:
    """Honest validators in their places again after each test."""
    game: Game = request.getfixturevalue("ten" if "ten" in request.fixturenames else "seven")
    before = dict(game.validators)
    yield
    game.validators.update(before)


def send(game: Game, organisations: Sequence[str]) -> None:
    game.open()
    for organisation in organisations:
        game.send(organisation, game.honest(organisation, UPDATES[organisation]))


def model_of(game: Game) -> tuple[ModelRecord, Float64Array]:
    """The newest version, and by how much its weights, float64[d], are below those of the version before."""
    ledger = game.ledger("cleveland", "auditor")
    head = ledger.task(game.spec.task).head
    assert head is not None
    records = [ledger.model(game.spec.task, head.version - 1), ledger.model(game.spec.task, head.version)]
    store = game.validators["switzerland"].store.artifacts
    before, after = (
        flatten(load_weights(store.get(r.model_digest, r.model_size), game.spec.model.tensors)) for r in records
    )
    return records[1], (before - after).astype(np.float64)


def mean_of(game: Game, organisations: Sequence[str]) -> Float64Array:
    """What the server step should be: equal numbers of examples, learning rate 1."""
    scale = game.spec.aggregation.clip_norm / 1e6 / game.spec.aggregation.quantised_norm
    return np.asarray(np.mean([UPDATES[organisation] for organisation in organisations], axis=0) * scale)


def test_two_of_seven_lie_about_every_update_and_are_outvoted_and_convicted(seven: Game) -> None:
    liars = ("hungary", "porto")
    before = {liar: seven.validator_stake(liar) for liar in liars}
    for liar in liars:
        in_place_of(seven, liar, LiesAbout)
    send(seven, SEVEN)
    view = seven.work(until=("finalised",))
    assert view.settlement is not None
    accused = {(each.participant, each.validator) for each in view.settlement.accused}
    assert accused == {(seven.pseudonym(name), seven.names[liar]) for name in SEVEN for liar in liars}
    assert set(seven.verdicts().values()) == {"accepted"}
    _, step = model_of(seven)
    np.testing.assert_allclose(step, mean_of(seven, SEVEN), atol=1e-6)
    seven.settle_disputes()
    dispute = seven.view().dispute
    assert dispute is not None
    assert {each.ruling for each in dispute.accusations} == {"denies"}
    assert all(seven.validator_stake(liar) < before[liar] for liar in liars)


def test_two_of_seven_lie_and_another_is_silent_so_that_nothing_is_certain_and_nobody_is_blamed(seven: Game) -> None:
    """More than t faults: no sum is made of what cannot be told apart."""
    before = {name: (seven.stake(name), seven.validator_stake(name)) for name in SEVEN}
    for liar in ("hungary", "porto"):
        in_place_of(seven, liar, LiesAbout)
    send(seven, SEVEN)
    view = seven.work(until=("aborted",), without=("oslo",))
    assert set(seven.verdicts().values()) == {"refused: inconsistent"}
    assert view.dispute is None
    assert {name: (seven.stake(name), seven.validator_stake(name)) for name in SEVEN} == before


def test_of_seven_one_is_silent_one_lies_in_the_sum_and_one_participant_is_gone(seven: Game) -> None:
    in_place_of(seven, "oslo", LiesInTheSum)
    present = [name for name in SEVEN if name != "quito"]
    send(seven, present)
    view = seven.work(until=("finalised",), without=("hungary",))
    assert view.settlement is not None
    assert seven.verdicts() == dict.fromkeys(present, "accepted") | {"quito": "absent"}
    assert seven.names["hungary"] not in view.settlement.attested
    model, step = model_of(seven)
    assert model.liars == (seven.names["oslo"],)
    np.testing.assert_allclose(step, mean_of(seven, present), atol=1e-6)
    paid = {payment.account for payment in model.payments}
    assert {f"org:{seven.names[name]}" for name in SEVEN} - paid == {
        f"org:{seven.names[name]}" for name in ("hungary", "oslo")
    }


def test_of_ten_one_lies_about_updates_one_in_the_sum_and_one_is_silent(ten: Game) -> None:
    in_place_of(ten, "porto", LiesAbout)
    in_place_of(ten, "tallinn", LiesInTheSum)
    send(ten, TEN)
    view = ten.work(until=("finalised",), without=("riga",))
    assert view.settlement is not None
    assert {each.validator for each in view.settlement.accused} == {ten.names["porto"]}
    assert ten.names["riga"] not in view.settlement.attested
    assert set(ten.verdicts().values()) == {"accepted"}
    model, step = model_of(ten)
    assert model.liars == (ten.names["tallinn"],)
    np.testing.assert_allclose(step, mean_of(ten, TEN), atol=1e-6)
    before = ten.validator_stake("porto")
    ten.settle_disputes(without=("riga",))
    assert ten.validator_stake("porto") < before
