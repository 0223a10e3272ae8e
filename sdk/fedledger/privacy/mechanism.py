"""What is done to the data, as frozen values; how much it costs is reckoned elsewhere. Refuses senseless
parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedledger.errors import BadInputError


@dataclass(frozen=True)
class PoissonSampledGaussian:
    """The mechanism of one round of DP-SGD or DP-FedAvg: ``steps`` noisy sums of clipped vectors.

    In each step every unit enters on its own with probability ``sampling_rate`` (Poisson sampling), its vector is
    clipped to L2 norm C, and noise of standard deviation ``noise_multiplier`` x C is added to the sum: the discrete
    Gaussian on the grid of ``privacy.grid``, which costs no more than the Gaussian that is accounted for. In
    DP-SGD a unit is a record and its vector a gradient (Abadi et al. 2016, algorithm 1); in DP-FedAvg it is a device
    and an update (McMahan et al. 2018, algorithm 1). Neighbouring datasets differ by one unit added or removed, so
    that the cost does not depend on how many there are: it is the same at every site.
    """

    sampling_rate: float
    noise_multiplier: float
    steps: int

    def __post_init__(self) -> None:
        if not 0.0 < self.sampling_rate <= 1.0:
            raise BadInputError(
                "PRIVACY_PARAMETERS",
                f"The sampling rate is {self.sampling_rate}; it is a probability above 0 and at most 1.",
                "Correct sampling_rate in table [privacy] of task.toml.",
            )
        if not (self.noise_multiplier > 0.0 and math.isfinite(self.noise_multiplier)):
            raise BadInputError(
                "PRIVACY_PARAMETERS",
                f"The noise multiplier is {self.noise_multiplier}; without noise there is no differential privacy.",
                "Give a positive noise_multiplier, or choose mechanism none.",
            )
        if self.steps < 1:
            raise BadInputError(
                "PRIVACY_PARAMETERS",
                f"{self.steps} steps in a round: at least one is needed.",
                "Correct steps_per_round in table [privacy] of task.toml.",
            )
