"""Every challenge depends on every message before it, for each validator, and on the place that the update is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedledger.secure_aggregation import Parameters, UpdateContext
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.projections import project
from fedledger.secure_aggregation.publication import Dealer
from fedledger.secure_aggregation.randomness import PublicStream
from fedledger.secure_aggregation.transcript import challenge_of, dealing_challenge, next_point, point_of
from fedledger.secure_aggregation.update import UpdateRandomness, deal_update
from fedledger_chaincode.rules.commitments import initial_root, leaf_digest, root_digest
from tests.protocol.parties import context_of

PARAMETERS = Parameters(4, 1, 40, 1000, proof="norm")
BOUND = PARAMETERS.norm_bound
RANDOMNESS = UpdateRandomness.draw(PARAMETERS)
MESSAGES = [np.arange(length, dtype=np.uint64) for length in PARAMETERS.message_lengths]


def roots_of(
    messages: list[Elements] = MESSAGES,
    randomness: UpdateRandomness = RANDOMNESS,
    context: UpdateContext | None = None,
) -> list[bytes]:
    dealer = Dealer(PARAMETERS, context or context_of(), randomness.salts, randomness.coefficients)
    return [dealer.deal(message) for message in messages]


ROOTS = roots_of()


def changed(arrays: list[Elements], index: int, *place: int) -> list[Elements]:
    """The arrays, with one element of one of them increased by one."""
    copies = [array.copy() for array in arrays]
    copies[index][place] += np.uint64(1)
    return copies


@pytest.mark.parametrize("message", range(len(MESSAGES)))
@pytest.mark.parametrize("place", [0, -1])
def test_a_root_changes_with_every_message_up_to_it(message: int, place: int) -> None:
    roots = roots_of(changed(MESSAGES, message, place))
    assert roots[:message] == ROOTS[:message]
    assert all(new != old for new, old in zip(roots[message:], ROOTS[message:], strict=True))


@pytest.mark.parametrize("message", range(len(MESSAGES)))
def test_a_root_changes_with_the_shares_of_the_same_secrets(message: int) -> None:
    coefficients = tuple(changed(list(RANDOMNESS.coefficients), message, 0, 7))
    roots = roots_of(randomness=replace(RANDOMNESS, coefficients=coefficients))
    assert roots[:message] == ROOTS[:message]
    assert all(new != old for new, old in zip(roots[message:], ROOTS[message:], strict=True))


@pytest.mark.parametrize("validator", [1, 2, 3, 4])
def test_every_root_changes_with_the_salt_of_any_validator(validator: int) -> None:
    salts = tuple(bytes(16) if j == validator else salt for j, salt in enumerate(RANDOMNESS.salts, start=1))
    assert not set(roots_of(randomness=replace(RANDOMNESS, salts=salts))) & set(ROOTS)


@pytest.mark.parametrize(
    "change",
    [{"round": 2}, {"task": "other"}, {"participant": f"{2:064x}"}, {"channel": "other"}, {"base_model": "cd" * 32}],
    ids=lambda change: next(iter(change)),
)
def test_every_root_changes_with_the_place_that_an_update_is_for(change: dict[str, Any]) -> None:
    assert not set(roots_of(context=replace(context_of(), **change))) & set(ROOTS)


def test_a_root_changes_with_the_validator_that_a_share_is_for_and_with_the_order_of_leaves() -> None:
    leaves = [leaf_digest(ROOTS[0], validator, bytes(16), b"share") for validator in (1, 2)]
    assert leaves[0] != leaves[1]
    assert root_digest(ROOTS[0], leaves) != root_digest(ROOTS[0], leaves[::-1])


def test_a_task_without_proof_has_another_transcript() -> None:
    assert initial_root(context_of(), "none") != initial_root(context_of(), "norm")


drawn: dict[str, Callable[[bytes], object]] = {
    "projections": lambda root: project(np.arange(1, 60, dtype=np.uint64), root),
    "point": point_of,
    "dealing challenge": lambda root: dealing_challenge(root, 64).tolist(),
}


@pytest.mark.parametrize("name", drawn)
def test_what_is_drawn_changes_with_the_root(name: str) -> None:
    draw = drawn[name]
    assert draw(ROOTS[1]) == draw(ROOTS[1])
    assert draw(ROOTS[1]) != draw(ROOTS[2])


def test_the_challenge_changes_with_the_root_and_is_not_that_of_the_point() -> None:
    assert BOUND is not None
    one, again, other = (challenge_of(root, BOUND) for root in (ROOTS[1], ROOTS[1], ROOTS[2]))
    for part in ("bits", "projections", "norm", "complement", "point"):
        assert np.array_equal(getattr(one, part), getattr(again, part))
        assert not np.array_equal(getattr(one, part), getattr(other, part))
    coefficients = {*zip(*one.bits.tolist(), strict=True), *zip(*one.projections.tolist(), strict=True)}
    assert len(coefficients | {one.norm, one.complement, one.point}) == BOUND.bits + 108 + 3


def test_the_challenges_of_an_update_are_those_of_its_own_roots() -> None:
    # An update dealt with its first root's shares but another second message gets other messages from then on.
    update = np.arange(40)
    one, other = (
        deal_update(update, PARAMETERS, context_of(), replace(RANDOMNESS, coefficients=coefficients))
        for coefficients in (RANDOMNESS.coefficients, tuple(changed(list(RANDOMNESS.coefficients), 1, 0, 0)))
    )
    assert one is not None and other is not None
    assert one.roots[0] == other.roots[0]
    assert all(a != b for a, b in zip(one.roots[1:], other.roots[1:], strict=True))


class Scripted(PublicStream):
    """A stream of given elements."""

    def __init__(self, *given: int) -> None:
        self._given = list(given)

    def elements(self, count: int) -> Elements:
        taken, self._given = self._given[:count], self._given[count:]
        return np.array(taken, dtype=np.uint64)


def test_a_point_is_drawn_again_while_it_is_in_the_base_field() -> None:
    assert next_point(Scripted(5, 0, 6, 0, 7, 8, 9, 10)) == (7, 8)
    assert next_point(Scripted(0, 1)) == (0, 1)
