"""Updates as integers and sums of updates as numbers again; refuses NaN, infinity and sums beyond their bound.

docs/protocol/secure-aggregation.md, section 4.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fedledger.secure_aggregation.errors import AggregateError, UpdateError

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


def encode_update(
    update: npt.ArrayLike,
    clip_norm: float,
    quantised_norm: int,
) -> Integers:
    """Clip an update to an L2 norm and map it to integers: int64[d] whose squares add up to at most C_q^2.

    x C_q / max(C, ||x||), rounded to nearest, ties to even. Where rounding takes the norm over the bound,
    rounded towards zero instead.

    Args:
        update: float32 or float64 of any shape with d numbers; flattened in row-major order.
        clip_norm: C, in the units of the update.
        quantised_norm: C_q.

    Raises:
        UpdateError: NaN or infinity in the update (``UPDATE_NOT_FINITE``), or a clip norm that is not a
            positive number (``CLIP_NORM``).
    """
    if not (math.isfinite(clip_norm) and clip_norm > 0):
        raise UpdateError("CLIP_NORM", f"A clip norm of {clip_norm} is no bound.", "Choose a positive number.")
    numbers = np.asarray(update, dtype=np.float64).reshape(-1)
    if not np.isfinite(numbers).all():
        raise UpdateError(
            "UPDATE_NOT_FINITE",
            f"{np.count_nonzero(~np.isfinite(numbers))} of the update's {numbers.size} numbers are NaN or infinite.",
            "Lower the learning rate or look for extreme values in the training data.",
        )
    scaled = _scaled(numbers, clip_norm, quantised_norm)
    rounded: Integers = np.rint(scaled).astype(np.int64)
    shrink = 1.0
    while not within_norm(rounded, quantised_norm):
        rounded = np.trunc(scaled * shrink).astype(np.int64)
        shrink *= 1.0 - 2.0**-40
    return rounded


def encode_direction(vector: npt.ArrayLike, quantised_norm: int) -> Integers | None:
    """A direction as integers, int64[d] of norm at most C_q and next to it; None for the zero vector.

    Bit for bit the same on every machine: the norm is an exactly rounded sum, all else one IEEE 754 operation each.

    Raises:
        UpdateError: NaN or infinity in the vector (``UPDATE_NOT_FINITE``).
    """
    numbers = np.asarray(vector, dtype=np.float64).reshape(-1)
    if not np.isfinite(numbers).all():
        raise UpdateError("UPDATE_NOT_FINITE", "The direction holds NaN or infinity.", "Look at the models it is from.")
    largest = float(np.abs(numbers).max(initial=0.0))
    if largest == 0.0:
        return None
    relative = numbers / largest
    scaled = relative / math.sqrt(math.fsum((relative * relative).tolist())) * quantised_norm
    direction: Integers = np.rint(scaled).astype(np.int64)
    return direction if within_norm(direction, quantised_norm) else np.trunc(scaled).astype(np.int64)


def decode_sum(
    total: npt.ArrayLike,
    weight_sum: int,
    clip_norm: float,
    quantised_norm: int,
) -> Numbers:
    """The weighted mean of updates, float64[d], from their weighted integer sum: total / (W C_q) C.

    Every operation is one IEEE 754 operation on one number, so that all validators compute the same bits.

    Args:
        total: int64[d], the sum of w_i u_i.
        weight_sum: W, the sum of the weights w_i.

    Raises:
        AggregateError: a number beyond W C_q in magnitude, which no sum of valid updates has
            (``SUM_OUT_OF_BOUNDS``), or no weight at all (``NO_WEIGHT``).
    """
    sums = np.asarray(total, dtype=np.int64)
    bound = weight_sum * quantised_norm
    if weight_sum < 1:
        raise AggregateError("NO_WEIGHT", "No update counts in this sum.", "Abort the round.")
    if sums.size and max(int(sums.max()), -int(sums.min())) > bound:
        raise AggregateError(
            "SUM_OUT_OF_BOUNDS",
            "The sum is larger than its weights and the norm bound allow: an update was not what it claimed.",
            "Abort the round; with the task's proof set to norm such an update is refused by name.",
        )
    return sums.astype(np.float64) / float(bound) * clip_norm


def within_norm(integers: Integers, quantised_norm: int) -> bool:
    """Whether the sum of squares is at most C_q^2, exactly, for any int64[d]."""
    if not integers.size:
        return True
    if max(int(integers.max()), -int(integers.min())) > quantised_norm:
        return False
    # The float is off by far less than half, and below twice the bound (< 2^59) the integer dot product is exact.
    numbers = integers.astype(np.float64)
    approximate = float(np.einsum("i,i->", numbers, numbers))
    return approximate < 2.0 * quantised_norm**2 and int(np.dot(integers, integers)) <= quantised_norm**2


def _scaled(numbers: Numbers, clip_norm: float, quantised_norm: int) -> Numbers:
    """x C_q / max(C, ||x||), computed from x / max |x_i| so that no square overflows."""
    largest = float(np.abs(numbers).max(initial=0.0))
    if largest == 0.0:
        return numbers
    relative: Numbers = numbers / largest
    norm = math.sqrt(float(np.sum(np.square(relative))))
    return relative * (quantised_norm / max(norm, clip_norm / largest))
