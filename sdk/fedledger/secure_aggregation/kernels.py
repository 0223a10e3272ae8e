"""Arithmetic in F_q, q = 2^61 - 1, on uint64 arrays, compiled by numba; no randomness and no protocol here.

Every argument holds canonical elements (below q) and so does every result. The multiplications of secrets have
no branches but the final reduction's, which compiles to a conditional move.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

from fedledger_chaincode.rules.field import MODULUS

Elements = npt.NDArray[np.uint64]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_Q = np.uint64(MODULUS)
_ZERO = np.uint64(0)
_THREE = np.uint64(3)
_BITS = np.uint64(61)
_LAZY = 32
"""Products below 2^122 that 128 bits can add up, with room to spare."""


def _kernel(function: _Function) -> _Function:
    return cast(_Function, numba.njit(cache=True, nogil=True)(function))


@intrinsic  # type: ignore[untyped-decorator]
def _high_word(_typing_context: Any, _left: Any, _right: Any) -> Any:
    """The upper 64 bits of a 64 x 64 bit product, which LLVM turns into one instruction."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return numba.types.uint64(numba.types.uint64, numba.types.uint64), generate


@_kernel
def _reduced(value: np.uint64) -> np.uint64:
    """A value of at most 2q, below q."""
    return value - _Q if value >= _Q else value


@_kernel
def add(left: np.uint64, right: np.uint64) -> np.uint64:
    return _reduced(left + right)


@_kernel
def multiply(left: np.uint64, right: np.uint64) -> np.uint64:
    low = left * right
    high = _high_word(left, right)
    return _reduced((low & _Q) + ((high << _THREE) | (low >> _BITS)))


@_kernel
def _fold(high: np.uint64, low: np.uint64) -> np.uint64:
    """high 2^64 + low mod q; 2^64 = 8 mod q."""
    reduced_high = _reduced((high & _Q) + (high >> _BITS))
    reduced_low = _reduced((low & _Q) + (low >> _BITS))
    return add(multiply(reduced_high, np.uint64(8)), reduced_low)


@_kernel
def dot(left: Elements, right: Elements) -> np.uint64:
    """Inner product of two vectors of equal length."""
    total = _ZERO
    length = left.shape[0]
    for start in range(0, length, _LAZY):
        high = _ZERO
        low = _ZERO
        for i in range(start, min(start + _LAZY, length)):
            product = left[i] * right[i]
            low += product
            high += _high_word(left[i], right[i]) + np.uint64(low < product)
        total = add(total, _fold(high, low))
    return total


@_kernel
def evaluate(constant: Elements, coefficients: Elements, point: int, out: Elements) -> None:
    """Horner's rule at one point for many polynomials.

    Args:
        constant: uint64[m], the secrets.
        coefficients: uint64[t, m], those of x, x^2, ..., x^t.
        out: uint64[m], overwritten.
    """
    degree = coefficients.shape[0]
    x = np.uint64(point)
    for i in range(constant.shape[0]):
        value = coefficients[degree - 1, i]
        for k in range(degree - 2, -1, -1):
            value = add(multiply(value, x), coefficients[k, i])
        out[i] = add(multiply(value, x), constant[i])


@_kernel
def accumulate(total: Elements, weight: np.uint64, share: Elements) -> None:
    """total += weight * share, in place; uint64[m] each."""
    for i in range(total.shape[0]):
        total[i] = add(total[i], multiply(weight, share[i]))


@_kernel
def combine(shares: Elements, weights: Elements, out: Elements) -> None:
    """out[i] = sum over k of weights[k] shares[k, i]; shares uint64[k, m]."""
    for i in range(out.shape[0]):
        high = _ZERO
        low = _ZERO
        for k in range(weights.shape[0]):
            product = weights[k] * shares[k, i]
            low += product
            high += _high_word(weights[k], shares[k, i]) + np.uint64(low < product)
        out[i] = _fold(high, low)


@_kernel
def to_elements(integers: npt.NDArray[np.int64], out: Elements) -> None:
    """x mod q for |x| < q."""
    for i in range(integers.shape[0]):
        value = integers[i]
        out[i] = np.uint64(value + np.int64(MODULUS)) if value < 0 else np.uint64(value)


@_kernel
def to_integers(elements: Elements, out: npt.NDArray[np.int64]) -> None:
    """The signed integer of least magnitude for each element."""
    for i in range(elements.shape[0]):
        value = np.int64(elements[i])
        out[i] = value - np.int64(MODULUS) if value > np.int64(MODULUS // 2) else value


@_kernel
def sum_of_squares(elements: Elements) -> np.uint64:
    return dot(elements, elements)


@_kernel
def range_check(bits: Elements, coefficients: Elements) -> np.uint64:
    """sum of c b (b - 1): zero for random c only if every b is a bit."""
    total = _ZERO
    for i in range(bits.shape[0]):
        bit = bits[i]
        total = add(total, multiply(coefficients[i], multiply(bit, add(bit, _Q - np.uint64(1)))))
    return total


_GROUP = 4
"""Coordinates whose signs share a byte."""
_BATCH = 7
"""Canonical elements that 64 bits can add up beside a reduced total."""


@_kernel
def project_elements(elements: Elements, signs: npt.NDArray[np.uint8], totals: Elements) -> None:
    """totals[k] += <elements, r_k> for all projections k at once.

    Args:
        elements: uint64[m], m a multiple of four.
        signs: uint8[m / 4, K]; byte k holds r_k of four coordinates, two bits each, lowest first:
            00 is -1, 01 and 10 are 0, 11 is 1.
        totals: uint64[K], updated in place.
    """
    groups, checks = signs.shape
    tables = np.empty((_BATCH, 256), np.uint64)
    low = np.empty(16, np.uint64)
    high = np.empty(16, np.uint64)
    for start in range(0, groups, _BATCH):
        count = min(_BATCH, groups - start)
        for g in range(count):
            first = (start + g) * _GROUP
            _sign_table(elements[first], elements[first + 1], low)
            _sign_table(elements[first + 2], elements[first + 3], high)
            for upper in range(16):
                for lower in range(16):
                    tables[g, 16 * upper + lower] = add(high[upper], low[lower])
        if count == _BATCH:
            for k in range(checks):
                total = totals[k]
                for g in range(_BATCH):
                    total += tables[g, signs[start + g, k]]
                totals[k] = _reduced((total & _Q) + (total >> _BITS))
        else:
            for k in range(checks):
                total = totals[k]
                for g in range(count):
                    total += tables[g, signs[start + g, k]]
                totals[k] = _reduced((total & _Q) + (total >> _BITS))


@_kernel
def _sign_table(first: np.uint64, second: np.uint64, table: Elements) -> None:
    """r first + r' second for all sixteen pairs of signs."""
    for code in range(16):
        value = _ZERO
        ones = (code & 1) + (code >> 1 & 1)
        if ones == 2:
            value = first
        elif ones == 0:
            value = _Q - first
        ones = (code >> 2 & 1) + (code >> 3)
        if ones == 2:
            value = add(value, second)
        elif ones == 0:
            value = add(value, _Q - second)
        table[code] = _reduced(value)
