"""What federation, privacy and each algorithm do to the heart-disease model; prints a table and the machine.

    python benchmarks/heart_disease_utility.py [--seeds 5] [--epsilons 1 2 3 8] [--models logistic mlp]

Figures are means over seeds (of split, initial weights and batch order) of the area under the ROC curve on held-out
records: all sites' together, and each site's alone. Updates are averaged in the clear: secure aggregation and the
ledger change the model by less than their quantisation.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import machine
import numpy as np
import numpy.typing as npt

from fedledger.privacy.accountant import membership_accuracy
from fedledger.training import Examples, TaskDefinition, concatenate, evaluate, load_task
from fedledger.training.baselines import train_alone, train_federated, train_pooled
from fedledger.training.weights import Float32Array

Training = Callable[[TaskDefinition, Mapping[str, Examples]], list[Float32Array]]


@dataclass(frozen=True)
class Variant:
    """One row: how the model is trained."""

    name: str
    task: TaskDefinition
    train: Training
    trainings_per_round: int
    """Number of sites that train in one round, by which seconds are divided."""


@dataclass(frozen=True)
class Outcome:
    """What a variant reached: AUC float64[seeds, 1 + sites], all records first, and seconds per site and round."""

    auc: npt.NDArray[np.float64]
    seconds: float

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """By column, of the seeds with both classes among the held-out records."""
        return np.asarray(np.nanmean(self.auc, axis=0))


def variants(task: TaskDefinition, model: str, epsilons: Sequence[float]) -> Iterator[Variant]:
    """The rows of one model, pooled training first."""
    public = task.override(model=model, no_dp=True)
    sites = len(task.sites)
    yield Variant("pooled data", public, train_pooled, 1)
    yield Variant("FedAvg", public.override(algorithm="fedavg"), train_federated, sites)
    yield Variant("FedProx", public.override(algorithm="fedprox"), train_federated, sites)
    for epsilon in sorted(epsilons, reverse=True):
        private = task.override(model=model, algorithm="fedavg", epsilon=epsilon)
        assert private.mechanism is not None
        guess = membership_accuracy(private.mechanism, private.training.rounds)
        yield Variant(f"FedAvg, epsilon {epsilon:g} (guess {guess:.0%})", private, train_federated, sites)
    for site in task.sites:
        yield Variant(f"{site} alone", public, alone(site), 1)


def alone(site: str) -> Training:
    """Training on one site's records."""
    return lambda task, sites: train_alone(task, sites[site], site=site)


def measure(variant: Variant, seeds: int) -> Outcome:
    """Train and judge a variant with seeds 1 .. ``seeds``, after one training that only builds the graphs."""
    variant.train(variant.task, {site: variant.task.load_data(site).train for site in variant.task.sites})
    rows, seconds = [], 0.0
    for seed in range(1, seeds + 1):
        task = variant.task.override(seed=seed)
        splits = {site: task.load_data(site) for site in task.sites}
        training = {site: split.train for site, split in splits.items()}
        started = time.perf_counter()
        weights = variant.train(task, training)
        seconds += time.perf_counter() - started
        tests = [concatenate([split.test for split in splits.values()]), *(split.test for split in splits.values())]
        rows.append([evaluate(task, weights, test).auc for test in tests])
    trainings = seeds * variant.task.training.rounds * variant.trainings_per_round
    return Outcome(np.array(rows, dtype=np.float64), seconds / trainings)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="heart-disease")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epsilons", type=float, nargs="*", default=[1.0, 2.0, 3.0, 8.0])
    parser.add_argument("--models", nargs="*", default=["logistic", "mlp"])
    options = parser.parse_args()
    task = load_task(options.task)
    where = machine.description("tensorflow-cpu", "tensorflow-federated", "tensorflow-privacy")
    print(f"{task.settings.task.title}: {task.training.rounds} rounds, seeds 1 to {options.seeds}, {where}")
    print("AUC on held-out records, mean over seeds. sd: over seeds. delta: to pooled data. worst: of the sites.")
    print("guess: how often anybody can at most guess right whether a given record was used (a coin: 50%).")
    columns = "".join(f"{site[:11]:>12}" for site in task.sites)
    for model in options.models:
        print(f"\n{model:36}{'all':>7}{'sd':>7}{'delta':>8}{'ratio':>7}{columns}{'worst':>7}{'s/site/round':>14}")
        pooled: float | None = None
        for variant in variants(task, model, options.epsilons):
            outcome = measure(variant, options.seeds)
            whole, *by_site = outcome.mean
            pooled = whole if pooled is None else pooled
            print(
                f"{variant.name:36}{whole:7.3f}{outcome.auc[:, 0].std():7.3f}{whole - pooled:+8.3f}"
                f"{whole / pooled:7.3f}{''.join(f'{auc:12.3f}' for auc in by_site)}{min(by_site):7.3f}"
                f"{outcome.seconds:14.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
