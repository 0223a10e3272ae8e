"""The field E = F_q(i), i^2 = -1, from which a proof's challenges come; scalars in Python, vectors as pairs of arrays.

docs/protocol/secure-aggregation.md, section 2.5. A vector over E is uint64[2, m]: real parts, imaginary parts.
"""

from __future__ import annotations

import numpy as np

from fedledger.secure_aggregation import kernels
from fedledger.secure_aggregation.kernels import Elements
from fedledger_chaincode.rules.field import MODULUS

Extended = tuple[int, int]
"""An element of E: real part, imaginary part."""


def plus(*terms: Extended) -> Extended:
    return sum(real for real, _ in terms) % MODULUS, sum(imaginary for _, imaginary in terms) % MODULUS


def scaled(element: Extended, factor: int) -> Extended:
    """A multiple by an element of F_q, or by any integer."""
    return element[0] * factor % MODULUS, element[1] * factor % MODULUS


def square(element: Extended) -> Extended:
    real, imaginary = element
    return (real * real - imaginary * imaginary) % MODULUS, 2 * real * imaginary % MODULUS


def total(vector: Elements) -> Extended:
    """The sum of a vector over E."""
    real, imaginary = vector.tolist()
    return sum(real) % MODULUS, sum(imaginary) % MODULUS


def inner(weights: Elements, vector: Elements) -> Extended:
    """sum of weights[k] vector[k], the weights in E, the vector in E (uint64[2, m]) or in F_q (uint64[m])."""
    if vector.ndim == 1:
        return int(kernels.dot(weights[0], vector)), int(kernels.dot(weights[1], vector))
    (real, imaginary), (x, y) = weights, vector
    return (
        (int(kernels.dot(real, x)) - int(kernels.dot(imaginary, y))) % MODULUS,
        (int(kernels.dot(real, y)) + int(kernels.dot(imaginary, x))) % MODULUS,
    )


def to_message(vector: Elements) -> Elements:
    """uint64[2 m]: the elements of a vector over E one after another, each with its real part first."""
    return np.ascontiguousarray(vector.T).reshape(-1)


def of_message(elements: Elements) -> Elements:
    """uint64[2, m], the vector over E that :func:`to_message` has written."""
    return np.ascontiguousarray(elements.reshape(-1, 2).T)
