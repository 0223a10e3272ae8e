"""Validators that lie or fall silent: they are named, they pay, and rounds go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedledger.agents.validator import Validator
from fedledger.secure_aggregation import AggregateError
from fedledger.secure_aggregation.encoding import Integers
from fedledger.secure_aggregation.opening import element_hex
from fedledger_chaincode.messages.round import Manifest, UpdateFinding
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.field import MODULUS
from tests.attacks.conftest import NAMES, ORGANISATIONS, Game, in_place_of

LIAR = "hungary"


class LiesAbout(Validator):
    """Attests a false D or T of every update; reveals nothing unless ``reveals``."""

    value = "degree"
    reveals = False

    def _finding(self, view: TaskView, manifest: Manifest, reference: Integers | None) -> UpdateFinding:
        finding = super()._finding(view, manifest, reference)
        assert finding.opening is not None
        first, second = getattr(finding.opening, self.value)
        false = (element_hex((int(first, 16) + 1) % MODULUS), second)
        return finding.model_copy(update={"opening": finding.opening.model_copy(update={self.value: false})})

    def _reveal(self, view: TaskView, current: RoundView, participant: str) -> None:
        if not self.reveals:
            raise AggregateError("SILENT", "Nothing is revealed.", "")
        super()._reveal(view, current, participant)


class LiesInTheSum(Validator):
    """Posts an aggregate share whose last element is wrong."""

    def _share(self, view: TaskView, current: RoundView) -> None:
        self.store.artifacts.put = self._put_wrong  # type: ignore[method-assign]
        try:
            super()._share(view, current)
        finally:
            del self.store.artifacts.put

    def _put_wrong(self, content: bytes) -> str:
        return type(self.store.artifacts).put(self.store.artifacts, content[:-8] + bytes(8))


@pytest.fixture
def swapped(game: Game) -> Iterator[dict[str, Validator]]:
    """The validators of the game, put back after the test."""
    before = dict(game.validators)
    yield game.validators
    game.validators.clear()
    game.validators.update(before)


def send_all(game: Game) -> None:
    game.open()
    for organisation in ORGANISATIONS:
        game.send(organisation, game.honest(organisation))


@pytest.mark.parametrize("reveals", [False, True])
def test_who_lies_in_d_is_convicted_whether_it_reveals_its_share_or_not(
    game: Game, swapped: dict[str, Validator], reveals: bool
) -> None:
    liar = in_place_of(game, LIAR, LiesAbout)
    assert isinstance(liar, LiesAbout)
    liar.reveals = reveals
    before = game.validator_stake(LIAR)
    send_all(game)
    view = game.work(until=("finalised",))
    assert view.settlement is not None
    assert view.settlement.convicted == (NAMES[LIAR],)
    assert set(game.verdicts().values()) == {"accepted"}
    assert game.validator_stake(LIAR) < before


def test_who_lies_in_t_is_convicted_by_the_participants_it_lied_about(
    game: Game, swapped: dict[str, Validator]
) -> None:
    class LiesInT(LiesAbout):
        value = "zero"

    in_place_of(game, LIAR, LiesInT)
    send_all(game)
    game.work(until=("disputed",))
    for organisation in ORGANISATIONS:
        game.rebut(organisation)
    view = game.work(until=("finalised",))
    assert view.settlement is not None
    assert view.settlement.convicted == (NAMES[LIAR],)
    assert set(game.verdicts().values()) == {"accepted"}


def test_who_lies_in_the_sum_is_named_by_the_others_and_not_paid(game: Game, swapped: dict[str, Validator]) -> None:
    in_place_of(game, LIAR, LiesInTheSum)
    before = game.validator_stake(LIAR)
    send_all(game)
    game.work(until=("finalised",))
    ledger = game.ledger("cleveland", "auditor")
    head = ledger.task(game.spec.task).head
    assert head is not None
    model = ledger.model(game.spec.task, head.version)
    assert model.liars == (NAMES[LIAR],)
    assert f"org:{NAMES[LIAR]}" not in {payment.account for payment in model.payments}
    assert game.validator_stake(LIAR) < before


def test_a_silent_validator_holds_a_round_up_until_the_deadline_and_no_longer(game: Game) -> None:
    send_all(game)
    view = game.work(until=("finalised",), without=(LIAR,))
    assert view.settlement is not None
    assert NAMES[LIAR] not in view.settlement.attested
    assert set(game.verdicts().values()) == {"accepted"}


def test_sealed_shares_are_erased_when_their_round_is_over(game: Game) -> None:
    send_all(game)
    game.work(until=("finalised",))
    task = game.ledger("cleveland", "auditor").task(game.spec.task)
    for validator in game.validators.values():
        validator._erase_shares(task, game.view())
        assert validator.store.shares.digests() == []
