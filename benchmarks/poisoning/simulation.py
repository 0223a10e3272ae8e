"""One run: a seed, an attack, a defence, and how accurate the model is after all rounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import numpy as np

from benchmarks.poisoning.as_it_runs import Ledger, Settled, Terms, settle_round
from benchmarks.poisoning.attacks import LATE, TARGET, AttackName, Knowledge, attack_updates, poisoned_data
from benchmarks.poisoning.defences import IN_THE_CLEAR, Received
from benchmarks.poisoning.digits import Digits, Floats, Indices, split_digits, with_trigger
from benchmarks.poisoning.learning import Cohort, LocalWork, Network
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.task import ReputationSpec, RobustnessSpec
from fedledger_chaincode.rules.trust import LEVELS

DefenceName = Literal[
    "FedAvg",
    "median",
    "trimmed mean",
    "multi-Krum",
    "centred clipping",
    "FLTrust",
    "fedledger",
    "fedledger, last step",
]
DEFENCES: tuple[DefenceName, ...] = get_args(DefenceName)
_MODES: dict[str, Literal["reference-data", "last-step"]] = {
    "fedledger": "reference-data",
    "fedledger, last step": "last-step",
}


@dataclass(frozen=True)
class Trust:
    """What a task with trust weighting sets, in units of agreement and of reputation."""

    clip_norm: float
    no_trust: float
    full_trust: float
    memory: float = 0.9
    quarantine_threshold: float = 0.6
    quarantine_rounds: int = 5
    max_share: float = 0.05
    max_examples: int = 80

    def terms(self, mode: Literal["reference-data", "last-step"]) -> Terms:
        robustness = RobustnessSpec(
            trust_weighting=mode,
            no_trust=round(self.no_trust * MICRO),
            full_trust=round(self.full_trust * MICRO),
            reference_digest="0" * 64 if mode == "reference-data" else None,
        )
        reputation = ReputationSpec(
            initial=600_000,
            memory=round(self.memory * MICRO),
            agreement_weight=800_000,
            reliability_weight=100_000,
            honesty_weight=100_000,
            quarantine_threshold=round(self.quarantine_threshold * MICRO),
            quarantine_rounds=self.quarantine_rounds,
        )
        return Terms.of(self.clip_norm, robustness, reputation, self.max_examples, self.max_share)


@dataclass(frozen=True)
class Setting:
    """All that runs of one table have in common."""

    network: Network
    work: LocalWork
    reference_work: LocalWork
    trust: Trust
    participants: int = 50
    malicious: int = 10
    bias: float = 0.5
    root: int = 100
    rounds: int = 60
    server_rate: float = 1.0
    noise: float = 0.0
    """Standard deviation of the privacy noise in each coordinate of an update."""


@dataclass(frozen=True)
class Outcome:
    """Of one run; what is below the first two is of fedledger's columns."""

    accuracy: float
    attack_success: float
    """Part of test images of other classes that the trigger turns into the target, or of 1s that are taken for 7s."""
    honest_trust: float
    """Mean trust level over LEVELS, of honest participants and of attackers."""
    malicious_trust: float
    quarantined_honest: float
    """Number of participants in quarantine at the end."""
    quarantined_malicious: float
    norm: float
    """Median norm of honest updates before clipping, over all rounds."""


@dataclass(frozen=True)
class Parties:
    """Who sends what; attackers come after the honest participants."""

    honest: Cohort
    truthful: Cohort
    """The attackers on their own data."""
    poisoned: Cohort
    root: Cohort
    examples: Indices
    """int64[n], as claimed: attackers claim as many as count."""
    test: Digits

    @property
    def count(self) -> int:
        return len(self.honest.sizes)


