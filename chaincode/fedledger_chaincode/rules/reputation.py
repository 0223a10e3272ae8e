"""Scores of a round and the reputation they make: integers in micro-units, the same at every peer."""

from __future__ import annotations

from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import StandingRecord
from fedledger_chaincode.messages.task import ReputationSpec


def accepted_score(spec: ReputationSpec, agreement: int) -> int:
    """Score of an accepted update; ``agreement`` in [0, 1e6] (1e6 when trust weighting is off)."""
    return (spec.agreement_weight * agreement + (spec.reliability_weight + spec.honesty_weight) * MICRO) // MICRO


def absent_score(spec: ReputationSpec) -> int:
    """Score of a participant that did not deliver: absence costs reliability and agreement, never honesty."""
    return spec.honesty_weight


def updated_standing(standing: StandingRecord, score: int, round_number: int, spec: ReputationSpec) -> StandingRecord:
    """The exponentially weighted mean after one more score, and a quarantine when it falls below the threshold."""
    reputation = (spec.memory * standing.reputation + (MICRO - spec.memory) * score) // MICRO
    quarantined_until = standing.quarantined_until
    if reputation < spec.quarantine_threshold and quarantined_until < round_number:
        quarantined_until = round_number + spec.quarantine_rounds if spec.quarantine_rounds else quarantined_until
    return standing.model_copy(
        update={"reputation": reputation, "last_score": score, "quarantined_until": quarantined_until}
    )
