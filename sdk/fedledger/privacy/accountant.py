"""Epsilon of a mechanism, by two accountants of dp_accounting; refuses what has no finite epsilon.

Both answers are upper bounds, so that the smaller of them is one too, and it is what counts:

- privacy loss distributions (Koskela et al. 2020; Doroshenko et al. 2022) with pessimistic rounding, tighter than
  Renyi DP by about a tenth at the sizes of these tasks;
- Renyi differential privacy (Mironov 2017; Mironov, Talwar and Zhang 2019 for the sampled Gaussian), converted by
  Canonne, Kamath and Steinke (2020), which is the smaller one where very many steps cost very little each.

Both reckon the Gaussian mechanism of the stated noise multiplier. The noise that is added is the discrete Gaussian,
which costs no more but for ``SMOOTHING_LOSS`` (``privacy.grid``): epsilon is reckoned at a delta smaller by that part,
and as much is added to it.

Figures are rounded up to whole micro-epsilon. Fourier transforms differ in the last bits between machines, far below
one micro-epsilon; :func:`covers` therefore compares a claim with a recomputation up to one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fedledger.errors import BadInputError
from fedledger.privacy.grid import SMOOTHING_LOSS
from fedledger.privacy.mechanism import PoissonSampledGaussian

MICRO = 1_000_000
NOISE_GRID = 1_000
"""Calibrated noise multipliers are multiples of 1 / NOISE_GRID."""
LOSS_INTERVAL = 1e-3
"""Discretisation of the privacy loss. For some hundreds of steps ten times finer changes epsilon by under 1e-3 and
takes ten times as long; rounding adds up over many thousands of steps, always upwards.
"""
_RECOMPUTATION_TOLERANCE = 1
_LARGEST_NOISE = 1_000


@dataclass(frozen=True)
class EpsilonBounds:
    """What each accountant says of the same mechanism, in micro-epsilon; None where it has no finite answer."""

    pld: int | None
    """By privacy loss distributions."""
    rdp: int | None
    """By Renyi differential privacy."""

    @property
    def smaller(self) -> int | None:
        """The better bound; None when there is none."""
        finite = [bound for bound in (self.pld, self.rdp) if bound is not None]
        return min(finite) if finite else None


def epsilon_micro(mechanism: PoissonSampledGaussian, rounds: int, delta: float) -> int:
    """Epsilon after ``rounds`` rounds of the mechanism, in micro-units, rounded up: (epsilon, delta)-DP per unit of
    the mechanism, which is a record or a device.

    Raises BadInputError PRIVACY_UNBOUNDED when no finite epsilon holds at this delta.
    """
    return _finite(epsilon_bounds(mechanism, rounds, delta), mechanism.steps * rounds, delta)


def epsilon_bounds(mechanism: PoissonSampledGaussian, rounds: int, delta: float) -> EpsilonBounds:
    """Epsilon after ``rounds`` rounds by both accountants."""
    steps = mechanism.steps * rounds
    return EpsilonBounds(_by_pld(_loss_distribution(mechanism), steps, delta), _by_rdp(mechanism, steps, delta))


@lru_cache(maxsize=128)
def schedule_bounds(mechanism: PoissonSampledGaussian, rounds: int, delta: float) -> tuple[EpsilonBounds, ...]:
    """Cumulative epsilon by both accountants after 1, 2, ... ``rounds`` contributed rounds."""
    one_step = _loss_distribution(mechanism)
    steps = [mechanism.steps * contributed for contributed in range(1, rounds + 1)]
    return tuple(EpsilonBounds(_by_pld(one_step, count, delta), _by_rdp(mechanism, count, delta)) for count in steps)


def epsilon_schedule(mechanism: PoissonSampledGaussian, rounds: int, delta: float) -> tuple[int, ...]:
    """Cumulative micro-epsilon after 1, 2, ... ``rounds`` contributed rounds, by the better bound of each.

    Raises BadInputError PRIVACY_UNBOUNDED.
    """
    schedule: list[int] = []
    for contributed, bounds in enumerate(schedule_bounds(mechanism, rounds, delta), start=1):
        spent = _finite(bounds, mechanism.steps * contributed, delta)
        schedule.append(max(spent, schedule[-1] if schedule else 0))
    return tuple(schedule)


def membership_accuracy(mechanism: PoissonSampledGaussian, rounds: int) -> float:
    """How often anybody, whatever they know, can at most guess right whether one given record was used in
    ``rounds`` rounds, when both are equally likely beforehand: 0.5 is a coin, 1 is certainty.

    (1 + TV) / 2 with the total variation distance TV, which is delta at epsilon 0 (Dong et al. 2022, section 2).
    """
    composed = _loss_distribution(mechanism).self_compose(mechanism.steps * rounds)
    return (1.0 + min(float(composed.get_delta_for_epsilon(0.0)) + SMOOTHING_LOSS, 1.0)) / 2.0


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
    ``target_epsilon`` by either accountant.

    Raises BadInputError PRIVACY_UNREACHABLE when a multiplier of 1000 is not enough.
    """
    target = math.floor(target_epsilon * MICRO + 0.5)

    def by_pld(grid_point: int) -> bool:
        one_step = _loss_distribution(PoissonSampledGaussian(sampling_rate, grid_point / NOISE_GRID, steps))
        return _within(_by_pld(one_step, steps * rounds, delta), target)

    def by_rdp(grid_point: int) -> bool:
        mechanism = PoissonSampledGaussian(sampling_rate, grid_point / NOISE_GRID, steps)
        return _within(_by_rdp(mechanism, steps * rounds, delta), target)

    least = _least_grid_point(by_pld)
    if least is None or (least > 1 and by_rdp(least - 1)):
        least = _least_grid_point(by_rdp)
    if least is None:
        raise BadInputError(
            "PRIVACY_UNREACHABLE",
            f"Epsilon {target_epsilon} at delta {delta} cannot be kept over {rounds} rounds of {steps} steps.",
            "Raise epsilon or delta, or lower rounds, steps_per_round or sampling_rate.",
        )
    return least / NOISE_GRID


