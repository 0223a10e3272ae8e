"""How much an update is trusted, from its inner product with the round's reference direction; integers only.

The idea is FLTrust's (Cao, Fang, Liu, Gong 2021, arXiv:2012.13995): what points away from a direction that is known to
be good counts nothing. Both vectors are scaled to the quantised norm, so that an update's length counts as well: a
zero update agrees with nothing.
Honest updates agree the less the nearer the model is to its optimum, where they add up to nothing, so that thresholds
follow the median agreement of the round; where even that is low, the direction says nothing about anybody.
docs/protocol/rounds.md, 4.6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.task import RobustnessSpec

LEVELS = 15
"""Trust is a whole number from 0 to this."""


@dataclass(frozen=True)
class Thresholds:
    """Of one round, in micro-units of agreement."""

    no_trust: int
    full_trust: int


def agreement(inner_product: int, quantised_norm: int, expected: int = MICRO) -> int:
    """<u, g> / C_q^2 in micro-units, in [-1e6, 1e6]: the cosine, shortened where the update is shorter than allowed.

    Args:
        expected: of an honest update with the privacy noise of its organisation over one with the task's, in
            micro-units; the result is divided by it.
    """
    return inner_product * MICRO * MICRO // (quantised_norm**2 * expected)


def round_thresholds(agreements: Sequence[tuple[str, int]], robustness: RobustnessSpec) -> Thresholds | None:
    """The task's thresholds, both made smaller where the median agreement is below ``full_trust``; None for a silent
    round: the median is at or below ``no_trust``, or there is none.

    Args:
        agreements: (organisation, agreement) of each update that may count.
    """
    if not agreements:
        return None
    median = median_by_organisation(agreements)
    if median <= robustness.no_trust:
        return None
    full_trust = min(robustness.full_trust, median)
    return Thresholds(robustness.no_trust * full_trust // robustness.full_trust, full_trust)


def median_by_organisation(agreements: Sequence[tuple[str, int]]) -> int:
    """The least agreement such that more than half of all organisations' votes are at or below it.

    An organisation has one vote, divided equally among its updates, so that names do not multiply it. While fewer than
    half of the organisations are false, the median lies within the range of the honest ones. Of an even number of
    equal votes it is the upper of the middle two.
    """
    names = Counter(owner for owner, _ in agreements)
    reached = Fraction(0)
    for owner, value in sorted(agreements, key=lambda each: each[1]):
        reached += Fraction(1, names[owner])
        if 2 * reached > len(names):
            return value
    raise ValueError("the median of nothing")


def trust_level(value: int, thresholds: Thresholds) -> int:
    """0 at or below ``no_trust``, ``LEVELS`` at or above ``full_trust``, in equal steps between."""
    if value <= thresholds.no_trust:
        return 0
    span = thresholds.full_trust - thresholds.no_trust
    return min(LEVELS, -(-LEVELS * (value - thresholds.no_trust) // span))


def trust_by_reputation(reputation: int) -> int:
    """The level in a silent round: reputation, in micro-units, rounded up to a fifteenth."""
    return -(-LEVELS * reputation // MICRO)


def trust_score(level: int) -> int:
    """A trust level in micro-units."""
    return level * MICRO // LEVELS
