"""Honest updates are accepted, and every known attack on the norm proof gets the verdict of the specification."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.secure_aggregation import Parameters, PreparedUpdate, UpdateError, encode_update, opening_of
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.norm_proof import projection_bits
from fedledger.secure_aggregation.projections import project
from fedledger.secure_aggregation.update import UpdateRandomness, deal_update
from fedledger_chaincode.messages.round import NormOpening, Opening
from fedledger_chaincode.rules.field import MODULUS, centred, inverse
from fedledger_chaincode.rules.norm_bound import ROWS, NormBound
from fedledger_chaincode.rules.reed_solomon import lagrange_at_zero
from fedledger_chaincode.rules.verdicts import Decision
from tests.protocol.cheating import cheat, off_by_one
from tests.protocol.parties import THRESHOLDS, Integers, Validators, context_of, manifest_of, readable

NORM = 1 << 24
DIMENSION = 40
BOTH = [(4, 1), (7, 2)]
BOUND = NormBound(NORM, DIMENSION)
LAST = len(BOUND.message_lengths)
"""Messages are counted from 1: the first, the projections', one of a fold, the last."""


def validators_of(n: int = 4, t: int = 1, dimension: int = DIMENSION, norm: int = NORM) -> Validators:
    return Validators.of(Parameters(n, t, dimension, norm, proof="norm"))


def decision_on(validators: Validators, update: Integers) -> Decision:
    return validators.decision_on(validators.prepare(update, context_of()), context_of())


def cheated(validators: Validators, update: Iterable[int], **how: object) -> Decision:
    prepared = cheat(validators, context_of(), [int(x) for x in update], **how)
    return validators.decision_on(prepared, context_of())


def everybody(n: int) -> frozenset[int]:
    return frozenset(range(1, n + 1))


def honest_update(seed: int, dimension: int = DIMENSION) -> Integers:
    return encode_update(np.random.default_rng(seed).normal(size=dimension), 1.0, NORM)


