"""What a round did to each participant and validator, from records and events alone: who counted how much, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fedledger.ledger import LedgerEvent
from fedledger.ledger.reputation import REASONS
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import AccusationRecord, SettledUpdate, SettlementRecord
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView
from fedledger_chaincode.rules.trust import LEVELS
from fedledger_chaincode.transactions.context import insurance_account, participant_account, stake_account

Fault = Literal["convicted", "accused", "rejected", "withheld", "silent"]
"""Of a validator. ``accused``: a dispute goes on. ``rejected``, ``withheld``: about its reference direction."""


@dataclass(frozen=True)
class Fate:
    """Of one participant in one round."""

    site: str
    verdict: str
    agreement: float | None
    """With the reference direction, in [-1, 1]; None where nobody could say."""
    share: float
    """Part of the sum."""
    reputation: float
    paid: float
    """Tokens, in this round."""
    stake: float
    """Tokens of its stake that were not taken so far."""
    reason: str


@dataclass(frozen=True)
class ValidatorFate:
    """Of a validator that did not do its duty."""

    site: str
    fault: Fault
    stake: float
    reason: str


@dataclass
class Books:
    """Tokens earned and stakes taken by round, in micro-units, from the transfers that events name."""

    task: str
    _paid: Counter[tuple[int, str]] = field(default_factory=Counter)
    _taken: Counter[tuple[int, str]] = field(default_factory=Counter)

    def note(self, event: LedgerEvent) -> None:
        """Enter one event of the task."""
        number = event.fields.get("round", 0)
        for transfer in event.fields.get("transfers", ()):
            if transfer["to"] == insurance_account(self.task):
                self._taken[number, transfer["from"]] += transfer["value"]
            else:
                self._paid[number, transfer["to"]] += transfer["value"]

    def paid(self, number: int, participant: str) -> int:
        """To a participant in a round."""
        return self._paid[number, participant_account(participant)]

    def taken(self, number: int, owner: str) -> int:
        """Of the stake of a participant, or of a validator by its MSP id, in a round."""
        return self._taken[number, stake_account(self.task, owner)]

    def taken_until(self, number: int, owner: str) -> int:
        """In all rounds up to this one."""
        return sum(self.taken(earlier, owner) for earlier in range(1, number + 1))


def participant_fates(spec: TaskSpec, view: RoundView, books: Books, sites: Mapping[str, str]) -> tuple[Fate, ...]:
    """The whole cohort of a settled round, in its order; none of a round that was never settled.

    Args:
        sites: by MSP id.
    """
    settlement, number = view.settlement, view.record.round
    if settlement is None:
        return ()
    entries = {entry.participant: entry for entry in view.cohort.participants}
    dealt = {each.participant for each in _accusations(view) if each.ruling == "confirms"}
    fates = []
    for update in settlement.updates:
        owner, taken = update.participant, books.taken(number, update.participant)
        why = _reason(spec, update, entries[owner].quarantined)
        why += "; it dealt a false share to a validator: proven" if owner in dealt else ""
        why += f"; {taken / MICRO:.2f} tokens of its stake are taken" if taken else ""
        fates.append(
            Fate(
                site=sites.get(update.msp, update.msp),
                verdict=update.verdict,
                agreement=None if update.agreement is None else update.agreement / MICRO,
                share=update.weight / settlement.weight_sum if settlement.weight_sum else 0.0,
                reputation=(entries[owner].reputation if update.reputation is None else update.reputation.after)
                / MICRO,
                paid=books.paid(number, owner) / MICRO,
                stake=(spec.incentive.participant_stake - books.taken_until(number, owner)) / MICRO,
                reason=why,
            )
        )
    return tuple(fates)


def validator_fates(
    spec: TaskSpec, view: RoundView, books: Books, sites: Mapping[str, str], liars: tuple[str, ...]
) -> tuple[ValidatorFate, ...]:
    """Validators that did not do their duty in a settled round.

    Args:
        sites: by MSP id.
        liars: those named for their share of the sum.
    """
    settlement, number = view.settlement, view.record.round
    if settlement is None:
        return ()
    fates = []
    for msp in spec.aggregation.validators:
        found = _fault(spec, view, settlement, msp, named=msp in liars)
        if found is None:
            continue
        fault, why = found
        taken = books.taken(number, msp)
        why += f"; {taken / MICRO:.2f} tokens of its stake are taken" if taken else ""
        left = (spec.incentive.validator_stake - books.taken_until(number, msp)) / MICRO
        fates.append(ValidatorFate(sites.get(msp, msp), fault, left, why))
    return tuple(fates)


def _fault(
    spec: TaskSpec, view: RoundView, settlement: SettlementRecord, msp: str, *, named: bool
) -> tuple[Fault, str] | None:
    """The gravest fault of a validator and what it is."""
    rulings = {each.ruling for each in _accusations(view) if each.validator == msp}
    if named or msp in settlement.convicted or "denies" in rulings:
        return "convicted", "it is proven to have told false values"
    if None in rulings:
        return "accused", "its values contradict the others', who outvote it; it is asked to show its shares"
    rejecting = sum(1 for record in view.attestations if record.attestation.reference == "rejected")
    if settlement.reference_by == msp and rejecting > spec.aggregation.tolerated_faults:
        return "rejected", "others compute another reference direction than it gave; its turn comes after all others'"
    hidden = {reference.committed_by for reference in view.references if reference.revealed is None}
    if msp in hidden:
        return "withheld", "it kept its reference direction back; its turn comes after all others'"
    if msp not in settlement.attested:
        return "silent", "it said nothing in time; the others went on without it, and it earned nothing"
    return None


def _accusations(view: RoundView) -> tuple[AccusationRecord, ...]:
    return () if view.dispute is None else view.dispute.accusations


def _reason(spec: TaskSpec, update: SettledUpdate, quarantined: bool) -> str:
    if update.verdict != "accepted":
        return REASONS[update.verdict] + (": proven" if update.proven and update.verdict == "refused: norm" else "")
    if quarantined:
        return f"in quarantine: reputation fell below {spec.reputation.quarantine_threshold / MICRO:g}"
    if spec.robustness.trust_weighting == "off":
        return "counts by its examples"
    if update.by_reputation:
        return "counts by its reputation: the reference direction says nothing in this round"
    if update.trust == LEVELS:
        return "counts fully"
    if update.trust:
        return f"counts {update.trust}/{LEVELS}: it agrees in part with training on the reference data"
    if update.agreement == 0:
        return "counts nothing: it moves nothing"
    against = "goes against" if (update.agreement or 0) < 0 else "hardly agrees with"
    return f"counts nothing: it {against} training on the reference data"
