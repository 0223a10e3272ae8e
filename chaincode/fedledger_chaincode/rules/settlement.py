"""Verdicts, weights and scores of a round, decided from what is on the ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import (
    Accusation,
    CohortEntry,
    CohortRecord,
    FixedSetRecord,
    SettledUpdate,
    SettlementRecord,
    Verdict,
)
from fedledger_chaincode.messages.round import Attestation
from fedledger_chaincode.messages.task import AggregationSpec, IncentiveSpec, ReputationSpec, RobustnessSpec, TaskSpec
from fedledger_chaincode.rules.readers import Ballot, Reading, choose_readers
from fedledger_chaincode.rules.reputation import score_of, terms_of
from fedledger_chaincode.rules.trust import LEVELS, agreement, round_thresholds, trust_by_reputation, trust_level
from fedledger_chaincode.rules.verdicts import decide
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
class Judged:
    """The word on one update."""

    verdict: Verdict
    proven: bool = False
    """The verdict proves a fault of the participant."""
    inner_product: int | None = None
    """<u, g>, of an accepted update in a round with a reference direction."""
    consistent: frozenset[int] = frozenset()
    """S: validators, by evaluation point, that hold a share of its one dealing; of an accepted update."""
    dropped: bool = False
    """It would be accepted, had all readers a share of it."""


@dataclass(frozen=True)
class Findings:
    """What validators' attestations say about a fixed set, before readers are chosen."""

    judged: Mapping[str, Judged]
    """By participant."""
    accused: tuple[Accusation, ...]
    liars: frozenset[int]
    """Validators proven to have told a false inner product."""


@dataclass(frozen=True)
class Settlement:
    """The decision of a round, and why it cannot go on, if it cannot."""

    record: SettlementRecord
    readers: tuple[int, ...]
    """Evaluation points."""
    obstacle: str = ""
    """Why no sum is made of it; empty for a round that goes on."""


@dataclass(frozen=True)
class _Trust:
    """Of accepted updates; in a task without trust weighting of none."""

    levels: Mapping[str, int]
    agreements: Mapping[str, int]
    by_reputation: frozenset[str] = frozenset()
    """Participants whose level is from their reputation, for want of agreement."""


def judge(
    aggregation: AggregationSpec,
    fixed: FixedSetRecord,
    attestations: Mapping[str, Attestation],
    equivocated: AbstractSet[str],
    with_products: AbstractSet[int],
) -> Findings:
    """Verdicts on the updates of a fixed set from openings alone.

    Args:
        attestations: by validator's MSP id; each covers exactly the fixed set.
        equivocated: participants with a proven equivocation in this round.
        with_products: validators whose inner products count.
    """
    judged: dict[str, Judged] = {}
    accused: list[Accusation] = []
    liars: set[int] = set()
    for index, update in enumerate(fixed.updates):
        name = update.participant
        if name in equivocated:
            judged[name] = Judged("refused: equivocation", proven=True)
            continue
        openings = {
            point: attestations[msp].findings[index].opening
            for point, msp in enumerate(aggregation.validators, start=1)
            if msp in attestations
        }
        found = decide(openings, aggregation.n, aggregation.tolerated_faults, with_products)
        accused += [
            Accusation(participant=name, validator=aggregation.validators[point - 1]) for point in found.accused
        ]
        liars.update(found.liars)
        accepted = found.verdict == "accepted"
        judged[name] = Judged(
            found.verdict,
            proven=found.verdict == "refused: norm",
            inner_product=found.inner_product if accepted else None,
            consistent=found.consistent if accepted else frozenset(),
        )
    return Findings(judged, tuple(accused), frozenset(liars))


def settle(
    spec: TaskSpec,
    cohort: CohortRecord,
    fixed: FixedSetRecord,
    attestations: Mapping[str, Attestation],
    equivocated: AbstractSet[str],
    barred: AbstractSet[tuple[int, ...]] = frozenset(),
) -> Settlement:
    """Decide a closed round (secure aggregation, sections 8.3 and 10).

    Args:
        attestations: by validator's MSP id; each covers exactly the fixed set.
        equivocated: participants with a proven equivocation in this round.
        barred: sets of readers that are not chosen again.
    """
    aggregation, rules = spec.aggregation, Rules.of(spec)
    faults = aggregation.tolerated_faults
    used = reference_points(attestations, aggregation)
    findings = judge(aggregation, fixed, attestations, equivocated, used)
    reading = _read(rules, cohort.participants, findings.judged, barred)
    liars, accused = findings.liars, findings.accused
    if used and reading.lost > faults:
        plain = judge(aggregation, fixed, attestations, equivocated, frozenset())
        other = _read(rules, cohort.participants, plain.judged, barred)
        if other.lost <= faults:
            used, findings, reading = frozenset(), plain, other
    judged = {name: _as_read(each, reading.readers) for name, each in findings.judged.items()}
    stopped = reading.lost > faults
    examples = {update.participant: update.num_examples for update in fixed.updates}
    updates = weigh(rules, cohort.participants, examples, judged, dropped_are_absent=stopped)
    weighted = [update for update in updates if update.weight]
    held_by_all = frozenset(range(1, aggregation.n + 1)).intersection(
        *(judged[update.participant].consistent for update in weighted)
    )
    name_of = dict(enumerate(aggregation.validators, start=1))
    record = SettlementRecord(
        updates=updates,
        weight_sum=sum(update.weight for update in updates),
        attested=tuple(msp for msp in aggregation.validators if msp in attestations),
        convicted=tuple(name_of[point] for point in sorted(liars)),
        readers=tuple(name_of[point] for point in reading.readers),
        summers=tuple(name_of[point] for point in sorted(held_by_all)) if weighted else (),
        accused=accused,
        with_reference=bool(used),
    )
    return Settlement(record, reading.readers, _obstacle(aggregation, weighted, reading if stopped else None))


