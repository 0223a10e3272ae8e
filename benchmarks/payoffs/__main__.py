"""What each way of taking part earns in ten rounds, trust weighting off and on; prints the table of docs/payoffs.md.

    python -m benchmarks.payoffs [--rounds 10] [--seeds 3]

The real contract runs on a world state in memory: joins, commitments, attestations, settlements and payments are its
own. Made up are the records (one distribution, two classes) and the model (logistic regression, 30 weights); inner
products with the reference direction are those of real updates. One organisation of four follows the strategy, three
work honestly with 200 records each. Earned is what it holds at the end, its participants and returned stakes included,
less its endowment. Rules are those of the heart-disease task and of its variant ``guarded``, without privacy noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np

from benchmarks import machine
from benchmarks.payoffs.ledger import Consortium
from benchmarks.payoffs.strategies import (
    BASELINE,
    DIMENSION,
    STRATEGIES,
    Floats,
    Knowledge,
    Records,
    Strategy,
    World,
    clipped,
    honest,
    step,
)
from fedledger.training import load_task
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.task import TaskSpec

MSPS = ("AMSP", "BMSP", "CMSP", "DMSP")
HONEST_RECORDS = 200
REFERENCE_RECORDS = 45
_ATTEMPTS = 10
"""Rounds for one that is finalised: those in which too few updates have a weight are aborted."""


@dataclass(frozen=True)
class Earned:
    """Of one run, in micro-tokens."""

    strategy: int
    """By each organisation that follows it, on average."""
    others: int
    """By each of the others."""
    weight: float
    """The strategy's part of all weights in finalised rounds."""


@dataclass(frozen=True)
class Name:
    """A participant and what it does."""

    name: str
    records: Records
    strategy: Strategy


def specification(rounds: int, *, trust: bool, equal_share: int | None = None) -> TaskSpec:
    """The heart-disease task's rules for a model of 30 weights."""
    task = load_task("heart-disease").override(rounds=rounds, no_dp=True, variant="guarded" if trust else None)
    spec = task.to_spec(organisations=MSPS)
    tensor = spec.model.tensors[0].model_copy(update={"shape": (DIMENSION,)})
    model = spec.model.model_copy(update={"tensors": (tensor,), "parameter_count": DIMENSION})
    share = spec.incentive.equal_share if equal_share is None else equal_share
    incentive = spec.incentive.model_copy(update={"equal_share": share})
    return TaskSpec.model_validate_json(spec.model_copy(update={"model": model, "incentive": incentive}).canonical())


def play(spec: TaskSpec, strategy: Strategy, seed: int) -> Earned:
    """All rounds of a task in which the last organisations follow the strategy."""
    world, consortium = World(seed), Consortium(spec)
    trust = spec.robustness.trust_weighting != "off"
    norm = spec.aggregation.clip_norm / MICRO
    reference = world.records(REFERENCE_RECORDS)
    false = MSPS[len(MSPS) - strategy.colluders :]
    people = _people(consortium, world, strategy, false)
    weights, last = np.zeros(DIMENSION), np.zeros(DIMENSION)
    shares: list[float] = []
    number = 0
    while consortium.view().record.state == "active" and number < _ATTEMPTS * spec.training.rounds:
        number += 1
        if not consortium.open(number):
            continue
        direction = step(weights, reference)
        updates = {}
        for each in people:
            if consortium.takes_part(each.name, number):
                known = Knowledge(weights, last, direction, each.records, number, world, norm)
                updates[each.name] = each.strategy.update(known)
                consortium.give(each.name, number, each.strategy.claims or len(each.records.y))
        agreements = _agreements(updates, direction, norm)
        _validate(consortium, number, agreements, strategy, false, trust=trust)
        settlement = consortium.sum_up(number)
        if settlement is None:
            continue
        named = {consortium.names[name][1].pseudonym: name for name in updates}
        total = settlement.weight_sum
        parts = [(named[participant], weight / total) for participant, weight in settlement.weights()]
        last = sum((part * updates[name] for name, part in parts), np.zeros(DIMENSION))
        last *= spec.training.server_optimizer.learning_rate / MICRO
        weights = weights + last
        shares.append(sum(part for name, part in parts if consortium.names[name][0] in false) / len(false))
    gains = {msp: consortium.wealth(msp) - spec.incentive.endowment for msp in MSPS}
    return Earned(
        strategy=round(mean(gains[msp] for msp in false)),
        others=round(mean(gain for msp, gain in gains.items() if msp not in false)),
        weight=mean(shares) if shares else 0.0,
    )


