"""How much each accepted update counts: examples, capped, so that no participant dominates the sum."""

from __future__ import annotations

from collections.abc import Sequence

from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.rules.field import MODULUS


def capped_weights(examples: Sequence[int], max_examples: int, max_share: int) -> tuple[int, ...]:
    """Integer weights w_i = min(examples_i, max_examples, c) with the largest c for which each share is within bounds.

    Args:
        examples: number of examples of each update; 0 keeps an update out of the sum.
        max_examples: cap of one weight.
        max_share: largest part of the total weight in micro-units. When so few updates count that the bound cannot
            be met (count times max_share below 1), the weights are equal, which is the nearest that exists.
    """
    limited = [min(count, max_examples) for count in examples]
    counted = sorted(count for count in limited if count > 0)
    if not counted:
        return tuple(0 for _ in limited)
    low, high = counted[0], counted[-1]
    while low < high:
        middle = (low + high + 1) // 2
        total = sum(min(count, middle) for count in counted)
        if min(counted[-1], middle) * MICRO <= max_share * total:
            low = middle
        else:
            high = middle - 1
    return tuple(min(count, low) for count in limited)


def fit_field(weights: Sequence[int], quantised_norm: int) -> tuple[int, ...]:
    """Halve all weights until no coordinate of the weighted sum can wrap around: sum(w) C_q < q / 2.

    A positive weight stays at least 1.
    """
    fitted = tuple(weights)
    while sum(fitted) * quantised_norm * 2 >= MODULUS:
        halved = tuple(max(weight // 2, 1) if weight > 0 else 0 for weight in fitted)
        if halved == fitted:
            raise ValueError("more updates than the field can add up")
        fitted = halved
    return fitted
