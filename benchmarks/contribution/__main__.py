"""How well what the ledger pays by tells who contributed: beside exact Shapley values of the sites.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.contribution [digits|heart] [--seeds 3]

The value of a coalition is how good the model is that its sites train alone, every coalition retrained: accuracy on
held-out digits, area under the ROC curve on all sites' held-out heart records. A site's Shapley value is its mean
marginal value over all orders of joining (Shapley 1953; as data valuation: Ghorbani and Zou, arXiv:1904.02868).

Estimates are from the one training of all sites, from what the ledger holds of it: numbers of examples; agreement with
the reference direction, summed over rounds; and rewards, by the contract's own rules, with and without the floor. Rank
correlation is Spearman's.
"""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from benchmarks import machine
from benchmarks.poisoning.as_it_runs import Ledger, Settled, Terms, settle_round
from benchmarks.poisoning.digits import CLASSES, Digits, Floats, load_digits
from benchmarks.poisoning.learning import Cohort, LocalWork, Network
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.task import IncentiveSpec, ReputationSpec, RobustnessSpec
from fedledger_chaincode.rules.rewards import Share, split_reward

Values = Mapping[frozenset[int], float]
REWARD = 100_000_000
FLOOR = 0.5


class Federation(ABC):
    """Sites that can train together in any coalition."""

    names: tuple[str, ...]
    examples: tuple[int, ...]
    rounds: int
    clip_norm: float
    server_rate: float

    @abstractmethod
    def initial(self) -> Floats:
        """float32[d]."""

    @abstractmethod
    def updates(self, base: Floats, members: Sequence[int], number: int) -> Floats:
        """float32[len(members), d], base minus trained weights, in round ``number``."""

    @abstractmethod
    def reference(self, base: Floats, number: int) -> Floats:
        """float32[d], the same of the reference data."""

    @abstractmethod
    def value(self, weights: Floats) -> float:
        """How good a model is."""


class DigitSites(Federation):
    """Sites with digits; what they hold is the case."""

    rounds = 15
    clip_norm = 1.0
    server_rate = 1.0

    def __init__(self, sites: Sequence[Digits], root: Digits, test: Digits, seed: int) -> None:
        self.names = tuple(f"site {number}" for number in range(len(sites)))
        self.examples = tuple(len(site) for site in sites)
        self._network, self._work = Network(), LocalWork(steps=10)
        self._sites = [Cohort.of([site]) for site in sites]
        self._root, self._test, self._seed = Cohort.of([root]), test, seed

    def initial(self) -> Floats:
        return self._network.initial(np.random.default_rng([self._seed, 1]))

    def updates(self, base: Floats, members: Sequence[int], number: int) -> Floats:
        return np.concatenate([self._trained(base, self._sites[member], member, number) for member in members])

    def reference(self, base: Floats, number: int) -> Floats:
        return np.asarray(self._trained(base, self._root, len(self._sites), number)[0])

    def _trained(self, base: Floats, owner: Cohort, who: int, number: int) -> Floats:
        return self._work.updates(self._network, base, owner, np.random.default_rng([self._seed, 2, who, number]))

    def value(self, weights: Floats) -> float:
        return float((self._network.predict(weights, self._test.images) == self._test.labels).mean())


class HeartSites(Federation):
    """The four hospitals, by the SDK's own local work and reference; the server step is plain."""

    def __init__(self, seed: int) -> None:
        from fedledger.training import concatenate, load_task
        from fedledger.training.local import LocalTrainer

        self._task = load_task("heart-disease").override(no_dp=True, seed=seed, algorithm="fedavg")
        splits = [self._task.load_data(site) for site in self._task.sites]
        self._trainers = [
            LocalTrainer(self._task, split.train, site=site)
            for site, split in zip(self._task.sites, splits, strict=True)
        ]
        self._test = concatenate([split.test for split in splits])
        self.names, self.examples = self._task.sites, tuple(len(split.train) for split in splits)
        self.rounds = self._task.training.rounds
        self.clip_norm = self._task.aggregation.clip_norm
        self.server_rate = self._task.training.server_optimizer.learning_rate

    def initial(self) -> Floats:
        from fedledger.training.weights import flatten

        return flatten(self._task.initial_weights())

    def updates(self, base: Floats, members: Sequence[int], number: int) -> Floats:
        file = self._file(base)
        return np.stack([self._trainers[member].train(file, round_number=number).update for member in members])

    def reference(self, base: Floats, number: int) -> Floats:
        from fedledger.training.reference import reference_update

        return reference_update(self._task, self._file(base), number)

    def value(self, weights: Floats) -> float:
        from fedledger.training import evaluate

        auc = evaluate(self._task, self._file(weights), self._test).auc
        return 0.5 if auc is None else auc

    def _file(self, weights: Floats) -> bytes:
        from fedledger.training.weights import save_weights, unflatten

        return save_weights(unflatten(weights, self._task.tensors), self._task.tensors)


