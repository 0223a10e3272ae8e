"""What attacks do to the heart-disease model by plain averaging and by the task's guarded variant; prints the machine.

    python -m benchmarks.poisoning.heart_disease [--seeds 5] [--site long_beach_va] [--privacy both]

Updates are trained and compared with the direction of the reference data as agents do it; weights, reputation and
quarantine are the contract's own functions. Sharing, proofs and the ledger are left out: they are exact, and a scaled
update, which the proof refuses, is not shown. Figures are means over seeds on all sites' held-out records together.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.machine import description
from benchmarks.poisoning.as_it_runs import Ledger, Terms, settle_round
from fedledger.cli.demo.attacks import Attack, altered, poisoned
from fedledger.cli.demo.comparison import without_defence
from fedledger.training import Split, TaskDefinition, concatenate, evaluate, load_task
from fedledger.training.local import train_once
from fedledger.training.reference import reference_update
from fedledger.training.server import ServerStep
from fedledger.training.specification import optimizer_spec
from fedledger.training.thresholds import honest_deviation, threshold_factor
from fedledger.training.weights import load_weights
from fedledger_chaincode.rules.settlement import Rules

ATTACKS = (None, Attack.LABEL_FLIP, Attack.SIGN_FLIP, Attack.FREE_RIDE)
ORGANISATIONS = ("AMSP", "BMSP", "CMSP", "DMSP")


@dataclass(frozen=True)
class Defended:
    """One run of the guarded variant: by round and site, in the order of the task's sites."""

    model: bytes
    agreement: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]


def defended(task: TaskDefinition, data: Mapping[str, Split], attack: Attack | None, attacker: str) -> Defended:
    """All rounds, weighed as the contract does."""
    spec = task.to_spec(organisations=ORGANISATIONS)
    terms = Terms(Rules.of(spec))
    examples = {site: (poisoned(split, attack) if site == attacker else split).train for site, split in data.items()}
    ledger = Ledger.new(len(examples), spec.reputation)
    step = ServerStep(task.tensors, optimizer_spec(task.training.server_optimizer))
    base, parent, rows = task.initial_model(), None, []
    for number in range(1, task.training.rounds + 1):
        weights = load_weights(base, task.tensors)
        updates = []
        for site, part in examples.items():
            update = train_once(task, weights, part, site=site, round_number=number).update
            updates.append(altered(update, attack) if site == attacker else update)
        reference = reference_update(task, base, number)
        counts = [len(part) for part in examples.values()]
        settled = settle_round(np.stack(updates), counts, reference, terms, ledger)
        ledger = settled.ledger
        total = max(1, sum(update.weight for update in settled.updates))
        decided = zip(settled.updates, settled.agreements, strict=True)
        rows.append([(agreed, update.weight / total) for update, agreed in decided])
        if settled.mean is not None:
            parent, base = base, step.apply(base, settled.mean, parent)
    agreement, share = np.array(rows, dtype=np.float64).transpose(2, 0, 1)
    return Defended(base, agreement, share)


def row(task: TaskDefinition, attack: Attack | None, attacker: str, seeds: int) -> str:
    """One line: quality by both, and what the variant made of each site."""
    quality, runs = [], []
    for seed in range(1, seeds + 1):
        seeded = task.override(seed=seed)
        data = {site: seeded.load_data(site) for site in seeded.sites}
        everybody = concatenate([split.test for split in data.values()])
        plain = evaluate(seeded, without_defence(seeded, data, attack, attacker), everybody)
        run = defended(seeded, data, attack, attacker)
        ours = evaluate(seeded, run.model, everybody)
        quality.append([plain.auc, plain.accuracy, ours.auc, ours.accuracy])
        runs.append(run)
    figures = "".join(f"{value:8.3f}" for value in np.mean(np.array(quality, dtype=np.float64), axis=0))
    agreement = np.mean([run.agreement for run in runs], axis=0)
    nothing = np.mean([run.share == 0 for run in runs], axis=(0, 1))
    first, last = ("/".join(f"{value:5.2f}" for value in agreement[i]) for i in (0, -1))
    zero = "/".join(f"{value:4.0%}" for value in nothing)
    return f"{attack.value if attack else 'none':12}{figures}   {zero}   {first}   {last}"


def main() -> None:
    """Print a table without and one with the task's privacy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--site", default="long_beach_va", help="the attacker")
    parser.add_argument("--privacy", choices=["none", "task", "both"], default="both")
    options = parser.parse_args()
    guarded = load_task("heart-disease").override(variant="guarded")
    print(f"{guarded.training.rounds} rounds, seeds 1 to {options.seeds}, {description()}")
    print(f"Sites: {', '.join(guarded.sites)}; the attacker is {options.site}.")
    tasks = {"none": (guarded.override(no_dp=True),), "task": (guarded,)}
    for task in tasks.get(options.privacy, (*tasks["none"], *tasks["task"])):
        privacy = f"epsilon {task.privacy.epsilon_budget:g}" if task.is_private else "no privacy"
        print(f"\n{privacy}: sigma {honest_deviation(task):.4f}, thresholds times {threshold_factor(task):.3f}")
        print(f"{'':12}{'plain':>16}{'guarded':>16}   {'rounds in which':19}   agreement in the")
        titles = f"{'attack':12}{'AUC':>8}{'acc.':>8}{'AUC':>8}{'acc.':>8}"
        print(f"{titles}   {'it counts nothing':19}   {'first round':23}   last round")
        for attack in ATTACKS:
            print(row(task, attack, options.site, options.seeds), flush=True)


if __name__ == "__main__":
    main()
