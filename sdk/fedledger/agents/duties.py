"""What a validator has to do next, decided from the ledger alone; it touches nothing.

Steps that any validator may take go round: in round r validator (r mod n) takes them first, and each other one waits
one more patience, so that a missing validator delays a round and never stops it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedledger_chaincode.messages.round import RevealedShare
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.evidence import evidence_at, final_verdict, find_disputes
from fedledger_chaincode.rules.finalisation import agreed_report

Step = Literal[
    "open",
    "commit-reference",
    "close",
    "reveal-reference",
    "attest",
    "dispute",
    "reveal",
    "judge",
    "settle",
    "share",
    "report",
    "finalise",
    "abort",
]


@dataclass(frozen=True)
class Duty:
    """One step that is possible now."""

    step: Step
    round: int
    rank: int
    """How many patiences to wait after the step became possible, in case another validator takes it."""


@dataclass(frozen=True)
class Duties:
    """What is possible now, and when to look again although nothing is heard."""

    possible: tuple[Duty, ...]
    look_again_at: int | None = None
    """Ledger time in seconds since the epoch at which a deadline passes."""


NOTHING = Duties(())


def duties(task: TaskView, current: RoundView | None, msp: str, now: int) -> Duties:
    """What the validator of ``msp`` has to do.

    Args:
        current: the round that the task's head names; None before the first.
        now: seconds since the epoch.
    """
    head = task.head
    aggregation = task.record.spec.aggregation
    if task.record.state != "active" or head is None or msp not in aggregation.validators:
        return NOTHING
    number = head.round
    if current is None or head.round_state in (None, "finalised", "aborted"):
        if len(task.validators) < aggregation.n:
            return NOTHING
        return Duties((Duty("open", number + 1, _rank(task, msp, number + 1)),))
    match current.record.state:
        case "open":
            return _while_open(task, current, msp, now)
        case "closed":
            return _while_closed(task, current, msp, now)
        case "disputed":
            return _while_disputed(task, current, msp, now)
        case "settled":
            return _while_settled(task, current, msp, now)
        case _:
            return NOTHING


def _rank(task: TaskView, msp: str, number: int) -> int:
    validators = task.record.spec.aggregation.validators
    return (validators.index(msp) - number) % len(validators)


def _while_open(task: TaskView, current: RoundView, msp: str, now: int) -> Duties:
    number, due = current.record.round, current.record.updates_due
    from_data = task.record.spec.robustness.trust_weighting == "reference-data"
    lacks_reference = from_data and current.reference is None
    possible = []
    if lacks_reference and current.record.opened_by == msp:
        possible.append(Duty("commit-reference", number, 0))
    look_again_at = due
    if len(current.updates) == len(current.cohort.participants):
        # Updates may be faster than the reference; who opens a round and gives none delays it by this and no more.
        latest = max((update.submitted_at for update in current.updates), default=now)
        look_again_at = min(due, latest + task.record.spec.deadlines.attestations) if lacks_reference else now
    if now >= look_again_at:
        possible.append(Duty("close", number, _rank(task, msp, number)))
        return Duties(tuple(possible))
    return Duties(tuple(possible), look_again_at=look_again_at)


def _while_closed(task: TaskView, current: RoundView, msp: str, now: int) -> Duties:
    aggregation = task.record.spec.aggregation
    number, due = current.record.round, current.record.attestations_due
    attested = {record.validator for record in current.attestations}
    rank = _rank(task, msp, number)
    late = due is not None and now >= due
    possible = []
    hidden = current.reference is not None and current.reference.revealed is None
    if hidden and current.record.opened_by == msp:
        possible.append(Duty("reveal-reference", number, 0))
    # Half of the time is left for attesting without the reference of a validator that does not reveal it.
    patient_until = 0 if due is None else due - task.record.spec.deadlines.attestations // 2
    waits_for_reference = hidden and now < patient_until
    if msp not in attested and not waits_for_reference:
        possible.append(Duty("attest", number, 0))
    if len(attested) == aggregation.n or (late and len(attested) >= aggregation.quorum):
        step: Step = "dispute" if _is_contested(task, current) else "settle"
        possible.append(Duty(step, number, rank))
    elif late:
        possible.append(Duty("abort", number, rank))
    if waits_for_reference:
        return Duties(tuple(possible), look_again_at=patient_until)
    return Duties(tuple(possible), look_again_at=None if late else due)


def _is_contested(task: TaskView, current: RoundView) -> bool:
    attestations = {record.validator: record.attestation for record in current.attestations}
    fixed = current.fixed
    return fixed is not None and bool(find_disputes(fixed, attestations, task.record.spec.aggregation))


def _while_disputed(task: TaskView, current: RoundView, msp: str, now: int) -> Duties:
    number, due = current.record.round, current.record.disputes_due or 0
    seconds = task.record.spec.deadlines.disputes
    possible = []
    if accusations(current, msp) and now <= due:
        possible.append(Duty("reveal", number, 0))
    if unjudged(current, msp):
        possible.append(Duty("judge", number, 0))
    if _is_resolved(task, current, now):
        possible.append(Duty("settle", number, _rank(task, msp, number)))
    # A second more, for what is late only after the deadline.
    later = next((end + 1 for end in (due, due + seconds) if now <= end), None)
    return Duties(tuple(possible), look_again_at=later)


def accusations(current: RoundView, msp: str) -> tuple[str, ...]:
    """Participants of whose updates ``msp`` has to reveal its own share, and has not yet."""
    revealed = {record.share.participant for record in current.reveals if record.share.validator == msp}
    disputes = current.disputes.disputes if current.disputes else ()
    return tuple(d.participant for d in disputes if msp in d.accused and d.participant not in revealed)


def unjudged(current: RoundView, msp: str) -> tuple[RevealedShare, ...]:
    """Revealed shares of others that ``msp`` has not judged yet."""
    done = {(r.judgement.participant, r.judgement.validator) for r in current.judgements if r.judge == msp}
    return tuple(
        record.share
        for record in current.reveals
        if record.share.validator != msp and (record.share.participant, record.share.validator) not in done
    )


def _is_resolved(task: TaskView, current: RoundView, now: int) -> bool:
    spec, fixed, disputes = task.record.spec, current.fixed, current.disputes
    if fixed is None or disputes is None:
        return False
    due = current.record.disputes_due or 0
    evidence = evidence_at(now, due, spec.deadlines.disputes, disputes.disputes, current.reveals, current.judgements)
    attestations = {record.validator: record.attestation for record in current.attestations}
    return all(
        final_verdict(index, update.participant, attestations, evidence, spec.aggregation) is not None
        for index, update in enumerate(fixed.updates)
    )


def _while_settled(task: TaskView, current: RoundView, msp: str, now: int) -> Duties:
    aggregation = task.record.spec.aggregation
    number, due = current.record.round, current.record.aggregates_due
    posted = {record.validator for record in current.aggregates}
    reports = {record.validator: record.report for record in current.reports}
    rank = _rank(task, msp, number)
    late = due is not None and now >= due
    possible = []
    if msp not in posted:
        possible.append(Duty("share", number, 0))
    elif msp not in reports and len(posted) >= aggregation.quorum:
        possible.append(Duty("report", number, 0 if len(posted) == aggregation.n else 1))
    if agreed_report(aggregation, reports) is not None:
        # Validators that are a little slow still earn their part while the first in the row waits for them.
        patience = 0 if len(reports) == aggregation.n else 1
        possible.append(Duty("finalise", number, rank + patience))
    elif late:
        possible.append(Duty("abort", number, rank + 1))
    return Duties(tuple(possible), look_again_at=None if late else due)
