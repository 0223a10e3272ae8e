"""Amending a task's agreement, ending a task whose agreement has run out, and saying what a model is used for."""

from __future__ import annotations

from typing import Literal

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import (
    AmendmentRecord,
    ConsentRecord,
    ModelRecord,
    ModelUseRecord,
    TaskRecord,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import ModelUseRecords
from fedledger_chaincode.rules.amendments import check_amendable, is_decided, with_word
from fedledger_chaincode.rules.transitions import check_protocol, check_task
from fedledger_chaincode.state import amendment_key, consent_key, model_key, prefix, task_key, use_key
from fedledger_chaincode.transactions.context import Context, check_membership_is_open, pool_account, reply
from fedledger_chaincode.transactions.treasury import check_supply, fits_supply, mint


def propose_amendment(context: Context, specification: bytes) -> bytes:
    """``ProposeAmendment(spec)`` by a governor: the task shall go on under another specification. Approving it is a
    separate act, by ``ApproveTask`` with the new hash, for the proposer too."""
    context.require_role("governor")
    spec = TaskSpec.decode(specification)
    record = context.task(spec.task)
    check_task(record.state, "ProposeAmendment")
    msp = context.voice(record)
    check_membership_is_open(context.head(spec.task))
    number = record.amendments + 1
    open_one = context.state.find_one(AmendmentRecord, amendment_key(spec.task, number))
    if open_one is not None and open_one.state == "open":
        if open_one.spec == spec:
            return reply(open_one)
        raise ContractError(
            409,
            "AMENDMENT_OPEN",
            f"Amendment {number} of task {spec.task} ({open_one.spec_hash[:16]}) is not decided yet.",
            "Approve or reject that one first.",
        )
    if spec == record.spec:
        raise ContractError(409, "NO_CHANGE", f"Task {spec.task} goes by this specification already.", "Change a term.")
    check_protocol(spec)
    check_amendable(record.spec, spec)
    check_supply(context, _minted(record.spec, spec))
    amendment = AmendmentRecord(
        number=number,
        spec=spec,
        spec_hash=spec.sha256(),
        proposer=msp,
        state="open",
        approved=(),
        rejected=(),
    )
    context.state.put(amendment_key(spec.task, number), amendment)
    context.event("AmendmentProposed", task=spec.task, number=number, spec_hash=amendment.spec_hash, msp=msp)
    return reply(amendment)


def say_about_amendment(
    context: Context, record: TaskRecord, msp: str, decision: Literal["approved", "rejected"], spec_hash: str | None
) -> AmendmentRecord | None:
    """Count an organisation's word about the open amendment; None when none is open, or ``spec_hash`` is not its."""
    key = amendment_key(record.spec.task, record.amendments + 1)
    amendment = context.state.find_one(AmendmentRecord, key)
    if amendment is None or amendment.state != "open" or spec_hash not in (None, amendment.spec_hash):
        return None
    if decision == "approved":
        check_supply(context, _minted(record.spec, amendment.spec))
    decided = with_word(amendment, msp, decision)
    if decided != amendment:
        context.state.put(key, decided)
        name = "AmendmentApproved" if decision == "approved" else "AmendmentRejected"
        context.event(name, task=record.spec.task, number=decided.number, msp=msp, state=decided.state)
    return decided


def decided_amendment(context: Context, record: TaskRecord) -> AmendmentRecord | None:
    """The amendment under which the next round is called; None where no majority has approved one."""
    spec = record.spec
    amendment = context.state.find_one(AmendmentRecord, amendment_key(spec.task, record.amendments + 1))
    if amendment is None or amendment.state != "open":
        return None
    consents = context.consents(spec.task, spec.organisations)
    suspended = frozenset(msp for msp, consent in consents.items() if consent.suspended)
    return amendment if is_decided(amendment, suspended) else None


def with_amendment(context: Context, record: TaskRecord) -> TaskRecord:
    """The task as it goes on between two rounds: under its amendment, if a majority has approved one.

    Organisations that have not approved it take no part until they do.
    """
    spec = record.spec
    number = record.amendments + 1
    amendment = decided_amendment(context, record)
    if amendment is None:
        return record
    more = _minted(spec, amendment.spec)
    if not fits_supply(context, more):
        # Others have minted since it was proposed. A round does not wait for that.
        context.state.put(amendment_key(spec.task, number), amendment.model_copy(update={"state": "rejected"}))
        return record
    adopted = record.model_copy(update={"spec": amendment.spec, "spec_hash": amendment.spec_hash, "amendments": number})
    consents = context.consents(spec.task, spec.organisations)
    for msp in amendment.approved:
        before = consents.get(msp) or ConsentRecord(msp=msp, spec_hash=record.spec_hash, decision="approved")
        consented = {"spec_hash": amendment.spec_hash, "decision": "approved", "last_round": None, "reason": ""}
        context.state.put(consent_key(spec.task, msp), before.model_copy(update=consented))
    if more:
        mint(context, [(pool_account(spec.task), more)])
    context.state.put(amendment_key(spec.task, number), amendment.model_copy(update={"state": "adopted"}))
    context.state.put(task_key(spec.task), adopted)
    return adopted


def _minted(spec: TaskSpec, amended: TaskSpec) -> int:
    """Micro-tokens for the rewards of the rounds that an amendment adds."""
    return spec.incentive.reward_per_round * (amended.training.rounds - spec.training.rounds)


def use_model(context: Context, task: str, version: int, purpose: str) -> bytes:
    """``UseModel(task, version, purpose)``: an organisation says what it uses a model for. A purpose that is not agreed
    on is refused. The ledger cannot see a use that nobody tells it."""
    context.require_role("participant", "validator", "governor")
    record = context.task(task)
    consent = context.consent(task, context.submitter.msp_id)
    model = context.state.get(ModelRecord, model_key(task, version), f"model version {version} of task {task}")
    allowed = model.allowed_uses(record.spec.agreement.purposes)
    if purpose not in allowed:
        raise ContractError(
            403,
            "PURPOSE",
            f"Version {version} of task {task} may not be used for {purpose[:63]!r}: not every agreement under "
            "which it and its ancestors were trained, and the one in force, allow that.",
            f"They allow: {', '.join(allowed) or 'nothing any more'}.",
        )
    key = use_key(task, version, consent.msp, purpose)
    earlier = context.state.find_one(ModelUseRecord, key)
    if earlier is not None:
        return reply(earlier)
    use = ModelUseRecord(task=task, version=version, msp=consent.msp, purpose=purpose, at=context.now)
    context.state.put(key, use)
    context.event("ModelUsed", task=task, version=version, msp=consent.msp, purpose=purpose)
    return reply(use)


def list_model_uses(context: Context, task: str) -> bytes:
    """``ListModelUses(task)``: a ``ModelUseRecords``, by version."""
    context.task(task)
    return reply(ModelUseRecords(uses=tuple(use for _, use in context.state.scan(ModelUseRecord, prefix("use", task)))))
