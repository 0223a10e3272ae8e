"""Epsilon of a mechanism, by dp_accounting's privacy loss distributions; refuses what has no finite epsilon.

Privacy loss distributions (Koskela et al. 2020; Doroshenko et al. 2022) are used with their pessimistic
rounding, so every figure is an upper bound, tighter than Renyi DP by about a tenth at the sizes of these
tasks. Figures are rounded up to whole micro-epsilon. Fourier transforms differ in the last bits between
machines, far below one micro-epsilon; :func:`covers` therefore compares a claim with a recomputation up to
one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from fedledger.errors import BadInputError
from fedledger.privacy.mechanism import PoissonSampledGaussian

MICRO = 1_000_000
NOISE_GRID = 1_000
"""Calibrated noise multipliers are multiples of 1 / NOISE_GRID."""
LOSS_INTERVAL = 1e-3
"""Discretisation of the privacy loss; ten times finer changes epsilon by under 1e-3 and takes ten times as
long.
"""
_RECOMPUTATION_TOLERANCE = 1
_LARGEST_NOISE = 1_000


def epsilon_micro(mechanism: PoissonSampledGaussian, rounds: int, delta: float) -> int:
    """Epsilon after ``rounds`` rounds of the mechanism, in micro-units, rounded up: (epsilon, delta)-DP per
    record.

    Raises BadInputError PRIVACY_UNBOUNDED when no finite epsilon holds at this delta.
    """
    return _epsilon_micro(_loss_distribution(mechanism), mechanism.steps * rounds, delta)


@lru_cache(maxsize=128)
def epsilon_schedule(mechanism: PoissonSampledGaussian, rounds: int, delta: float) -> tuple[int, ...]:
    """Cumulative micro-epsilon after 1, 2, ... ``rounds`` contributed rounds."""
    one_step = _loss_distribution(mechanism)
    schedule: list[int] = []
    for contributed in range(1, rounds + 1):
        spent = _epsilon_micro(one_step, mechanism.steps * contributed, delta)
        schedule.append(max(spent, schedule[-1] if schedule else 0))
    return tuple(schedule)


def membership_accuracy(mechanism: PoissonSampledGaussian, rounds: int) -> float:
    """How often anybody, whatever they know, can at most guess right whether one given record was used in
    ``rounds`` rounds, when both are equally likely beforehand: 0.5 is a coin, 1 is certainty.

    (1 + TV) / 2 with the total variation distance TV, which is delta at epsilon 0 (Dong et al. 2022, section 2).
    """
    composed = _loss_distribution(mechanism).self_compose(mechanism.steps * rounds)
    return (1.0 + min(float(composed.get_delta_for_epsilon(0.0)), 1.0)) / 2.0


def covers(claimed: Sequence[int], recomputed: Sequence[int]) -> bool:
    """Whether a claimed schedule is at least what was recomputed, entry by entry, up to one micro-epsilon.

    Claiming to spend more than was spent is safe; claiming less is not.
    """
    return len(claimed) == len(recomputed) and all(
        claim >= figure - _RECOMPUTATION_TOLERANCE for claim, figure in zip(claimed, recomputed, strict=True)
    )


@lru_cache(maxsize=128)
def calibrate_noise(target_epsilon: float, *, rounds: int, steps: int, sampling_rate: float, delta: float) -> float:
    """The least noise multiplier, on a grid of 1/1000, that keeps ``rounds`` rounds within
    ``target_epsilon``.

    Raises BadInputError PRIVACY_UNREACHABLE when a multiplier of 1000 is not enough.
    """
    target = math.floor(target_epsilon * MICRO + 0.5)

    def fits(grid_point: int) -> bool:
        mechanism = PoissonSampledGaussian(sampling_rate, grid_point / NOISE_GRID, steps)
        return epsilon_micro(mechanism, rounds, delta) <= target

    high = NOISE_GRID
    while not fits(high):
        high *= 2
        if high > _LARGEST_NOISE * NOISE_GRID:
            raise BadInputError(
                "PRIVACY_UNREACHABLE",
                f"Epsilon {target_epsilon} at delta {delta} cannot be kept over {rounds} rounds of {steps} steps.",
                "Raise epsilon or delta, or lower rounds, steps_per_round or sampling_rate.",
            )
    low = high // 2 if high > NOISE_GRID else NOISE_GRID // 10
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            high = middle
        else:
            low = middle
    return high / NOISE_GRID


def _loss_distribution(mechanism: PoissonSampledGaussian) -> Any:
    from dp_accounting.pld import privacy_loss_distribution

    return privacy_loss_distribution.from_gaussian_mechanism(
        standard_deviation=mechanism.noise_multiplier,
        value_discretization_interval=LOSS_INTERVAL,
        sampling_prob=mechanism.sampling_rate,
    )


def _epsilon_micro(one_step: Any, steps: int, delta: float) -> int:
    epsilon = float(one_step.self_compose(steps).get_epsilon_for_delta(delta))
    if not math.isfinite(epsilon):
        raise BadInputError(
            "PRIVACY_UNBOUNDED",
            f"{steps} steps of this mechanism have no finite epsilon at delta {delta}.",
            "Raise the noise multiplier or delta.",
        )
    return math.ceil(epsilon * MICRO)
