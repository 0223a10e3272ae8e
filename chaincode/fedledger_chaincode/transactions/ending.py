"""Ending a task before its last round: by the majority of its organisations, or when its agreement is over."""

from __future__ import annotations

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import MemberRecord, RosterRecord, StandingRecord, TaskRecord, TaskState
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.ending import has_budget, is_stopped, lacks_budgets
from fedledger_chaincode.rules.transitions import check_task
from fedledger_chaincode.state import consent_key, member_key, roster_key, standing_key, task_key
from fedledger_chaincode.transactions.agreements import decided_amendment
from fedledger_chaincode.transactions.context import (
    Context,
    check_membership_is_open,
    check_reason,
    reply,
)
from fedledger_chaincode.transactions.lateness import claimants, is_hopeless
from fedledger_chaincode.transactions.treasury import wind_up


def stop_task(context: Context, task: str, reason: str) -> bytes:
    """``StopTask(task, reason)``: a governor asks to stop, for a suspended organisation, too; the majority of all
    organisations stops it, or of those that have not withdrawn, where no round can begin without the others. Stakes go
    back."""
    return _say(context, "StopTask", task, reason, stop=True)


def continue_task(context: Context, task: str, reason: str) -> bytes:
    """``ContinueTask(task, reason)``: a governor takes its request to stop back."""
    return _say(context, "ContinueTask", task, reason, stop=False)


def _say(context: Context, transaction: str, task: str, reason: str, *, stop: bool) -> bytes:
    context.require_role("governor")
    check_reason(reason)
    record = context.task(task)
    msp = context.party(record)
    if stop and record.state == "stopped":
        return reply(record)
    check_task(record.state, transaction)
    check_membership_is_open(context.head(task))
    consents = context.consents(task, record.spec.organisations)
    consents[msp] = context.consent(task, msp).model_copy(update={"stop": stop, "reason": reason})
    context.state.put(consent_key(task, msp), consents[msp])
    if stop and is_stopped(record.spec, tuple(consents.values())):
        record = _ended(context, record, "stopped", reason)
    name = "TaskStopRequested" if stop else "TaskStopTakenBack"
    context.event(name, task=task, msp=msp, state=record.state, reason=reason)
    return reply(record)


def conclude_task(context: Context, task: str) -> bytes:
    """``ConcludeTask(task)`` by a governor or a validator of a task that is over: n - t validators say that its
    agreement has ended; or for so many organisations no privacy budget is left that there can be no further round, and
    the majority of all organisations says so, by its validators or governors."""
    context.require_role("governor", "validator")
    record = context.task(task)
    context.party(record)
    if record.state == "completed":
        return reply(record)
    check_task(record.state, "ConcludeTask")
    head = context.head(task)
    check_membership_is_open(head)
    if not head.idle:
        raise ContractError(
            409, "ROUND_STATE", f"Round {head.round} is {head.round_state}.", "It has to end before the task does."
        )
    if decided_amendment(context, record) is not None:
        raise ContractError(
            409,
            "AMENDMENT_DECIDED",
            f"A majority has approved an amendment of task {task}, under which the next round is called.",
            "Validators call it by themselves; to end the task all the same: fedledger task stop.",
        )
    spec, next_round = record.spec, head.round + 1
    spent = len(spent_organisations(context, spec))
    if lacks_budgets(spec, spent):
        _check_majority(context, spec, next_round)
        reason = f"The privacy budgets of {spent} organisations are spent."
    elif spec.agreement.ends_at is not None:
        reason = f"The agreement ended at {spec.agreement.ends_at}."
    else:
        raise ContractError(
            409,
            "NOT_OVER",
            f"Task {task} can go on: its agreement has no end, and enough organisations could contribute again.",
            "To end it all the same: fedledger task stop.",
        )
    if not is_hopeless(context, spec, next_round, "agreement"):
        raise ContractError(
            409,
            "TOO_EARLY",
            f"Fewer than {spec.aggregation.quorum} validators say that task {task} is over.",
            "They do so by themselves when it is; to end it all the same: fedledger task stop.",
        )
    record = _ended(context, record, "completed", reason)
    context.event("TaskConcluded", task=task, reason=reason)
    return reply(record)


def _check_majority(context: Context, spec: TaskSpec, number: int) -> None:
    """Raise 409 ``TOO_EARLY`` unless the majority of all organisations would end the task now."""
    consents = context.consents(spec.task, spec.organisations)
    asking = {msp for msp, consent in consents.items() if consent.stop}
    asking |= claimants(context, spec, number, "agreement")
    if len(asking) < spec.majority:
        raise ContractError(
            409,
            "TOO_EARLY",
            f"{len(asking)} organisations say that task {spec.task} is over; {spec.majority} are needed.",
            "Validators say so by themselves; organisations without one by: fedledger task stop.",
        )


def spent_organisations(context: Context, spec: TaskSpec) -> tuple[str, ...]:
    """Organisations that cannot contribute any more, whatever they or others decide under this specification."""
    task, state = spec.task, context.state
    limited = [msp for msp in spec.organisations if spec.privacy_of(msp).allowed_contributions() is not None]
    rosters = {
        msp: found or RosterRecord(participants=())
        for msp, found in zip(
            limited, state.find(RosterRecord, [roster_key(task, msp) for msp in limited]), strict=True
        )
    }
    names = [name for roster in rosters.values() for name in roster.participants]
    state.fetch([key(task, name) for name in names for key in (member_key, standing_key)])
    return tuple(
        msp for msp, roster in rosters.items() if not has_budget(spec, msp, roster, _present(context, task, roster))
    )


def _present(context: Context, task: str, roster: RosterRecord) -> list[tuple[MemberRecord, StandingRecord]]:
    members = context.state.find(MemberRecord, [member_key(task, name) for name in roster.participants])
    standings = context.state.find(StandingRecord, [standing_key(task, name) for name in roster.participants])
    return [(member, standing) for member, standing in zip(members, standings, strict=True) if member and standing]


def _ended(context: Context, record: TaskRecord, state: TaskState, reason: str) -> TaskRecord:
    ended = record.model_copy(update={"state": state, "reason": reason})
    context.state.put(task_key(record.spec.task), ended)
    wind_up(context, ended)
    return ended
