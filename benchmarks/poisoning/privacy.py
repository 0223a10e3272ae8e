"""DP-SGD in the benchmark: its noise, what it costs, and the thresholds that follow, by the SDK's own formulas."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.poisoning.learning import LocalWork
from benchmarks.poisoning.simulation import Setting, Trust
from fedledger.privacy.accountant import epsilon_micro
from fedledger.privacy.agreement import LocalSteps, agreement_factor, update_deviation
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger_chaincode.messages.base import MICRO

DELTA = 1e-5


@dataclass(frozen=True)
class Mechanism:
    """What a task with privacy sets."""

    noise_multiplier: float
    record_clip: float
    examples: int
    """Records of a participant, by which noise and thresholds are reckoned."""
    honest_norm: float
    """s, the median norm of an honest update with clipped records and no noise."""

    def of_round(self, work: LocalWork) -> PoissonSampledGaussian:
        """What one round does to a participant's records."""
        return PoissonSampledGaussian(
            sampling_rate=work.sampling, noise_multiplier=self.noise_multiplier, steps=work.steps
        )

    def deviation(self, work: LocalWork) -> float:
        """Of the noise in each coordinate of an update."""
        return update_deviation(self.of_round(work), self.record_clip, LocalSteps(work.learning_rate), self.examples)

    def epsilon(self, setting: Setting) -> float:
        """Of a participant that takes part in all rounds, for delta = 1e-5."""
        return epsilon_micro(self.of_round(setting.work), setting.rounds, DELTA) / MICRO


def with_privacy(setting: Setting, mechanism: Mechanism) -> Setting:
    """The setting with records clipped, noise in every update and thresholds in proportion to what noise leaves of
    agreement.

    Noise is added once to an update, with the deviation that all steps' noise adds up to; the SDK adds it in each step.
    """
    deviation = mechanism.deviation(setting.work)
    factor = agreement_factor(mechanism.honest_norm, deviation, setting.network.dimension, setting.trust.clip_norm)
    return replace(
        setting,
        work=replace(setting.work, record_clip=mechanism.record_clip),
        noise=deviation,
        trust=scaled(setting.trust, factor),
    )


def scaled(trust: Trust, factor: float) -> Trust:
    """Both thresholds times ``factor``."""
    return replace(trust, no_trust=trust.no_trust * factor, full_trust=trust.full_trust * factor)
