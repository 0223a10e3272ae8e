"""How much each accepted update counts: examples, capped, so that no organisation dominates the sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.rules.field import MODULUS


def capped_weights(
    examples: Sequence[int], owners: Sequence[Hashable], max_examples: int, max_share: int
) -> tuple[int, ...]:
    """Integer weights min(examples_i, max_examples), of which an organisation's add up to at most c, with the largest c
    for which each organisation's share is within bounds.

    It is the organisation that is capped: under as many names as it likes it has the same share. What it may have is
    divided between its participants in proportion.

    Args:
        examples: number of examples of each update; 0 keeps an update out of the sum.
        owners: whose update each is.
        max_examples: cap of one weight.
        max_share: largest part of the total weight that one owner may have, in micro-units, kept up to the rounding of
            weights to integers. When so few count that the bound cannot be met (count times max_share below 1), all
            owners have the same, which is the nearest that exists.
    """
    limited = [min(count, max_examples) for count in examples]
    totals: Counter[Hashable] = Counter()
    for owner, count in zip(owners, limited, strict=True):
        totals[owner] += count
    cap = _largest_cap(sorted(total for total in totals.values() if total), max_share)
    if max(totals.values(), default=0) <= cap:
        return tuple(limited)
    names = Counter(owner for owner, count in zip(owners, limited, strict=True) if count)
    # So much finer that no name of a capped owner is rounded to nothing because there are many.
    grain = max(names[owner] for owner, total in totals.items() if total > cap)
    return tuple(
        max(1, grain * count * min(cap, totals[owner]) // totals[owner]) if count else 0
        for owner, count in zip(owners, limited, strict=True)
    )


def _largest_cap(totals: Sequence[int], max_share: int) -> int:
    """The largest c with min(total, c) <= max_share of the sum of all min(total, c); the least total where none is.

    Args:
        totals: positive, in ascending order.
    """
    if not totals:
        return 0
    low, high = totals[0], totals[-1]
    while low < high:
        middle = (low + high + 1) // 2
        if middle * MICRO <= max_share * sum(min(total, middle) for total in totals):
            low = middle
        else:
            high = middle - 1
    return low


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
