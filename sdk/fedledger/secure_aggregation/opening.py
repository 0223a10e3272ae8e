"""A validator's values of one update: what its attestation says of a share, and nothing private.

docs/protocol/secure-aggregation.md, sections 5.5 to 5.8 and 7.3. All of it is linear in what was dealt, so that shares
give shares of what the secrets would give.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedledger.secure_aggregation import extension, folding, kernels
from fedledger.secure_aggregation.encoding import Integers
from fedledger.secure_aggregation.extension import Extended, inner, plus, scaled
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.norm_proof import challenged_vector
from fedledger.secure_aggregation.projections import project
from fedledger.secure_aggregation.share import OpenedShare
from fedledger.secure_aggregation.transcript import Challenge, challenge_of, dealing_challenge, point_of
from fedledger_chaincode.messages.round import DealingOpening, NormOpening, Opening
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.norm_bound import ROWS, NormBound


def opening_of(share: OpenedShare, reference: Integers | None = None) -> Opening:
    """With a norm proof Z(r), P(r) and the inner product with the reference direction; else one random combination.

    Args:
        reference: int64[d], the round's reference direction; without one the inner product is 0.

    Raises:
        ValueError: the reference has another length than the update, or there is no proof to judge it by.
    """
    bound = share.parameters.norm_bound
    if bound is None:
        if reference is not None:
            raise ValueError("an update without a norm proof has no inner product")
        return DealingOpening(combination=_hex(dealing_value(share.messages[0], share.roots[0])))
    challenge, *points = challenge_of(share.roots[1], bound), *map(point_of, share.roots[2:])
    z, p = norm_values(share.messages, project(share.update, share.roots[0]), challenge, points, bound)
    product = 0 if reference is None else _inner_product(share.update, reference)
    return NormOpening(z=_hex(z), p=_hex(p), inner_product=element_hex(product))


def element_hex(element: int) -> str:
    """A field element as the ledger writes it."""
    return f"{element:016x}"


def norm_values(
    messages: Sequence[Elements],
    projections: Sequence[int],
    challenge: Challenge,
    points: Sequence[Extended],
    bound: NormBound,
) -> tuple[Extended, Extended]:
    """Z(r) and P(r), from the messages of a proof or from one validator's shares of them (section 7.3).

    Args:
        messages: in the order and with the lengths of ``bound.message_lengths``.
        projections: y_k, of the update in the first message.
        challenge: drawn from R_2.
        points: drawn from the roots after it, R the last.
    """
    first, projection_bits, *folds, last = messages
    end = bound.dimension + 2 * bound.norm_bits
    update, norm_bits, polynomial = first[: bound.dimension], first[bound.dimension : end], first[end:]
    vector = challenged_vector(update, np.concatenate([norm_bits, projection_bits]), challenge)
    claim = plus(
        inner(folding.basis(2 * ROWS - 1, challenge.point), polynomial),
        inner(challenge.bits, vector[:, -bound.bits :]),
        _norm_terms(norm_bits, polynomial, challenge, bound),
        _window_terms(projections, projection_bits, challenge, bound),
    )
    for message, point in zip(folds, points[:-1], strict=True):
        claim = inner(folding.basis(2 * ROWS - 1, point), _completed(extension.of_message(message), claim, ROWS, 0))
        vector = folding.fold(vector, point)
    length = vector.shape[1]
    mask, values = last[:2].reshape(2, 1), extension.of_message(last[2:])
    return (
        inner(folding.basis(length + 1, points[-1]), np.concatenate([mask, vector], axis=1)),
        inner(folding.basis(2 * length + 1, points[-1]), _completed(values, claim, length + 1, 1)),
    )


def dealing_value(message: Elements, root: bytes) -> Extended:
    """mu + sum of sigma_b f_b(r), from the message of an update without proof, or from a share of it (section 5.8)."""
    update, (real, imaginary) = message[:-2], message[-2:].tolist()
    folded = folding.fold(update, point_of(root))
    return plus((real, imaginary), inner(dealing_challenge(root, update.shape[0]), folded))


def _norm_terms(bits: Elements, polynomial: Elements, challenge: Challenge, bound: NormBound) -> Extended:
    """rho_N (sum P_1(k) - N) + rho_B (N + N' - B)."""
    norm, complement = _numbers(bits, bound.norm_bits).tolist()
    squares = sum(polynomial[:ROWS].tolist())
    return plus(scaled(challenge.norm, squares - norm), scaled(challenge.complement, norm + complement - bound.bound))


def _window_terms(projections: Sequence[int], bits: Elements, challenge: Challenge, bound: NormBound) -> Extended:
    """sum of rho_k (y_k + W - 1 - Y_k)."""
    terms = np.array(projections, dtype=np.uint64)
    kernels.accumulate(terms, np.uint64(MODULUS - 1), _numbers(bits, bound.window_bits))
    constants = scaled(extension.total(challenge.projections), bound.window - 1)
    return plus(inner(challenge.projections, terms), constants)


def _completed(values: Elements, claim: Extended, nodes: int, implied: int) -> Elements:
    """P(0..2 nodes - 2) with the value that is not sent: those at ``implied`` .. nodes - 1 add up to the claim."""
    missing = plus(claim, scaled(extension.total(values[:, implied : nodes - 1]), -1))
    column = np.array(missing, dtype=np.uint64).reshape(2, 1)
    return np.concatenate([values[:, :implied], column, values[:, implied:]], axis=1)


def _numbers(bits: Elements, width: int) -> Elements:
    """The elements that shares of bits stand for: sum of 2^i b_i of each ``width`` bits."""
    by_position = np.ascontiguousarray(bits.reshape(-1, width).T)
    numbers = np.empty(by_position.shape[1], dtype=np.uint64)
    kernels.combine(by_position, np.array([1 << position for position in range(width)], dtype=np.uint64), numbers)
    return numbers


def _hex(element: Extended) -> tuple[str, str]:
    return element_hex(element[0]), element_hex(element[1])


def _inner_product(update: Elements, reference: Integers) -> int:
    if reference.dtype != np.int64 or reference.shape != update.shape:
        raise ValueError(f"the reference direction is {reference.dtype}{list(reference.shape)}")
    elements = np.empty(reference.shape, dtype=np.uint64)
    kernels.to_elements(reference, elements)
    return int(kernels.dot(update, elements))
