"""What privacy noise does to the agreement of an honest update, and what thresholds follow; for tasks with DP on."""

from __future__ import annotations

import math
from dataclasses import replace

from benchmarks.poisoning.simulation import Trust


def expected_agreement(signal_norm: float, deviation: float, dimension: int) -> float:
    """s / sqrt(s^2 + d sigma^2): the factor by which independent noise shortens the cosine of an update to anything.

    In d dimensions the noise has a norm of nearly sqrt(d) sigma and no direction of its own.

    Args:
        signal_norm: s, of the update before noise.
        deviation: sigma, of the noise in each coordinate.
    """
    return signal_norm / math.sqrt(signal_norm**2 + dimension * deviation**2)


def noisy_thresholds(trust: Trust, signal_norm: float, deviation: float, dimension: int) -> Trust:
    """The thresholds of a task without noise, scaled to what is left of agreement with it."""
    factor = expected_agreement(signal_norm, deviation, dimension)
    return replace(trust, no_trust=trust.no_trust * factor, full_trust=trust.full_trust * factor)
