"""A validator's five values of one update: what its attestation says of a share, and nothing private.

docs/protocol/secure-aggregation.md, section 7.3.
"""

from __future__ import annotations

import numpy as np

from fedledger.secure_aggregation import kernels
from fedledger.secure_aggregation.challenges import Challenge, challenges, project
from fedledger.secure_aggregation.encoding import Integers
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.share import OpenedShare
from fedledger_chaincode.messages.round import Opening
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.norm_bound import CHALLENGES, NormBound


def opening_of(share: OpenedShare, reference: Integers | None = None) -> Opening:
    """D and T for both challenges, and the share of the inner product with the reference direction.

    Args:
        share: of an update with a norm proof.
        reference: int64[d], the round's reference direction; without one the inner product is 0.

    Raises:
        ValueError: the share has no proof, or the reference another length than the update.
    """
    bound, proof_root = share.parameters.norm_bound, share.proof_root
    if bound is None or proof_root is None:
        raise ValueError("the share has no norm proof")
    bits = np.concatenate([share.elements[bound.dimension :], share.proof[: bound.projection_bits]])
    masks = share.proof[bound.projection_bits :]
    squares = int(kernels.sum_of_squares(share.update))
    projections = project(share.update, share.root)
    degree: list[int] = []
    zero: list[int] = []
    for index, challenge in enumerate(challenges(proof_root, bound)):
        terms = _zero_terms(challenge, bound, bits, squares, projections)
        zero.append((terms + int(masks[CHALLENGES + index])) % MODULUS)
        degree.append((_degree_terms(challenge, share, bound) + int(masks[index])) % MODULUS)
    product = 0 if reference is None else _inner_product(share.update, reference)
    return Opening(
        degree=(element_hex(degree[0]), element_hex(degree[1])),
        zero=(element_hex(zero[0]), element_hex(zero[1])),
        inner_product=element_hex(product),
    )


def element_hex(element: int) -> str:
    """A field element as the ledger writes it."""
    return f"{element:016x}"


def _zero_terms(challenge: Challenge, bound: NormBound, bits: Elements, squares: int, projections: Elements) -> int:
    """T without its sharing of zero: every term is zero at zero for a valid update."""
    width = bound.norm_bits
    norm, complement = (int(number) for number in _numbers(bits[: 2 * width], width))
    windows = _numbers(bits[2 * width :], bound.window_bits)
    total = int(kernels.range_check(bits, challenge.bits))
    total += challenge.norm * (squares - norm)
    total += challenge.complement * (norm + complement - bound.bound)
    for coefficient, projection, window in zip(
        challenge.projections.tolist(), projections.tolist(), windows.tolist(), strict=True
    ):
        total += coefficient * (projection + bound.window - 1 - window)
    return total


def _degree_terms(challenge: Challenge, share: OpenedShare, bound: NormBound) -> int:
    """D without its mask: a random combination of everything that was dealt with degree t."""
    total, start = 0, 0
    for coefficients in challenge.degree:
        end = start + coefficients.shape[0]
        inside = max(0, min(end, bound.share_length) - start)
        total += int(kernels.dot(share.elements[start : start + inside], coefficients[:inside]))
        offset = max(start, bound.share_length) - bound.share_length
        rest = coefficients[inside:]
        total += int(kernels.dot(share.proof[offset : offset + rest.shape[0]], rest))
        start = end
    return total


def _numbers(bits: Elements, width: int) -> Elements:
    """The elements that shares of bits stand for: sum of 2^i b_i of each ``width`` bits."""
    by_position = np.ascontiguousarray(bits.reshape(-1, width).T)
    numbers = np.empty(by_position.shape[1], dtype=np.uint64)
    kernels.combine(by_position, np.array([1 << position for position in range(width)], dtype=np.uint64), numbers)
    return numbers


def _inner_product(update: Elements, reference: Integers) -> int:
    if reference.dtype != np.int64 or reference.shape != update.shape:
        raise ValueError(f"the reference direction is {reference.dtype}{list(reference.shape)}")
    elements = np.empty(reference.shape, dtype=np.uint64)
    kernels.to_elements(reference, elements)
    return int(kernels.dot(update, elements))
