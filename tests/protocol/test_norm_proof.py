"""Honest updates are accepted, and every known attack on the norm proof gets the verdict of the specification."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.secure_aggregation import Parameters, encode_update
from fedledger.secure_aggregation.challenges import project
from fedledger.secure_aggregation.norm_proof import projection_bits
from fedledger_chaincode.messages.round import Opening
from fedledger_chaincode.rules.field import MODULUS, centred, inverse
from fedledger_chaincode.rules.norm_bound import NormBound
from fedledger_chaincode.rules.verdicts import Decision
from tests.protocol.cheating import cheat, off_by_one
from tests.protocol.framing import framing_update
from tests.protocol.parties import THRESHOLDS, Integers, Validators, context_of, manifest_of

NORM = 1 << 24
DIMENSION = 40


def validators_of(n: int = 4, t: int = 1, dimension: int = DIMENSION, norm: int = NORM) -> Validators:
    return Validators.of(Parameters(n, t, dimension, norm, proof="norm"))


def decision_on(validators: Validators, update: Integers) -> Decision:
    context = context_of()
    prepared = validators.prepare(update, context)
    return validators.decide(validators.attest(prepared, manifest_of(prepared, context)))


def cheated(validators: Validators, update: list[int], **how: object) -> Decision:
    context = context_of()
    prepared = cheat(validators, context, update, **how)  # type: ignore[arg-type]
    return validators.decide(validators.attest(prepared, manifest_of(prepared, context)))


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
    assert decision_on(validators, encode_update(update, 1.0, norm)).verdict == "accepted"


@pytest.mark.parametrize("dimension", [1, 3, 4, 5, 16_384, 16_385, 40_001])
def test_lengths_around_the_boundaries_of_groups_and_chunks_are_accepted(dimension: int) -> None:
    update = np.random.default_rng(dimension).normal(size=dimension)
    validators = validators_of(dimension=dimension)
    assert decision_on(validators, encode_update(update, 0.1, NORM)).verdict == "accepted"


@pytest.mark.parametrize("place", [0, 1, DIMENSION - 1])
@pytest.mark.parametrize("value", [NORM, -NORM])
def test_one_hot_updates_at_the_bound_itself_are_accepted(place: int, value: int) -> None:
    update = np.zeros(DIMENSION, dtype=np.int64)
    update[place] = value
    assert decision_on(validators_of(), update).verdict == "accepted"


def test_the_inner_product_with_the_reference_direction_is_published_exactly() -> None:
    generator = np.random.default_rng(3)
    update = encode_update(generator.normal(size=DIMENSION), 1.0, NORM)
    direction = encode_update(generator.normal(size=DIMENSION), 1.0, NORM)
    validators, context = validators_of(), context_of()
    prepared = validators.prepare(update, context)
    openings = validators.attest(prepared, manifest_of(prepared, context), direction)
    assert validators.decide(openings) == Decision("accepted", inner_product=int(np.dot(update, direction)))


# Attacks by a participant on the statement itself.


@pytest.mark.parametrize(("n", "t"), THRESHOLDS)
def test_attack_norm_one_percent_over_the_bound(n: int, t: int) -> None:
    update = np.random.default_rng(0).normal(size=DIMENSION)
    update *= 1.01 * NORM / float(np.linalg.norm(update))
    decision = cheated(validators_of(n, t), [int(x) for x in update])
    assert decision.verdict == "refused: norm" and not decision.accused


def test_attack_norm_over_the_bound_by_one() -> None:
    assert cheated(validators_of(), [NORM, 1] + [0] * (DIMENSION - 2)).verdict == "refused: norm"


# In the following attacks the squares do add up to N mod q: only the projections can tell.


@pytest.mark.parametrize(("divisor", "count"), [(2, 4), (2, 8), (3, 9), (3, 36)])
def test_attack_fractional_entries_that_wrap_around(divisor: int, count: int) -> None:
    update = [inverse(divisor)] * count + [0] * (DIMENSION - count)
    assert sum(x * x for x in update) % MODULUS == count // divisor**2
    assert cheated(validators_of(), update).verdict == "refused: norm"


@pytest.mark.parametrize("equal", [0, 1, 31])
def test_attack_entries_whose_squares_add_up_to_the_modulus(equal: int) -> None:
    side = math.isqrt(MODULUS // (equal + 1))
    update = [side] * equal
    update += four_squares(MODULUS - equal * side**2)
    assert sum(x * x for x in update) == MODULUS
    assert cheated(validators_of(dimension=len(update)), update).verdict == "refused: norm"


@pytest.mark.parametrize("equal", [31, 1000, 40_000])
def test_an_update_that_wraps_around_passes_no_more_than_half_of_its_projections(equal: int) -> None:
    # The smallest wrap-around of many small entries is the hardest to see (section 12.2, case B).
    side = math.isqrt(MODULUS // equal) + 1
    bound = NormBound(NORM, equal)
    elements = np.full(equal, side, dtype=np.uint64)
    inside = [
        -bound.window < centred(int(y)) <= bound.window for root in range(20) for y in project(elements, f"{root:064x}")
    ]
    assert 0 < sum(inside) / len(inside) < 0.5


@pytest.mark.parametrize("value", [2, MODULUS - 1, inverse(2)])
def test_attack_non_bit_in_a_bit_of_the_norm(value: int) -> None:
    # 3 + 4 of the bound's 2^48 ... written with a digit that is no bit.
    bound = NormBound(NORM, DIMENSION)
    norm_secrets = [0] * (2 * bound.norm_bits)
    norm_secrets[0] = value
    decision = cheated(validators_of(), [0] * DIMENSION, norm_secrets=norm_secrets)
    assert decision.verdict == "refused: norm"


def test_attack_digits_that_add_up_without_being_bits() -> None:
    # N = 2 B is written in the top digit as 2, B - N = -B as a digit of -1: both sums are right, no digit is a bit.
    bound = NormBound(NORM, 2)
    top = bound.norm_bits - 1
    norm_secrets = [0] * (2 * bound.norm_bits)
    norm_secrets[top], norm_secrets[bound.norm_bits + top] = 2, MODULUS - 1
    decision = cheated(validators_of(dimension=2), [NORM, NORM], norm_secrets=norm_secrets)
    assert decision.verdict == "refused: norm"


def test_attack_non_bit_in_a_bit_of_a_projection() -> None:
    def two_and_carry(secrets):  # type: ignore[no-untyped-def]
        changed = secrets.copy()
        width = NormBound(NORM, DIMENSION).window_bits
        high = next(i for i in range(secrets.size) if i % width and secrets[i] == 1 and secrets[i - 1] == 0)
        changed[high], changed[high - 1] = 0, 2
        return changed

    decision = cheated(validators_of(), [1000] * DIMENSION, tamper_secrets=two_and_carry)
    assert decision.verdict == "refused: norm"


def test_attack_bits_of_another_projection() -> None:
    def flip(secrets):  # type: ignore[no-untyped-def]
        changed = secrets.copy()
        changed[5] = 1 - changed[5]
        return changed

    assert cheated(validators_of(), [1000] * DIMENSION, tamper_secrets=flip).verdict == "refused: norm"


@pytest.mark.parametrize("constants", [(1, 0), (0, 1), (5, MODULUS - 5)])
def test_attack_sharing_of_zero_that_shares_something_else(constants: tuple[int, int]) -> None:
    assert cheated(validators_of(), [0] * DIMENSION, zero_constants=constants).verdict == "refused: norm"


# Attacks by a participant on the dealing.


@pytest.mark.parametrize("position", [0, DIMENSION, DIMENSION + 97])
def test_attack_share_off_its_polynomial_to_one_validator(position: int) -> None:
    decision = cheated(validators_of(), [5] * DIMENSION, tamper_share=off_by_one(2, position))
    assert decision == Decision("refused: inconsistent", accused=(2,))
    assert decision.is_contested


@pytest.mark.parametrize("position", [0, 2899, 2900, 2901])
def test_attack_share_of_the_proof_off_its_polynomial_to_one_validator(position: int) -> None:
    decision = cheated(validators_of(), [5] * DIMENSION, tamper_proof=off_by_one(4, position))
    assert decision == Decision("refused: inconsistent", accused=(4,))


@pytest.mark.parametrize("position", [-1, -2])
def test_attack_sharing_of_zero_off_its_polynomial(position: int) -> None:
    decision = cheated(validators_of(), [5] * DIMENSION, tamper_proof=off_by_one(3, position))
    assert decision == Decision("refused: inconsistent")


def test_attack_shares_of_two_different_updates() -> None:
    def tamper(validator, share):  # type: ignore[no-untyped-def]
        return share if validator <= 2 else (share + np.uint64(1)) % np.uint64(MODULUS)

    decision = cheated(validators_of(), [5] * DIMENSION, tamper_share=tamper)
    assert decision == Decision("refused: inconsistent")


def test_attack_participant_and_one_validator_frame_an_honest_one() -> None:
    """An update of any norm passes T on all four values, with the help of one validator; D alone gives it away.

    A rule that drops the accused validator's values and accepts would let the update into the sum.
    """
    validators, context = validators_of(), context_of()
    prepared = framing_update(validators, context)
    openings = validators.attest(prepared, manifest_of(prepared, context))
    values = [[int(o.zero[c], 16) for o in openings.values() if o is not None] for c in (0, 1)]
    forged = tuple(f"{(v[0] - 3 * v[1] + 3 * v[2]) % MODULUS:016x}" for v in values)
    openings[4] = lie(openings[4], zero=forged)
    for one, two, three, _ in values:
        assert (3 * one - 3 * two + three) % MODULUS == 0
    assert validators.decide(openings) == Decision("refused: inconsistent", accused=(1,))


# Lies of validators about an honest update.


def lie(opening: Opening | None, **changes: object) -> Opening:
    assert opening is not None
    return opening.model_copy(update=changes)


@pytest.fixture
def honest_openings() -> tuple[Validators, dict[int, Opening | None]]:
    validators, context = validators_of(), context_of()
    prepared = validators.prepare(np.arange(DIMENSION), context)
    return validators, validators.attest(prepared, manifest_of(prepared, context), np.arange(DIMENSION))


INNER_PRODUCT = sum(x * x for x in range(DIMENSION))
WRONG = f"{1:016x}"


@pytest.mark.parametrize("liar", [1, 2, 3, 4])
@pytest.mark.parametrize("challenge", [0, 1])
def test_a_validator_that_lies_in_d_is_accused_and_its_conviction_ends_the_matter(
    honest_openings: tuple[Validators, dict[int, Opening | None]], liar: int, challenge: int
) -> None:
    validators, openings = honest_openings
    opening = openings[liar]
    assert opening is not None
    values = [WRONG if index == challenge else value for index, value in enumerate(opening.degree)]
    openings[liar] = lie(opening, degree=tuple(values))
    assert validators.decide(openings) == Decision("refused: inconsistent", accused=(liar,))
    assert validators.decide(openings, frozenset({liar})) == Decision("accepted", INNER_PRODUCT)


@pytest.mark.parametrize("liar", [1, 2, 3, 4])
def test_a_validator_that_lies_in_t_is_noticed_and_its_conviction_ends_the_matter(
    honest_openings: tuple[Validators, dict[int, Opening | None]], liar: int
) -> None:
    validators, openings = honest_openings
    openings[liar] = lie(openings[liar], zero=(WRONG, WRONG))
    decision = validators.decide(openings)
    assert decision == Decision("refused: inconsistent") and decision.is_contested
    assert validators.decide(openings, frozenset({liar})) == Decision("accepted", INNER_PRODUCT)


@pytest.mark.parametrize("liar", [1, 2, 3, 4])
def test_a_validator_that_lies_in_the_inner_product_is_proven_a_liar_and_changes_nothing(
    honest_openings: tuple[Validators, dict[int, Opening | None]], liar: int
) -> None:
    validators, openings = honest_openings
    openings[liar] = lie(openings[liar], inner_product=WRONG)
    assert validators.decide(openings) == Decision("accepted", INNER_PRODUCT, liars=(liar,))


@pytest.mark.parametrize("silent", [1, 2, 3, 4])
def test_a_silent_validator_changes_nothing(
    honest_openings: tuple[Validators, dict[int, Opening | None]], silent: int
) -> None:
    validators, openings = honest_openings
    del openings[silent]
    assert validators.decide(openings) == Decision("accepted", INNER_PRODUCT)


@pytest.mark.parametrize("liar", [1, 2, 3, 4])
def test_a_validator_that_says_it_cannot_read_its_share_changes_nothing(
    honest_openings: tuple[Validators, dict[int, Opening | None]], liar: int
) -> None:
    validators, openings = honest_openings
    openings[liar] = None
    assert validators.decide(openings) == Decision("accepted", INNER_PRODUCT)


def test_with_more_than_t_validators_unable_to_read_it_an_update_is_unreadable(
    honest_openings: tuple[Validators, dict[int, Opening | None]],
) -> None:
    validators, openings = honest_openings
    openings[1] = None
    del openings[3]
    assert validators.decide(openings) == Decision("unreadable")


def test_validators_that_swap_their_attestations_are_noticed(
    honest_openings: tuple[Validators, dict[int, Opening | None]],
) -> None:
    validators, openings = honest_openings
    openings[1], openings[2] = openings[2], openings[1]
    assert validators.decide(openings).verdict == "refused: inconsistent"


def test_at_seven_validators_two_that_swap_their_attestations_are_accused() -> None:
    validators, context = validators_of(7, 2), context_of()
    prepared = validators.prepare(np.arange(DIMENSION), context)
    openings = validators.attest(prepared, manifest_of(prepared, context))
    openings[3], openings[6] = openings[6], openings[3]
    assert validators.decide(openings) == Decision("refused: inconsistent", accused=(3, 6))
    assert validators.decide(openings, frozenset({3, 6})).verdict == "accepted"


def test_a_conviction_does_not_help_an_update_over_its_norm() -> None:
    validators, context = validators_of(), context_of()
    prepared = cheat(validators, context, [NORM, NORM] + [0] * (DIMENSION - 2))
    openings = validators.attest(prepared, manifest_of(prepared, context))
    openings[4] = lie(openings[4], degree=(WRONG, WRONG), zero=(WRONG, WRONG))
    assert validators.decide(openings, frozenset({4})).verdict == "refused: norm"


# The window of the projections.


def test_a_projection_outside_its_window_has_no_bits() -> None:
    bound = NormBound(256, 4)
    outside = np.full(4, bound.window, dtype=np.uint64)
    assert projection_bits(outside, "00" * 32, bound) is None
    assert projection_bits(np.zeros(4, dtype=np.uint64), "00" * 32, bound) is not None


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
