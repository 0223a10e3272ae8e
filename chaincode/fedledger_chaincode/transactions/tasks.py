"""Proposing, approving and ending tasks; joining and leaving them; registering validators."""

from __future__ import annotations

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import (
    ConsentRecord,
    HeadRecord,
    MemberRecord,
    ModelRecord,
    RosterRecord,
    StandingRecord,
    TaskRecord,
    ValidatorRecord,
)
from fedledger_chaincode.messages.round import JoinRequest, ValidatorRegistration
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.transitions import ENDED, check_task
from fedledger_chaincode.state import (
    consent_key,
    head_key,
    member_key,
    model_key,
    roster_key,
    standing_key,
    task_key,
    validator_key,
)
from fedledger_chaincode.transactions.context import (
    Context,
    organisation_account,
    pool_account,
    reply,
    stake_account,
)
from fedledger_chaincode.transactions.treasury import lock_stake, mint, wind_up


def propose_task(context: Context, specification: bytes) -> bytes:
    """``ProposeTask(spec)`` by a governor of one of the task's organisations."""
    context.require_role("governor")
    spec = TaskSpec.decode(specification)
    _check_organisation(context, spec)
    existing = context.state.find_one(TaskRecord, task_key(spec.task))
    if existing is not None:
        if existing.spec_hash == spec.sha256():
            return reply(existing)
        raise ContractError(
            409,
            "TASK_EXISTS",
            f"Task {spec.task} exists with another specification.",
            "Choose another task name.",
        )
    record = TaskRecord(
        spec=spec,
        spec_hash=spec.sha256(),
        state="proposed",
        proposer=context.submitter.msp_id,
        proposed_at=context.now,
    )
    context.state.put(task_key(spec.task), record)
    context.event("TaskProposed", task=spec.task, spec_hash=record.spec_hash)
    return reply(record)


def approve_task(context: Context, task: str, spec_hash: str) -> bytes:
    """``ApproveTask(task, spec_hash)``: a governor gives its organisation's consent to exactly this specification."""
    context.require_role("governor")
    record = context.task(task)
    msp = _check_organisation(context, record.spec)
    check_task(record.state, "ApproveTask")
    if spec_hash != record.spec_hash:
        raise ContractError(
            409,
            "SPEC_HASH",
            f"Task {task} has the specification {record.spec_hash}, not {spec_hash}.",
            "Read it with: fedledger task show, and approve the hash that you have read.",
        )
    consents = context.consents(task, record.spec.organisations)
    mine = consents.get(msp)
    if mine is not None and mine.decision == "approved":
        return reply(record)
    consents[msp] = ConsentRecord(msp=msp, spec_hash=spec_hash, decision="approved")
    context.state.put(consent_key(task, msp), consents[msp])
    approved = sum(1 for consent in consents.values() if consent.decision == "approved")
    if record.state == "proposed" and approved >= record.spec.majority:
        record = record.model_copy(update={"state": "active"})
        context.state.put(task_key(task), record)
        _activate(context, record)
        context.event("TaskActivated", task=task)
    else:
        context.event("TaskApproved", task=task, msp=msp)
    return reply(record)


def reject_task(context: Context, task: str) -> bytes:
    """``RejectTask(task)``: a governor refuses; the task is rejected when a majority can no longer approve it."""
    context.require_role("governor")
    record = context.task(task)
    msp = _check_organisation(context, record.spec)
    check_task(record.state, "RejectTask")
    consents = context.consents(task, record.spec.organisations)
    if msp in consents and consents[msp].decision == "rejected":
        return reply(record)
    consents[msp] = ConsentRecord(msp=msp, spec_hash=record.spec_hash, decision="rejected")
    context.state.put(consent_key(task, msp), consents[msp])
    rejected = sum(1 for consent in consents.values() if consent.decision == "rejected")
    if len(record.spec.organisations) - rejected < record.spec.majority:
        record = record.model_copy(update={"state": "rejected"})
        context.state.put(task_key(task), record)
    context.event("TaskRejected", task=task, msp=msp, state=record.state)
    return reply(record)


def withdraw_consent(context: Context, task: str) -> bytes:
    """``WithdrawConsent(task)``: the organisation takes no part from the next round on."""
    context.require_role("governor")
    record = context.task(task)
    check_task(record.state, "WithdrawConsent")
    msp = context.submitter.msp_id
    consent = context.consent(task, msp)
    if consent.decision == "withdrawn":
        return reply(consent)
    consent = consent.model_copy(update={"decision": "withdrawn", "last_round": _last_round(context.head(task))})
    context.state.put(consent_key(task, msp), consent)
    context.event("ConsentWithdrawn", task=task, msp=msp)
    return reply(consent)


def stop_task(context: Context, task: str) -> bytes:
    """``StopTask(task)``: a governor asks to stop; the majority of organisations stops it, stakes go back."""
    context.require_role("governor")
    record = context.task(task)
    msp = _check_organisation(context, record.spec)
    if record.state == "stopped":
        return reply(record)
    check_task(record.state, "StopTask")
    consents = context.consents(task, record.spec.organisations)
    consents[msp] = context.consent(task, msp).model_copy(update={"stop": True})
    context.state.put(consent_key(task, msp), consents[msp])
    if sum(1 for consent in consents.values() if consent.stop) >= record.spec.majority:
        record = record.model_copy(update={"state": "stopped"})
        context.state.put(task_key(task), record)
        wind_up(context, record)
    context.event("TaskStopRequested", task=task, msp=msp, state=record.state)
    return reply(record)


