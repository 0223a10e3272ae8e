"""Verdicts, weights and scores of a round, decided from what is on the ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import (
    CohortEntry,
    CohortRecord,
    FixedSetRecord,
    FixedUpdate,
    SettledUpdate,
    SettlementRecord,
)
from fedledger_chaincode.messages.round import Attestation
from fedledger_chaincode.messages.task import AggregationSpec, ReputationSpec, RobustnessSpec, TaskSpec
from fedledger_chaincode.rules.evidence import Evidence, Judged, final_verdict
from fedledger_chaincode.rules.reputation import score_of, terms_of
from fedledger_chaincode.rules.trust import LEVELS, agreement, round_thresholds, trust_by_reputation, trust_level
from fedledger_chaincode.rules.weights import capped_weights, fit_field


@dataclass(frozen=True)
class Rules:
    """The parts of a task that weights and scores follow from."""

    aggregation: AggregationSpec
    robustness: RobustnessSpec
    reputation: ReputationSpec
    agreement_factors: Mapping[str, int] = field(default_factory=dict)
    """By organisation with privacy of its own, in micro-units."""

    @classmethod
    def of(cls, spec: TaskSpec) -> Rules:
        """Those of a task."""
        factors = {own.msp: own.agreement_factor for own in spec.own_privacy}
        return cls(spec.aggregation, spec.robustness, spec.reputation, factors)


@dataclass(frozen=True)
class _Trust:
    """Of accepted updates; in a task without trust weighting of none."""

    levels: Mapping[str, int]
    agreements: Mapping[str, int]
    by_reputation: frozenset[str] = frozenset()
    """Participants whose level is from their reputation, for want of agreement."""


def judge_update(
    spec: TaskSpec,
    index: int,
    update: FixedUpdate,
    attestations: Mapping[str, Attestation],
    equivocated: frozenset[str],
    evidence: Evidence,
) -> Judged | None:
    """The verdict on the update at ``index`` of the fixed set; None while its dispute goes on.

    Without a norm proof n - t validators that could read it suffice: they hold enough shares for the sum to be
    decoded, and t lying or silent validators cannot keep an honest update out.
    """
    if update.participant in equivocated:
        return Judged("refused: equivocation", proven=True)
    if spec.aggregation.proof == "norm":
        return final_verdict(index, update.participant, attestations, evidence, spec.aggregation)
    readable = sum(1 for attestation in attestations.values() if attestation.findings[index].readable)
    return Judged("accepted" if readable >= spec.aggregation.quorum else "unreadable", proven=False)


def settle(
    spec: TaskSpec,
    cohort: CohortRecord,
    fixed: FixedSetRecord,
    attestations: Mapping[str, Attestation],
    equivocated: frozenset[str],
    evidence: Evidence,
) -> SettlementRecord | None:
    """Decide a closed round; None while a dispute goes on.

    Args:
        attestations: by validator's MSP id; each covers exactly the fixed set.
        equivocated: participants with a proven equivocation in this round.
    """
    judged: dict[str, Judged] = {}
    for index, update in enumerate(fixed.updates):
        decided = judge_update(spec, index, update, attestations, equivocated, evidence)
        if decided is None:
            return None
        judged[update.participant] = decided
    examples = {update.participant: update.num_examples for update in fixed.updates}
    rules = Rules.of(spec)
    updates = weigh(rules, cohort.participants, examples, judged)
    convicted = {msp for decided in judged.values() for msp in decided.convicted}
    return SettlementRecord(
        updates=updates,
        weight_sum=sum(update.weight for update in updates),
        attested=tuple(msp for msp in spec.aggregation.validators if msp in attestations),
        convicted=tuple(msp for msp in spec.aggregation.validators if msp in convicted),
    )


def weigh(
    rules: Rules, cohort: Sequence[CohortEntry], examples: Mapping[str, int], judged: Mapping[str, Judged]
) -> tuple[SettledUpdate, ...]:
    """Trust, weight and score of each member of the cohort, in its order.

    Args:
        examples: as claimed, by participant; of those that submitted.
        judged: the final word on their updates.
    """
    accepted = {name: decided for name, decided in judged.items() if decided.verdict == "accepted"}
    trust = _trust(rules, cohort, accepted)
    weights = _weights(rules.aggregation, cohort, examples, accepted, trust.levels)
    return tuple(
        _settled(rules.reputation, entry, judged.get(entry.participant), weight, trust)
        for entry, weight in zip(cohort, weights, strict=True)
    )


def _weights(
    aggregation: AggregationSpec,
    cohort: Sequence[CohortEntry],
    examples: Mapping[str, int],
    accepted: Mapping[str, Judged],
    trust: Mapping[str, int],
) -> Sequence[int]:
    """Integer weight of each member of the cohort: examples, capped, times trust in a task with trust weighting, capped
    by organisation.

    0 for who is refused, absent or quarantined.
    """
    counted = [
        min(examples[entry.participant], aggregation.max_examples) * trust.get(entry.participant, 1)
        if entry.participant in accepted and not entry.quarantined
        else 0
        for entry in cohort
    ]
    owners = [entry.msp for entry in cohort]
    most = aggregation.max_examples * (LEVELS if trust else 1)
    capped = capped_weights(counted, owners, most, aggregation.max_share)
    return fit_field(capped, aggregation.quantised_norm)


def _trust(rules: Rules, cohort: Sequence[CohortEntry], accepted: Mapping[str, Judged]) -> _Trust:
    """Levels of accepted updates; none in a task without trust weighting.

    The median is that of updates that may count. A round without a direction is as silent as one in which nobody
    agrees with it: whoever keeps a direction back gains nothing from it.
    """
    if rules.robustness.trust_weighting == "off":
        return _Trust({}, {})
    factors = {entry.participant: rules.agreement_factors.get(entry.msp, MICRO) for entry in cohort}
    agreements = {
        name: agreement(decided.inner_product, rules.aggregation.quantised_norm, factors[name])
        for name, decided in accepted.items()
        if decided.inner_product is not None
    }
    counted = [entry.participant for entry in cohort if entry.participant in agreements and not entry.quarantined]
    thresholds = round_thresholds([agreements[name] for name in counted], rules.robustness)
    levels = {entry.participant: trust_by_reputation(entry.reputation) for entry in cohort}
    if thresholds is not None:
        levels |= {name: trust_level(value, thresholds) for name, value in agreements.items()}
    by_reputation = frozenset(accepted) if thresholds is None else frozenset(accepted) - frozenset(agreements)
    return _Trust({name: levels[name] for name in accepted}, agreements, by_reputation)


def _settled(
    reputation: ReputationSpec, entry: CohortEntry, judged: Judged | None, weight: int, trust: _Trust
) -> SettledUpdate:
    """One update's result. Where nothing is known of an accepted update, its score keeps its reputation as it is."""
    verdict = "absent" if judged is None else judged.verdict
    level = trust.levels.get(entry.participant, LEVELS)
    is_kept = entry.participant in trust.by_reputation
    return SettledUpdate(
        participant=entry.participant,
        msp=entry.msp,
        verdict=verdict,
        weight=weight,
        score=entry.reputation if is_kept else score_of(reputation, terms_of(verdict, level)),
        proven=judged is not None and judged.proven,
        trust=level if verdict == "accepted" else 0,
        agreement=_bounded(trust.agreements.get(entry.participant)),
        by_reputation=is_kept,
    )


def _bounded(value: int | None) -> int | None:
    return None if value is None else max(-MICRO, min(MICRO, value))
