"""Directions with which a round's updates are compared, where the task computes them from reference data.

Every validator may commit to one while the round is open, before it sees an update, and reveals it when the round is
closed. The first in the row counts (``rules/references``); n - t validators have to find it right and use it, or trust
plays no part in the round.
"""

from __future__ import annotations

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import ReferenceRecord
from fedledger_chaincode.messages.round import ReferenceCommitment, RevealedReference
from fedledger_chaincode.rules.commitments import reference_commitment
from fedledger_chaincode.rules.field import ELEMENT_BYTES
from fedledger_chaincode.rules.transitions import check_round
from fedledger_chaincode.state import reference_key
from fedledger_chaincode.transactions.context import Context, already_recorded, check_size, is_repeated, reply
from fedledger_chaincode.transactions.lateness import is_late


def commit_reference(context: Context, commitment: bytes) -> bytes:
    """``CommitReference(commitment)`` by a validator, while the round is open."""
    message = ReferenceCommitment.decode(commitment)
    record = context.task(message.task)
    msp = context.acting_validator(record)
    if record.spec.robustness.trust_weighting != "reference-data":
        raise ContractError(400, "REFERENCE", "The task takes no reference direction from data.", "Leave it out.")
    key = reference_key(message.task, message.round, msp)
    mine = ReferenceRecord(commitment=message.commitment, committed_by=msp)
    earlier = context.state.find_one(ReferenceRecord, key)
    if earlier is not None:
        if earlier.commitment != message.commitment:
            raise already_recorded(f"reference in round {message.round}")
        return reply(earlier)
    check_round(context.round(message.task, message.round).state, "CommitReference", message.round)
    context.state.put(key, mine)
    context.event("ReferenceCommitted", task=message.task, round=message.round, validator=msp)
    return reply(mine)


def reveal_reference(context: Context, revealed: bytes) -> bytes:
    """``RevealReference(revealed)`` by the same validator, when the set of updates is fixed and others wait for it."""
    message = RevealedReference.decode(revealed)
    task, number = message.task, message.round
    record = context.task(task)
    msp = context.acting_validator(record)
    key = reference_key(task, number, msp)
    committed = context.state.get(ReferenceRecord, key, f"reference of {msp} in round {number}")
    if committed.revealed is not None:
        mine = committed.model_copy(update={"revealed": message})
        is_repeated(context, ReferenceRecord, key, mine, f"reference in round {number}")
        return reply(committed)
    check_round(context.round(task, number).state, "RevealReference", number)
    if is_late(context, record.spec, number, "reference"):
        raise ContractError(
            409, "TOO_LATE", f"The others wait no longer for references of round {number}.", "Give one in the next."
        )
    check_size("The reference direction", message.size, ELEMENT_BYTES * record.spec.model.parameter_count)
    if reference_commitment(bytes.fromhex(message.salt), message.digest) != committed.commitment:
        raise ContractError(
            409,
            "OTHER_REFERENCE",
            f"What is revealed is not the reference direction that was committed to in round {number}.",
            "Reveal the artifact and the salt that the commitment was made of.",
        )
    changed = committed.model_copy(update={"revealed": message})
    context.state.put(key, changed)
    context.event("ReferenceRevealed", task=task, round=number, validator=msp)
    return reply(changed)