def reference_points(attestations: Mapping[str, Attestation], aggregation: AggregationSpec) -> frozenset[int]:
    """Points of the validators whose inner products count; none unless n - t of them used the round's reference."""
    used = frozenset(
        point
        for point, msp in enumerate(aggregation.validators, start=1)
        if msp in attestations and attestations[msp].reference == "used"
    )
    return used if len(used) >= aggregation.quorum else frozenset()


def _read(
    rules: Rules,
    cohort: Sequence[CohortEntry],
    judged: Mapping[str, Judged],
    barred: AbstractSet[tuple[int, ...]],
) -> Reading:
    """The readers for these verdicts. Who is quarantined, weighs nothing or has a proven fault has no vote."""
    accepted = {name: each for name, each in judged.items() if each.verdict == "accepted"}
    levels = _trust(rules, cohort, accepted).levels
    ballots = [
        Ballot(entry.participant, entry.msp, judged[entry.participant].consistent)
        for entry in cohort
        if entry.participant in judged
        and not entry.quarantined
        and not judged[entry.participant].proven
        and levels.get(entry.participant, 1)
    ]
    return choose_readers(ballots, rules.aggregation.n, rules.aggregation.tolerated_faults, barred)


def _as_read(judged: Judged, readers: Sequence[int]) -> Judged:
    """An accepted update of which a reader has no share cannot be summed."""
    if judged.verdict != "accepted" or judged.consistent.issuperset(readers):
        return judged
    return Judged("unreadable", dropped=True)


def _obstacle(aggregation: AggregationSpec, weighted: Sequence[SettledUpdate], stopped: Reading | None) -> str:
    if stopped is not None:
        return (
            f"with the best {aggregation.quorum} validators the updates of {float(stopped.lost):g} organisations are "
            f"lost, more than the {aggregation.tolerated_faults} that may be"
        )
    # A sum of few tells much about each: only those count that are in it.
    minimum, owners = aggregation.minimum_accepted, len({update.msp for update in weighted})
    if min(len(weighted), owners) < minimum:
        return (
            f"{len(weighted)} updates of {owners} organisations are accepted and have a weight; the task needs "
            f"{minimum} of as many organisations"
        )
    return ""


def weigh(
    rules: Rules,
    cohort: Sequence[CohortEntry],
    examples: Mapping[str, int],
    judged: Mapping[str, Judged],
    *,
    dropped_are_absent: bool = False,
) -> tuple[SettledUpdate, ...]:
    """Trust, weight and score of each member of the cohort, in its order.

    Args:
        examples: as claimed, by participant; of those that submitted.
        judged: the final word on their updates.
        dropped_are_absent: score an update of which a reader has no share as absent. Else its participant's reputation
            stays as it is; but where so much is lost that no sum is made, nobody but those who dealt it, or more than t
            validators, can be the reason.
    """
    accepted = {name: decided for name, decided in judged.items() if decided.verdict == "accepted"}
    trust = _trust(rules, cohort, accepted)
    weights = _weights(rules.aggregation, cohort, examples, accepted, trust.levels)
    return tuple(
        _settled(rules.reputation, entry, judged.get(entry.participant), weight, trust, dropped_are_absent)
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
    counted = [
        (entry.msp, agreements[entry.participant])
        for entry in cohort
        if entry.participant in agreements and not entry.quarantined
    ]
    thresholds = round_thresholds(counted, rules.robustness)
    levels = {entry.participant: trust_by_reputation(entry.reputation) for entry in cohort}
    if thresholds is not None:
        levels |= {name: trust_level(value, thresholds) for name, value in agreements.items()}
    by_reputation = frozenset(accepted) if thresholds is None else frozenset(accepted) - frozenset(agreements)
    return _Trust({name: levels[name] for name in accepted}, agreements, by_reputation)


def _settled(
    reputation: ReputationSpec,
    entry: CohortEntry,
    judged: Judged | None,
    weight: int,
    trust: _Trust,
    dropped_are_absent: bool,
) -> SettledUpdate:
    """One update's result. Where nothing is known of an update, its score keeps its participant's reputation."""
    verdict = "absent" if judged is None else judged.verdict
    level = trust.levels.get(entry.participant, LEVELS)
    dropped = judged is not None and judged.dropped
    is_kept = entry.participant in trust.by_reputation or (dropped and not dropped_are_absent)
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
        dropped=dropped,
    )


def _bounded(value: int | None) -> int | None:
    return None if value is None else max(-MICRO, min(MICRO, value))


def faults_of(incentive: IncentiveSpec, settlement: SettlementRecord) -> list[tuple[str, int]]:
    """Everybody of whom a settlement proves a fault, and the part of the stake that it costs, in micro-units."""
    rates = {"refused: equivocation": incentive.slashing_equivocation, "refused: norm": incentive.slashing_norm}
    faults = [(update.participant, rates[update.verdict]) for update in settlement.updates if update.proven]
    return faults + [(msp, incentive.slashing_validator) for msp in settlement.convicted]
