"""A participant's proof that its update is within the norm, as secrets to be shared; proves nothing by itself.

docs/protocol/secure-aggregation.md, section 5. Nothing here is published: bits, masks and sharings of zero are
dealt like the update itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedledger.secure_aggregation.challenges import project
from fedledger.secure_aggregation.encoding import Integers
from fedledger.secure_aggregation.kernels import Elements
from fedledger_chaincode.rules.field import centred
from fedledger_chaincode.rules.norm_bound import NormBound


def norm_bits(update: Integers, bound: NormBound) -> Elements:
    """uint64[2 norm_bits]: bits of N = ||u||^2, then of B - N; the update is within the bound (section 5.2)."""
    norm = int(np.dot(update, update))
    return np.concatenate([bits_of([norm], bound.norm_bits), bits_of([bound.bound - norm], bound.norm_bits)])


def projection_bits(update: Elements, root: str, bound: NormBound) -> Elements | None:
    """uint64[projection_bits]: bits of y_k + W - 1 for the projections that ``root`` determines (section 5.4).

    None when a projection leaves its window, which happens to an honest update with a probability below 2^-100;
    fresh salts give other projections.
    """
    shifted = [centred(int(element)) + bound.window - 1 for element in project(update, root)]
    if not all(0 <= value < 2 * bound.window for value in shifted):
        return None
    return bits_of(shifted, bound.window_bits)


def bits_of(values: Sequence[int], width: int) -> Elements:
    """Bits of non-negative integers, lowest first, one after another."""
    return np.array([value >> bit & 1 for value in values for bit in range(width)], dtype=np.uint64)
