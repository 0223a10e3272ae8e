"""One run: a seed, an attack, a defence, and how accurate the model is after all rounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from benchmarks.poisoning.as_it_runs import Terms, settle_round
from benchmarks.poisoning.attacks import TARGET, AttackName, Knowledge, attack_updates, poisoned_data
from benchmarks.poisoning.defences import IN_THE_CLEAR, Received
from benchmarks.poisoning.digits import Digits, Floats, split_digits, with_trigger
from benchmarks.poisoning.learning import LocalWork, Network
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.task import RobustnessSpec

DefenceName = Literal[
    "FedAvg",
    "median",
    "trimmed mean",
    "multi-Krum",
    "centred clipping",
    "FLTrust",
    "fedledger, reference data",
    "fedledger, last step",
]
DEFENCES: tuple[DefenceName, ...] = get_args(DefenceName)
_MODES: dict[str, Literal["reference-data", "last-step"]] = {
    "fedledger, reference data": "reference-data",
    "fedledger, last step": "last-step",
}


@dataclass(frozen=True)
class Trust:
    """Thresholds of agreement and the bounds that go with them."""

    no_trust: float
    full_trust: float
    clip_norm: float
    max_share: float = 0.05
    max_examples: int = 80


@dataclass(frozen=True)
class Setting:
    """All that runs of one table have in common."""

    network: Network
    work: LocalWork
    reference_work: LocalWork
    trust_in_data: Trust
    trust_in_step: Trust
    participants: int = 50
    malicious: int = 10
    bias: float = 0.5
    root: int = 100
    rounds: int = 60
    server_rate: float = 1.0
    server_momentum: float = 0.0
    noise: float = 0.0
    """Standard deviation of the privacy noise in each coordinate of an update."""

    def trust(self, defence: str) -> Trust:
        return self.trust_in_step if _MODES.get(defence) == "last-step" else self.trust_in_data


@dataclass(frozen=True)
class Outcome:
    """Of one run."""

    accuracy: float
    attack_success: float
    """Part of test images of other classes that the trigger turns into the target, or of 1s that are taken for 7s."""
    honest_trust: float
    """Mean trust level over LEVELS, of honest participants and of attackers."""
    malicious_trust: float
    honest_agreement: float
    aborted: float
    """Number of rounds in which nobody was trusted."""
    norm: float


def run(setting: Setting, attack: AttackName, defence: DefenceName, seed: int, digits: Digits) -> Outcome:
    """All rounds. Data, initial weights and the attackers depend on the seed alone."""
    random = np.random.default_rng([seed, 1])
    split = split_digits(digits, setting.participants, setting.bias, setting.root, random)
    order = random.permutation(setting.participants)
    bad, good = np.sort(order[: setting.malicious]), np.sort(order[setting.malicious :])
    owners = [split.participants[i] for i in good]
    owners += poisoned_data(attack, [split.participants[i] for i in bad])
    trust = setting.trust(defence)
    mode = _MODES.get(defence)
    examples = np.array([len(split.participants[i]) for i in (*good, *bad)])
    if attack != "none":
        examples[len(good) :] = max(trust.max_examples, int(examples.max()))
    terms = Terms(
        clip_norm=trust.clip_norm,
        robustness=RobustnessSpec(
            trust_weighting=mode or "off",
            no_trust=round(trust.no_trust * MICRO),
            full_trust=round(trust.full_trust * MICRO),
            reference_digest="0" * 64 if mode == "reference-data" else None,
        ),
        max_examples=trust.max_examples,
        max_share=trust.max_share,
    )
    weights = setting.network.initial(random)
    velocity = np.zeros_like(weights)
    step: Floats | None = None
    notes: list[tuple[float, float, float, float]] = []
    aborted = 0
    for _ in range(setting.rounds):
        updates = setting.work.updates(setting.network, weights, owners, random)
        if setting.noise:
            updates += random.standard_normal(updates.shape, dtype=np.float32) * np.float32(setting.noise)
        root_update = setting.reference_work.updates(setting.network, weights, [split.root], random)[0]
        honest = updates[: len(good)]
        known = Knowledge(honest, updates[len(good) :], step, terms.clip_norm, trust.full_trust, mode == "last-step")
        if len(bad):
            updates[len(good) :] = attack_updates(attack, known, random)
        if mode is None:
            received = Received(updates, examples, setting.malicious, root_update, velocity)
            mean: Floats | None = IN_THE_CLEAR[defence](received)
        else:
            reference = root_update if mode == "reference-data" else step
            settled = settle_round(updates, examples.tolist(), reference, terms)
            mean = settled.update
            count = len(good)
            notes.append(
                (
                    float(np.mean(settled.trust[:count])) / 15,
                    float(np.mean(settled.trust[count:])) / 15 if len(bad) else 0.0,
                    float(np.mean(settled.agreement[:count])) / MICRO,
                    float(np.median(np.linalg.norm(honest, axis=1))),
                )
            )
        if mean is None:
            aborted += 1
            continue
        velocity = np.float32(setting.server_momentum) * velocity + mean
        step = np.float32(setting.server_rate) * velocity
        weights = weights - step
    test = split.test
    averages = np.mean(notes, axis=0) if notes else np.zeros(4)
    return Outcome(
        accuracy=float((setting.network.predict(weights, test.images) == test.labels).mean()),
        attack_success=_success(setting.network, weights, attack, test),
        honest_trust=float(averages[0]),
        malicious_trust=float(averages[1]),
        honest_agreement=float(averages[2]),
        aborted=aborted,
        norm=float(averages[3]),
    )


def _success(network: Network, weights: Floats, attack: AttackName, test: Digits) -> float:
    if attack == "1 to 7":
        return float((network.predict(weights, test.images[test.labels == 1]) == 7).mean())
    return float((network.predict(weights, with_trigger(test.images[test.labels != TARGET])) == TARGET).mean())
