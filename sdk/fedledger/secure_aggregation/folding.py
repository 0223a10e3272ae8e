"""Vectors cut into rows, the polynomials through their columns, and folding: the linear algebra of the norm proof.

docs/protocol/secure-aggregation.md, sections 2.6, 5.2, 5.6 and 5.7. Every function maps secrets and shares of them
alike; only sums of squares are computed by the participant alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fedledger.secure_aggregation import kernels
from fedledger.secure_aggregation.extension import Extended
from fedledger.secure_aggregation.kernels import (
    LAZY,
    Elements,
    add,
    compiled,
    dot,
    multiply,
    multiply_add,
    negate,
    reduced_wide,
)
from fedledger_chaincode.rules.field import MODULUS, inverse
from fedledger_chaincode.rules.norm_bound import LONGEST_LAST, ROWS, columns

Integers = npt.NDArray[np.int64]

_Scalar = TypeVar("_Scalar", np.uint64, np.float64)

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_MOST_NODES = 2 * LONGEST_LAST + 1
_MINUS_ONE = np.uint64(MODULUS - 1)
_WIDTH = 256
"""Columns folded at a time: their sums stay in the first cache."""
assert ROWS <= LAZY, "a column's products must fit into 128 bits"


def basis(nodes: int, point: Extended) -> Elements:
    """uint64[2, nodes]: the Lagrange basis of 0 .. nodes - 1 at a point of E."""
    out = np.empty((2, nodes), dtype=np.uint64)
    _basis(np.uint64(point[0]), np.uint64(point[1]), _inverse_factorials(), out)
    return out


def fold(vector: Elements, point: Extended) -> Elements:
    """uint64[2, M]: each column's polynomial at the point.

    Args:
        vector: uint64[m] over F_q or uint64[2, m] over E.
    """
    weights = basis(ROWS, point)
    if vector.ndim == 1:
        return _folded(vector, weights)
    # With v = x + iy the weights' multiples of y are turned by i.
    out, turned = _folded(vector[0], weights), _folded(vector[1], weights)
    kernels.accumulate(out[0], _MINUS_ONE, turned[1])
    kernels.accumulate(out[1], _ONE, turned[0])
    return out


def sums_of_squares(vector: Elements) -> Elements:
    """uint64[2, 2 l - 1]: sum over the columns of the square of their polynomial, at 0 .. 2 l - 2.

    Args:
        vector: uint64[2, m] over E.
    """
    # Gram matrices of x, y and x + y give those of (x + iy)^2 = x^2 - y^2 + i((x + y)^2 - x^2 - y^2).
    both = vector[0].copy()
    kernels.accumulate(both, _ONE, vector[1])
    of_real, of_imaginary, of_both = (_gram(_rows(part, np.uint64)) for part in (*vector, both))
    real, imaginary = of_real.copy(), of_both
    kernels.accumulate(real, _MINUS_ONE, of_imaginary)
    for part in (of_real, of_imaginary):
        kernels.accumulate(imaginary, _MINUS_ONE, part)
    return np.stack([_quadratic_forms(real), _quadratic_forms(imaginary)])


def sums_of_squares_of_integers(integers: Integers) -> Elements:
    """uint64[2 l - 1]: as :func:`sums_of_squares`, for integers whose squares add up to less than 2^53.

    Exact in double precision then, in whatever order a library adds: every partial sum is an integer below 2^53.
    """
    rows = _rows(integers, np.float64)
    gram = np.empty(ROWS * ROWS, dtype=np.uint64)
    kernels.to_elements((rows @ rows.T).astype(np.int64).reshape(-1), gram)
    return _quadratic_forms(gram)


def squares_beyond(values: Elements) -> Elements:
    """uint64[2, 2 k - 1]: the square of the polynomial through values at 0 .. k - 1, at 0 .. 2 k - 2.

    Args:
        values: uint64[2, k] over E.
    """
    nodes = values.shape[1]
    real, imaginary = (np.concatenate([part, _products(_extension(nodes), part)]) for part in values)
    out = np.empty((2, 2 * nodes - 1), dtype=np.uint64)
    _square_each(real, imaginary, out)
    return out


def _folded(vector: Elements, weights: Elements) -> Elements:
    out = np.empty((2, columns(vector.shape[0])), dtype=np.uint64)
    _fold(vector, weights, out)
    return out


def _rows(vector: npt.NDArray[Any], kind: type[_Scalar]) -> npt.NDArray[_Scalar]:
    """[l, M] of that kind of number, zeros beyond the end."""
    rows = np.zeros((ROWS, columns(vector.shape[0])), dtype=kind)
    rows.reshape(-1)[: vector.shape[0]] = vector
    return rows


def _gram(rows: Elements) -> Elements:
    out = np.empty(ROWS * ROWS, dtype=np.uint64)
    _inner_products(rows, out.reshape(ROWS, ROWS))
    return out


def _quadratic_forms(gram: Elements) -> Elements:
    """uint64[2 l - 1]: lambda(x)^T G lambda(x) at x = 0 .. 2 l - 2, where lambda(x) for x < l are the unit vectors."""
    matrix = gram.reshape(ROWS, ROWS)
    out = np.empty(2 * ROWS - 1, dtype=np.uint64)
    out[:ROWS] = matrix.diagonal()
    _forms(matrix, _extension(ROWS), out[ROWS:])
    return out


def _products(matrix: Elements, vector: Elements) -> Elements:
    out = np.empty(matrix.shape[0], dtype=np.uint64)
    _matrix_times(matrix, np.ascontiguousarray(vector), out)
    return out


@lru_cache(maxsize=4)
def _extension(nodes: int) -> Elements:
    """uint64[nodes - 1, nodes]: the Lagrange basis of 0 .. nodes - 1 at nodes .. 2 nodes - 2."""
    return np.array([basis(nodes, (x, 0))[0] for x in range(nodes, 2 * nodes - 1)], dtype=np.uint64)


@lru_cache(maxsize=1)
def _inverse_factorials() -> Elements:
    found, factorial = [1], 1
    for x in range(1, _MOST_NODES):
        factorial = factorial * x % MODULUS
        found.append(inverse(factorial))
    return np.array(found, dtype=np.uint64)


@compiled
def _times(a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64) -> tuple[np.uint64, np.uint64]:
    """(a + ib)(c + id)."""
    return add(multiply(a, c), negate(multiply(b, d))), add(multiply(a, d), multiply(b, c))


@compiled
def _basis(real: np.uint64, imaginary: np.uint64, inverse_factorials: Elements, out: Elements) -> None:
    """Products of r - k over the nodes before and after each one, over (-1)^(m - 1 - i) i! (m - 1 - i)!."""
    nodes = out.shape[1]
    a, b = _ONE, _ZERO
    for i in range(nodes):
        out[0, i], out[1, i] = a, b
        a, b = _times(a, b, add(real, negate(np.uint64(i))), imaginary)
    a, b = _ONE, _ZERO
    for i in range(nodes - 1, -1, -1):
        weight = multiply(inverse_factorials[i], inverse_factorials[nodes - 1 - i])
        if (nodes - 1 - i) & 1:
            weight = negate(weight)
        c, d = _times(out[0, i], out[1, i], a, b)
        out[0, i], out[1, i] = multiply(c, weight), multiply(d, weight)
        a, b = _times(a, b, add(real, negate(np.uint64(i))), imaginary)


@compiled
def _fold(vector: Elements, weights: Elements, out: Elements) -> None:
    """out[:, b] = sum over rows k of weights[:, k] vector[k M + b], zeros beyond the vector's end."""
    length, width, rows = vector.shape[0], out.shape[1], weights.shape[1]
    sums = np.empty((4, _WIDTH), np.uint64)
    for start in range(0, width, _WIDTH):
        count = min(_WIDTH, width - start)
        sums[:] = _ZERO
        for k in range(rows):
            real, imaginary = weights[0, k], weights[1, k]
            first = k * width + start
            for b in range(min(count, length - first)):
                x = vector[first + b]
                sums[1, b], sums[0, b] = multiply_add(sums[1, b], sums[0, b], real, x)
                sums[3, b], sums[2, b] = multiply_add(sums[3, b], sums[2, b], imaginary, x)
        for b in range(count):
            out[0, start + b] = reduced_wide(sums[1, b], sums[0, b])
            out[1, start + b] = reduced_wide(sums[3, b], sums[2, b])


@compiled
def _inner_products(rows: Elements, out: Elements) -> None:
    for i in range(rows.shape[0]):
        for k in range(i + 1):
            out[i, k] = out[k, i] = dot(rows[i], rows[k])


@compiled
def _matrix_times(matrix: Elements, vector: Elements, out: Elements) -> None:
    for i in range(out.shape[0]):
        out[i] = dot(matrix[i], vector)


@compiled
def _forms(matrix: Elements, vectors: Elements, out: Elements) -> None:
    """out[i] = w^T M w for each row w of ``vectors``."""
    product = np.empty(matrix.shape[0], np.uint64)
    for i in range(out.shape[0]):
        _matrix_times(matrix, vectors[i], product)
        out[i] = dot(vectors[i], product)


@compiled
def _square_each(real: Elements, imaginary: Elements, out: Elements) -> None:
    for i in range(out.shape[1]):
        out[0, i], out[1, i] = _times(real[i], imaginary[i], real[i], imaginary[i])
