"""How a task's rewards are spread over organisations from 20 to 2,000 records; prints the table of docs/tokens.md.

    python -m benchmarks.fairness [--rounds 200] [--seed 1]

Trust, weights, scores, reputations and payments are the contract's own functions, with the rules of the heart-disease
task where a row does not say otherwise. What is made up is when updates arrive and how much they agree: ``Setting``
says how. Everything is integers and a seeded generator: the same seed prints the same table on every machine.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from fedledger.training import load_task
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import CohortEntry, StandingRecord
from fedledger_chaincode.messages.task import RobustnessSpec, TaskSpec
from fedledger_chaincode.rules.reputation import updated_standing
from fedledger_chaincode.rules.rewards import counted_shares, guaranteed_reward, participants_part, split_reward
from fedledger_chaincode.rules.settlement import Judged, Rules, weigh

SIZES = (20, 40, 80, 150, 300, 600, 1_200, 2_000)
"""Records of the organisations; the smallest is first."""


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    name: str
    equal_share: int = 500_000
    """In micro-units."""
    max_share: int = 400_000
    trusted: bool = False
    """With trust weighting: an update of n records agrees with the direction by 0.35 sqrt(n / (n + 100)) on average,
    with a standard deviation of 0.1."""
    delivers: Fraction = Fraction(1)
    """Part of the rounds in which the smallest site is in time."""
    pseudonyms: int = 1
    """Under how many names the largest organisation takes part, with its records dealt among them."""
    floor_by_name: bool = False
    """Every name is an organisation of its own: not what the contract does."""


SETTINGS = (
    Setting("by weight alone, no cap", equal_share=0, max_share=MICRO),
    Setting("by weight alone", equal_share=0),
    Setting("a quarter is the floor", equal_share=250_000),
    Setting("half is the floor"),
    Setting("all is the floor (as the tasks have it)", equal_share=MICRO),
    Setting("half; trust weighting", trusted=True),
    Setting("half; the smallest is late in every second round", delivers=Fraction(1, 2)),
    Setting("half; the largest under eight names", pseudonyms=8),
    Setting("the same, if the floor were by name", pseudonyms=8, floor_by_name=True),
)


@dataclass(frozen=True)
class Site:
    """A participant."""

    name: str
    organisation: int
    """Index in ``SIZES``."""
    msp: str
    examples: int


@dataclass(frozen=True)
class Result:
    """What organisations were paid in all rounds, in micro-tokens, in the order of ``SIZES``."""

    paid: tuple[int, ...]
    promised: int
    floor: int
    """What an organisation is guaranteed for all rounds, were it in time in each."""

    def share(self, organisation: int) -> float:
        """Of all that was paid."""
        return self.paid[organisation] / sum(self.paid)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    spec = load_task("heart-disease").to_spec(organisations=[f"Org{index}MSP" for index in range(4)])
    total = sum(SIZES)
    print(
        f"{len(SIZES)} organisations of {SIZES[0]} to {SIZES[-1]} records, {options.rounds} rounds, seed {options.seed}"
    )
    print(f"records: Gini {gini(SIZES):.2f}, smallest {SIZES[0] / total:.1%}, largest {SIZES[-1] / total:.1%}\n")
    print("| rewards | Gini | smallest | its floor | largest | left in the pool |\n|---|---|---|---|---|---|")
    for setting in SETTINGS:
        result = play(spec, setting, options.rounds, options.seed)
        shares = (result.share(0), result.floor / result.promised, result.share(-1))
        kept = 1 - sum(result.paid) / result.promised
        cells = [setting.name, f"{gini(result.paid):.2f}", *(f"{share:.1%}" for share in shares), f"{kept:.2%}"]
        print("| " + " | ".join(cells) + " |")


def play(spec: TaskSpec, setting: Setting, rounds: int, seed: int) -> Result:
    """Settle and pay that many rounds."""
    incentive = spec.incentive.model_copy(update={"equal_share": setting.equal_share})
    rules = Rules(
        spec.aggregation.model_copy(update={"max_share": setting.max_share}),
        RobustnessSpec(trust_weighting="last-step", no_trust=50_000, full_trust=350_000)
        if setting.trusted
        else RobustnessSpec(trust_weighting="off"),
        spec.reputation.model_copy(
            update={"agreement_weight": 800_000, "reliability_weight": 100_000, "honesty_weight": 100_000}
        )
        if setting.trusted
        else spec.reputation,
    )
    chance = random.Random(seed)
    sites = participants(setting)
    standings = [StandingRecord(contributions=0, epsilon=0, reputation=rules.reputation.initial) for _ in sites]
    paid = [0] * len(SIZES)
    owners = {site.name: site.organisation for site in sites}
    for number in range(1, rounds + 1):
        cohort = [
            CohortEntry(
                participant=site.name,
                msp=site.msp,
                quarantined=standing.quarantined_until >= number,
                reputation=standing.reputation,
            )
            for site, standing in zip(sites, standings, strict=True)
        ]
        judged = {site.name: judge(rules, site, chance) for site in sites if arrives(setting, site, number)}
        updates = weigh(rules, cohort, {site.name: site.examples for site in sites}, judged)
        standings = [
            updated_standing(standing, update.score, number, rules.reputation)
            for standing, update in zip(standings, updates, strict=True)
        ]
        for name, amount in split_reward(incentive, counted_shares(updates)):
            paid[owners[name]] += amount
    lowest = MICRO - rules.reputation.agreement_weight
    floor = guaranteed_reward(incentive, lowest, len(SIZES)) * rounds
    return Result(tuple(paid), participants_part(incentive) * rounds, floor)


def participants(setting: Setting) -> list[Site]:
    """One for each organisation, and as many as the setting says for the largest."""
    last = len(SIZES) - 1
    sites = [Site(f"{index:064x}", index, f"Org{index}MSP", size) for index, size in enumerate(SIZES[:-1])]
    for name in range(setting.pseudonyms):
        msp = f"Org{last}MSP" + (f".{name}" if setting.floor_by_name else "")
        sites.append(Site(f"{last + name:064x}", last, msp, SIZES[-1] // setting.pseudonyms))
    return sites


def arrives(setting: Setting, site: Site, number: int) -> bool:
    """Whether the site is in time: the smallest in the part of the rounds that the setting says, evenly spread."""
    if site.organisation:
        return True
    return int(number * setting.delivers) > int((number - 1) * setting.delivers)


def judge(rules: Rules, site: Site, chance: random.Random) -> Judged:
    """An accepted update, which agrees as ``Setting.trusted`` says."""
    if rules.robustness.trust_weighting == "off":
        return Judged("accepted", proven=False)
    agreement = chance.gauss(0.35 * (site.examples / (site.examples + 100)) ** 0.5, 0.1)
    return Judged("accepted", proven=False, inner_product=int(agreement * rules.aggregation.quantised_norm**2))


def gini(amounts: Sequence[int]) -> float:
    """The Gini coefficient: 0 when all are equal, (n - 1) / n when one has everything."""
    ordered = sorted(amounts)
    total = sum(ordered)
    ranked = sum((2 * rank - len(ordered) - 1) * amount for rank, amount in enumerate(ordered, start=1))
    return ranked / (len(ordered) * total)


if __name__ == "__main__":
    main()
