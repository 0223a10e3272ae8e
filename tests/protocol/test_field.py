"""The kernels compute in the prime field as Python's integers do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.secure_aggregation import kernels
from fedledger.secure_aggregation.randomness import (
    PublicStream,
    SecretElements,
    elements_from_bytes,
    elements_to_bytes,
)
from fedledger_chaincode.rules.field import MODULUS, centred, inverse, is_element

EDGES = [0, 1, 2, MODULUS - 1, MODULUS - 2, MODULUS // 2, MODULUS // 2 + 1, 1 << 32, (1 << 32) - 1, 1 << 60]
elements = st.one_of(st.sampled_from(EDGES), st.integers(0, MODULUS - 1))


def array(values: list[int]) -> kernels.Elements:
    return np.array(values, dtype=np.uint64)


@given(elements, elements)
def test_sum_and_product_of_two_elements(left: int, right: int) -> None:
    assert int(kernels.add(np.uint64(left), np.uint64(right))) == (left + right) % MODULUS
    assert int(kernels.multiply(np.uint64(left), np.uint64(right))) == left * right % MODULUS
    assert int(kernels.negate(np.uint64(left))) == -left % MODULUS


@given(st.lists(st.tuples(elements, elements), max_size=150))
def test_products_and_inner_product(pairs: list[tuple[int, int]]) -> None:
    left, right = array([a for a, _ in pairs]), array([b for _, b in pairs])
    each = np.empty_like(left)
    kernels.multiply_each(left, right, each)
    assert each.tolist() == [a * b % MODULUS for a, b in pairs]
    assert int(kernels.dot(left, right)) == sum(a * b for a, b in pairs) % MODULUS


def test_inner_product_of_the_largest_elements() -> None:
    largest = np.full(1_000, MODULUS - 1, dtype=np.uint64)
    assert int(kernels.dot(largest, largest)) == 1_000


@given(st.lists(elements, min_size=1, max_size=20), st.integers(1, 21), st.integers(1, 64), st.data())
def test_shares_are_values_of_the_polynomials(secrets: list[int], degree: int, point: int, data: st.DataObject) -> None:
    row = st.lists(elements, min_size=len(secrets), max_size=len(secrets))
    coefficients = data.draw(st.lists(row, min_size=degree, max_size=degree))
    out = np.empty(len(secrets), dtype=np.uint64)
    kernels.evaluate(array(secrets), np.array(coefficients, dtype=np.uint64), point, out)
    assert [int(value) for value in out] == [
        (secret + sum(coefficients[k][i] * point ** (k + 1) for k in range(degree))) % MODULUS
        for i, secret in enumerate(secrets)
    ]


@given(st.lists(elements, min_size=1, max_size=64))
def test_combination_of_as_many_shares_as_there_can_be_validators(weights: list[int]) -> None:
    shares = np.full((len(weights), 3), MODULUS - 1, dtype=np.uint64)
    out = np.empty(3, dtype=np.uint64)
    kernels.combine(shares, array(weights), out)
    assert [int(value) for value in out] == [-sum(weights) % MODULUS] * 3


@given(st.lists(elements, min_size=1, max_size=9), elements)
def test_accumulation(values: list[int], weight: int) -> None:
    total = array([MODULUS - 1] * len(values))
    kernels.accumulate(total, np.uint64(weight), array(values))
    assert [int(value) for value in total] == [(weight * value - 1) % MODULUS for value in values]


@given(st.lists(st.integers(-(MODULUS // 2), MODULUS // 2), min_size=1, max_size=9))
def test_signed_integers_survive_the_field(values: list[int]) -> None:
    integers = np.array(values, dtype=np.int64)
    out = np.empty(len(values), dtype=np.uint64)
    kernels.to_elements(integers, out)
    assert [int(value) for value in out] == [value % MODULUS for value in values]
    back = np.empty(len(values), dtype=np.int64)
    kernels.to_integers(out, back)
    assert back.tolist() == values == [centred(int(value)) for value in out]


@given(st.integers(1, MODULUS - 1))
def test_inverse(element: int) -> None:
    assert element * inverse(element) % MODULUS == 1


def test_zero_has_no_inverse() -> None:
    with pytest.raises(ValueError, match="not invertible"):
        inverse(MODULUS)


def test_elements_end_below_the_modulus() -> None:
    assert is_element(0) and is_element(MODULUS - 1)
    assert not is_element(MODULUS) and not is_element(-1)


@given(st.lists(elements, min_size=1, max_size=9))
def test_wire_form_is_eight_little_endian_bytes(values: list[int]) -> None:
    wire = bytes(elements_to_bytes(array(values)))
    assert wire == b"".join(value.to_bytes(8, "little") for value in values)
    assert elements_from_bytes(wire).tolist() == values


@pytest.mark.parametrize("value", [MODULUS, MODULUS + 1, 1 << 63, (1 << 64) - 1])
def test_values_from_the_modulus_on_are_no_elements(value: int) -> None:
    with pytest.raises(ValueError, match="not below the modulus"):
        elements_from_bytes(bytes(8) + value.to_bytes(8, "little"))


def test_secret_elements_are_fresh_and_fill_the_field() -> None:
    drawn = SecretElements().draw(3, 50_000)
    assert drawn.shape == (3, 50_000)
    assert int(drawn.max()) < MODULUS
    assert len(np.unique(drawn)) == drawn.size
    assert not (drawn == SecretElements().draw(3, 50_000)).any()
    # The mean of 150,000 uniform numbers is within five standard deviations of a half.
    assert abs(float(drawn.mean()) / MODULUS - 0.5) < 5 * (1 / 12 / drawn.size) ** 0.5


def test_public_streams_depend_on_their_seed_alone_and_continue() -> None:
    once, again = PublicStream(b"seed"), PublicStream(b"seed")
    assert once.elements(5).tolist() + once.elements(3).tolist() == again.elements(8).tolist()
    assert PublicStream(b"other").read(16) != PublicStream(b"seed").read(16)