@pytest.mark.parametrize(("n", "t"), THRESHOLDS)
@given(
    dimension=st.integers(1, 70),
    norm=st.sampled_from([1, 2, 1000, NORM, 30_854_650]),
    length=st.sampled_from([0.0, 1e-6, 0.5, 0.999, 1.0, 50.0]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=12)
def test_honest_updates_of_any_length_are_accepted(
    n: int, t: int, dimension: int, norm: int, length: float, seed: int
) -> None:
    update = np.random.default_rng(seed).normal(size=dimension)
    update *= length / max(float(np.linalg.norm(update)), 1e-12)
    validators = validators_of(n, t, dimension, norm)
    assert decision_on(validators, encode_update(update, 1.0, norm)) == Decision("accepted", everybody(n))


@pytest.mark.parametrize("dimension", [1, ROWS - 1, ROWS, ROWS + 1, 4095, 4096, 4097, 40_001])
def test_lengths_around_the_boundaries_of_rows_and_runs_are_accepted(dimension: int) -> None:
    validators = validators_of(dimension=dimension)
    assert decision_on(validators, honest_update(dimension, dimension)).verdict == "accepted"


@pytest.mark.parametrize(("dimension", "folds"), [(158_000, 1), (160_000, 2)])
def test_long_updates_are_folded_more_often(dimension: int, folds: int) -> None:
    validators = validators_of(dimension=dimension)
    assert len(validators.parameters.message_lengths) == 3 + folds
    assert decision_on(validators, honest_update(dimension, dimension)).verdict == "accepted"


@pytest.mark.parametrize("place", [0, 1, DIMENSION - 1])
@pytest.mark.parametrize("value", [NORM, -NORM])
def test_one_hot_updates_at_the_bound_itself_are_accepted(place: int, value: int) -> None:
    update = np.zeros(DIMENSION, dtype=np.int64)
    update[place] = value
    assert decision_on(validators_of(), update).verdict == "accepted"


def test_the_inner_product_with_the_reference_direction_is_published_exactly() -> None:
    update, direction = honest_update(3), honest_update(4)
    validators, context = validators_of(), context_of()
    prepared = validators.prepare(update, context)
    openings = validators.attest(prepared, manifest_of(prepared, context), direction)
    decision = validators.decide(openings, with_products=True)
    assert decision == Decision("accepted", everybody(4), inner_product=int(np.dot(update, direction)))


@pytest.mark.parametrize("reference", [np.zeros(DIMENSION - 1, dtype=np.int64), np.zeros(DIMENSION)])
def test_a_reference_direction_of_another_kind_is_refused(reference: Integers) -> None:
    validators, context = validators_of(), context_of()
    prepared = validators.prepare(np.arange(DIMENSION), context)
    share = readable(validators.open(1, prepared.sealed[0], manifest_of(prepared, context)))
    with pytest.raises(ValueError, match="the reference direction is"):
        opening_of(share, reference)


# Attacks by a participant on the statement itself: proven with all values, with any n - t, and with t liars among all.


def four_squares(number: int) -> list[int]:
    """Four integers whose squares add up to ``number`` (Lagrange), by search over the first two."""
    for first in range(math.isqrt(number), 0, -1):
        for second in range(math.isqrt(number - first * first), -1, -1):
            rest = number - first * first - second * second
            for third in range(math.isqrt(rest), -1, -1):
                fourth = math.isqrt(rest - third * third)
                if fourth * fourth == rest - third * third:
                    return [first, second, third, fourth]
                if third < math.isqrt(rest) - 300:
                    break
            if second < math.isqrt(number - first * first) - 300:
                break
    raise AssertionError("every number is a sum of four squares")


def one_percent_over() -> list[int]:
    update = np.random.default_rng(0).normal(size=DIMENSION)
    return [int(x) for x in update * (1.01 * NORM / float(np.linalg.norm(update)))]


SIDE = math.isqrt(MODULUS // 32)
OVER = {
    "one percent over the bound": one_percent_over(),
    "over the bound by one": [NORM, 1],
    "a thousand times the bound": [1000 * NORM],
    "random elements": [int(x) for x in np.random.default_rng(1).integers(0, MODULUS, DIMENSION)],
    # In the following the squares do add up to N mod q: only the projections can tell.
    "four halves": [inverse(2)] * 4,
    "eight halves": [inverse(2)] * 8,
    "nine thirds": [inverse(3)] * 9,
    "thirty-six thirds": [inverse(3)] * 36,
    "squares that add up to q": four_squares(MODULUS),
    "many squares that add up to q": [SIDE] * 31 + four_squares(MODULUS - 31 * SIDE**2),
}


def padded(update: list[int]) -> list[int]:
    return [x % MODULUS for x in update] + [0] * (DIMENSION - len(update))


def falsified(opening: Opening | None, part: str, index: int, difference: int) -> NormOpening:
    """An opening with one of its values changed."""
    assert isinstance(opening, NormOpening)
    value = [*getattr(opening, part)]
    value[index] = f"{(int(value[index], 16) + difference) % MODULUS:016x}"
    return opening.model_copy(update={part: tuple(value)})


VALUES = [("z", 0), ("z", 1), ("p", 0), ("p", 1)]


@pytest.mark.parametrize(("n", "t"), BOTH)
@pytest.mark.parametrize("name", OVER)
def test_attack_update_over_the_bound(name: str, n: int, t: int) -> None:
    validators, context = validators_of(n, t), context_of()
    prepared = cheat(validators, context, padded(OVER[name]))
    openings = validators.attest(prepared, manifest_of(prepared, context))
    assert validators.decide(openings) == Decision("refused: norm", everybody(n))
    for counted in combinations(openings, n - t):
        assert validators.decide({j: openings[j] for j in counted}).verdict == "refused: norm"
    for liars in combinations(openings, t):
        lied = openings | {j: falsified(openings[j], *VALUES[j % 4], 7) for j in liars}
        assert validators.decide(lied) == Decision("refused: norm", everybody(n) - {*liars}, accused=liars)


@pytest.mark.parametrize("equal", [31, 1000, 40_000])
def test_an_update_that_wraps_around_passes_no_more_than_half_of_its_projections(equal: int) -> None:
    # The smallest wrap-around of many small entries is the hardest to see (section 12.2, case B).
    side = math.isqrt(MODULUS // equal) + 1
    bound = NormBound(NORM, equal)
    elements = np.full(equal, side, dtype=np.uint64)
    roots = [number.to_bytes(32, "big") for number in range(20)]
    inside = [-bound.window < centred(y) <= bound.window for root in roots for y in project(elements, root)]
    assert 0 < sum(inside) / len(inside) < 0.5


def norm_digits(changes: dict[int, int], norm: int = 0) -> list[int]:
    """The bits of N and of B - N, some of them replaced."""
    digits = [norm >> i & 1 for i in range(BOUND.norm_bits)]
    digits += [BOUND.bound - norm >> i & 1 for i in range(BOUND.norm_bits)]
    return [changes.get(place, digit) for place, digit in enumerate(digits)]


TOP = BOUND.norm_bits - 1
FALSE_DIGITS: dict[str, tuple[list[int], list[int]]] = {
    "no bit in the norm": ([], norm_digits({0: 2})),
    "minus one for a bit of the norm": ([], norm_digits({0: MODULUS - 1})),
    "one half for a bit of the norm": ([], norm_digits({0: inverse(2)})),
    "no bit in the complement": ([], norm_digits({BOUND.norm_bits: 2})),
    # N = 2 B is written in the top digit as 2, B - N = -B as a digit of -1: both sums are right, no digit is a bit.
    "digits of the right sums that are no bits": (
        [NORM, NORM],
        [0] * TOP + [2] + [0] * TOP + [MODULUS - 1],
    ),
    "N + N' that is not B": ([5], norm_digits({BOUND.norm_bits: 0}, 25)),
    "N + N' that is not B, over the bound": ([NORM, NORM], [0] * TOP + [1] + norm_digits({})[: TOP + 1]),
    "N of another update": ([5], norm_digits({}, 26)),
}


@pytest.mark.parametrize(("n", "t"), BOTH)
@pytest.mark.parametrize("name", FALSE_DIGITS)
def test_attack_false_digits_of_the_norm(name: str, n: int, t: int) -> None:
    update, digits = FALSE_DIGITS[name]
    decision = cheated(validators_of(n, t), padded(update), norm_secrets=digits)
    assert decision == Decision("refused: norm", everybody(n))


def two_and_carry(bits: Elements) -> Elements:
    """The same numbers with a digit that is no bit."""
    changed = bits.copy()
    width = BOUND.window_bits
    high = next(i for i in range(bits.size) if i % width and bits[i] == 1 and bits[i - 1] == 0)
    changed[high], changed[high - 1] = 0, 2
    return changed


def flipped(place: int) -> Callable[[Elements], Elements]:
    def flip(bits: Elements) -> Elements:
        changed = bits.copy()
        changed[place] = 1 - changed[place]
        return changed

    return flip


@pytest.mark.parametrize(("n", "t"), BOTH)
@pytest.mark.parametrize("tamper", [two_and_carry, *map(flipped, (0, 5, BOUND.window_bits, -1))])
def test_attack_false_bits_of_projections(tamper: Callable[[Elements], Elements], n: int, t: int) -> None:
    decision = cheated(validators_of(n, t), [1000] * DIMENSION, tamper_bits=tamper)
    assert decision == Decision("refused: norm", everybody(n))


def increased(message: int, *changes: tuple[int, int]) -> Callable[[int, Elements], Elements]:
    """Adds to some elements of one message before it is dealt."""

    def tamper(number: int, secrets: Elements) -> Elements:
        if number == message:
            secrets = secrets.copy()
            for place, change in changes:
                secrets[place] = (int(secrets[place]) + change) % MODULUS
        return secrets

    return tamper


POLYNOMIAL = DIMENSION + 2 * BOUND.norm_bits
"""Where P_1 begins in the first message."""
FALSE_MESSAGES = {
    "P_1 at a node": [(1, (POLYNOMIAL, 1))],
    "P_1 of the right sum": [(1, (POLYNOMIAL, 1), (POLYNOMIAL + 31, MODULUS - 1))],
    "P_1 beyond its nodes": [(1, (POLYNOMIAL + ROWS, 1))],
    "P_1 at its last point": [(1, (-1, 1))],
    "a number of the update that is in nothing else": [(1, (0, 1))],
    "a bit that is in nothing else": [(2, (0, 1))],
    **{f"element {place} of a fold": [(3, (place, 1))] for place in (0, 1, 61, 62, 123)},
    **{f"element {place} of the last message": [(LAST, (place, 1))] for place in (0, 1, 2, 3, 4, 5, 200, -1)},
    "mask and its square, opposite": [(LAST, (0, 1), (2, MODULUS - 1))],
}


@pytest.mark.parametrize(("n", "t"), BOTH)
@pytest.mark.parametrize("name", FALSE_MESSAGES)
def test_attack_false_message(name: str, n: int, t: int) -> None:
    ((message, *changes),) = FALSE_MESSAGES[name]
    decision = cheated(validators_of(n, t), [5] * DIMENSION, tamper_secrets=increased(message, *changes))
    assert decision == Decision("refused: norm", everybody(n))


@pytest.mark.parametrize(("n", "t"), BOTH)
def test_attack_p1_bent_to_the_sum_that_is_claimed(n: int, t: int) -> None:
    # ||u||^2 = 4 B, and P_1 adds up to B.
    bent = increased(1, (POLYNOMIAL + 5, -3 * NORM**2))
    decision = cheated(validators_of(n, t), padded([2 * NORM]), claimed_norm=NORM**2, tamper_secrets=bent)
    assert decision == Decision("refused: norm", everybody(n))


def test_attack_message_of_a_fold_bent_to_the_false_claim() -> None:
    bent = increased(3, (0, -3 * NORM**2))
    assert cheated(validators_of(), padded([2 * NORM]), tamper_secrets=bent).verdict == "refused: norm"


# Attacks by a participant on the dealing.


@pytest.mark.parametrize(("n", "t"), BOTH)
@pytest.mark.parametrize("place", [0, 1, -1])
@pytest.mark.parametrize("message", range(1, LAST + 1))
def test_attack_share_off_its_polynomial_to_one_validator(message: int, place: int, n: int, t: int) -> None:
    decision = cheated(validators_of(n, t), [5] * DIMENSION, tamper_share=off_by_one(2, place, message))
    assert decision == Decision("accepted", everybody(n) - {2}, accused=(2,))


@pytest.mark.parametrize(("n", "t"), BOTH)
def test_attack_share_off_its_polynomial_does_not_help_an_update_over_the_bound(n: int, t: int) -> None:
    decision = cheated(validators_of(n, t), padded([NORM, 1]), tamper_share=off_by_one(2, 0))
    assert decision == Decision("refused: norm", everybody(n) - {2}, accused=(2,))


@pytest.mark.parametrize(("n", "t"), BOTH)
def test_attack_shares_off_their_polynomials_to_more_than_t_validators(n: int, t: int) -> None:
    def tamper(_message: int, validator: int, share: Elements) -> Elements:
        return (share + np.uint64(1)) % np.uint64(MODULUS) if validator <= t + 1 else share

    assert cheated(validators_of(n, t), [5] * DIMENSION, tamper_share=tamper) == Decision("refused: inconsistent")


def test_attack_two_overlapping_majorities_accuse_nobody() -> None:
    # With validator 4, Z agrees on {1, 2, 4} and P on {2, 3, 4}: were they judged apart, honest ones would be accused.
    def tamper(message: int, validator: int, share: Elements) -> Elements:
        share = off_by_one(3, 0, LAST)(message, validator, share)
        return off_by_one(1, 2, LAST)(message, validator, share)

    assert cheated(validators_of(), [5] * DIMENSION, tamper_share=tamper) == Decision("refused: inconsistent")


@pytest.mark.parametrize("proof", ["norm", "none"])
def test_every_element_that_is_dealt_moves_the_opening(proof: str) -> None:
    # So there is no element that a participant could deal off its polynomial unnoticed.
    validators, context = Validators.of(Parameters(4, 1, DIMENSION, NORM, proof=proof)), context_of()  # type: ignore[arg-type]
    prepared = validators.prepare(np.arange(DIMENSION), context)
    share = readable(validators.open(3, prepared.sealed[2], manifest_of(prepared, context)))

    def values(messages: list[Elements]) -> object:
        moved = replace(share, messages=tuple(messages))
        return opening_of(moved).model_dump(exclude={"inner_product"})

    true = values(list(share.messages))
    for number, message in enumerate(share.messages, start=1):
        places = np.random.default_rng(number).permutation(message.size)[:120]
        for place in {0, message.size - 1, *places.tolist()}:
            moved = [increased(number, (place, 1))(k, m) for k, m in enumerate(share.messages, start=1)]
            assert values(moved) != true, (number, place)


# A participant, t validators that are with it, and t honest ones that it makes unable to read.


def through(values: dict[int, int], point: int) -> int:
    """At a point, the polynomial of least degree through values at others."""
    weights = lagrange_at_zero(tuple(other - point for other in values))
    return sum(weight * value for weight, value in zip(weights, values.values(), strict=True)) % MODULUS


def parts(openings: dict[int, NormOpening], part: str, index: int) -> dict[int, int]:
    return {j: int(getattr(opening, part)[index], 16) for j, opening in openings.items()}


@pytest.mark.parametrize(("n", "t"), THRESHOLDS)
@pytest.mark.parametrize("name", OVER)
def test_attack_colluding_validators_solve_for_the_values_that_pass_while_others_cannot_read(
    name: str, n: int, t: int
) -> None:
    validators, context = validators_of(n, t), context_of()
    prepared = cheat(validators, context, padded(OVER[name]))
    posted = validators.attest(prepared, manifest_of(prepared, context))
    unable, corrupt = range(1, t + 1), range(n - t + 1, n + 1)
    said: dict[int, NormOpening] = {j: o for j, o in posted.items() if j not in unable and isinstance(o, NormOpening)}
    silent: dict[int, Opening | None] = dict.fromkeys(unable)
    assert validators.decide(silent | said).verdict == "refused: norm"  # type: ignore[operator]
    z = [through(dict(list(parts(said, "z", index).items())[: t + 1]), 0) for index in (0, 1)]
    wanted = (z[0] ** 2 - z[1] ** 2) % MODULUS, 2 * z[0] * z[1] % MODULUS
    honest = {j: opening for j, opening in said.items() if j not in corrupt}
    # The last one makes P(0) the square in an interpolation of degree 2t: among 2t + 1 values nobody could tell.
    others = {j: opening for j, opening in said.items() if j != n}
    lie = tuple(f"{through({0: wanted[i]} | parts(others, 'p', i), n):016x}" for i in (0, 1))
    attack = silent | said | {n: said[n].model_copy(update={"p": lie})}  # type: ignore[operator]
    assert validators.decide(attack) == Decision("refused: inconsistent")
    # All of them are on a polynomial of degree t through the square and t of the t + 1 honest values.
    few = dict(list(honest.items())[:t])
    lies = {
        j: said[j].model_copy(
            update={"p": tuple(f"{through({0: wanted[i]} | parts(few, 'p', i), j):016x}" for i in (0, 1))}
        )
        for j in corrupt
    }
    assert validators.decide(silent | said | lies) == Decision("refused: inconsistent")  # type: ignore[operator]


# Lies of validators about an honest update.


@pytest.fixture(scope="module", params=BOTH, ids=str)
def attested(request: pytest.FixtureRequest) -> tuple[Validators, dict[int, Opening | None]]:
    validators, context = validators_of(*request.param), context_of()
    prepared = validators.prepare(np.arange(DIMENSION), context)
    return validators, validators.attest(prepared, manifest_of(prepared, context), np.arange(DIMENSION))


INNER_PRODUCT = sum(x * x for x in range(DIMENSION))


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_validators_that_lie_are_accused_and_change_nothing(
    attested: tuple[Validators, dict[int, Opening | None]], value: tuple[str, int]
) -> None:
    validators, openings = attested
    n, t = validators.parameters.validators, validators.parameters.tolerated_faults
    for liars in combinations(openings, t):
        lied = openings | {j: falsified(openings[j], *value, 5 + 11 * j) for j in liars}
        decision = validators.decide(lied, with_products=True)
        assert decision == Decision("accepted", everybody(n) - {*liars}, liars, INNER_PRODUCT)


def test_a_validator_that_lies_in_the_inner_product_is_proven_a_liar_and_changes_nothing(
    attested: tuple[Validators, dict[int, Opening | None]],
) -> None:
    validators, openings = attested
    n, t = validators.parameters.validators, validators.parameters.tolerated_faults
    for liars in combinations(openings, t):
        lied = dict(openings)
        for j in liars:
            opening = lied[j]
            assert opening is not None
            lied[j] = opening.model_copy(update={"inner_product": f"{j:016x}"})
        decision = validators.decide(lied, with_products=True)
        assert decision == Decision("accepted", everybody(n), (), INNER_PRODUCT, liars)


def test_any_t_validators_may_be_silent_or_unable_to_read(
    attested: tuple[Validators, dict[int, Opening | None]],
) -> None:
    validators, openings = attested
    n, t = validators.parameters.validators, validators.parameters.tolerated_faults
    for away in combinations(openings, t):
        silent = {j: opening for j, opening in openings.items() if j not in away}
        assert validators.decide(silent) == Decision("accepted", everybody(n) - {*away})
        assert validators.decide(openings | dict.fromkeys(away)) == Decision("accepted", everybody(n) - {*away})
    one_more = {j: opening for j, opening in openings.items() if j > t + 1}
    assert validators.decide(one_more) == Decision("unreadable")


def test_an_honest_update_is_never_refused_for_its_norm_and_no_honest_validator_is_accused(
    attested: tuple[Validators, dict[int, Opening | None]],
) -> None:
    # Whoever is late: liars agree on one false polynomial, the best that they can do.
    validators, openings = attested
    n, t = validators.parameters.validators, validators.parameters.tolerated_faults
    generator = np.random.default_rng(n)
    for corrupt in combinations(openings, t):
        for size in range(n - t, n + 1):
            for present in combinations(openings, size):
                shift = [int(x) for x in generator.integers(1, MODULUS, t + 1)]
                said = {j: openings[j] for j in present}
                for j in {*corrupt} & {*present}:
                    lie = sum(a * j**power for power, a in enumerate(shift))
                    said[j] = falsified(openings[j], *VALUES[int(generator.integers(4))], lie)
                decision = validators.decide(said)
                assert decision.verdict in ("accepted", "refused: inconsistent")
                assert {*decision.accused} | {*decision.liars} <= {*corrupt}
                if len({*present} - {*corrupt}) >= n - t:
                    assert decision.verdict == "accepted"


# What a participant's own machine must notice.


def test_a_projection_outside_its_window_has_no_bits() -> None:
    bound = NormBound(256, 4)
    assert projection_bits(np.full(4, bound.window), bytes(32), bound) is None
    assert projection_bits(np.zeros(4, dtype=np.int64), bytes(32), bound) is not None


def unchecked(update: list[int]) -> PreparedUpdate | None:
    """Dealt without a look at its norm."""
    validators = Validators.of(Parameters(4, 1, len(update), 256, proof="norm"))
    randomness = UpdateRandomness.draw(validators.parameters)
    dealer = deal_update(np.array(update), validators.parameters, context_of(), randomness)
    return None if dealer is None else dealer.seal(validators.public_keys)


def test_dealing_starts_again_when_a_projection_leaves_its_window() -> None:
    assert unchecked([100_000, 100_000, 100_000, 100_000]) is None
    assert unchecked([256, 0, 0, 0]) is not None


def test_a_proof_that_does_not_hold_is_not_sealed() -> None:
    with pytest.raises(UpdateError, match="PROOF_FALSE"):
        unchecked([256, 1, 0, 0])
