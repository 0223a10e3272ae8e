"""Proposing and approving tasks, withdrawing from them; registering validators."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import (
    ConsentRecord,
    HeadRecord,
    ModelRecord,
    TaskRecord,
    ValidatorRecord,
)
from fedledger_chaincode.messages.round import ValidatorRegistration
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.transitions import check_protocol, check_task
from fedledger_chaincode.state import consent_key, head_key, model_key, task_key, validator_key
from fedledger_chaincode.transactions.agreements import say_about_amendment
from fedledger_chaincode.transactions.context import (
    Context,
    check_membership_is_open,
    check_reason,
    not_a_party,
    reply,
)
from fedledger_chaincode.transactions.treasury import endow, lock_stake

_ANY_KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))
"""With a key of small order every private key agrees on zero."""


def propose_task(context: Context, specification: bytes) -> bytes:
    """``ProposeTask(spec)`` by a governor of one of the task's organisations."""
    context.require_role("governor")
    spec = TaskSpec.decode(specification)
    check_protocol(spec)
    if context.submitter.msp_id not in spec.organisations:
        raise not_a_party(context.submitter.msp_id, spec.task)
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
    """``ApproveTask(task, spec_hash)``: a governor gives its organisation's consent to exactly this specification: the
    task's, or that of the amendment that is open."""
    context.require_role("governor")
    record = context.task(task)
    msp = context.voice(record)
    check_task(record.state, "ApproveTask")
    _check_settled(context, record)
    if spec_hash != record.spec_hash:
        if say_about_amendment(context, record, msp, "approved", spec_hash) is not None:
            return reply(record)
        raise ContractError(
            409,
            "SPEC_HASH",
            f"Task {task} has the specification {record.spec_hash}, not {spec_hash}, and no such amendment is open.",
            "Read it with: fedledger task show, and approve the hash that you have read.",
        )
    consents = context.consents(task, record.spec.organisations)
    mine = consents.get(msp)
    if mine is not None and mine.covers(spec_hash):
        return reply(record)
    consents[msp] = _word(mine, msp, record, decision="approved", reason="", last_round=None)
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


def reject_task(context: Context, task: str, reason: str) -> bytes:
    """``RejectTask(task, reason)``: a governor refuses; the task is rejected when a majority can no longer approve it.
    In a task that runs it is the open amendment that is refused."""
    context.require_role("governor")
    check_reason(reason)
    record = context.task(task)
    # Who is suspended can take back what it has approved before.
    msp = context.party(record)
    check_task(record.state, "RejectTask")
    _check_settled(context, record)
    if record.state == "active":
        if say_about_amendment(context, record, msp, "rejected", None) is None:
            raise ContractError(
                409,
                "NO_AMENDMENT",
                f"Task {task} is active and no amendment of it is open.",
                "To take no part any more: fedledger task withdraw.",
            )
        return reply(record)
    consents = context.consents(task, record.spec.organisations)
    if msp in consents and consents[msp].decision == "rejected":
        return reply(record)
    consents[msp] = _word(consents.get(msp), msp, record, decision="rejected", reason=reason)
    context.state.put(consent_key(task, msp), consents[msp])
    rejected = sum(1 for consent in consents.values() if consent.decision == "rejected")
    if len(record.spec.organisations) - rejected < record.spec.majority:
        record = record.model_copy(update={"state": "rejected"})
        context.state.put(task_key(task), record)
    context.event("TaskRejected", task=task, msp=msp, state=record.state, reason=reason)
    return reply(record)


def withdraw_consent(context: Context, task: str, reason: str) -> bytes:
    """``WithdrawConsent(task, reason)``: the organisation takes no part from the next round on."""
    context.require_role("governor")
    check_reason(reason)
    record = context.task(task)
    check_task(record.state, "WithdrawConsent")
    msp = context.submitter.msp_id
    consent = context.consent(task, msp)
    if consent.decision == "withdrawn":
        return reply(consent)
    head = context.head(task)
    check_membership_is_open(head)
    # What it has said about an open amendment is not to bring it back.
    say_about_amendment(context, record, msp, "rejected", None)
    last_round = head.round
    consent = _word(consent, msp, record, decision="withdrawn", reason=reason, last_round=last_round)
    context.state.put(consent_key(task, msp), consent)
    context.event("ConsentWithdrawn", task=task, msp=msp, reason=reason)
    return reply(consent)


def _check_settled(context: Context, record: TaskRecord) -> None:
    """What is said about a task that runs is not said in the moment in which a round reads it."""
    if record.state == "active":
        check_membership_is_open(context.head(record.spec.task))


def _word(earlier: ConsentRecord | None, msp: str, record: TaskRecord, **said: object) -> ConsentRecord:
    """An organisation's new word on the specification; what others have decided about it stays."""
    before = earlier or ConsentRecord(msp=msp, spec_hash=record.spec_hash, decision="approved")
    return before.model_copy(update={"spec_hash": record.spec_hash, **said})


def register_validator(context: Context, registration: bytes) -> bytes:
    """``RegisterValidator(registration)``: once per organisation; again to rotate the key, for the next round."""
    context.require_role("validator")
    message = ValidatorRegistration.decode(registration)
    record = context.task(message.task)
    check_task(record.state, "RegisterValidator")
    msp = context.submitter.msp_id
    if msp not in record.spec.aggregation.validators:
        raise ContractError(403, "NOT_A_VALIDATOR", f"Organisation {msp} is no validator of task {message.task}.")
    consent = context.consent(message.task, msp)
    head = context.head(message.task)
    check_membership_is_open(head)
    _check_sealing_key(message.sealing_key)
    key = validator_key(message.task, msp)
    existing = context.state.find_one(ValidatorRecord, key)
    # Who has taken its stake home locks it again between rounds, when its organisation takes part again.
    locks = existing is None or (not existing.stake and consent.takes_part and head.idle)
    validator = ValidatorRecord(
        msp=msp,
        sealing_key=message.sealing_key,
        store=message.store,
        stake=record.spec.incentive.validator_stake if locks or existing is None else existing.stake,
    )
    if existing == validator:
        return reply(existing)
    if locks:
        lock_stake(context, message.task, msp, validator.stake)
    context.state.put(key, validator)
    context.event("ValidatorRegistered", task=message.task, msp=msp)
    return reply(validator)


def _check_sealing_key(public_key: str) -> None:
    """Raise 400 ``SEALING_KEY`` for a key of small order, to which nothing can be sealed (RFC 7748, section 6.1)."""
    try:
        _ANY_KEY.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(public_key)))
    except ValueError:
        raise ContractError(
            400,
            "SEALING_KEY",
            "Nothing can be sealed to this key: it is of small order.",
            "Make one with: fedledger validator register.",
        ) from None


def _activate(context: Context, record: TaskRecord) -> None:
    """Mint what the majority agreed on and register the initial model as version 0."""
    spec = record.spec
    task = spec.task
    endow(context, spec)
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
