"""From attestations, revealed shares and judgements on the ledger to the final word on each update with a norm proof.

docs/protocol/secure-aggregation.md, sections 8 and 11. It says what is waited for; ``disputes`` says who is at fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedledger_chaincode.messages.records import Dispute, FixedSetRecord, JudgementRecord, RevealRecord, Verdict
from fedledger_chaincode.messages.round import Attestation, Opening
from fedledger_chaincode.messages.task import AggregationSpec
from fedledger_chaincode.rules.disputes import Ruling, resolve, ruling_of
from fedledger_chaincode.rules.verdicts import decide


@dataclass(frozen=True)
class Evidence:
    """What was revealed and judged in a round's disputes."""

    disputes: Mapping[str, Dispute]
    """By participant."""
    reveals: Sequence[RevealRecord]
    judgements: Sequence[JudgementRecord]
    reveals_are_late: bool
    """Nothing more can be revealed."""
    judgements_are_late: bool
    """Nothing more is waited for."""


def evidence_at(
    now: int,
    due: int,
    seconds: int,
    disputes: Sequence[Dispute],
    reveals: Sequence[RevealRecord],
    judgements: Sequence[JudgementRecord],
) -> Evidence:
    """The evidence at ledger time ``now``: shares are revealed until ``due`` and judged ``seconds`` longer."""
    by_participant = {dispute.participant: dispute for dispute in disputes}
    return Evidence(by_participant, reveals, judgements, now > due, now > due + seconds)


NO_EVIDENCE = Evidence({}, (), (), False, False)


@dataclass(frozen=True)
class Judged:
    """The final word on one update."""

    verdict: Verdict
    proven: bool
    """The verdict proves a fault of the participant."""
    convicted: frozenset[str] = frozenset()
    """Validators proven to have lied about it."""
    inner_product: int | None = None


def openings_of(
    index: int, attestations: Mapping[str, Attestation], aggregation: AggregationSpec
) -> dict[int, Opening | None]:
    """Openings of the update at ``index`` of the fixed set, by evaluation point; None where it was unreadable."""
    return {
        point: attestations[msp].findings[index].opening
        for point, msp in enumerate(aggregation.validators, start=1)
        if msp in attestations
    }


def reference_points(attestations: Mapping[str, Attestation], aggregation: AggregationSpec) -> frozenset[int]:
    """Points of the validators whose inner products count; none unless n - t of them used the round's reference."""
    used = frozenset(
        point
        for point, msp in enumerate(aggregation.validators, start=1)
        if msp in attestations and attestations[msp].reference == "used"
    )
    return used if len(used) >= aggregation.quorum else frozenset()


def find_disputes(
    fixed: FixedSetRecord, attestations: Mapping[str, Attestation], aggregation: AggregationSpec
) -> tuple[Dispute, ...]:
    """The updates about which validators contradict each other; none without a norm proof."""
    if aggregation.proof == "none":
        return ()
    found = []
    with_products = reference_points(attestations, aggregation)
    for index, update in enumerate(fixed.updates):
        openings = openings_of(index, attestations, aggregation)
        decision = decide(openings, aggregation.n, aggregation.tolerated_faults, with_products=with_products)
        if decision.is_contested:
            accused = tuple(aggregation.validators[point - 1] for point in decision.accused)
            found.append(Dispute(participant=update.participant, accused=accused))
    return tuple(found)


def final_verdict(
    index: int,
    participant: str,
    attestations: Mapping[str, Attestation],
    evidence: Evidence,
    aggregation: AggregationSpec,
) -> Judged | None:
    """The verdict on an update with a norm proof, after its dispute if there is one; None while that goes on."""
    openings = openings_of(index, attestations, aggregation)
    n, t = aggregation.n, aggregation.tolerated_faults
    justifications: dict[int, Ruling | None] = {}
    rebuttals: dict[int, Ruling | None] = {}
    dispute = evidence.disputes.get(participant)
    if dispute is not None:
        rulings = _rulings(participant, evidence, aggregation)
        if _is_pending(dispute, rulings, evidence):
            return None
        if dispute.accused and None in rulings.values():
            # Revealed in time and judged by too few: nobody is proven to be at fault.
            return Judged("refused: inconsistent", proven=False)
        points = {aggregation.validators.index(msp) + 1: ruling for msp, ruling in rulings.items()}
        justifications, rebuttals = (points, {}) if dispute.accused else ({}, points)
    outcome = resolve(openings, n, t, justifications, rebuttals, reference_points(attestations, aggregation))
    convicted = frozenset(aggregation.validators[point - 1] for point in outcome.convicted)
    verdict: Verdict = outcome.decision.verdict
    if verdict == "refused: norm":
        # With all n values t liars cannot turn a zero into a consistent non-zero; with fewer they might.
        everybody = sum(1 for opening in openings.values() if opening is not None) == n
        return Judged(verdict, everybody and not convicted, convicted)
    if outcome.participant_at_fault:
        return Judged("refused: dealing", True, convicted)
    return Judged(verdict, False, convicted, outcome.decision.inner_product)


def _rulings(participant: str, evidence: Evidence, aggregation: AggregationSpec) -> dict[str, Ruling | None]:
    """The ruling on each revealed share of an update, by the validator whose share it is; None while there is none."""
    rulings: dict[str, Ruling | None] = {}
    for record in evidence.reveals:
        if record.share.participant == participant:
            owner = record.share.validator
            votes = {
                aggregation.validators.index(entry.judge) + 1: entry.judgement.ruling
                for entry in evidence.judgements
                if (entry.judgement.participant, entry.judgement.validator) == (participant, owner)
                and entry.judge != owner
            }
            rulings[owner] = ruling_of(votes, aggregation.tolerated_faults)
    return rulings


def _is_pending(dispute: Dispute, rulings: Mapping[str, Ruling | None], evidence: Evidence) -> bool:
    """Whether something that is still in time may change the outcome."""
    if evidence.judgements_are_late:
        return False
    if None in rulings.values():
        return True
    if dispute.accused:
        return not evidence.reveals_are_late and any(msp not in rulings for msp in dispute.accused)
    return not evidence.reveals_are_late and "contradicts" not in rulings.values()
