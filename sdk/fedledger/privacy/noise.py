"""Randomness that privacy rests on, from the operating system's generator alone; refuses to take a seed.

A generator with a seed that is stored, short or guessable lets whoever guesses it subtract the noise.
TensorFlow's has 32 bits. Each number here is made from fresh bytes of ``os.urandom``.
"""

from __future__ import annotations

import os
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from fedledger.errors import BadInputError

_SUMMANDS = 4
_MICRO = 1_000_000


def gaussian(size: int, standard_deviation: float) -> npt.NDArray[np.float64]:
    """``size`` independent normal numbers, float64, of mean 0 and the given standard deviation.

    Each is half the sum of four Box-Muller normals, so that the lowest bits of one result do not give away the
    state behind it (Holohan and Braghin 2021, the remedy for Mironov 2012 that Opacus uses in secure mode).
    """
    halves = _SUMMANDS * size // 2
    radius = np.sqrt(-2.0 * np.log(_uniform(halves)))
    angle = 2.0 * np.pi * _uniform(halves)
    normals = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]).reshape(_SUMMANDS, size)
    return np.asarray(normals.sum(axis=0) * (standard_deviation / np.sqrt(_SUMMANDS)))


def poisson_sample(size: int, rate: float) -> npt.NDArray[np.bool_]:
    """Which of ``size`` records enter a step: each on its own with probability ``rate``.

    ``rate`` is taken in whole millionths; the probability differs from it by less than 2^-64 and is never above
    it. Raises BadInputError PRIVACY_PARAMETERS outside [0, 1].
    """
    if not 0.0 <= rate <= 1.0:
        raise BadInputError(
            "PRIVACY_PARAMETERS",
            f"The sampling rate is {rate}; it is a probability.",
            "Correct sampling_rate in table [privacy] of task.toml.",
        )
    if rate == 1.0:
        return np.ones(size, dtype=bool)
    threshold = int(Fraction(round(rate * _MICRO), _MICRO) * (1 << 64))
    words = np.frombuffer(os.urandom(8 * size), dtype=np.uint64)
    return words < np.uint64(threshold)


def _uniform(size: int) -> npt.NDArray[np.float64]:
    """Multiples of 2^-53 in (0, 1]."""
    words = np.frombuffer(os.urandom(8 * size), dtype=np.uint64) >> np.uint64(11)
    return (words.astype(np.float64) + 1.0) * 2.0**-53
