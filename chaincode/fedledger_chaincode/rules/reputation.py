"""Scores of a round and the reputation they make: integers in micro-units, the same at every peer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import StandingRecord, Verdict
from fedledger_chaincode.messages.task import ReputationSpec
from fedledger_chaincode.rules.trust import trust_score

_UNPROVEN = frozenset(("absent", "unreadable", "refused: inconsistent"))


@dataclass(frozen=True)
class Terms:
    """What a round says of a participant, in micro-units: each is weighted by the task."""

    agreement: int
    reliability: int
    honesty: int


def terms_of(verdict: Verdict | Literal["absent"], trust: int) -> Terms:
    """The terms of a verdict; ``trust`` is that of an accepted update (full in a task without trust weighting).

    Absence costs reliability and agreement, never honesty, and so does what proves nothing about anybody.
    """
    if verdict == "accepted":
        return Terms(trust_score(trust), MICRO, MICRO)
    return Terms(0, 0, MICRO if verdict in _UNPROVEN else 0)


def score_of(spec: ReputationSpec, terms: Terms) -> int:
    """The score: the weighted mean of the terms."""
    weighted = (
        spec.agreement_weight * terms.agreement
        + spec.reliability_weight * terms.reliability
        + spec.honesty_weight * terms.honesty
    )
    return weighted // MICRO


def updated_standing(standing: StandingRecord, score: int, round_number: int, spec: ReputationSpec) -> StandingRecord:
    """The exponentially weighted mean after one more score; below the threshold a quarantine begins."""
    reputation = (spec.memory * standing.reputation + (MICRO - spec.memory) * score) // MICRO
    quarantined_until = standing.quarantined_until
    if reputation < spec.quarantine_threshold and quarantined_until <= round_number:
        quarantined_until = round_number + spec.quarantine_rounds if spec.quarantine_rounds else quarantined_until
    return standing.model_copy(
        update={"reputation": reputation, "last_score": score, "quarantined_until": quarantined_until}
    )


def is_quarantined(standing: StandingRecord, round_number: int, spec: ReputationSpec) -> bool:
    """Whether a participant weighs nothing in a round: its quarantine lasts, or its reputation is still too low. Only
    rounds in which it takes part can raise that; resting ends nothing."""
    too_low = spec.quarantine_rounds > 0 and standing.reputation < spec.quarantine_threshold
    return too_low or standing.quarantined_until >= round_number
