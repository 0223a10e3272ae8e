"""How much an update is trusted, from its inner product with the round's reference direction; integers only.

The idea is FLTrust's (Cao, Fang, Liu, Gong 2021, arXiv:2012.13995): what points away from a direction that is known to
be good counts nothing. Both vectors are scaled to the quantised norm, so that an update's length counts as well: a
zero update agrees with nothing.
"""

from __future__ import annotations

from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.task import RobustnessSpec

LEVELS = 15
"""Trust is a whole number from 0 to this."""


def agreement(inner_product: int, quantised_norm: int) -> int:
    """<u, g> / C_q^2 in micro-units, in [-1e6, 1e6]: the cosine, shortened where the update is shorter than allowed."""
    return inner_product * MICRO // quantised_norm**2


def trust_level(inner_product: int, quantised_norm: int, robustness: RobustnessSpec) -> int:
    """0 at or below ``no_trust``, ``LEVELS`` at or above ``full_trust``, in equal steps between."""
    value = agreement(inner_product, quantised_norm)
    if value <= robustness.no_trust:
        return 0
    span = robustness.full_trust - robustness.no_trust
    return min(LEVELS, -(-LEVELS * (value - robustness.no_trust) // span))


def trust_score(level: int) -> int:
    """A trust level in micro-units."""
    return level * MICRO // LEVELS
