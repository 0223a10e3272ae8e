"""Every way to cheat with an update that docs/protocol/secure-aggregation.md names, end to end on a ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fedledger.cli.demo.cheating import off_by_one
from fedledger.ledger import LedgerRefusal
from fedledger.secure_aggregation import Parameters, PreparedUpdate
from fedledger.secure_aggregation.kernels import Elements
from fedledger_chaincode.rules.field import MODULUS
from tests.attacks.conftest import ORGANISATIONS, Game

CHEAT = "cleveland"
OTHERS = ORGANISATIONS[1:]
NORM = 1 << 24


def play(game: Game, send: Callable[[], None], cheat: str = CHEAT) -> None:
    """A round in which one participant cheats and three are honest."""
    others = [organisation for organisation in ORGANISATIONS if organisation != cheat]
    game.open()
    for organisation in others:
        game.send(organisation, game.honest(organisation))
    send()
    game.work(until=("finalised", "aborted"))
    assert {game.verdicts()[organisation] for organisation in others} == {"accepted"}
    assert game.view().record.state == "finalised"


@pytest.mark.parametrize(
    ("update", "lies"),
    [
        pytest.param([int(NORM * 1.01), 0, 0, 0], {}, id="norm one percent over the bound"),
        pytest.param([(MODULUS + 1) // 2, 0, 0, 0], {}, id="an entry of one half"),
        pytest.param([pow(3, -1, MODULUS), 0, 0, 0], {}, id="an entry of one third"),
        pytest.param([10 * value for value in [NORM, NORM, 0, 0]], {}, id="scaled tenfold"),
        pytest.param([NORM, NORM, 0, 0], {"claimed_norm": 5}, id="another norm than it has"),
    ],
)
def test_an_update_that_is_not_within_the_norm_is_refused_and_costs_stake(
    game: Game, update: list[int], lies: dict[str, Any]
) -> None:
    before = game.stake(CHEAT)
    play(game, lambda: game.send(CHEAT, game.cheating(CHEAT, update, **lies)))
    assert game.verdicts()[CHEAT] == "refused: norm"
    assert game.stake(CHEAT) == before - before // 10


def test_a_bit_that_is_no_bit_is_refused(game: Game) -> None:
    bound = Parameters.of_task(game.spec).norm_bound
    assert bound is not None
    secrets = [2] + [0] * (2 * bound.norm_bits - 1)
    play(game, lambda: game.send(CHEAT, game.cheating(CHEAT, norm_secrets=secrets)))
    assert game.verdicts()[CHEAT] == "refused: norm"


@pytest.mark.parametrize("message", range(1, 5))
def test_an_element_of_any_message_that_is_not_what_it_should_be_is_refused(game: Game, message: int) -> None:
    assert len(Parameters.of_task(game.spec).message_lengths) == 4

    def altered(number: int, secrets: Elements) -> Elements:
        if number == message:
            secrets = secrets.copy()
            secrets[-1] = (int(secrets[-1]) + 1) % MODULUS
        return secrets

    play(game, lambda: game.send(CHEAT, game.cheating(CHEAT, tamper_secrets=altered)))
    assert game.verdicts()[CHEAT] == "refused: norm"


@pytest.mark.parametrize(("validator", "message"), [(1, 1), (3, 2), (2, 3), (4, 4)])
def test_a_share_that_belongs_to_no_polynomial_is_proven_by_the_validator_that_got_it(
    game: Game, validator: int, message: int
) -> None:
    """The update counts, summed by the others; who dealt it pays, and who was dealt it is neither blamed nor heard."""
    before, others = game.stake(CHEAT), {o: game.validator_stake(o) for o in ORGANISATIONS}
    victim = game.names[ORGANISATIONS[validator - 1]]
    play(game, lambda: game.send(CHEAT, game.cheating(CHEAT, tamper_share=off_by_one(validator, 0, message))))
    assert game.verdicts()[CHEAT] == "accepted"
    settlement = game.view().settlement
    assert settlement is not None
    assert [(each.participant, each.validator) for each in settlement.accused] == [(game.pseudonym(CHEAT), victim)]
    assert settlement.summers == tuple(msp for msp in game.spec.aggregation.validators if msp != victim)
    game.settle_disputes()
    dispute = game.view().dispute
    assert dispute is not None
    assert [each.ruling for each in dispute.accusations] == ["confirms"]
    assert game.stake(CHEAT) == before - before // 10
    assert {o: game.validator_stake(o) for o in ORGANISATIONS} == others


def test_shares_that_belong_to_no_polynomial_at_two_validators_are_refused_without_blame(game: Game) -> None:
    before = game.stake(CHEAT)
    twice = [off_by_one(2, 0), off_by_one(3, 0)]

    def tamper(number: int, validator: int, share: Elements) -> Elements:
        for each in twice:
            share = each(number, validator, share)
        return share

    play(game, lambda: game.send(CHEAT, game.cheating(CHEAT, tamper_share=tamper)))
    assert game.verdicts()[CHEAT] == "refused: inconsistent"
    assert game.view().dispute is None
    assert game.stake(CHEAT) == before


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[:-1], id="truncated"),
        pytest.param(lambda data: data[:-1] + bytes([data[-1] ^ 1]), id="one bit changed"),
        pytest.param(lambda data: b"", id="empty"),
    ],
)
def test_shares_that_two_validators_cannot_read_are_refused_without_blame(
    game: Game, damage: Callable[[bytes], bytes]
) -> None:
    before = game.stake(CHEAT)
    play(
        game,
        lambda: game.send(CHEAT, game.honest(CHEAT), stored=lambda point, data: damage(data) if point <= 2 else data),
    )
    assert game.verdicts()[CHEAT] == "unreadable"
    assert game.stake(CHEAT) == before


def test_a_share_that_one_validator_cannot_read_does_not_keep_the_update_out(game: Game) -> None:
    play(
        game,
        lambda: game.send(CHEAT, game.honest(CHEAT), stored=lambda point, data: data[1:] if point == 4 else data),
    )
    assert game.verdicts()[CHEAT] == "accepted"


def test_two_ciphertexts_that_were_swapped_are_unreadable(game: Game) -> None:
    def swapped() -> None:
        prepared = game.honest(CHEAT)
        sealed = (prepared.sealed[1], prepared.sealed[0], *prepared.sealed[2:])
        shares = (prepared.shares[1], prepared.shares[0], *prepared.shares[2:])
        game.send(CHEAT, replace(prepared, sealed=sealed, shares=shares))

    play(game, swapped)
    assert game.verdicts()[CHEAT] == "unreadable"


@pytest.mark.parametrize(
    ("cheat", "owner"),
    [pytest.param("cleveland", "hungary", id="before its owner"), pytest.param("hungary", "cleveland", id="after it")],
)
def test_a_copy_of_anothers_commitment_keeps_its_owners_update_neither_from_being_opened_nor_from_being_summed(
    game: Game, cheat: str, owner: str
) -> None:
    before = game.stake(cheat)

    def copied() -> None:
        game.send(cheat, replace(game.honest(cheat), root=game.pending[owner].signed.manifest.root))

    play(game, copied, cheat)
    assert game.verdicts()[cheat] == "unreadable"
    assert game.stake(cheat) == before
    for record in game.view().attestations:
        reasons = {finding.participant: finding.reason for finding in record.attestation.findings}
        assert reasons[game.pseudonym(cheat)] == "ROOT_MISMATCH"
        assert reasons[game.pseudonym(owner)] == ""


def test_an_update_with_the_shares_that_were_sealed_for_another_one_is_unreadable(game: Game) -> None:
    def taken() -> None:
        other = game.pending[OTHERS[0]]
        game.send(CHEAT, PreparedUpdate(other.signed.manifest.root, other.signed.manifest.shares, other.sealed))

    play(game, taken)
    assert game.verdicts()[CHEAT] == "unreadable"


def test_sizes_that_are_not_the_tasks_do_not_get_onto_the_ledger(game: Game) -> None:
    game.open()
    prepared = game.honest(CHEAT)
    huge = prepared.shares[0].model_copy(update={"size": 1 << 52})
    with pytest.raises(LedgerRefusal) as refusal:
        game.send(CHEAT, replace(prepared, shares=(huge, *prepared.shares[1:])))
    assert refusal.value.code == "SHARE_SIZE"
    for organisation in ORGANISATIONS:
        game.send(organisation, game.honest(organisation))
    game.work(until=("finalised",))


def test_an_update_of_the_round_before_is_refused_in_this_one(game: Game) -> None:
    game.open()
    for organisation in ORGANISATIONS:
        game.send(organisation, game.honest(organisation))
    old = game.pending[CHEAT].signed
    game.work(until=("finalised",))
    game.open()
    moved = old.model_copy(update={"manifest": old.manifest.model_copy(update={"round": game.rounds})})
    with pytest.raises(LedgerRefusal) as refusal:
        game.ledger(CHEAT, "participant").submit_updates([moved])
    assert refusal.value.code == "BAD_SIGNATURE"
    for organisation in ORGANISATIONS:
        game.send(organisation, game.honest(organisation))
    game.work(until=("finalised",))


def test_a_second_manifest_is_equivocation_and_costs_stake(game: Game) -> None:
    before = game.stake(CHEAT)

    def twice() -> None:
        # The other's deadline would be waited for if the round were complete already.
        first, second = game.honest(CHEAT), game.honest(CHEAT)
        game.send(CHEAT, first)
        (result,) = game.ledger(CHEAT, "participant").submit_updates([game.sign(CHEAT, second)])
        assert result.code == "EQUIVOCATION"

    play(game, twice)
    assert game.verdicts()[CHEAT] == "refused: equivocation"
    assert game.stake(CHEAT) == before - before // 2


@pytest.mark.parametrize(
    "update",
    [
        pytest.param([0, 0, 0, 0], id="zero"),
        pytest.param([NORM, 0, 0, 0], id="one entry at the bound"),
        pytest.param([-NORM, 0, 0, 0], id="one negative entry at the bound"),
        pytest.param([NORM // 2] * 4, id="all entries at the bound"),
    ],
)
def test_honest_updates_at_the_edge_are_never_refused(game: Game, update: list[int]) -> None:
    play(game, lambda: game.send(CHEAT, game.honest(CHEAT, update)))
    assert game.verdicts()[CHEAT] == "accepted"
