"""A participant's proof that its update is within the norm, as messages to be shared; proves nothing by itself.

docs/protocol/secure-aggregation.md, sections 5.2 to 5.7. Nothing here is published: every message is dealt like the
update itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedledger.secure_aggregation import extension, folding, kernels
from fedledger.secure_aggregation.encoding import Integers
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.projections import project_integers
from fedledger.secure_aggregation.transcript import Challenge
from fedledger_chaincode.rules.norm_bound import NormBound


def norm_bits(update: Integers, bound: NormBound) -> Elements:
    """uint64[2 norm_bits]: bits of N = ||u||^2, then of B - N; the update is within the bound (section 5.2)."""
    norm = int(np.dot(update, update))
    return bits_of([norm, bound.bound - norm], bound.norm_bits)


def projection_bits(update: Integers, root: bytes, bound: NormBound) -> Elements | None:
    """uint64[projection_bits]: bits of y_k + W - 1 for the projections that R_1 determines (section 5.4).

    None when a projection leaves its window, which happens to an honest update with a probability below 2^-101;
    fresh salts give other projections.
    """
    window = bound.window
    shifted = [y + window - 1 for y in project_integers(update, root)]
    if min(shifted) < 0 or max(shifted) >= 2 * window:
        return None
    return bits_of(shifted, bound.window_bits)


def challenged_vector(update: Elements, bits: Elements, challenge: Challenge) -> Elements:
    """uint64[2, m], v: the update folded at r_1, then beta_b b for each bit; of secrets or of shares (section 5.5)."""
    folded = folding.fold(update, challenge.point)
    width = folded.shape[1]
    vector = np.empty((2, width + bits.shape[0]), dtype=np.uint64)
    vector[:, :width] = folded
    for coefficients, out in zip(challenge.bits, vector, strict=True):
        kernels.multiply_each(coefficients, bits, out[width:])
    return vector


def fold_message(vector: Elements) -> Elements:
    """uint64[2 (2 l - 2)]: P(1..2l - 2) for the blocks of v (section 5.6)."""
    return extension.to_message(folding.sums_of_squares(vector)[:, 1:])


def last_message(vector: Elements, mask: Elements) -> Elements:
    """uint64[2 (2 m + 1)]: mu, P(0), P(2..2m) for P = Z^2 (section 5.7).

    Args:
        vector: uint64[2, m] over E.
        mask: uint64[2], mu.
    """
    squares = folding.squares_beyond(np.concatenate([mask.reshape(2, 1), vector], axis=1))
    sent = np.concatenate([squares[:, :1], squares[:, 2:]], axis=1)
    return np.concatenate([mask, extension.to_message(sent)])


def bits_of(values: Sequence[int], width: int) -> Elements:
    """Bits of integers below 2^63, lowest first, one after another."""
    places = np.arange(width, dtype=np.int64)
    return (np.array(values, dtype=np.int64)[:, None] >> places & 1).astype(np.uint64).reshape(-1)
