"""Randomness that privacy rests on, from the operating system's generator alone; refuses to take a seed.

A generator with a seed that is stored, short or guessable lets whoever guesses it subtract the noise; TensorFlow's has
32 bits. Every call here draws a fresh key of 256 bits from ``os.urandom`` and expands it by AES in counter mode.

Noise is the discrete Gaussian of Canonne, Kamath and Steinke (2020, *The Discrete Gaussian for Differential Privacy*):
an integer x with probability proportional to exp(-x^2 / 2 sigma^2). It is drawn exactly. Every decision is a
comparison of uniform integers, none is a comparison of floating-point numbers, so that no low bit of a result tells
what was added to (Mironov 2012).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fedledger.errors import BadInputError

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

_MICRO = 1_000_000
_KEY_BYTES = 32
_LARGEST_DEVIATION = 1 << 48
_BATCH = 1 << 16
"""Numbers that are drawn at a time: what a batch needs stays in a processor's cache."""


class Coins:
    """Uniform integers, and coins that show heads with exactly the probability that is asked for.

    The probabilities exp(-g) are those of Canonne, Kamath and Steinke 2020, algorithm 1: for g in [0, 1] flip coins of
    probability g / 1, g / 2, g / 3, ... until one shows tails; the number of flips is odd with probability exp(-g).
    """

    def __init__(self) -> None:
        self._stream = Cipher(algorithms.AES(os.urandom(_KEY_BYTES)), modes.CTR(bytes(16))).encryptor()

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        return self._stream.update(bytes(count))

    def below(self, bound: int, size: int) -> Words:
        """uint64[size], uniform in 0 .. ``bound`` - 1, at most 2^63. Words beyond a multiple of it are drawn anew."""
        limit = (1 << 64) // bound * bound - 1
        drawn = self._words("<u8", size)
        while (beyond := np.flatnonzero(drawn > np.uint64(limit))).size:
            drawn[beyond] = self._words("<u8", beyond.size)
        # The quotient by a scalar is vectorised, the remainder is not.
        return np.asarray(drawn - drawn // np.uint64(bound) * np.uint64(bound))

    def one_in(self, bound: int, size: int) -> Flags:
        """Coins that show heads once in ``bound`` times, for bounds up to 128."""
        each = 256 // bound
        drawn = self._words("u1", size)
        while each * bound < 256 and (beyond := np.flatnonzero(drawn >= each * bound)).size:
            drawn[beyond] = self._words("u1", beyond.size)
        return drawn < each

    def ratio(self, numerators: Words, denominator: int) -> Flags:
        """A coin for each numerator n: heads with probability n / ``denominator``."""
        return self.below(denominator, numerators.size) < numerators

    def exp_ratio(self, numerators: Words, denominator: int) -> Flags:
        """A coin for each n, at most ``denominator``: heads with probability exp(-n / denominator)."""
        return self._exp(numerators.size, lambda left: self.ratio(numerators[left], denominator))

    def exp_half_square(self, numerators: Words, denominator: int) -> Flags:
        """A coin for each n, at most ``denominator``: heads with probability exp(-(n / denominator)^2 / 2)."""

        def half_square(left: npt.NDArray[np.intp]) -> Flags:
            chosen = numerators[left]
            once, twice = self.ratio(chosen, denominator), self.ratio(chosen, denominator)
            return once & twice & self.one_in(2, left.size)

        return self._exp(numerators.size, half_square)

    def exp_half(self, size: int) -> Flags:
        """Coins that show heads with probability exp(-1/2)."""
        return self._exp(size, lambda left: self.one_in(2, left.size))

    def exp_one(self, size: int) -> Flags:
        """Coins that show heads with probability exp(-1)."""
        return self._exp(size, lambda left: np.ones(left.size, dtype=bool))

    def _exp(self, size: int, flip: Callable[[npt.NDArray[np.intp]], Flags]) -> Flags:
        """Heads with probability exp(-g), where ``flip`` gives coins of probability g for the indices that are left."""
        heads = np.zeros(size, dtype=bool)
        left, flips = np.arange(size), 1
        while left.size:
            shown = flip(left)
            if flips > 1:
                shown &= self.one_in(flips, left.size)
            heads[left[~shown]] = flips % 2 == 1
            left, flips = left[shown], flips + 1
        return heads

    def _words(self, kind: str, size: int) -> npt.NDArray[Any]:
        return np.frombuffer(self.read(size * np.dtype(kind).itemsize), dtype=kind).copy()


def discrete_gaussian(size: int, deviation: int, coins: Coins | None = None) -> Integers:
    """int64[size]: independent integers x of probability proportional to exp(-x^2 / 2 ``deviation``^2).

    Canonne, Kamath and Steinke 2020, algorithms 2 and 3, with the discrete Laplace distribution of scale sigma, for a
    whole sigma: |x| = u + sigma v with u uniform below sigma and v geometric, of which the part
    exp(-(|x| / sigma - 1)^2 / 2) is kept. Its exponent is v - 1 squared, v - 1 times u / sigma and u / sigma squared,
    each a product of ratios of integers, which coins show exactly. How long it takes depends on what is drawn.

    Args:
        coins: of tests; the operating system's unless given.

    Raises BadInputError PRIVACY_PARAMETERS for a deviation below 1 or above 2^48.
    """
    if not 1 <= deviation <= _LARGEST_DEVIATION:
        raise BadInputError(
            "PRIVACY_PARAMETERS",
            f"Noise of a standard deviation of {deviation} steps of the grid cannot be drawn.",
            "Correct noise_multiplier in table [privacy] of task.toml.",
        )
    source = Coins() if coins is None else coins
    out = np.empty(size, dtype=np.int64)
    filled = 0
    while filled < size:
        # Nearly half of what is proposed is kept.
        drawn = _proposed(min(_BATCH, 2 * (size - filled) + 16), deviation, source)[: size - filled]
        out[filled : filled + drawn.size] = drawn
        filled += drawn.size
    return out


def noise_of_steps(steps: int, size: int, deviation: int) -> Iterator[Integers]:
    """int64[size] of :func:`discrete_gaussian` for each of ``steps`` steps. Short ones are drawn together: few numbers
    take nearly as long as some thousands.
    """
    together = max(1, _BATCH // max(size, 1))
    for start in range(0, steps, together):
        rows = min(together, steps - start)
        yield from discrete_gaussian(rows * size, deviation).reshape(rows, size)


def poisson_sample(size: int, rate: float) -> Flags:
    """Which of ``size`` units enter a step: each on its own with probability ``rate``.

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


def _proposed(size: int, sigma: int, coins: Coins) -> Integers:
    """What of ``size`` attempts is kept."""
    u = coins.below(sigma, size)
    u = u[coins.exp_ratio(u, sigma)]
    v = _geometric(u.size, coins)
    negative = coins.one_in(2, u.size)
    # Zero would be twice as likely with either sign.
    kept = ~(negative & (u == 0) & (v == 0)) & _is_kept(u, v, sigma, coins)
    magnitude = (u + np.uint64(sigma) * v)[kept].astype(np.int64)
    return np.where(negative[kept], -magnitude, magnitude)


def _geometric(size: int, coins: Coins) -> Words:
    """uint64[size]: how often in a row a coin of probability exp(-1) shows heads."""
    count = np.zeros(size, dtype=np.uint64)
    left = np.arange(size)
    while left.size:
        left = left[coins.exp_one(left.size)]
        count[left] += np.uint64(1)
    return count


def _is_kept(u: Words, v: Words, sigma: int, coins: Coins) -> Flags:
    """Heads with probability exp(-(v - 1 + u / sigma)^2 / 2)."""
    w = v - np.minimum(v, np.uint64(1))
    # For v = 0 the square is that of 1 - u / sigma.
    kept = coins.exp_half_square(np.where(v == 0, np.uint64(sigma) - u, u), sigma)
    # exp(-w^2 / 2) is w^2 coins, exp(-w u / sigma) is w coins.
    _all_heads(kept, w * w, lambda left: coins.exp_half(left.size))
    _all_heads(kept, w, lambda left: coins.exp_ratio(u[left], sigma))
    return kept


def _all_heads(kept: Flags, trials: Words, flip: Callable[[npt.NDArray[np.intp]], Flags]) -> None:
    """Keep only that for which all of its ``trials`` coins show heads."""
    left, flips = np.flatnonzero(kept & (trials > 0)), 0
    while left.size:
        shown, flips = flip(left), flips + 1
        kept[left[~shown]] = False
        left = left[shown & (trials[left] > flips)]
