"""How long the exact discrete Gaussian takes beside a floating-point one; prints a table and the machine.

    python benchmarks/privacy_noise.py [--repeats 15]

Both draw the noise of one round from the operating system's generator. The floating-point one is what earlier versions
added: half the sum of four Box-Muller normals (Holohan and Braghin 2021), whose low bits have no proof. Times are
medians; both are timed in turn, so that what else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import machine
import numpy as np
import numpy.typing as npt

from fedledger.privacy.grid import deviation_on_grid
from fedledger.privacy.noise import noise_of_steps

ROUNDS = (
    ("heart-disease, logistic", 10, 31),
    ("heart-disease, mlp", 10, 513),
    ("10,000 parameters", 10, 10_000),
    ("1,000,000 parameters", 1, 1_000_000),
)
"""Name, steps in a round, and numbers in a step."""
NOISE_MULTIPLIER = 1.5


def discrete(steps: int, size: int) -> None:
    """The noise of one round as it is drawn."""
    for _ in noise_of_steps(steps, size, deviation_on_grid(NOISE_MULTIPLIER)):
        pass


def floating_point(steps: int, size: int) -> None:
    """The noise of one round as it was drawn."""
    for _ in range(steps):
        gaussian(size, NOISE_MULTIPLIER)


def gaussian(size: int, standard_deviation: float) -> npt.NDArray[np.float64]:
    """float64[size]: each number is half the sum of four Box-Muller normals."""
    halves = 2 * size
    radius = np.sqrt(-2.0 * np.log(_uniform(halves)))
    angle = 2.0 * np.pi * _uniform(halves)
    normals = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]).reshape(4, size)
    return np.asarray(normals.sum(axis=0) * (standard_deviation / 2.0))


def _uniform(size: int) -> npt.NDArray[np.float64]:
    """Multiples of 2^-53 in (0, 1]."""
    words = np.frombuffer(os.urandom(8 * size), dtype=np.uint64) >> np.uint64(11)
    return (words.astype(np.float64) + 1.0) * 2.0**-53


def seconds(draw: Callable[[int, int], None], steps: int, size: int) -> float:
    """How long one round's noise takes."""
    started = time.perf_counter()
    draw(steps, size)
    return time.perf_counter() - started


def medians(steps: int, size: int, repeats: int) -> tuple[float, float]:
    """Seconds of the discrete and of the floating-point noise of one round."""
    pairs = [(seconds(discrete, steps, size), seconds(floating_point, steps, size)) for _ in range(repeats)]
    exact, floating = zip(*pairs, strict=True)
    return statistics.median(exact), statistics.median(floating)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    print("| noise of one round | numbers | discrete | floating point | ratio |\n|---|---|---|---|---|")
    for name, steps, size in ROUNDS:
        exact, floating = medians(steps, size, repeats)
        print(
            f"| {name} | {steps} x {size:,} | {1000 * exact:.1f} ms | {1000 * floating:.1f} ms "
            f"| {exact / floating:.1f} |"
        )
    print(f"\n{machine.description('numpy')}")


if __name__ == "__main__":
    main()