def run(setting: Setting, attack: AttackName, defence: DefenceName, seed: int, digits: Digits) -> Outcome:
    """All rounds. Data, initial weights and the attackers depend on the seed alone."""
    random = np.random.default_rng([seed, 1])
    parties = _parties(setting, attack, digits, random)
    weights = setting.network.initial(random)
    settled: list[Settled] = []
    norms = []
    mode = _MODES.get(defence)
    terms = None if mode is None else setting.trust.terms(mode)
    ledger = None if terms is None else Ledger.new(setting.participants, terms.rules.reputation)
    step: Floats | None = None
    for number in range(setting.rounds):
        root_update = setting.reference_work.updates(setting.network, weights, parties.root, random)[0]
        updates = _sent(setting, attack, defence, parties, weights, step, number, random)
        norms.append(float(np.median(np.linalg.norm(updates[: parties.count], axis=1))))
        if terms is None or ledger is None:
            previous = np.zeros_like(weights) if step is None else step
            received = Received(updates, parties.examples, setting.malicious, root_update, previous)
            mean: Floats | None = IN_THE_CLEAR[defence](received)
        else:
            reference = root_update if mode == "reference-data" else step
            settled.append(settle_round(updates, parties.examples.tolist(), reference, terms, ledger))
            mean, ledger = settled[-1].mean, settled[-1].ledger
        if mean is not None:
            step = np.float32(setting.server_rate) * mean
            weights = weights - step
    test = parties.test
    good, bad = (list(_trust_of(settled, part)) for part in (slice(parties.count), slice(parties.count, None)))
    quarantined = [] if ledger is None else [entry.quarantined for entry in ledger.cohort()]
    return Outcome(
        accuracy=float((setting.network.predict(weights, test.images) == test.labels).mean()),
        attack_success=_success(setting.network, weights, attack, test),
        honest_trust=float(np.mean(good)) if good else 0.0,
        malicious_trust=float(np.mean(bad)) if bad else 0.0,
        quarantined_honest=float(sum(quarantined[: parties.count])),
        quarantined_malicious=float(sum(quarantined[parties.count :])),
        norm=float(np.median(norms)),
    )


def _parties(setting: Setting, attack: AttackName, digits: Digits, random: np.random.Generator) -> Parties:
    split = split_digits(digits, setting.participants, setting.bias, setting.root, random)
    order = random.permutation(setting.participants)
    bad, good = np.sort(order[: setting.malicious]), np.sort(order[setting.malicious :])
    owners = [split.participants[i] for i in bad]
    examples = np.array([len(split.participants[i]) for i in (*good, *bad)])
    if attack != "none":
        examples[len(good) :] = max(setting.trust.max_examples, int(examples.max()))
    return Parties(
        honest=Cohort.of([split.participants[i] for i in good]),
        truthful=Cohort.of(owners),
        poisoned=Cohort.of(poisoned_data(attack, owners)),
        root=Cohort.of([split.root]),
        examples=examples,
        test=split.test,
    )


def _sent(
    setting: Setting,
    attack: AttackName,
    defence: str,
    parties: Parties,
    weights: Floats,
    step: Floats | None,
    number: int,
    random: np.random.Generator,
) -> Floats:
    """float32[n, d]: the updates of one round, those of attackers last; attackers add no privacy noise."""
    current = "none" if attack == "late backdoor" and number < LATE else attack
    honestly = partial(_with_noise, setting, weights, random=random)
    if current == "none":
        own = honestly(parties.truthful)
    else:
        freely = replace(setting.work, record_clip=None)
        own = freely.updates(setting.network, weights, parties.poisoned, random)
    updates = np.concatenate([honestly(parties.honest), own])
    honest = updates[: parties.count]
    known = Knowledge(
        honest, updates[parties.count :], step, setting.trust.clip_norm, _MODES.get(defence) == "last-step"
    )
    updates[parties.count :] = attack_updates(current, known, random)
    return updates


def _with_noise(setting: Setting, weights: Floats, cohort: Cohort, random: np.random.Generator) -> Floats:
    updates = setting.work.updates(setting.network, weights, cohort, random)
    if setting.noise:
        updates += random.standard_normal(updates.shape, dtype=np.float32) * np.float32(setting.noise)
    return updates


def _trust_of(settled: list[Settled], part: slice) -> Iterator[float]:
    for each in settled:
        yield from (update.trust / LEVELS for update in each.updates[part])


def _success(network: Network, weights: Floats, attack: AttackName, test: Digits) -> float:
    if attack == "1 to 7":
        return float((network.predict(weights, test.images[test.labels == 1]) == 7).mean())
    return float((network.predict(weights, with_trigger(test.images[test.labels != TARGET])) == TARGET).mean())
