"""Verdicts, weights and scores of a round, decided from what is on the ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedledger_chaincode.messages.records import (
    CohortEntry,
    CohortRecord,
    FixedSetRecord,
    FixedUpdate,
    SettledUpdate,
    SettlementRecord,
)
from fedledger_chaincode.messages.round import Attestation
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.evidence import Evidence, Judged, final_verdict
from fedledger_chaincode.rules.reputation import score_of, terms_of
from fedledger_chaincode.rules.trust import LEVELS, trust_level
from fedledger_chaincode.rules.weights import capped_weights, fit_field


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
    trust = _trust(spec, judged)
    weights = _weights(spec, cohort, fixed, judged, trust)
    convicted = {msp for decided in judged.values() for msp in decided.convicted}
    return SettlementRecord(
        updates=tuple(
            _settled(spec, entry, judged.get(entry.participant), weight, trust.get(entry.participant, LEVELS))
            for entry, weight in zip(cohort.participants, weights, strict=True)
        ),
        weight_sum=sum(weights),
        attested=tuple(msp for msp in spec.aggregation.validators if msp in attestations),
        convicted=tuple(msp for msp in spec.aggregation.validators if msp in convicted),
    )


def _weights(
    spec: TaskSpec,
    cohort: CohortRecord,
    fixed: FixedSetRecord,
    judged: Mapping[str, Judged],
    trust: Mapping[str, int],
) -> Sequence[int]:
    """Integer weight of each member of the cohort: examples, capped, times trust in a round with a reference direction.

    0 for who is refused, absent or quarantined.
    """
    examples = {update.participant: update.num_examples for update in fixed.updates}
    counted = [
        min(examples[entry.participant], spec.aggregation.max_examples) * trust.get(entry.participant, 1)
        if entry.participant in judged and judged[entry.participant].verdict == "accepted" and not entry.quarantined
        else 0
        for entry in cohort.participants
    ]
    capped = capped_weights(
        counted, spec.aggregation.max_examples * (LEVELS if trust else 1), spec.aggregation.max_share
    )
    return fit_field(capped, spec.aggregation.quantised_norm)


def _trust(spec: TaskSpec, judged: Mapping[str, Judged]) -> dict[str, int]:
    """Trust level by participant; empty in a round without a reference direction."""
    return {
        participant: trust_level(decided.inner_product, spec.aggregation.quantised_norm, spec.robustness)
        for participant, decided in judged.items()
        if decided.inner_product is not None
    }


def _settled(spec: TaskSpec, entry: CohortEntry, judged: Judged | None, weight: int, trust: int) -> SettledUpdate:
    verdict = "absent" if judged is None else judged.verdict
    return SettledUpdate(
        participant=entry.participant,
        msp=entry.msp,
        verdict=verdict,
        weight=weight,
        score=score_of(spec.reputation, terms_of(verdict, trust)),
        proven=judged is not None and judged.proven,
        trust=trust if verdict == "accepted" else 0,
    )