def join_task(context: Context, request: bytes) -> bytes:
    """``JoinTask(request)``: a participant joins under the pseudonym of its key; its organisation pays the stake."""
    context.require_role("participant")
    task = JoinRequest.decode(request).task
    record = context.task(task)
    check_task(record.state, "JoinTask")
    submitter = context.submitter
    if context.consent(task, submitter.msp_id).decision == "withdrawn":
        raise ContractError(403, "NO_CONSENT", f"Organisation {submitter.msp_id} has withdrawn from task {task}.")
    pseudonym = submitter.pseudonym
    existing = context.state.find_one(MemberRecord, member_key(task, pseudonym))
    if existing is not None:
        if existing.last_round is None:
            return reply(existing)
        raise ContractError(
            409, "HAS_LEFT", f"Participant {pseudonym[:16]} has left task {task}.", "Join with a new key."
        )
    head = context.head(task)
    roster = context.state.find_one(RosterRecord, roster_key(task, submitter.msp_id)) or RosterRecord(participants=())
    member = MemberRecord(
        participant=pseudonym,
        msp=submitter.msp_id,
        public_key=submitter.public_key_der.hex(),
        stake=record.spec.incentive.participant_stake,
        first_round=head.round + 1,
    )
    context.state.put(member_key(task, pseudonym), member)
    context.state.put(roster_key(task, submitter.msp_id), RosterRecord(participants=(*roster.participants, pseudonym)))
    context.state.put(
        standing_key(task, pseudonym),
        StandingRecord(contributions=0, epsilon=0, reputation=record.spec.reputation.initial),
    )
    lock_stake(context, task, pseudonym, member.stake)
    context.event("ParticipantJoined", task=task, participant=pseudonym, msp=member.msp)
    return reply(member)


def leave_task(context: Context, task: str) -> bytes:
    """``LeaveTask(task)``: the participant takes no part from the next round on; its stake goes back at once
    unless a round that it takes part in is under way, then when the task ends."""
    context.require_role("participant")
    pseudonym = context.submitter.pseudonym
    member = context.member(task, pseudonym)
    if member.last_round is not None:
        return reply(member)
    check_task(context.task(task).state, "LeaveTask")
    head = context.head(task)
    roster = context.state.get(RosterRecord, roster_key(task, member.msp), f"roster of {member.msp}")
    member = member.model_copy(update={"last_round": _last_round(head)})
    if _idle(head):
        # Only who is off the roster has no stake left to return when the task ends.
        remaining = tuple(other for other in roster.participants if other != pseudonym)
        context.state.put(roster_key(task, member.msp), RosterRecord(participants=remaining))
        account = stake_account(task, pseudonym)
        context.transfer([(account, organisation_account(member.msp), context.balances([account])[account])])
        member = member.model_copy(update={"stake": 0})
    context.state.put(member_key(task, pseudonym), member)
    context.event("ParticipantLeft", task=task, participant=pseudonym, msp=member.msp)
    return reply(member)


def register_validator(context: Context, registration: bytes) -> bytes:
    """``RegisterValidator(registration)``: once per organisation; again to rotate the key, for the next round."""
    context.require_role("validator")
    message = ValidatorRegistration.decode(registration)
    record = context.task(message.task)
    check_task(record.state, "RegisterValidator")
    msp = context.submitter.msp_id
    if msp not in record.spec.aggregation.validators:
        raise ContractError(403, "NOT_A_VALIDATOR", f"Organisation {msp} is no validator of task {message.task}.")
    context.consent(message.task, msp)
    key = validator_key(message.task, msp)
    existing = context.state.find_one(ValidatorRecord, key)
    validator = ValidatorRecord(
        msp=msp,
        sealing_key=message.sealing_key,
        store=message.store,
        stake=record.spec.incentive.validator_stake,
    )
    if existing == validator:
        return reply(existing)
    if existing is None:
        lock_stake(context, message.task, msp, validator.stake)
    context.state.put(key, validator)
    context.event("ValidatorRegistered", task=message.task, msp=msp)
    return reply(validator)


def _check_organisation(context: Context, spec: TaskSpec) -> str:
    msp = context.submitter.msp_id
    if msp not in spec.organisations:
        raise ContractError(
            403, "NOT_A_PARTY", f"Organisation {msp} is not among the organisations of task {spec.task}."
        )
    return msp


def _activate(context: Context, record: TaskRecord) -> None:
    """Mint what the majority agreed on and register the initial model as version 0."""
    spec = record.spec
    task = spec.task
    minted = [(organisation_account(msp), spec.incentive.endowment) for msp in spec.organisations]
    minted.append((pool_account(task), spec.incentive.reward_per_round * spec.training.rounds))
    mint(context, minted)
    context.state.put(
        model_key(task, 0),
        ModelRecord(
            task=task,
            version=0,
            parent=None,
            model_digest=spec.model.initial_weights_digest,
            model_size=spec.model.initial_weights_size,
            round=0,
            aggregate_digest=None,
            weight_sum=0,
            contributions=(),
            aggregate_shares=(),
            reported_by=(),
            liars=(),
            payments=(),
            transaction_id=context.stub.transaction_id,
        ),
    )
    context.state.put(
        head_key(task),
        HeadRecord(
            task=task,
            version=0,
            model_digest=spec.model.initial_weights_digest,
            model_size=spec.model.initial_weights_size,
            round=0,
            round_state=None,
        ),
    )


def _idle(head: HeadRecord) -> bool:
    return head.round_state is None or head.round_state in ENDED


def _last_round(head: HeadRecord) -> int:
    """The newest round: the last one that somebody who leaves now still takes part in."""
    return head.round
