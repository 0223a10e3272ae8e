"""Shares decode to their one polynomial as long as that is certain, and never otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.reed_solomon import (
    correctable,
    decode,
    decode_certain,
    is_consistent,
    value_at_zero,
)
from tests.protocol.parties import THRESHOLDS

elements = st.integers(0, MODULUS - 1)


def evaluate(coefficients: list[int], point: int) -> int:
    return sum(coefficient * pow(point, power, MODULUS) for power, coefficient in enumerate(coefficients)) % MODULUS


@st.composite
def words(draw: st.DrawFn) -> tuple[list[int], dict[int, int], int, list[int]]:
    """A polynomial, its values at present validators with as many errors as can be corrected, and where they are."""
    n, t = draw(st.sampled_from([*THRESHOLDS, (13, 4), (64, 21)]))
    degree = draw(st.sampled_from([t, 2 * t]))
    coefficients = draw(st.lists(elements, min_size=degree + 1, max_size=degree + 1))
    absent = draw(st.integers(0, n - degree - 1))
    points = draw(st.permutations(range(1, n + 1)))[absent:]
    values = {point: evaluate(coefficients, point) for point in points}
    wrong = sorted(points[: draw(st.integers(0, correctable(len(points), degree)))])
    for point in wrong:
        values[point] = (values[point] + draw(st.integers(1, MODULUS - 1))) % MODULUS
    return coefficients, values, degree, wrong


@given(words())
def test_correctable_errors_are_located_and_the_secret_is_found(
    word: tuple[list[int], dict[int, int], int, list[int]],
) -> None:
    coefficients, values, degree, wrong = word
    decoding = decode(values, degree)
    assert decoding is not None
    assert decoding.constant == coefficients[0]
    assert list(decoding.errors) == wrong
    assert is_consistent(values, degree) == (not wrong)


@given(words(), st.data())
def test_what_decodes_is_within_the_radius(
    word: tuple[list[int], dict[int, int], int, list[int]], data: st.DataObject
) -> None:
    _, values, degree, _ = word
    for point in values:
        if data.draw(st.booleans()):
            values[point] = data.draw(elements)
    decoding = decode(values, degree)
    if decoding is not None:
        assert len(decoding.errors) <= correctable(len(values), degree)
        rest = {point: value for point, value in values.items() if point not in decoding.errors}
        assert is_consistent(rest, degree)
        assert value_at_zero(rest, degree) == decoding.constant


@given(st.integers(1, MODULUS - 1), st.integers(1, 4))
def test_one_lie_is_always_seen_at_degree_two_of_four(difference: int, liar: int) -> None:
    values = {point: evaluate([7, 11, 13], point) for point in range(1, 5)}
    values[liar] = (values[liar] + difference) % MODULUS
    assert not is_consistent(values, 2)
    assert decode(values, 2) is None


@given(st.data())
def test_what_is_certain_is_right_whatever_t_values_are_and_whoever_is_absent(data: st.DataObject) -> None:
    n, t = data.draw(st.sampled_from(THRESHOLDS))
    # Few small numbers, so that liars often hit another polynomial.
    coefficients = data.draw(st.lists(st.integers(0, 2), min_size=t + 1, max_size=t + 1))
    other = data.draw(st.lists(st.integers(0, 2), min_size=t + 1, max_size=t + 1))
    points = data.draw(st.permutations(range(1, n + 1)))
    values = {point: evaluate(coefficients, point) for point in points}
    for point in points[:t]:
        values[point] = evaluate(other, point)
    present = {point: values[point] for point in points if data.draw(st.booleans())}
    decoding = decode_certain(present, t, t)
    if decoding is not None:
        assert decoding.constant == coefficients[0]
    elif len(values) == len(present):
        raise AssertionError("with everybody present there is certainty")


def test_the_zero_polynomial_decodes() -> None:
    values = dict.fromkeys(range(1, 8), 0)
    values[3] = 5
    decoding = decode(values, 2)
    assert decoding is not None and (decoding.constant, decoding.errors) == (0, (3,))


def test_too_few_values_determine_nothing() -> None:
    with pytest.raises(ValueError, match="do not determine"):
        value_at_zero({1: 5}, 1)
