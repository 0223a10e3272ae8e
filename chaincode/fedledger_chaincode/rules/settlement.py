"""Verdicts, weights and scores of a round, decided from what is on the ledger alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import (
    CohortRecord,
    FixedSetRecord,
    FixedUpdate,
    SettledUpdate,
    SettlementRecord,
    Verdict,
)
from fedledger_chaincode.messages.round import Attestation
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.reputation import absent_score, accepted_score
from fedledger_chaincode.rules.weights import capped_weights, fit_field


def verdict_of(index: int, attestations: Sequence[Attestation], quorum: int, equivocated: bool) -> Verdict:
    """The verdict on the update at ``index`` of the fixed set.

    n - t validators that could read it suffice: they hold enough consistent shares for the sum to be decoded,
    and t lying or silent validators cannot keep an honest update out.
    """
    if equivocated:
        return "refused: equivocation"
    readable = sum(1 for attestation in attestations if attestation.findings[index].readable)
    return "accepted" if readable >= quorum else "unreadable"


def settle(
    spec: TaskSpec,
    cohort: CohortRecord,
    fixed: FixedSetRecord,
    attestations: Mapping[str, Attestation],
    equivocated: frozenset[str],
) -> SettlementRecord:
    """Decide a closed round.

    Args:
        attestations: by validator's MSP id; each covers exactly the fixed set.
        equivocated: participants with a proven equivocation in this round.
    """
    present: dict[str, tuple[FixedUpdate, Verdict]] = {}
    ordered = [attestations[msp] for msp in spec.aggregation.validators if msp in attestations]
    for index, update in enumerate(fixed.updates):
        decided = verdict_of(index, ordered, spec.aggregation.quorum, update.participant in equivocated)
        present[update.participant] = (update, decided)

    def examples(participant: str, quarantined: bool) -> int:
        update, decided = present.get(participant, (None, None))
        return update.num_examples if update is not None and decided == "accepted" and not quarantined else 0

    weights = fit_field(
        capped_weights(
            [examples(entry.participant, entry.quarantined) for entry in cohort.participants],
            spec.aggregation.max_examples,
            spec.aggregation.max_share,
        ),
        spec.aggregation.quantised_norm,
    )
    settled = []
    for entry, weight in zip(cohort.participants, weights, strict=True):
        if entry.participant not in present:
            settled.append(_settled(entry.participant, entry.msp, "absent", 0, absent_score(spec.reputation)))
            continue
        _, decided = present[entry.participant]
        score = accepted_score(spec.reputation, agreement=MICRO) if decided == "accepted" else 0
        settled.append(_settled(entry.participant, entry.msp, decided, weight, score))
    return SettlementRecord(
        updates=tuple(settled),
        weight_sum=sum(weights),
        attested=tuple(msp for msp in spec.aggregation.validators if msp in attestations),
    )


def _settled(participant: str, msp: str, verdict: str, weight: int, score: int) -> SettledUpdate:
    return SettledUpdate.model_validate(
        {"participant": participant, "msp": msp, "verdict": verdict, "weight": weight, "score": score}
    )