def coalition_value(federation: Federation, members: Sequence[int]) -> float:
    """What these sites reach alone, weighted by their examples."""
    weights = federation.initial()
    counts = np.array([federation.examples[member] for member in members], dtype=np.float32)
    for number in range(1, federation.rounds + 1 if members else 1):
        updates = federation.updates(weights, members, number)
        weights = weights - np.float32(federation.server_rate) * (counts @ updates / counts.sum())
    return federation.value(weights)


def all_values(federation: Federation) -> Values:
    """The value of every coalition, the empty one included."""
    sites = range(len(federation.names))
    coalitions = (members for size in range(len(sites) + 1) for members in combinations(sites, size))
    return {frozenset(members): coalition_value(federation, members) for members in coalitions}


def shapley(values: Values, sites: int) -> npt.NDArray[np.float64]:
    """Exact Shapley values float64[sites]; they add up to the value of all less that of none."""
    result = np.zeros(sites)
    for site in range(sites):
        for coalition, value in values.items():
            if site not in coalition:
                size = len(coalition)
                share = factorial(size) * factorial(sites - size - 1) / factorial(sites)
                result[site] += share * (values[coalition | {site}] - value)
    return result


def ledger_rounds(federation: Federation) -> list[Settled]:
    """All sites' training as the ledger settles it, weighted by trust."""
    terms = _terms(federation)
    ledger = Ledger.new(len(federation.names), terms.rules.reputation)
    weights, settled = federation.initial(), []
    for number in range(1, federation.rounds + 1):
        updates = federation.updates(weights, range(len(federation.names)), number)
        reference = federation.reference(weights, number)
        settled.append(settle_round(updates, federation.examples, reference, terms, ledger))
        ledger = settled[-1].ledger
        if settled[-1].mean is not None:
            weights = weights - np.float32(federation.server_rate) * settled[-1].mean
    return settled


def _terms(federation: Federation) -> Terms:
    robustness = RobustnessSpec(
        trust_weighting="reference-data", no_trust=0, full_trust=500_000, reference_digest="0" * 64
    )
    reputation = ReputationSpec(
        initial=600_000,
        memory=800_000,
        agreement_weight=800_000,
        reliability_weight=100_000,
        honesty_weight=100_000,
        quarantine_threshold=0,
        quarantine_rounds=0,
    )
    return Terms.of(federation.clip_norm, robustness, reputation, max(federation.examples), 1.0)


def rewards(settled: Sequence[Settled], floor: float) -> npt.NDArray[np.float64]:
    """Part of all payments that each site gets, by the contract's rules; each site is an organisation of its own."""
    incentive = IncentiveSpec(
        endowment=0,
        participant_stake=0,
        validator_stake=0,
        reward_per_round=REWARD,
        validator_share=0,
        equal_share=round(floor * MICRO),
        slashing_equivocation=0,
    )
    total: dict[str, int] = {update.participant: 0 for update in settled[0].updates}
    for each in settled:
        shares = [Share(u.participant, u.participant, u.weight, u.score) for u in each.updates if u.weight]
        for participant, amount in split_reward(incentive, shares):
            total[participant] += amount
    paid = np.array(list(total.values()), dtype=np.float64)
    return paid / max(paid.sum(), 1.0)


def estimates(federation: Federation) -> dict[str, npt.NDArray[np.float64]]:
    """Each float64[sites], as parts of 1."""
    settled = ledger_rounds(federation)
    agreement = np.maximum(np.array([each.agreements for each in settled]).sum(axis=0), 0.0)
    examples = np.array(federation.examples, dtype=np.float64)
    return {
        "examples": examples / examples.sum(),
        "agreement": agreement / max(float(agreement.sum()), 1e-12),
        "reward": rewards(settled, 0.0),
        f"floor {FLOOR:g}": rewards(settled, FLOOR),
    }


