"""What weakens protection in an agreement: one table of rules, each with its reason. They refuse nothing: they are said
to whoever is to approve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fedledger.cli.output import MICRO
from fedledger_chaincode.messages.task import PrivacySpec, TaskSpec

LEAST_SECONDS = 10
"""Of a deadline: a block, a fetch and a look at the ledger take some."""
LEAST_QUANTISED_NORM = 1 << 16
MOST_SERVER_RATE = 10 * MICRO
MOST_CLIP_NORM = 10 * MICRO
MOST_EPSILON = 10 * MICRO
MOST_DELTA_PICO = 100_000_000
LEAST_NOISE = MICRO // 2
LEAST_FIGURE_STEP = MICRO // 100
LEAST_COUNT_STEP = 10
MOST_EXAMPLES = 1_000_000
MOST_EPOCHS = 100
ENDOWMENT_IN_STAKES = 100


@dataclass(frozen=True)
class Rule:
    """When it is said, and why."""

    path: str
    """The field that it is about."""
    weakens: Callable[[TaskSpec, str], bool]
    """Of a specification and the MSP id of the organisation that reads it."""
    reason: str


def _of_any(test: Callable[[PrivacySpec], bool]) -> Callable[[TaskSpec, str], bool]:
    """Of whatever mechanism the task or one of its organisations has."""
    return lambda spec, msp: any(test(each) for _, each in spec.mechanisms() if each.mechanism != "none")


RULES: tuple[Rule, ...] = (
    Rule(
        "aggregation.proof",
        lambda spec, msp: spec.aggregation.proof == "none",
        "nothing bounds an update: a single one of any size can overwrite the model",
    ),
    Rule(
        "aggregation.minimum_accepted",
        lambda spec, msp: spec.aggregation.minimum_accepted < spec.majority,
        "a minority of the organisations is enough for a sum: those in it can subtract their own updates",
    ),
    Rule(
        "aggregation.max_share",
        lambda spec, msp: spec.aggregation.max_share > MICRO // 2,
        "one organisation can outweigh all others in a sum",
    ),
    Rule(
        "aggregation.max_examples",
        lambda spec, msp: spec.aggregation.max_examples > MOST_EXAMPLES,
        "claims of examples, which nobody can check, are practically not capped",
    ),
    Rule(
        "aggregation.clip_norm",
        lambda spec, msp: spec.aggregation.clip_norm > MOST_CLIP_NORM,
        "an accepted update may be so long that a few overwrite the model",
    ),
    Rule(
        "aggregation.quantised_norm",
        lambda spec, msp: spec.aggregation.quantised_norm < LEAST_QUANTISED_NORM,
        "updates are rounded so coarsely that honest work is lost and proofs bound little",
    ),
    Rule(
        "aggregation.validators",
        lambda spec, msp: msp in spec.organisations and msp not in spec.aggregation.validators,
        "this organisation does not validate: others alone hold the shares of its updates",
    ),
    Rule(
        "deadlines.updates",
        lambda spec, msp: spec.deadlines.updates < LEAST_SECONDS,
        "who cannot train within seconds is shut out of every round, and its budget may be spent without it",
    ),
    Rule(
        "deadlines.attestations",
        lambda spec, msp: spec.deadlines.attestations < LEAST_SECONDS,
        "honest validators are late: rounds are settled with the values of the fastest",
    ),
    Rule(
        "deadlines.aggregates",
        lambda spec, msp: spec.deadlines.aggregates < LEAST_SECONDS,
        "rounds are aborted before honest validators have added up, after budgets were spent",
    ),
    Rule(
        "deadlines.disputes",
        lambda spec, msp: spec.deadlines.disputes < LEAST_SECONDS,
        "an honest validator that is accused is denied before its answer can be fetched",
    ),
    Rule(
        "incentive.participant_stake",
        lambda spec, msp: spec.incentive.participant_stake == 0,
        "a participant has nothing to lose: proven faults cost nothing, and names are free",
    ),
    Rule(
        "incentive.validator_stake",
        lambda spec, msp: spec.incentive.validator_stake == 0,
        "a validator has nothing to lose by lying",
    ),
    Rule(
        "incentive.slashing_equivocation",
        lambda spec, msp: spec.incentive.slashing_equivocation == 0,
        "two different updates in a round, a proven fault, cost nothing",
    ),
    Rule(
        "incentive.slashing_norm",
        lambda spec, msp: spec.aggregation.proof == "norm" and spec.incentive.slashing_norm == 0,
        "an update that is proven to be too long costs nothing: it can be tried again and again",
    ),
    Rule(
        "incentive.slashing_dealing",
        lambda spec, msp: spec.incentive.slashing_dealing == 0,
        "dealing false shares, with which rounds are stopped, costs nothing",
    ),
    Rule(
        "incentive.slashing_validator",
        lambda spec, msp: spec.incentive.slashing_validator == 0,
        "a validator that is proven to have lied loses nothing",
    ),
    Rule(
        "incentive.endowment",
        lambda spec, msp: (
            spec.incentive.endowment
            > ENDOWMENT_IN_STAKES * max(spec.incentive.participant_stake + spec.incentive.validator_stake, MICRO)
        ),
        "so many tokens are made that a lost stake hurts nobody, and that those of others lose their worth",
    ),
    Rule(
        "incentive.equal_share",
        lambda spec, msp: spec.incentive.equal_share < MICRO,
        "part of the reward follows numbers of examples that nobody can check: who claims more is paid more",
    ),
    Rule(
        "incentive.reward_per_round",
        lambda spec, msp: spec.incentive.reward_per_round == 0,
        "nobody is paid for work or duty",
    ),
    Rule(
        "incentive.validator_share",
        lambda spec, msp: spec.incentive.validator_share > MICRO // 2,
        "most of the reward goes to validators, whose machines do little, not to those whose records are used",
    ),
    Rule(
        "reputation.quarantine_rounds",
        lambda spec, msp: (
            0 in (spec.reputation.quarantine_rounds, spec.reputation.quarantine_threshold)
            or spec.reputation.memory == MICRO
        ),
        "there is no quarantine: whatever somebody does, its updates go on to count",
    ),
    Rule(
        "reputation.initial",
        lambda spec, msp: spec.reputation.initial < spec.reputation.quarantine_threshold,
        "everybody begins in quarantine: the first rounds count nothing",
    ),
    Rule(
        "reputation.honesty_weight",
        lambda spec, msp: spec.reputation.honesty_weight == 0,
        "proven faults do not touch reputation",
    ),
    Rule(
        "training.server_optimizer.learning_rate",
        lambda spec, msp: spec.training.server_optimizer.learning_rate > MOST_SERVER_RATE,
        "one round moves the model by many times the clip norm: a bad sum cannot be made up for",
    ),
    Rule(
        "training.local_epochs",
        lambda spec, msp: spec.training.local_epochs > MOST_EPOCHS,
        "local training takes very long, and follows each record closely",
    ),
    Rule(
        "privacy.mechanism",
        lambda spec, msp: spec.privacy_of(msp).mechanism == "none",
        "records of this organisation have no differential privacy: what models tell of one of them is not bounded",
    ),
    Rule(
        "agreement.minimum_examples",
        lambda spec, msp: spec.privacy_of(msp).mechanism == "none" and spec.agreement.minimum_examples < 10,
        "without differential privacy an update may stand for a handful of records",
    ),
    Rule(
        "agreement.evaluations.figure_step",
        lambda spec, msp: (
            spec.agreement.evaluations.published == "rounded"
            and spec.agreement.evaluations.figure_step < LEAST_FIGURE_STEP
        ),
        "figures on held-out records so fine tell of single records",
    ),
    Rule(
        "agreement.evaluations.count_step",
        lambda spec, msp: (
            spec.agreement.evaluations.published == "rounded"
            and spec.agreement.evaluations.count_step < LEAST_COUNT_STEP
        ),
        "figures may be told of a handful of held-out records, and how many there are is told nearly exactly",
    ),
    Rule(
        "privacy.noise_multiplier",
        _of_any(lambda privacy: privacy.noise_multiplier < LEAST_NOISE),
        "so little noise hides hardly anything",
    ),
    Rule(
        "privacy.epsilon_budget",
        _of_any(lambda privacy: privacy.epsilon_after(privacy.allowed_contributions() or 0) > MOST_EPSILON),
        "an epsilon above 10 bounds next to nothing",
    ),
    Rule(
        "privacy.delta_pico",
        _of_any(lambda privacy: privacy.delta_pico > MOST_DELTA_PICO),
        "a delta above 1e-4 allows that one record in ten thousand is told in the open",
    ),
)
"""A test holds each to a specification that it is said of, and none to be said of the tasks that are shipped."""


def warnings_of(spec: TaskSpec, msp: str) -> list[Rule]:
    """The rules that say something of a specification to an organisation."""
    return [rule for rule in RULES if rule.weakens(spec, msp)]
