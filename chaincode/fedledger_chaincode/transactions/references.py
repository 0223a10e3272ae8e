"""A round's reference direction, where the task computes it from reference data: committed to, then revealed.

Only the validator that opened the round gives one. Whether it is right is for the others to find: n - t of them have to
use it, or the round has no reference and trust plays no part.
"""

from __future__ import annotations

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import ReferenceRecord, RoundRecord, TaskRecord
from fedledger_chaincode.messages.round import ReferenceCommitment, RevealedReference
from fedledger_chaincode.rules.commitments import reference_commitment
from fedledger_chaincode.rules.transitions import check_round
from fedledger_chaincode.state import reference_key
from fedledger_chaincode.transactions.context import Context, is_repeated, reply


def commit_reference(context: Context, commitment: bytes) -> bytes:
    """``CommitReference(commitment)`` by the validator that opened the round, while it is open."""
    message = ReferenceCommitment.decode(commitment)
    record, round_record, msp = _opener(context, message.task, message.round)
    if record.spec.robustness.trust_weighting != "reference-data":
        raise ContractError(400, "REFERENCE", "The task takes no reference direction from data.", "Leave it out.")
    key = reference_key(message.task, message.round)
    mine = ReferenceRecord(commitment=message.commitment, committed_by=msp)
    if is_repeated(context, ReferenceRecord, key, mine, f"reference in round {message.round}"):
        return reply(mine)
    check_round(round_record.state, "CommitReference", message.round)
    context.state.put(key, mine)
    context.event("ReferenceCommitted", task=message.task, round=message.round, validator=msp)
    return reply(mine)


def reveal_reference(context: Context, revealed: bytes) -> bytes:
    """``RevealReference(revealed)`` by the same validator, when the set of updates is fixed."""
    message = RevealedReference.decode(revealed)
    _, round_record, msp = _opener(context, message.task, message.round)
    key = reference_key(message.task, message.round)
    committed = context.state.get(ReferenceRecord, key, f"reference in round {message.round}")
    if committed.revealed is not None:
        mine = committed.model_copy(update={"revealed": message})
        is_repeated(context, ReferenceRecord, key, mine, f"reference in round {message.round}")
        return reply(committed)
    check_round(round_record.state, "RevealReference", message.round)
    if reference_commitment(bytes.fromhex(message.salt), message.digest) != committed.commitment:
        raise ContractError(
            409,
            "OTHER_REFERENCE",
            f"What is revealed is not the reference direction that was committed to in round {message.round}.",
            "Reveal the artifact and the salt that the commitment was made of.",
        )
    changed = committed.model_copy(update={"revealed": message})
    context.state.put(key, changed)
    context.event("ReferenceRevealed", task=message.task, round=message.round, validator=msp)
    return reply(changed)


def _opener(context: Context, task: str, number: int) -> tuple[TaskRecord, RoundRecord, str]:
    """Task, round and the submitter, if it is the validator that opened the round."""
    record = context.task(task)
    msp = context.acting_validator(record)
    round_record = context.round(task, number)
    if round_record.opened_by != msp:
        raise ContractError(
            403,
            "NOT_THE_OPENER",
            f"{round_record.opened_by} opened round {number} and gives its reference direction, not {msp}.",
            "Leave it to that validator.",
        )
    return record, round_record, msp