def _people(consortium: Consortium, world: World, strategy: Strategy, false: Sequence[str]) -> list[Name]:
    people = []
    for msp in MSPS:
        if msp not in false:
            people.append(Name(msp, world.records(HONEST_RECORDS), Strategy("honest", honest)))
            consortium.join(msp, msp)
            continue
        whole = world.records(strategy.records)
        for index in range(strategy.names):
            part = slice(None) if strategy.shared else slice(index, None, strategy.names)
            name = f"{msp} {index}"
            people.append(Name(name, Records(whole.x[part], whole.y[part]), strategy))
            consortium.join(name, msp)
    return people


def _agreements(updates: dict[str, Floats], direction: Floats, norm: float) -> dict[str, float]:
    """<u, g> over the squared clip norm; the direction is as long as the clip norm."""
    length = float(np.linalg.norm(direction))
    unit = direction / length if length else direction
    return {name: float(clipped(update, norm) @ unit) / norm for name, update in updates.items()}


def _validate(
    consortium: Consortium,
    number: int,
    agreements: dict[str, float],
    strategy: Strategy,
    false: Sequence[str],
    *,
    trust: bool,
) -> None:
    if trust:
        for msp in MSPS:
            consortium.commit(msp, number)
    consortium.close(number)
    if trust:
        for msp in MSPS:
            if not (strategy.withholds and msp in false):
                consortium.reveal(msp, number)
        if strategy.withholds:
            consortium.late(number, "reference")
    rejecting = trust and strategy.colluders > consortium.spec.aggregation.tolerated_faults
    for msp in MSPS:
        consortium.attest(msp, number, agreements, rejects=rejecting and msp in false)


def table(rounds: int, seeds: int, *, equal_share: int | None = None) -> list[list[str]]:
    """Tokens by strategy: with trust off and on, each beside what honest work with the same records earns."""
    lines = []
    specs = {trust: specification(rounds, trust=trust, equal_share=equal_share) for trust in (False, True)}
    earned = {
        (strategy.name, trust): _average([play(spec, strategy, seed) for seed in range(1, seeds + 1)])
        for strategy in STRATEGIES
        for trust, spec in specs.items()
    }
    for strategy in STRATEGIES:
        cells = [strategy.name]
        for trust in (False, True):
            mine = earned[strategy.name, trust]
            basis = earned[BASELINE[strategy.records], trust].strategy
            relation = f"{mine.strategy / basis:.2f}" if basis else "-"
            cells += [f"{mine.strategy / MICRO:.1f}", relation, f"{mine.others / MICRO:.1f}", f"{mine.weight:.0%}"]
        lines.append(cells)
    return lines


def _average(runs: Sequence[Earned]) -> Earned:
    return Earned(
        strategy=round(mean(run.strategy for run in runs)),
        others=round(mean(run.others for run in runs)),
        weight=mean(run.weight for run in runs),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--equal-share", type=float, help="Other than the task's.")
    options = parser.parse_args()
    share = None if options.equal_share is None else round(options.equal_share * MICRO)
    print(f"{options.rounds} rounds, mean of seeds 1 to {options.seeds}; {machine.description('numpy')}\n")
    columns = ("tokens", "of honest", "the others", "of the sum")
    print("| strategy | " + " | ".join(f"{trust}: {column}" for trust in ("off", "on") for column in columns) + " |")
    print("|---|" + "---|" * (2 * len(columns)))
    for cells in table(options.rounds, options.seeds, equal_share=share):
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