def _least_grid_point(fits: Callable[[int], bool]) -> int | None:
    """The least multiple of the grid that fits, at least a tenth of the noise multiplier 1; more noise always fits."""
    high = NOISE_GRID
    while not fits(high):
        high *= 2
        if high > _LARGEST_NOISE * NOISE_GRID:
            return None
    low = high // 2 if high > NOISE_GRID else NOISE_GRID // 10
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def _within(bound: int | None, target: int) -> bool:
    return bound is not None and bound <= target


def _loss_distribution(mechanism: PoissonSampledGaussian) -> Any:
    from dp_accounting.pld import privacy_loss_distribution

    return privacy_loss_distribution.from_gaussian_mechanism(
        standard_deviation=mechanism.noise_multiplier,
        value_discretization_interval=LOSS_INTERVAL,
        sampling_prob=mechanism.sampling_rate,
    )


@lru_cache(maxsize=128)
def _renyi_curve(mechanism: PoissonSampledGaussian) -> tuple[Any, Any]:
    """Orders, and the Renyi divergence of one step at each: float64[orders] twice."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.rdp import rdp_privacy_accountant

    orders = rdp_privacy_accountant.DEFAULT_RDP_ORDERS
    accountant = rdp_privacy_accountant.RdpAccountant(orders)
    accountant.compose(PoissonSampledDpEvent(mechanism.sampling_rate, GaussianDpEvent(mechanism.noise_multiplier)))
    # No public call returns the curve, and integrating it anew for each number of rounds takes seconds.
    return orders, accountant._rdp


def _by_pld(one_step: Any, steps: int, delta: float) -> int | None:
    return _micro(one_step.self_compose(steps).get_epsilon_for_delta(_within_loss(delta)))


def _by_rdp(mechanism: PoissonSampledGaussian, steps: int, delta: float) -> int | None:
    from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon

    orders, divergences = _renyi_curve(mechanism)
    return _micro(compute_epsilon(orders, steps * divergences, _within_loss(delta))[0])


def _micro(epsilon: float) -> int | None:
    return math.ceil((float(epsilon) + SMOOTHING_LOSS) * MICRO) if math.isfinite(epsilon) else None


def _within_loss(delta: float) -> float:
    return delta * (1.0 - SMOOTHING_LOSS)


def _finite(bounds: EpsilonBounds, steps: int, delta: float) -> int:
    if bounds.smaller is None:
        raise BadInputError(
            "PRIVACY_UNBOUNDED",
            f"{steps} steps of this mechanism have no finite epsilon at delta {delta}.",
            "Raise the noise multiplier or delta.",
        )
    return bounds.smaller
