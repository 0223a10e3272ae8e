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
_EIGHT = np.uint64(8)
_BITS = np.uint64(61)
_RUN = 1024
"""Elements handled at a time, so that they stay in the first cache."""
LAZY = 32
"""Products below 2^122 that 128 bits can add up, with room to spare."""


def compiled(function: _Function) -> _Function:
    """A function on arrays as machine code, compiled at its first call and kept on disk."""
    return cast(_Function, numba.njit(cache=True, nogil=True)(function))


@intrinsic  # type: ignore[untyped-decorator]
def _high_word(_typing_context: Any, _left: Any, _right: Any) -> Any:
    """The upper 64 bits of a 64 x 64 bit product, which LLVM turns into one instruction."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return numba.types.uint64(numba.types.uint64, numba.types.uint64), generate


@intrinsic  # type: ignore[untyped-decorator]
def multiply_add(_typing_context: Any, _high: Any, _low: Any, _left: Any, _right: Any) -> Any:
    """high 2^64 + low + left right as a high and a low word; at most 32 products of elements are added to zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide, word = ir.IntType(128), ir.IntType(64)
        high, low, left, right = (builder.zext(argument, wide) for argument in arguments)
        sixty_four = ir.Constant(wide, 64)
        total = builder.add(builder.or_(builder.shl(high, sixty_four), low), builder.mul(left, right))
        words = builder.trunc(builder.lshr(total, sixty_four), word), builder.trunc(total, word)
        return context.make_tuple(builder, signature.return_type, words)

    uint64 = numba.types.uint64
    return numba.types.UniTuple(uint64, 2)(uint64, uint64, uint64, uint64), generate


@compiled
def reduced(value: np.uint64) -> np.uint64:
    """A value of at most 2q, below q."""
    return value - _Q if value >= _Q else value


@compiled
def add(left: np.uint64, right: np.uint64) -> np.uint64:
    return reduced(left + right)


@compiled
def negate(element: np.uint64) -> np.uint64:
    return reduced(_Q - element)


@compiled
def multiply(left: np.uint64, right: np.uint64) -> np.uint64:
    low = left * right
    high = _high_word(left, right)
    return reduced((low & _Q) + ((high << _THREE) | (low >> _BITS)))


@compiled
def reduced_wide(high: np.uint64, low: np.uint64) -> np.uint64:
    """high 2^64 + low mod q; 2^64 = 8 mod q."""
    reduced_high = reduced((high & _Q) + (high >> _BITS))
    reduced_low = reduced((low & _Q) + (low >> _BITS))
    return add(multiply(reduced_high, np.uint64(8)), reduced_low)


@compiled
def dot(left: Elements, right: Elements) -> np.uint64:
    """Inner product of two vectors of equal length."""
    total = _ZERO
    length = left.shape[0]
    for start in range(0, length, LAZY):
        high = _ZERO
        low = _ZERO
        for i in range(start, min(start + LAZY, length)):
            high, low = multiply_add(high, low, left[i], right[i])
        total = add(total, reduced_wide(high, low))
    return total


@compiled
def evaluate(constant: Elements, coefficients: Elements, point: int, out: Elements) -> None:
    """Horner's rule at one point for many polynomials, a run of them at a time.

    Args:
        constant: uint64[m], the secrets.
        coefficients: uint64[t, m], those of x, x^2, ..., x^t.
        out: uint64[m], overwritten.
    """
    degree, length = coefficients.shape
    for start in range(0, length, _RUN):
        end = min(start + _RUN, length)
        values = coefficients[degree - 1, start:end]
        for k in range(degree - 2, -2, -1):
            added = coefficients[k, start:end] if k >= 0 else constant[start:end]
            _horner_step(values, np.uint64(point), added, out[start:end])
            values = out[start:end]


@compiled
def _horner_step(values: Elements, x: np.uint64, added: Elements, out: Elements) -> None:
    """out = values x + added; products by less than eight fit into one word, and are vectorised."""
    if x < _EIGHT:
        for i in range(out.shape[0]):
            product = values[i] * x
            out[i] = add(reduced((product & _Q) + (product >> _BITS)), added[i])
    else:
        for i in range(out.shape[0]):
            out[i] = add(multiply(values[i], x), added[i])


@compiled
def accumulate(total: Elements, weight: np.uint64, share: Elements) -> None:
    """total += weight * share, in place; uint64[m] each."""
    for i in range(total.shape[0]):
        total[i] = add(total[i], multiply(weight, share[i]))


@compiled
def multiply_each(left: Elements, right: Elements, out: Elements) -> None:
    """out[i] = left[i] right[i]."""
    for i in range(out.shape[0]):
        out[i] = multiply(left[i], right[i])


@compiled
def combine(shares: Elements, weights: Elements, out: Elements) -> None:
    """out[i] = sum over k of weights[k] shares[k, i]; shares uint64[k, m]."""
    for i in range(out.shape[0]):
        high = _ZERO
        low = _ZERO
        for k in range(weights.shape[0]):
            high, low = multiply_add(high, low, weights[k], shares[k, i])
        out[i] = reduced_wide(high, low)


@compiled
def to_elements(integers: npt.NDArray[np.int64], out: Elements) -> None:
    """x mod q for |x| < q."""
    for i in range(integers.shape[0]):
        value = integers[i]
        out[i] = np.uint64(value + np.int64(MODULUS)) if value < 0 else np.uint64(value)


@compiled
def to_integers(elements: Elements, out: npt.NDArray[np.int64]) -> None:
    """The signed integer of least magnitude for each element."""
    for i in range(elements.shape[0]):
        value = np.int64(elements[i])
        out[i] = value - np.int64(MODULUS) if value > np.int64(MODULUS // 2) else value
