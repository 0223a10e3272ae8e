"""What the noise of DP-SGD does to an honest update's norm and to its agreement with a direction.

Agreement is the contract's: the cosine, shortened where the update is shorter than the clip norm. Noise is independent
of everything, so in d dimensions it has a norm of nearly sqrt(d) sigma and on average no part along the direction.
The formulas are of first order: they leave out that a noisy step changes the next gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedledger.privacy.mechanism import PoissonSampledGaussian


@dataclass(frozen=True)
class LocalSteps:
    """A site's optimiser, from gradients g to an update: ``v = momentum v + g + mu (w - w0)``, ``w -= rate v``."""

    learning_rate: float
    momentum: float = 0.0
    mu: float = 0.0
    """FedProx's; 0 for FedAvg."""

    def gain(self, steps: int) -> float:
        """Standard deviation of the update for independent noise of deviation 1 in each of ``steps`` gradients.

        The square root of the summed squares of what is left at the end of a unit of noise in each step; without
        momentum and mu it is ``learning_rate x sqrt(steps)``.
        """
        moved, velocity, squares = 0.0, 1.0, 0.0
        for step in range(steps):
            if step:
                velocity = self.momentum * velocity + self.mu * moved
            moved -= self.learning_rate * velocity
            squares += moved * moved
        return math.sqrt(squares)


def update_deviation(
    mechanism: PoissonSampledGaussian, record_clip_norm: float, steps: LocalSteps, examples: int
) -> float:
    """sigma: standard deviation of the noise in each coordinate of one round's update, before the update is clipped.

    Args:
        record_clip_norm: L2 bound of one record's gradient; the noise of a step's sum is as many multiples of it as
            the mechanism says.
        examples: records of the site; the sum is divided by the number expected in a step.
    """
    gradient = mechanism.noise_multiplier * record_clip_norm / (mechanism.sampling_rate * examples)
    return gradient * steps.gain(mechanism.steps)


def noisy_norm(signal_norm: float, deviation: float, dimension: int) -> float:
    """sqrt(s^2 + d sigma^2): the norm of an honest update with noise, root of its mean square.

    Args:
        signal_norm: s, the norm without noise.
        deviation: sigma, as :func:`update_deviation` gives it.
        dimension: d.
    """
    return math.sqrt(signal_norm * signal_norm + dimension * deviation * deviation)


def agreement_factor(signal_norm: float, deviation: float, dimension: int, clip_norm: float) -> float:
    """Mean agreement of an honest update with noise, divided by its agreement without: at most 1.

    ``max(s, C) / max(sqrt(s^2 + d sigma^2), C)``. Noise has no mean part along the direction, so the inner product
    keeps its mean; what shrinks it is that the longer update is clipped to C. With s >= C that is the factor by which
    noise shortens a cosine, s / sqrt(s^2 + d sigma^2). While even the noisy update is shorter than C nothing is lost.
    """
    return max(signal_norm, clip_norm) / max(noisy_norm(signal_norm, deviation, dimension), clip_norm)


def agreement_deviation(signal_norm: float, deviation: float, dimension: int, clip_norm: float) -> float:
    """Standard deviation of an honest update's agreement around its mean: the noise's part along the direction.

    Clipping shortens an update by the norm its noise gives it, which takes away some of this where the update agrees
    closely; that is neglected, so to first order in the noise the true deviation is at most this.

    One round is judged by one inner product, so an update whose mean agreement is not well above this is taken for
    disagreeing now and then.
    """
    return deviation / max(noisy_norm(signal_norm, deviation, dimension), clip_norm)
