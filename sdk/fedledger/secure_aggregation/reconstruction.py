"""The sum from the validators' aggregate shares, whoever of them is silent or lies; refuses an ambiguous one.

docs/protocol/secure-aggregation.md, section 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fedledger.secure_aggregation import kernels
from fedledger.secure_aggregation.encoding import Integers
from fedledger.secure_aggregation.errors import AggregateError
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.randomness import SecretElements
from fedledger_chaincode.rules.reed_solomon import decode_certain, lagrange_at_zero, parity_checks


@dataclass(frozen=True, repr=False)
class Reconstruction:
    """The weighted sum, and who contradicts it."""

    total: Integers
    """int64[d]: sum of w_i u_i."""
    liars: tuple[int, ...]
    """Validators whose aggregate share is not the one of this sum, ascending."""


def reconstruct(shares: Mapping[int, Elements], tolerated_faults: int) -> Reconstruction:
    """Decode all coordinates; the result depends neither on who decodes nor on which shares it has.

    At least 2t + 1 shares must agree, so that t liars cannot pass off another sum while honest validators are late:
    at (4, 1) one may be silent or one may lie. Liars are located on one random combination of all coordinates, drawn
    here after the shares were posted, and the remaining shares are then checked in every coordinate.

    Args:
        shares: uint64[d] by validator j in 1..n.
        tolerated_faults: t.

    Raises:
        AggregateError: fewer than 2t + 1 shares (``TOO_FEW_SHARES``), or fewer that agree
            (``AGGREGATE_UNDECODABLE``).
    """
    if len(shares) <= 2 * tolerated_faults:
        raise AggregateError(
            "TOO_FEW_SHARES",
            f"{len(shares)} aggregate shares are too few; at least {2 * tolerated_faults + 1} are needed.",
            "Wait for more validators, or abort the round after its deadline.",
        )
    liars = _liars(shares, tolerated_faults)
    honest = {validator: share for validator, share in shares.items() if validator not in liars}
    points = tuple(sorted(honest))
    stacked = np.stack([honest[point] for point in points])
    scratch = np.empty(stacked.shape[1], dtype=np.uint64)
    for row in parity_checks(points, tolerated_faults):
        kernels.combine(stacked, np.array(row, dtype=np.uint64), scratch)
        if scratch.any():
            raise _undecodable(len(shares), tolerated_faults)
    needed = points[: tolerated_faults + 1]
    weights = np.array(lagrange_at_zero(needed), dtype=np.uint64)
    kernels.combine(stacked[: len(needed)], weights, scratch)
    total = np.empty(scratch.shape[0], dtype=np.int64)
    kernels.to_integers(scratch, total)
    return Reconstruction(total, liars)


def _liars(shares: Mapping[int, Elements], degree: int) -> tuple[int, ...]:
    length = next(iter(shares.values())).shape[0]
    challenge = SecretElements().draw(length)
    combined = {point: int(kernels.dot(share, challenge)) for point, share in shares.items()}
    decoding = decode_certain(combined, degree, degree)
    if decoding is None:
        raise _undecodable(len(shares), degree)
    return decoding.errors


def _undecodable(present: int, degree: int) -> AggregateError:
    return AggregateError(
        "AGGREGATE_UNDECODABLE",
        f"The {present} aggregate shares contradict each other, and no {2 * degree + 1} of them agree.",
        "Wait for the remaining validators' shares, or abort the round after its deadline.",
    )
