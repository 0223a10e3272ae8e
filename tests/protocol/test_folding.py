"""The linear algebra of the norm proof is that of the specification, on Python's integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.secure_aggregation import extension, folding
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.norm_proof import bits_of
from fedledger.secure_aggregation.projections import project, project_integers
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.norm_bound import LARGEST_NORM, ROWS, NormBound
from tests.reference import secure_aggregation as reference

EDGES = [0, 1, 2, MODULUS - 1, MODULUS - 2, MODULUS // 2, 1 << 32, (1 << 32) - 1, 1 << 60]
elements = st.one_of(st.sampled_from(EDGES), st.integers(0, MODULUS - 1))
extended = st.tuples(elements, elements)
lengths = st.one_of(st.integers(1, 70), st.sampled_from([ROWS, ROWS + 1, 255, 256, 257, 8192, 8193, 8200]))
LARGEST = [MODULUS - 1] * 8200


@st.composite
def vectors(draw: st.DrawFn) -> list[int]:
    """Elements, the same short run over and over in a long vector."""
    length = draw(lengths)
    some = draw(st.lists(elements, min_size=1, max_size=40))
    return (some * (length // len(some) + 1))[:length]


def array(values: list[int]) -> Elements:
    return np.array(values, dtype=np.uint64)


def over_extension(values: list[int]) -> tuple[Elements, list[reference.E]]:
    """A vector over E whose imaginary parts are the real ones backwards."""
    return np.stack([array(values), array(values[::-1])]), list(zip(values, values[::-1], strict=True))


def pairs(vector: Elements) -> list[reference.E]:
    return list(zip(*vector.tolist(), strict=True))


@given(st.lists(extended, max_size=5), extended, elements)
def test_sums_multiples_and_squares(terms: list[reference.E], one: reference.E, factor: int) -> None:
    assert extension.plus(*terms) == reference.plus((0, 0), *terms)
    assert extension.scaled(one, factor) == reference.times(one, (factor, 0))
    assert extension.square(one) == reference.times(one, one)


@given(st.lists(st.tuples(extended, extended), min_size=1, max_size=70))
def test_inner_products(terms: list[tuple[reference.E, reference.E]]) -> None:
    weights, values = (np.array(side, dtype=np.uint64).T.copy() for side in zip(*terms, strict=True))
    assert extension.inner(weights, values) == reference.combination(pairs(weights), pairs(values))
    real = [(x, 0) for x in values[0].tolist()]
    assert extension.inner(weights, values[0]) == reference.combination(pairs(weights), real)
    assert extension.total(values) == reference.plus((0, 0), *pairs(values))


@given(vectors())
def test_an_element_of_the_extension_is_written_with_its_real_part_first(values: list[int]) -> None:
    vector, expected = over_extension(values)
    assert extension.to_message(vector).tolist() == reference.flat(expected)
    assert pairs(extension.of_message(extension.to_message(vector))) == expected


@pytest.mark.parametrize("nodes", [1, 2, ROWS, 2 * ROWS - 1, 257, 513])
@given(point=extended)
@settings(max_examples=10)
def test_the_basis_at_any_point(nodes: int, point: reference.E) -> None:
    assert pairs(folding.basis(nodes, point)) == reference.basis(nodes, point)


def test_the_basis_at_a_node_is_a_unit_vector() -> None:
    assert pairs(folding.basis(5, (3, 0))) == [(0, 0), (0, 0), (0, 0), (1, 0), (0, 0)]


@given(vectors(), extended)
@settings(max_examples=30)
def test_folding(values: list[int], point: reference.E) -> None:
    vector, expected = over_extension(values)
    assert pairs(folding.fold(vector, point)) == reference.folded(expected, point)
    assert pairs(folding.fold(vector[0], point)) == reference.folded([(x, 0) for x in values], point)


@given(vectors())
@settings(max_examples=20)
def test_sums_of_squares(values: list[int]) -> None:
    vector, expected = over_extension(values)
    assert pairs(folding.sums_of_squares(vector)) == reference.sums_of_squares(expected)


@pytest.mark.parametrize("length", [1, 33, 8200])
def test_the_largest_elements_do_not_overflow(length: int) -> None:
    vector, expected = over_extension(LARGEST[:length])
    point = (MODULUS - 1, MODULUS - 1)
    assert pairs(folding.sums_of_squares(vector)) == reference.sums_of_squares(expected)
    assert pairs(folding.fold(vector, point)) == reference.folded(expected, point)
    assert project(vector[0], bytes(32)) == reference.projections(LARGEST[:length], bytes(32))


@given(st.lists(extended, min_size=2, max_size=40))
@settings(max_examples=30)
def test_squares_beyond_the_nodes(values: list[reference.E]) -> None:
    count = len(values)
    found = folding.squares_beyond(np.array(values, dtype=np.uint64).T.copy())
    parts = list(zip(*values, strict=True))
    assert pairs(found) == [reference.square(reference.at(x, *parts)) for x in range(2 * count - 1)]


@given(st.data(), st.integers(1, 100))
def test_sums_of_squares_of_an_update_are_exact_up_to_the_largest_norm(data: st.DataObject, length: int) -> None:
    update = data.draw(st.lists(st.integers(-1000, 1000), min_size=length, max_size=length))
    place = data.draw(st.integers(0, length - 1))
    update[place] = data.draw(st.sampled_from([1, -1])) * (LARGEST_NORM - 1_000_000)
    found = folding.sums_of_squares_of_integers(np.array(update))
    assert found.tolist() == [x for x, _ in reference.sums_of_squares([(x % MODULUS, 0) for x in update])]


@given(st.lists(st.integers(-LARGEST_NORM, LARGEST_NORM), min_size=1, max_size=50), st.binary(min_size=32, max_size=32))
def test_projections_of_updates_and_of_shares(update: list[int], root: bytes) -> None:
    expected = reference.projections(update, root)
    assert [y % MODULUS for y in project_integers(np.array(update), root)] == expected
    assert project(array([x % MODULUS for x in update]), root) == expected


@pytest.mark.parametrize("dimension", [1, 4095, 4096, 4097, 9000])
def test_projections_of_lengths_around_the_boundaries_of_runs(dimension: int) -> None:
    update = np.random.default_rng(dimension).integers(-1000, 1000, dimension)
    expected = reference.projections(update.tolist(), bytes(32))
    assert project((update % MODULUS).astype(np.uint64), bytes(32)) == expected
    assert [y % MODULUS for y in project_integers(update, bytes(32))] == expected


@given(st.lists(st.integers(0, (1 << 49) - 1), min_size=1, max_size=5))
def test_bits_lowest_first(values: list[int]) -> None:
    found = bits_of(values, 49).tolist()
    assert found == [bit for value in values for bit in reference.bits(value, 49)]
    assert [reference.number(found[49 * i : 49 * i + 49]) for i in range(len(values))] == values


@given(st.integers(1, LARGEST_NORM), st.integers(1, 1 << 27))
def test_numbers_and_lengths_of_a_proof(norm: int, dimension: int) -> None:
    fast, slow = NormBound(norm, dimension), reference.Bound(norm, dimension)
    assert (fast.bound, fast.norm_bits) == (slow.squared, slow.norm_bits)
    assert (fast.window, fast.window_bits) == (slow.window, slow.window_bits)
    assert list(fast.message_lengths) == reference.lengths(dimension, slow)
