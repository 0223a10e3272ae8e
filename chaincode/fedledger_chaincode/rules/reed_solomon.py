"""Shares as Reed-Solomon codewords: consistency, value at zero, and unique decoding with errors, on integers.

docs/protocol/secure-aggregation.md, section 8. The points are validators' indices 1..n; a share that is absent is
simply not among the values. Decoding beyond half the distance is refused: there the answer is not unique.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from fedledger_chaincode.rules.field import MODULUS, inverse

Polynomial = list[int]
"""Coefficients, lowest first, without leading zeros; the empty list is zero."""


@dataclass(frozen=True)
class Decoding:
    """The one polynomial within the decoding radius."""

    constant: int
    """Its value at zero: the secret."""
    errors: tuple[int, ...]
    """Points whose values differ from it, ascending."""


def is_consistent(values: Mapping[int, int], degree: int) -> bool:
    """Whether all values lie on one polynomial of at most that degree."""
    points = tuple(sorted(values))
    return all(
        sum(coefficient * values[point] for point, coefficient in zip(points, row, strict=True)) % MODULUS == 0
        for row in parity_checks(points, degree)
    )


def value_at_zero(values: Mapping[int, int], degree: int) -> int:
    """The constant term of the polynomial through consistent values.

    Raises:
        ValueError: fewer than degree + 1 values.
    """
    points = tuple(sorted(values))[: degree + 1]
    if len(points) <= degree:
        raise ValueError(f"{len(points)} values do not determine a polynomial of degree {degree}")
    return sum(weight * values[point] for point, weight in zip(points, lagrange_at_zero(points), strict=True)) % MODULUS


def correctable(present: int, degree: int) -> int:
    """How many wrong values among ``present`` ones are corrected for certain: floor((m - degree - 1) / 2)."""
    return max(0, (present - degree - 1) // 2)


def decode(values: Mapping[int, int], degree: int) -> Decoding | None:
    """The polynomial of at most that degree that all but :func:`correctable` values lie on; None if there is none.

    Gao's decoder (Gao 2003, "A new algorithm for decoding Reed-Solomon codes").

    Raises:
        ValueError: fewer than degree + 1 values.
    """
    if is_consistent(values, degree):
        return Decoding(value_at_zero(values, degree), ())
    points = sorted(values)
    polynomial = _gao(points, [values[point] % MODULUS for point in points], degree)
    if polynomial is None:
        return None
    errors = tuple(point for point in points if _evaluate(polynomial, point) != values[point] % MODULUS)
    if len(errors) > correctable(len(points), degree):
        return None
    return Decoding(polynomial[0] if polynomial else 0, errors)


def decode_certain(values: Mapping[int, int], degree: int, faults: int) -> Decoding | None:
    """:func:`decode`, but only where at most ``faults`` wrong values cannot have led it astray, whoever is absent.

    At least degree + faults + 1 values must agree: then degree + 1 right ones are among them, and determine the
    polynomial (Ben-Or, Canetti, Goldreich 1993, "Asynchronous secure computation", online error correction).
    """
    if len(values) < degree + faults + 1:
        return None
    decoding = decode(values, degree)
    if decoding is None or len(values) - len(decoding.errors) < degree + faults + 1:
        return None
    return decoding


@lru_cache(maxsize=1024)
def lagrange_at_zero(points: tuple[int, ...]) -> tuple[int, ...]:
    """Weights whose sum with the values at ``points`` gives the interpolating polynomial's value at zero."""
    return tuple(
        prod(-other for other in points if other != point)
        * inverse(prod(point - other for other in points if other != point) % MODULUS)
        % MODULUS
        for point in points
    )


@lru_cache(maxsize=1024)
def parity_checks(points: tuple[int, ...], degree: int) -> tuple[tuple[int, ...], ...]:
    """Rows of a parity-check matrix: values are consistent when each row's sum with them is zero.

    Row k is x_i^k / prod over j != i of (x_i - x_j), for k = 0 .. m - degree - 2.
    """
    multipliers = [inverse(prod(point - other for other in points if other != point) % MODULUS) for point in points]
    return tuple(
        tuple(
            multiplier * pow(point, power, MODULUS) % MODULUS
            for point, multiplier in zip(points, multipliers, strict=True)
        )
        for power in range(len(points) - degree - 1)
    )


def _gao(points: Sequence[int], values: Sequence[int], degree: int) -> Polynomial | None:
    """Partial extended Euclid on the locator of all points and the interpolating polynomial."""
    previous, current = _vanishing(points), _interpolate(points, values)
    previous_factor: Polynomial = []
    factor: Polynomial = [1]
    while 2 * (len(current) - 1) >= len(points) + degree + 1:
        quotient, remainder = _divide(previous, current)
        previous, current = current, remainder
        previous_factor, factor = factor, _subtract(previous_factor, _multiply(quotient, factor))
    quotient, remainder = _divide(current, factor)
    return quotient if not remainder and len(quotient) <= degree + 1 else None


def _vanishing(points: Sequence[int]) -> Polynomial:
    """The product of (x - point)."""
    polynomial: Polynomial = [1]
    for point in points:
        polynomial = _multiply(polynomial, [-point % MODULUS, 1])
    return polynomial


def _interpolate(points: Sequence[int], values: Sequence[int]) -> Polynomial:
    """Newton's divided differences, expanded."""
    differences = list(values)
    for width in range(1, len(points)):
        for i in range(len(points) - 1, width - 1, -1):
            step = inverse(points[i] - points[i - width])
            differences[i] = (differences[i] - differences[i - 1]) * step % MODULUS
    polynomial: Polynomial = []
    for point, difference in zip(reversed(points), reversed(differences), strict=True):
        polynomial = _subtract(_multiply(polynomial, [-point % MODULUS, 1]), [-difference % MODULUS])
    return polynomial


def _evaluate(polynomial: Polynomial, point: int) -> int:
    value = 0
    for coefficient in reversed(polynomial):
        value = (value * point + coefficient) % MODULUS
    return value


def _multiply(left: Polynomial, right: Polynomial) -> Polynomial:
    if not left or not right:
        return []
    product = [0] * (len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            product[i + j] = (product[i + j] + a * b) % MODULUS
    return _trimmed(product)


def _subtract(left: Polynomial, right: Polynomial) -> Polynomial:
    length = max(len(left), len(right))
    padded = zip(left + [0] * (length - len(left)), right + [0] * (length - len(right)), strict=True)
    return _trimmed([(a - b) % MODULUS for a, b in padded])


def _divide(numerator: Polynomial, denominator: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder; the denominator is not zero."""
    remainder = list(numerator)
    quotient = [0] * max(0, len(numerator) - len(denominator) + 1)
    leading = inverse(denominator[-1])
    for shift in range(len(quotient) - 1, -1, -1):
        factor = remainder[shift + len(denominator) - 1] * leading % MODULUS
        quotient[shift] = factor
        for i, coefficient in enumerate(denominator):
            remainder[shift + i] = (remainder[shift + i] - factor * coefficient) % MODULUS
    return _trimmed(quotient), _trimmed(remainder)


def _trimmed(coefficients: Polynomial) -> Polynomial:
    while coefficients and coefficients[-1] == 0:
        coefficients.pop()
    return coefficients
