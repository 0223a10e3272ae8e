"""Validators that lie or fall silent: they are named, they pay, rounds go on, and what they lie about counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedledger.agents.disputes import doubted, manifests_of
from fedledger.agents.validator import Validator
from fedledger.secure_aggregation import Parameters, disclosable
from fedledger.secure_aggregation.encoding import Integers
from fedledger.secure_aggregation.opening import element_hex
from fedledger_chaincode.messages.round import DisclosedShare, Disclosure, Manifest, NormOpening, UpdateFinding
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.field import MODULUS
from tests.attacks.conftest import NAMES, ORGANISATIONS, Game, in_place_of
from tests.unit.contract.ledger import digest

LIAR = "hungary"


class LiesAbout(Validator):
    """Attests false values of every update; shows nothing, as an honest agent would not: it confirms nothing."""

    value = "z"
    spared = ""
    """A participant of whose update it tells the truth."""

    def _finding(self, view: TaskView, manifest: Manifest, reference: Integers | None) -> UpdateFinding:
        finding = super()._finding(view, manifest, reference)
        if manifest.participant == self.spared or not isinstance(finding.opening, NormOpening):
            return finding
        first, second = getattr(finding.opening, self.value)
        false = (element_hex((int(first, 16) + 1) % MODULUS), second)
        return finding.model_copy(update={"opening": finding.opening.model_copy(update={self.value: false})})


class LiesInP(LiesAbout):
    """In the other of the two elements."""

    value = "p"


class LiesAndShows(LiesAbout):
    """Shows what was really sealed to it."""

    def _dispute(self, view: TaskView, current: RoundView) -> list[float]:
        participants = doubted(view, current, self.msp)
        if participants:
            shares = tuple(self._shown(view, current, participant) for participant in participants)
            self.ledger.disclose_shares(Disclosure(task=self.task, round=current.record.round, shares=shares))
        return []

    def _shown(self, view: TaskView, current: RoundView, participant: str) -> DisclosedShare:
        manifest, point = manifests_of(current)[participant], self._point(view)
        reference = manifest.shares[point - 1]
        sealed = self.store.shares_of("fedledger", self.task, manifest.round).get(reference.digest, reference.size)
        plaintext = disclosable(sealed, manifest, point, self.sealing_key)
        assert plaintext is not None
        digest = self.store.artifacts.put(plaintext)
        return DisclosedShare(participant=participant, digest=digest, size=len(plaintext))


class LiesAndShowsNothing(LiesAndShows):
    """Names what no store holds."""

    def _shown(self, view: TaskView, current: RoundView, participant: str) -> DisclosedShare:
        size = Parameters.of_task(view.record.spec).plaintext_bytes
        return DisclosedShare(participant=participant, digest=digest(f"nothing {participant}"), size=size)


class LiesAndShowsAnother(LiesAndShows):
    """Shows bytes that were never sealed to it."""

    def _shown(self, view: TaskView, current: RoundView, participant: str) -> DisclosedShare:
        plaintext = bytes(Parameters.of_task(view.record.spec).plaintext_bytes)
        return DisclosedShare(participant=participant, digest=self.store.artifacts.put(plaintext), size=len(plaintext))


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


class LiesAboutProducts(LiesAbout):
    """Attests false inner products, and all else as it is: nothing that a dispute is needed for."""

    def _finding(self, view: TaskView, manifest: Manifest, reference: Integers | None) -> UpdateFinding:
        finding = Validator._finding(self, view, manifest, reference)
        assert isinstance(finding.opening, NormOpening)
        false = element_hex((int(finding.opening.inner_product, 16) + 1) % MODULUS)
        return finding.model_copy(update={"opening": finding.opening.model_copy(update={"inner_product": false})})


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


@pytest.mark.parametrize("kind", [LiesAbout, LiesInP, LiesAndShows, LiesAndShowsNothing, LiesAndShowsAnother])
def test_who_lies_is_outvoted_in_the_same_round_and_convicted_whatever_it_shows(
    game: Game, swapped: dict[str, Validator], kind: type[Validator]
) -> None:
    in_place_of(game, LIAR, kind)
    before = {organisation: game.validator_stake(organisation) for organisation in ORGANISATIONS}
    stakes = {organisation: game.stake(organisation) for organisation in ORGANISATIONS}
    send_all(game)
    view = game.work(until=("finalised",))
    assert set(game.verdicts().values()) == {"accepted"}
    assert view.settlement is not None
    assert view.settlement.convicted == ()
    assert {each.validator for each in view.settlement.accused} == {NAMES[LIAR]}
    assert NAMES[LIAR] not in view.settlement.summers
    game.settle_disputes()
    dispute = game.view().dispute
    assert dispute is not None
    assert [each.ruling for each in dispute.accusations] == ["denies"] * len(ORGANISATIONS)
    after = {organisation: game.validator_stake(organisation) for organisation in ORGANISATIONS}
    model = game.ledger("cleveland", "auditor").model(game.spec.task, view.record.base_version + 1)
    paid = {payment.account: payment.amount for payment in model.payments}
    duty = paid[f"org:{NAMES[LIAR]}"] if NAMES[LIAR] in model.dutiful else 0
    cut = before[LIAR] - before[LIAR] // 10
    assert after == before | {LIAR: cut - duty}, "once for the round, and what it was paid for it"
    assert {organisation: game.stake(organisation) for organisation in ORGANISATIONS} == stakes


def test_who_lies_about_all_but_one_does_not_choose_what_is_in_the_sum(
    game: Game, swapped: dict[str, Validator]
) -> None:
    liar = in_place_of(game, LIAR, LiesAndShowsNothing)
    assert isinstance(liar, LiesAbout)
    liar.spared = game.pseudonym("switzerland")
    send_all(game)
    view = game.work(until=("finalised",))
    assert view.settlement is not None
    assert all(update.weight > 0 for update in view.settlement.updates)
    game.settle_disputes()


def test_rounds_do_not_wait_for_disputes_and_disputes_do_not_wait_for_rounds(
    game: Game, swapped: dict[str, Validator]
) -> None:
    in_place_of(game, LIAR, LiesAndShowsNothing)
    send_all(game)
    game.work(until=("finalised",))
    first = game.rounds
    swapped[LIAR] = in_place_of(game, LIAR, Validator)
    send_all(game)
    game.work(until=("finalised",))
    auditor = game.ledger("cleveland", "auditor")
    assert auditor.task(game.spec.task).accusations, "nothing is ruled, and the next round has ended"
    game.settle_disputes(without=(LIAR,))
    dispute = auditor.round(game.spec.task, first).dispute
    assert dispute is not None
    assert {each.ruling for each in dispute.accusations} == {"denies"}


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
    said = [record.claim.phase for record in view.late]
    assert said.count("attestations") == game.spec.aggregation.tolerated_faults + 1


@pytest.mark.parametrize("kind", [Validator, LiesAbout])
def test_sealed_shares_are_erased_when_nobody_can_ask_for_them_any_more(
    game: Game, swapped: dict[str, Validator], kind: type[Validator]
) -> None:
    in_place_of(game, LIAR, kind)
    send_all(game)
    game.work(until=("finalised",))

    def held() -> dict[str, int]:
        areas = {o: v.store.shares_of("fedledger", game.spec.task, game.rounds) for o, v in game.validators.items()}
        return {organisation: len(area.digests()) for organisation, area in areas.items()}

    for validator in game.validators.values():
        validator.step()
    doubted_of = len(ORGANISATIONS) if kind is LiesAbout else 0
    assert held() == dict.fromkeys(ORGANISATIONS, 0) | {LIAR: doubted_of}
    game.settle_disputes()
    for validator in game.validators.values():
        validator.step()
    assert held() == dict.fromkeys(ORGANISATIONS, 0)
