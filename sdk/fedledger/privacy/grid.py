"""The integer grid on which clipped vectors are added up and noise is drawn; refuses to add up floating-point numbers.

A unit's vector (a record's gradient, a device's update) is clipped to the norm C and rounded to whole steps of
C / ``UNITS``, so that its norm is at most ``UNITS`` steps, exactly. Sums of integers are exact in any order: one unit
more or less moves a sum by that unit's own vector and by nothing else. The discrete Gaussian is added on the same grid;
whatever follows is computed from its sum and from public numbers.

What it costs is that of the Gaussian mechanism. For z = noise multiplier, noise has the deviation sigma with
sigma^2 >= (z ``UNITS``)^2 + r^2, r = ``SMOOTHING`` steps. A continuous Gaussian of deviation s = sqrt(sigma^2 - r^2)
around an integer m, rounded to k with probability proportional to exp(-(k - x)^2 / 2 r^2), is k with probability

    (1 + e) exp(-(k - m)^2 / 2 sigma^2) / (sum of the same over all k),   |e| <= 3 t,
    t = 2 (exp(-2 pi^2 r^2) + exp(-8 pi^2 r^2) + ...) < 1.1e-34,

for every m and k (Peikert 2010, *An Efficient and Parallel Gaussian Sampler for Lattices*, theorem 3.1; the proof is in
docs/decisions/020-discrete-gaussian.md). So the discrete mechanism is, but for that factor in each coordinate, what
remains of the continuous one of noise multiplier z after a rounding that knows no data, with or without sampling.
Factors of all coordinates and steps together stay below 1 + ``SMOOTHING_LOSS``, which the accountant adds.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fedledger.privacy.noise import Integers

UNITS = 1 << 24
"""Steps of the grid to the clip norm; what updates are quantised to where a task says quantisation_bits = 24."""
SMOOTHING = 2
"""r, in steps."""
SMOOTHING_LOSS = 1e-12
"""Bounds 2 e d T for d up to 2^27 coordinates and T up to 10^11 steps: 9e-15."""
_SHRINK = 1.0 - 2.0**-30


def on_grid(vectors: npt.ArrayLike, clip_norm: float) -> Integers:
    """int64[n, d]: each of n vectors clipped to ``clip_norm`` and rounded, of norm at most ``UNITS``.

    Rounded to nearest, or towards zero where that would take the norm beyond the bound. A vector that holds NaN or
    infinity becomes zero: an error would tell that it was there. A row depends on no other row.
    """
    numbers = np.asarray(vectors, dtype=np.float64)
    numbers = np.where(np.isfinite(numbers).all(axis=1, keepdims=True), numbers, 0.0)
    # Relative to the largest number, so that no square overflows.
    largest = np.abs(numbers).max(axis=1, keepdims=True, initial=0.0)
    largest[largest == 0.0] = 1.0
    relative = numbers / largest
    norm = np.sqrt(np.square(relative).sum(axis=1, keepdims=True))
    scaled = relative * (UNITS / np.maximum(norm, clip_norm / largest))
    rounded: Integers = np.rint(scaled).astype(np.int64)
    while (beyond := np.flatnonzero(squares(rounded) > UNITS**2)).size:
        scaled[beyond] *= _SHRINK
        rounded[beyond] = np.trunc(scaled[beyond]).astype(np.int64)
    return rounded


def squares(vectors: Integers) -> Integers:
    """int64[n]: the exact sum of squares of each row of int64[n, d], whose norms are about ``UNITS`` at most."""
    return np.asarray(np.einsum("ij,ij->i", vectors, vectors))


def deviation_on_grid(noise_multiplier: float) -> int:
    """sigma, in steps: the least integer with sigma^2 >= (z ``UNITS``)^2 + ``SMOOTHING``^2."""
    variance = math.ceil((Fraction(noise_multiplier) * UNITS) ** 2) + SMOOTHING**2
    return math.isqrt(variance - 1) + 1


def off_grid(steps: Integers, clip_norm: float) -> npt.NDArray[np.float64]:
    """float64[d], in the units of ``clip_norm``."""
    return steps.astype(np.float64) * (clip_norm / UNITS)
