"""Deadlines without a clock: each validator says by its own stopwatch that a phase has lasted long enough.

docs/protocol/rounds.md, 4.2. t + 1 claims prove it, for one of them is an honest one's: then a phase ends with what is
there. What destroys, an abort or a task's end, takes n - t.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import (
    AttestationRecord,
    LateRecord,
    ReferenceFaultsRecord,
    ReferenceRecord,
    RoundRecord,
    TaskRecord,
)
from fedledger_chaincode.messages.round import LateClaim, Phase
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.references import row
from fedledger_chaincode.state import attestation_key, late_key, reference_faults_key, reference_key
from fedledger_chaincode.transactions.context import Context, reply

BETWEEN_ROUNDS: tuple[Phase, ...] = ("agreement", "idle")


def claim_late(context: Context, claim: bytes) -> bytes:
    """``ClaimLate(claim)`` by a validator, in the phase that it names; repeating it writes nothing."""
    message = LateClaim.decode(claim)
    record = context.task(message.task)
    msp = context.acting_validator(record)
    key = late_key(message.task, message.round, message.phase, msp)
    earlier = context.state.find_one(LateRecord, key)
    if earlier is not None:
        return reply(earlier)
    _check_phase(context, record, message)
    mine = LateRecord(validator=msp, claim=message)
    context.state.put(key, mine)
    context.event("ClaimedLate", task=message.task, round=message.round, phase=message.phase, validator=msp)
    return reply(mine)


def _check_phase(context: Context, record: TaskRecord, claim: LateClaim) -> None:
    if record.state != "active" or claim.phase not in _phases(context, record, claim.round):
        raise ContractError(
            409,
            "NOT_IN_PHASE",
            f"Nothing waits for {claim.phase} in round {claim.round} of task {claim.task}.",
            "Look at the round's state and go on with what it waits for.",
        )


def _phases(context: Context, record: TaskRecord, number: int) -> tuple[Phase, ...]:
    head = context.head(record.spec.task)
    if head.idle:
        return BETWEEN_ROUNDS if number == head.round + 1 else ()
    if number != head.round:
        return ()
    match head.round_state:
        case "open":
            return ("updates",)
        case "closed":
            return ("attestations",) if reference_is_settled(context, record.spec, number) else ("reference",)
        case _:
            return ("aggregates",)


def claimants(context: Context, spec: TaskSpec, number: int, phase: Phase) -> frozenset[str]:
    """The validators that have said that the phase has lasted long enough."""
    keys = [late_key(spec.task, number, phase, msp) for msp in spec.aggregation.validators]
    return frozenset(found.validator for found in context.state.find(LateRecord, keys) if found is not None)


def claims(context: Context, spec: TaskSpec, number: int, phase: Phase) -> int:
    """How many they are."""
    return len(claimants(context, spec, number, phase))


def is_late(context: Context, spec: TaskSpec, number: int, phase: Phase) -> bool:
    """Whether one honest validator's stopwatch says so."""
    return claims(context, spec, number, phase) > spec.aggregation.tolerated_faults


def is_hopeless(context: Context, spec: TaskSpec, number: int, phase: Phase) -> bool:
    """Whether so many say so that the round may be ended for it."""
    return claims(context, spec, number, phase) >= spec.aggregation.quorum


def references_in_row(context: Context, spec: TaskSpec, number: int) -> list[ReferenceRecord]:
    """Directions that validators have committed to, in the row of the round."""
    task = spec.task
    faults = context.state.find_one(ReferenceFaultsRecord, reference_faults_key(task)) or ReferenceFaultsRecord()
    keys = [reference_key(task, number, msp) for msp in row(spec.aggregation.validators, number, faults)]
    return [found for found in context.state.find(ReferenceRecord, keys) if found is not None]


def reference_is_settled(context: Context, spec: TaskSpec, number: int) -> bool:
    """Whether it is known which direction counts in a closed round: all are revealed, or the time for it is over."""
    if spec.robustness.trust_weighting != "reference-data":
        return True
    hidden = any(found.revealed is None for found in references_in_row(context, spec, number))
    return not hidden or is_late(context, spec, number, "reference")


def certain_time(context: Context, earlier: RoundRecord | None) -> int:
    """The time that has passed for certain when a round begins, in seconds since the epoch."""
    return 0 if earlier is None else earlier.clock


def clock_after(earlier: int, spec: TaskSpec, attested: Sequence[AttestationRecord]) -> int:
    """The same after a settlement: the (t + 1)-th highest of the validators' clocks is not beyond an honest one's."""
    stamps = sorted((record.at for record in attested), reverse=True)
    return max(earlier, stamps[spec.aggregation.tolerated_faults]) if stamps else earlier


def attestations_of(context: Context, spec: TaskSpec, number: int) -> list[AttestationRecord]:
    """Attestations of a round, in the order of validators."""
    keys = [attestation_key(spec.task, number, msp) for msp in spec.aggregation.validators]
    return [found for found in context.state.find(AttestationRecord, keys) if found is not None]