# --- cases


def sizes(digits: Digits, random: np.random.Generator, order: npt.NDArray[np.int64]) -> list[Digits]:
    """From 20 to 1,200 examples, all spread alike."""
    ends = np.cumsum((20, 60, 150, 300, 600, 1200))
    return [digits.at(part) for part in np.split(order[: ends[-1]], ends[:-1])]


def noise(digits: Digits, random: np.random.Generator, order: npt.NDArray[np.int64]) -> list[Digits]:
    """As many examples each; 0, 10, 25, 50, 75 and 100% of the labels are random."""
    made = []
    for part, share in zip(np.split(order[:1800], 6), (0.0, 0.1, 0.25, 0.5, 0.75, 1.0), strict=True):
        labels = digits.labels[part].copy()
        wrong = random.random(len(labels)) < share
        labels[wrong] = random.integers(0, CLASSES, int(wrong.sum()))
        made.append(Digits(digits.images[part], labels))
    return made


def skew(digits: Digits, random: np.random.Generator, order: npt.NDArray[np.int64]) -> list[Digits]:
    """Each has some classes alone: two, two, two, one and one of the ten, and the last all of the other two's with a
    little of everything."""
    owned = ((0, 1), (2, 3), (4, 5), (6,), (7,), (8, 9))
    parts = [order[np.isin(digits.labels[order], classes)][:300] for classes in owned]
    parts[-1] = np.concatenate([parts[-1][:150], order[-150:]])
    return [digits.at(part) for part in parts]


CASES: Mapping[str, Callable[[Digits, np.random.Generator, npt.NDArray[np.int64]], list[Digits]]] = {
    "digits, sizes": sizes,
    "digits, wrong labels": noise,
    "digits, label skew": skew,
}


def digit_federations(seeds: int) -> Iterator[tuple[str, list[Federation]]]:
    digits = load_digits()
    for name, case in CASES.items():
        federations: list[Federation] = []
        for seed in range(seeds):
            random = np.random.default_rng([seed, 3])
            order = random.permutation(len(digits))
            root, test, rest = digits.at(order[:100]), digits.at(order[100:1100]), order[1100:]
            federations.append(DigitSites(case(digits, random, rest), root, test, seed))
        yield name, federations


def heart_federations(seeds: int) -> Iterator[tuple[str, list[Federation]]]:
    yield "heart disease", [HeartSites(seed) for seed in range(1, seeds + 1)]


@dataclass(frozen=True)
class Judged:
    """One federation: its Shapley values and the estimates of them."""

    exact: npt.NDArray[np.float64]
    estimates: Mapping[str, npt.NDArray[np.float64]]

    @classmethod
    def of(cls, federation: Federation) -> Judged:
        return cls(shapley(all_values(federation), len(federation.names)), estimates(federation))

    def correlation(self, name: str) -> float:
        """Of the ranks; 0 for an estimate that is the same for all."""
        estimate = self.estimates[name]
        return float(spearmanr(self.exact, estimate).statistic) if np.ptp(estimate) else 0.0


def report(case: str, federations: Sequence[Federation]) -> None:
    """Print one case: means over seeds, and the rank correlation of each seed."""
    judged = [Judged.of(federation) for federation in federations]
    names = list(judged[0].estimates)
    print(f"\n{case:<24}{'examples':>10}{'Shapley':>10}" + "".join(f"{name:>12}" for name in names), flush=True)
    for site, name in enumerate(federations[0].names):
        exact = np.mean([each.exact[site] for each in judged])
        cells = "".join(f"{np.mean([each.estimates[n][site] for each in judged]):12.3f}" for n in names)
        print(f"  {name:<22}{federations[0].examples[site]:>10}{exact:>+10.3f}{cells}")
    means = "".join(f"{np.mean([each.correlation(n) for each in judged]):>+12.2f}" for n in names)
    worst = "".join(f"{min(each.correlation(n) for each in judged):>+12.2f}" for n in names)
    print(f"  {'rank correlation':<42}{means}\n  {'  of the worst seed':<42}{worst}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("digits", "heart"))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.seeds} seeds. {machine.description('numpy')}")
    for name, make in (("digits", digit_federations), ("heart", heart_federations)):
        if options.what in (None, name):
            for case, federations in make(options.seeds):
                report(case, federations)


if __name__ == "__main__":
    main()
