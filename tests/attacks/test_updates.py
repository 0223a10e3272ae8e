"""Every way to cheat with an update that docs/protocol/secure-aggregation.md names, end to end on a ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fedledger.cli.demo.cheating import off_by_one
from fedledger.ledger import LedgerRefusal
from fedledger.secure_aggregation import Parameters
from fedledger_chaincode.rules.field import MODULUS
from tests.attacks.conftest import HONEST, ORGANISATIONS, Game

CHEAT = "cleveland"
OTHERS = ORGANISATIONS[1:]
NORM = 1 << 24


def play(game: Game, send: Callable[[], None]) -> None:
    """A round in which one participant cheats and three are honest."""
    game.open()
    for organisation in OTHERS:
        game.send(organisation, game.honest(organisation))
    send()
    game.work(until=("finalised", "aborted"))
    assert {game.verdicts()[organisation] for organisation in OTHERS} == {"accepted"}
    assert game.view().record.state == "finalised"


def position_of_first_bit(game: Game) -> int:
    return Parameters.of_task(game.spec).dimension


@pytest.mark.parametrize(
    ("update", "lies"),
    [
        pytest.param([int(NORM * 1.01), 0, 0, 0], {}, id="norm one percent over the bound"),
        pytest.param([(MODULUS + 1) // 2, 0, 0, 0], {}, id="an entry of one half"),
        pytest.param([pow(3, -1, MODULUS), 0, 0, 0], {}, id="an entry of one third"),
        pytest.param([10 * value for value in [NORM, NORM, 0, 0]], {}, id="scaled tenfold"),
        pytest.param(HONEST, {"zero_constants": (1, 0)}, id="a sharing of one in the place of zero"),
        pytest.param(HONEST, {"zero_constants": (0, MODULUS - 1)}, id="a sharing of minus one in the second challenge"),
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


@pytest.mark.parametrize("validator", [1, 3])
def test_a_share_that_belongs_to_no_polynomial_is_proven_by_the_validator_that_got_it(
    game: Game, validator: int
) -> None:
    before, others = game.stake(CHEAT), {o: game.validator_stake(o) for o in ORGANISATIONS}
    play(game, lambda: game.send(CHEAT, game.cheating(CHEAT, tamper_share=off_by_one(validator, 0))))
    assert game.verdicts()[CHEAT] == "refused: dealing"
    assert game.stake(CHEAT) == before - before // 10
    assert {o: game.validator_stake(o) for o in ORGANISATIONS} == others


def test_a_sharing_of_zero_off_its_polynomial_is_refused_without_blame(game: Game) -> None:
    before = game.stake(CHEAT)
    proof_length = Parameters.of_task(game.spec).proof_length
    tamper = off_by_one(2, proof_length - 1)
    play(game, lambda: game.send(CHEAT, game.cheating(CHEAT, tamper_proof=tamper)))
    assert game.verdicts()[CHEAT] == "refused: inconsistent"
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
        from dataclasses import replace

        game.send(CHEAT, replace(prepared, sealed=sealed, shares=shares))

    play(game, swapped)
    assert game.verdicts()[CHEAT] == "unreadable"


def test_swapped_leaves_do_not_get_onto_the_ledger(game: Game) -> None:
    from dataclasses import replace

    game.open()
    prepared = game.honest(CHEAT)
    leaves = (prepared.leaves[1], prepared.leaves[0], *prepared.leaves[2:])
    with pytest.raises(LedgerRefusal) as refusal:
        game.send(CHEAT, replace(prepared, leaves=leaves))
    assert refusal.value.code == "ROOT_MISMATCH"
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
