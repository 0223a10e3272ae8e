"""What t validators hold and what all open say the same of every update: exactly, not by sampling.

For what an adversary has seen of one update there is exactly one randomness with which any other update would have
given the same: as randomness is uniform, what it sees is distributed alike (section 12.5). The other update's proof is
computed for the challenges that the adversary has seen, and its shares are those of the only polynomials through what
the adversary holds.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from fedledger.secure_aggregation import OpenedShare, Parameters, extension, folding, opening_of
from fedledger.secure_aggregation.extension import Extended
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.norm_proof import (
    challenged_vector,
    fold_message,
    last_message,
    norm_bits,
    projection_bits,
)
from fedledger.secure_aggregation.opening import dealing_value
from fedledger.secure_aggregation.randomness import elements_to_bytes
from fedledger.secure_aggregation.transcript import challenge_of, point_of
from fedledger.secure_aggregation.update import UpdateRandomness
from fedledger_chaincode.messages.round import DealingOpening, NormOpening, Opening
from fedledger_chaincode.rules.field import MODULUS, centred, inverse
from fedledger_chaincode.rules.norm_bound import NormBound
from fedledger_chaincode.rules.reed_solomon import decode_certain, lagrange_at_zero
from tests.protocol.parties import Integers, Validators, context_of, manifest_of, readable

NORM = 1 << 24
DIMENSION = 70
KINDS = [(4, 1, "norm"), (7, 2, "norm"), (4, 1, "none"), (7, 2, "none")]
HALF = DIMENSION // 2
DIRECTION = np.arange(DIMENSION) * (np.arange(DIMENSION) < HALF)
"""Knows nothing of the second half of an update."""


def update_with(second_half: list[int]) -> Integers:
    """All of these have the same first half, and so the same inner product with the direction."""
    return np.array([*range(HALF), *second_half, *[0] * (HALF - len(second_half))], dtype=np.int64)


UPDATES = {
    "nothing else": update_with([]),
    "one large number": update_with([-NORM + 1000]),
    "many numbers": update_with(np.random.default_rng(1).integers(-1_000_000, 1_000_000, HALF).tolist()),
}


def seen(validators: Validators, update: Integers) -> dict[int, OpenedShare]:
    """All shares of an update that was dealt honestly."""
    prepared = validators.prepare(update, context_of())
    opened = validators.open_all(prepared, manifest_of(prepared, context_of()))
    return {j: readable(share) for j, share in opened.items()}


def openings_of(shares: dict[int, OpenedShare]) -> dict[int, Opening]:
    reference = DIRECTION if next(iter(shares.values())).parameters.proof == "norm" else None
    return {j: opening_of(share, reference) for j, share in shares.items()}


def decoded(openings: dict[int, Opening], part: str, t: int) -> Extended:
    """What the openings say: the value at zero."""
    constants = []
    for index in (0, 1):
        decoding = decode_certain({j: int(getattr(o, part)[index], 16) for j, o in openings.items()}, t, t)
        assert decoding is not None and decoding.errors == ()
        constants.append(decoding.constant)
    return constants[0], constants[1]


def quotient(left: Extended, right: Extended) -> Extended:
    norm = inverse((right[0] ** 2 + right[1] ** 2) % MODULUS)
    conjugate = np.array([[right[0]], [-right[1] % MODULUS]], dtype=np.uint64)
    return extension.scaled(extension.inner(np.array(left, dtype=np.uint64).reshape(2, 1), conjugate), norm)


def minus(left: Extended, right: Extended) -> Extended:
    return extension.plus(left, extension.scaled(right, -1))


def elements_of(update: Integers) -> Elements:
    return (update % MODULUS).astype(np.uint64)


def proof_for(update: Integers, roots: tuple[bytes, ...], bound: NormBound, z: Extended) -> list[Elements]:
    """The messages of an update for given challenges, and the only mask with which Z(r) is what was opened."""
    first_bits, second_bits = norm_bits(update, bound), projection_bits(update, roots[0], bound)
    assert second_bits is not None
    messages = [np.concatenate([elements_of(update), first_bits, folding.sums_of_squares_of_integers(update)])]
    messages.append(second_bits)
    challenge = challenge_of(roots[1], bound)
    vector = challenged_vector(elements_of(update), np.concatenate([first_bits, second_bits]), challenge)
    for root in roots[2:-1]:
        messages.append(fold_message(vector))
        vector = folding.fold(vector, point_of(root))
    weights = folding.basis(vector.shape[1] + 1, point_of(roots[-1]))
    of_mask = (int(weights[0, 0]), int(weights[1, 0]))
    mask = quotient(minus(z, extension.inner(weights[:, 1:].copy(), vector)), of_mask)
    return [*messages, last_message(vector, np.array(mask, dtype=np.uint64))]


def dealing_for(update: Integers, root: bytes, combination: Extended) -> list[Elements]:
    """The message of an update without proof, with the only mask that gives what was opened."""
    without = dealing_value(np.concatenate([elements_of(update), np.zeros(2, dtype=np.uint64)]), root)
    mask = np.array(minus(combination, without), dtype=np.uint64)
    return [np.concatenate([elements_of(update), mask])]


def share_through(secret: Elements, held: dict[int, Elements], validator: int) -> Elements:
    """The share of the only polynomials of degree t through a secret and t shares."""
    points = {0: secret, **held}
    weights = lagrange_at_zero(tuple(point - validator for point in points))
    values = [
        sum(weight * int(value) for weight, value in zip(weights, column, strict=True)) % MODULUS
        for column in zip(*points.values(), strict=True)
    ]
    return np.array(values, dtype=np.uint64)


def as_if(update: Integers, shares: dict[int, OpenedShare], corrupt: tuple[int, ...]) -> dict[int, OpenedShare]:
    """All shares of another update, for which the corrupt validators hold what they hold and open what they opened."""
    one, openings = shares[1], openings_of(shares)
    parameters, t = one.parameters, one.parameters.tolerated_faults
    bound = parameters.norm_bound
    if bound is None:
        messages = dealing_for(update, one.roots[0], decoded(openings, "combination", t))
    else:
        messages = proof_for(update, one.roots, bound, decoded(openings, "z", t))
    simulated = {}
    for j, share in shares.items():
        parts = [
            share.messages[k] if j in corrupt else share_through(m, {c: shares[c].messages[k] for c in corrupt}, j)
            for k, m in enumerate(messages)
        ]
        simulated[j] = replace(share, messages=tuple(parts))
    return simulated


@pytest.fixture(scope="module", params=KINDS, ids=str)
def dealt(request: pytest.FixtureRequest) -> dict[int, OpenedShare]:
    n, t, proof = request.param
    validators = Validators.of(Parameters(n, t, DIMENSION, NORM, proof=proof))
    return seen(validators, UPDATES["many numbers"])


@pytest.mark.parametrize("name", UPDATES)
def test_any_other_update_may_have_given_what_t_validators_hold_and_what_all_open(
    dealt: dict[int, OpenedShare], name: str
) -> None:
    t = dealt[1].parameters.tolerated_faults
    for corrupt in list(combinations(dealt, t))[::4]:
        assert openings_of(as_if(UPDATES[name], dealt, corrupt)) == openings_of(dealt)


def test_with_one_validator_more_the_shares_are_those_of_one_update_alone(dealt: dict[int, OpenedShare]) -> None:
    # What would fail above if shares, or the simulation of them, said nothing at all.
    t = dealt[1].parameters.tolerated_faults
    simulated = as_if(UPDATES["nothing else"], dealt, tuple(range(1, t + 1)))
    assert not np.array_equal(simulated[t + 1].update, dealt[t + 1].update)
    weights = lagrange_at_zero(tuple(range(1, t + 2)))
    for shares, update in ((dealt, UPDATES["many numbers"]), (simulated, UPDATES["nothing else"])):
        held = [shares[j].update.tolist() for j in range(1, t + 2)]
        found = [
            sum(w * x for w, x in zip(weights, column, strict=True)) % MODULUS for column in zip(*held, strict=True)
        ]
        assert [centred(x) for x in found] == update.tolist()


def test_of_an_update_with_another_inner_product_the_openings_tell_that_and_nothing_else() -> None:
    shares = seen(Validators.of(Parameters(4, 1, DIMENSION, NORM, proof="norm")), UPDATES["many numbers"])
    other = UPDATES["many numbers"] + 1
    said, simulated = openings_of(shares), openings_of(as_if(other, shares, (2,)))
    for j, opening in said.items():
        like = simulated[j]
        assert isinstance(opening, NormOpening) and isinstance(like, NormOpening)
        assert (opening.z, opening.p) == (like.z, like.p)
        assert (opening.inner_product == like.inner_product) == (j == 2)


def test_the_mask_is_what_hides_the_update(dealt: dict[int, OpenedShare]) -> None:
    # Of the same dealing but with another mask, and with none, the openings are others.
    said = openings_of(dealt)
    place = slice(-2, None) if isinstance(said[1], DealingOpening) else slice(0, 2)
    moved = dealt[1].messages[-1].copy()
    moved[place] = 0
    changed = replace(dealt[1], messages=(*dealt[1].messages[:-1], moved))
    assert opening_of(changed) != opening_of(dealt[1])


# The randomness itself.

BINS = 16
FAR_FROM_UNIFORM = 75.0
"""Chi-squared with 15 degrees of freedom exceeds it with a probability of 6e-10."""


def chi_squared(values: list[int]) -> float:
    counts = np.bincount([value * BINS // MODULUS for value in values], minlength=BINS)
    expected = len(values) / BINS
    return float((np.square(counts - expected) / expected).sum())


@pytest.mark.parametrize(("n", "t"), [(4, 1), (7, 2)])
@pytest.mark.parametrize("value", [0, 1, -5_000_000])
def test_shares_of_any_number_are_uniform_and_t_of_them_are_together(n: int, t: int, value: int) -> None:
    validators = Validators.of(Parameters(n, t, 8, NORM))
    held: dict[int, list[int]] = {j: [] for j in range(1, n + 1)}
    for _ in range(60):
        for j, share in seen(validators, np.full(8, value, dtype=np.int64)).items():
            held[j] += share.update.tolist()
    assert all(chi_squared(shares) < FAR_FROM_UNIFORM for shares in held.values())
    for corrupt in combinations(held, t):
        for factors in ((1, 2), (3, 5), (1, MODULUS - 1)):
            together = zip(*(held[j] for j in corrupt), strict=True)
            combined = [sum(f * x for f, x in zip(factors, column, strict=False)) % MODULUS for column in together]
            assert chi_squared(combined) < FAR_FROM_UNIFORM
    points = [held[j] for j in range(1, t + 2)]
    weights = lagrange_at_zero(tuple(range(1, t + 2)))
    secrets = {
        sum(w * x for w, x in zip(weights, column, strict=True)) % MODULUS for column in zip(*points, strict=True)
    }
    assert secrets == {value % MODULUS}


def test_nothing_random_is_used_twice() -> None:
    parameters = Parameters(4, 1, DIMENSION, NORM, proof="norm")
    both = [UpdateRandomness.draw(parameters) for _ in range(2)]
    drawn = np.concatenate([part.reshape(-1) for r in both for part in (r.mask, *r.coefficients)])
    assert np.unique(drawn).size == drawn.size == 2 * (2 + sum(parameters.message_lengths))
    assert len({salt for r in both for salt in r.salts}) == 8


def test_every_message_of_one_update_is_shared_anew() -> None:
    # Equal secrets in two messages have other shares: their polynomials are not the same.
    parameters = Parameters(4, 1, DIMENSION, NORM, proof="norm")
    validators = Validators.of(parameters)
    prepared = validators.prepare(UPDATES["nothing else"], context_of())
    share = readable(validators.open(1, prepared.sealed[0], manifest_of(prepared, context_of())))
    held = b"".join(bytes(elements_to_bytes(message)) for message in share.messages)
    words = [held[at : at + 8] for at in range(0, len(held), 8)]
    assert len({*words}) == len(words)
