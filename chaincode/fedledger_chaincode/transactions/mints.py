"""Minting by vote: the governors of a task's organisations propose and decide; the last vote that is needed mints."""

from __future__ import annotations

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import MintRecord, TaskRecord
from fedledger_chaincode.messages.tokens import MintDecision, MintProposal
from fedledger_chaincode.messages.views import MintRecords
from fedledger_chaincode.rules.mints import outcome, with_vote
from fedledger_chaincode.rules.transitions import check_task
from fedledger_chaincode.state import mint_key, prefix
from fedledger_chaincode.transactions.context import (
    VOID,
    Context,
    insurance_account,
    organisation_account,
    reply,
)
from fedledger_chaincode.transactions.treasury import mint


def propose_mint(context: Context, proposal: bytes) -> bytes:
    """``ProposeMint(proposal)`` by a governor; it is its organisation's vote for it. The result is a ``MintRecord``."""
    context.require_role("governor")
    message = MintProposal.decode(proposal)
    existing = context.state.find_one(MintRecord, mint_key(message.task, message.sha256()))
    if existing is not None:
        return reply(existing)
    record = _open_task(context, message.task, "ProposeMint")
    _check_recipient(record, message.recipient)
    proposed = MintRecord(
        proposal=message, id=message.sha256(), proposer=context.submitter.msp_id, state="open", votes=()
    )
    return _vote(context, record, proposed, "approve", "MintProposed")


def vote_mint(context: Context, task: str, proposal: str, decision: str) -> bytes:
    """``VoteMint(task, proposal, decision)``: a governor says ``approve`` or ``reject``; an organisation's last vote
    counts, once, and only while it takes part in the task."""
    context.require_role("governor")
    if decision not in ("approve", "reject"):
        raise ContractError(400, "BAD_ARGUMENTS", f"{decision[:50]!r} is no decision.", "Say approve or reject.")
    chosen: MintDecision = "approve" if decision == "approve" else "reject"
    existing = _proposal(context, task, proposal)
    mine = next((vote for vote in existing.votes if vote.msp == context.submitter.msp_id), None)
    if mine is not None and mine.decision == chosen and existing.state != "open":
        return reply(existing)
    record = _open_task(context, task, "VoteMint")
    if existing.state != "open":
        raise ContractError(
            409, "DECIDED", f"The proposal is {existing.state}.", "Propose again, with another reason, to decide anew."
        )
    return _vote(context, record, existing, chosen, "MintVoted")


def get_mint(context: Context, task: str, proposal: str) -> bytes:
    """``GetMint(task, proposal)``: a ``MintRecord``."""
    return reply(_proposal(context, task, proposal))


def list_mints(context: Context, task: str) -> bytes:
    """``ListMints(task)``: a ``MintRecords``, by proposal."""
    context.task(task)
    return reply(MintRecords(mints=tuple(each for _, each in context.state.scan(MintRecord, prefix("mint", task)))))


def _vote(context: Context, record: TaskRecord, proposed: MintRecord, decision: MintDecision, event: str) -> bytes:
    spec, proposal = record.spec, proposed.proposal
    consents = context.consents(spec.task, spec.organisations)
    consenting = {msp for msp, consent in consents.items() if consent.covers(record.spec_hash)}
    votes = with_vote(spec, proposed.votes, context.submitter.msp_id, decision)
    decided = proposed.model_copy(update={"votes": votes, "state": outcome(spec, votes, consenting)})
    if decided == proposed:
        return reply(proposed)
    context.state.put(mint_key(spec.task, decided.id), decided)
    if decided.state == "minted":
        mint(context, [(proposal.recipient, proposal.amount)])
        context.token_event("Transfer", VOID, proposal.recipient, proposal.amount)
    else:
        context.event(
            event,
            task=spec.task,
            proposal=decided.id,
            msp=context.submitter.msp_id,
            decision=decision,
            state=decided.state,
        )
    return reply(decided)


def _open_task(context: Context, task: str, transaction: str) -> TaskRecord:
    record = context.task(task)
    check_task(record.state, transaction)
    consent = context.consent(task, context.voice(record))
    if not consent.covers(record.spec_hash):
        raise ContractError(
            403,
            "NO_CONSENT",
            f"Organisation {consent.msp} takes no part in task {task} as it is now agreed on, and has no vote in it.",
            "Who approves the task has a vote: fedledger task approve.",
        )
    return record


def _proposal(context: Context, task: str, proposal: str) -> MintRecord:
    return context.state.get(MintRecord, mint_key(task, proposal), f"mint proposal {proposal[:16]} in task {task}")


def _check_recipient(record: TaskRecord, recipient: str) -> None:
    spec = record.spec
    accounts = {insurance_account(spec.task), *(organisation_account(msp) for msp in spec.organisations)}
    if recipient not in accounts:
        raise ContractError(
            400,
            "BAD_ACCOUNT",
            f"{recipient!r} can be given no minted tokens in task {spec.task}.",
            "Mint for org:<MSP id> of one of the task's organisations or for insurance:<task>.",
        )
