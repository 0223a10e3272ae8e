"""Opening a round, receiving its updates and fixing the set that is decided about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import (
    CohortEntry,
    CohortRecord,
    ConsentRecord,
    EquivocationRecord,
    FixedSetRecord,
    FixedUpdate,
    HeadRecord,
    MemberRecord,
    RosterRecord,
    RoundRecord,
    RoundState,
    StandingRecord,
    TaskRecord,
    UpdateRecord,
    ValidatorRecord,
)
from fedledger_chaincode.messages.round import SignedManifest
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import SubmissionResult, SubmissionResults
from fedledger_chaincode.rules.submission import check_manifest
from fedledger_chaincode.rules.transitions import check_round, check_task
from fedledger_chaincode.state import (
    cohort_key,
    consent_key,
    equivocation_key,
    fixed_key,
    head_key,
    member_key,
    roster_key,
    round_key,
    standing_key,
    task_key,
    update_key,
    validator_key,
)
from fedledger_chaincode.transactions.accounts import take_in_gifts
from fedledger_chaincode.transactions.agreements import with_amendment
from fedledger_chaincode.transactions.context import Context, reply


def open_round(context: Context, task: str, number: int) -> bytes:
    """``OpenRound(task, round)`` by a validator: fixes the base model and who takes part."""
    record = context.task(task)
    check_task(record.state, "OpenRound")
    msp = context.acting_validator(record)
    head = context.head(task)
    if number == head.round:
        return reply(context.round(task, number))
    record = with_amendment(context, record)
    ends_at = record.spec.agreement.ends_at
    if ends_at is not None and context.now >= ends_at:
        raise ContractError(
            409,
            "AGREEMENT_ENDED",
            f"The agreement of task {task} ended at {ends_at}.",
            "Conclude the task with: fedledger task conclude.",
        )
    due = context.now + record.spec.deadlines.updates
    if number != head.round + 1:
        raise ContractError(
            409,
            "ROUND_NUMBER",
            f"The next round of task {task} is {head.round + 1}, not {number}.",
            "Open that one.",
        )
    if not head.idle:
        raise ContractError(
            409,
            "ROUND_STATE",
            f"Round {head.round} is {head.round_state}.",
            "It has to end before the next one opens.",
        )
    opened = RoundRecord(
        task=task,
        round=number,
        state="open",
        base_version=head.version,
        base_model=head.model_digest,
        opened_by=msp,
        opened_at=context.now,
        updates_due=due if ends_at is None else min(due, ends_at),
    )
    context.state.put(cohort_key(task, number), _cohort(context, record.spec, number))
    take_in_gifts(context, task, number - 2)
    change_round(context, head, opened)
    context.event("RoundOpened", task=task, round=number, base_model=opened.base_model, base_version=head.version)
    return reply(opened)


def _cohort(context: Context, spec: TaskSpec, number: int) -> CohortRecord:
    task = spec.task
    members = spec.aggregation.validators
    validators = [
        record
        for record in context.state.find(ValidatorRecord, [validator_key(task, msp) for msp in members])
        if record is not None
    ]
    missing = sorted(set(members) - {validator.msp for validator in validators})
    if missing:
        raise ContractError(
            409,
            "VALIDATORS_MISSING",
            f"The validators of {', '.join(missing)} have not registered for task {task}.",
            "Each runs: fedledger validator register.",
        )
    participants, exhausted = eligible(context, spec, number)
    if len(participants) < spec.aggregation.minimum_accepted:
        raise ContractError(
            409,
            "TOO_FEW_PARTICIPANTS",
            f"{len(participants)} participants may contribute to round {number}; a round needs "
            f"{spec.aggregation.minimum_accepted}, for a sum of fewer would tell too much about each. The privacy "
            f"budget of {exhausted} is spent.",
            "Wait until more have joined, or end a task whose budgets are spent with: fedledger task conclude.",
        )
    return CohortRecord(participants=participants, validators=tuple(validators))


def eligible(context: Context, spec: TaskSpec, number: int) -> tuple[tuple[CohortEntry, ...], int]:
    """Who may contribute to a round, by organisation, then in the order of joining; and how many more could if their
    privacy budget were not spent.

    They have joined and not left, are not suspended, and their organisation has consented to this specification.
    """
    task = spec.task
    consents = context.consents(task, spec.organisations)
    agreed = spec.sha256()
    consenting = [msp for msp in spec.organisations if msp in consents and consents[msp].covers(agreed)]
    rosters = context.state.find(RosterRecord, [roster_key(task, msp) for msp in consenting])
    pseudonyms = [pseudonym for roster in rosters if roster is not None for pseudonym in roster.participants]
    joined = context.state.find(MemberRecord, [member_key(task, pseudonym) for pseudonym in pseudonyms])
    standings = context.state.find(StandingRecord, [standing_key(task, pseudonym) for pseudonym in pseudonyms])
    allowed = {msp: spec.privacy_of(msp).allowed_contributions() for msp in consenting}
    entries = []
    exhausted = 0
    for member, standing in zip(joined, standings, strict=True):
        if member is None or standing is None or not member.takes_part(number, context.now):
            continue
        limit = allowed[member.msp]
        if limit is not None and standing.contributions >= limit:
            exhausted += 1
            continue
        entries.append(
            CohortEntry(
                participant=member.participant,
                msp=member.msp,
                quarantined=standing.quarantined_until >= number,
                reputation=standing.reputation,
            )
        )
    return tuple(entries), exhausted


def submit_updates(context: Context, *received: bytes) -> bytes:
    """``SubmitUpdates(manifest, ...)``: each manifest carries its participant's signature and stands for itself.

    A manifest that fails is reported by name, the others count. The transaction fails when none counts, with the first
    one's reason, unless it proves an equivocation, which is recorded.
    """
    context.require_role("participant")
    results: list[SubmissionResult] = []
    faults: list[ContractError] = []
    seen: set[str] = set()
    recorded = False
    decoded = [_decoded(item) for item in received]
    msp = context.submitter.msp_id
    context.state.fetch([key for each in decoded if isinstance(each, SignedManifest) for key in _keys_read(each, msp)])
    for each in decoded:
        signed: SignedManifest | None = None
        try:
            if isinstance(each, ContractError):
                raise each
            signed = each
            participant = signed.manifest.participant
            if participant in seen:
                raise ContractError(
                    400,
                    "TWICE_IN_BATCH",
                    f"Participant {participant[:16]} is twice in the batch.",
                    "Send one transaction each.",
                )
            seen.add(participant)
            result = _receive(context, signed)
            recorded = True
        except ContractError as fault:
            faults.append(fault)
            result = _refused(signed, fault.code, fault.sentence)
        results.append(result)
    if not recorded:
        raise faults[0]
    return reply(SubmissionResults(results=tuple(results)))


def _decoded(received: bytes) -> SignedManifest | ContractError:
    try:
        return SignedManifest.decode(received)
    except ContractError as fault:
        return fault


def _keys_read(signed: SignedManifest, msp: str) -> tuple[str, ...]:
    task, number, participant = signed.manifest.task, signed.manifest.round, signed.manifest.participant
    return (
        task_key(task),
        round_key(task, number),
        cohort_key(task, number),
        update_key(task, number, participant),
        member_key(task, participant),
        standing_key(task, participant),
        consent_key(task, msp),
    )


def _receive(context: Context, signed: SignedManifest) -> SubmissionResult:
    manifest = signed.manifest
    task, number, participant = manifest.task, manifest.round, manifest.participant
    record = context.task(task)
    round_record = context.round(task, number)
    key = update_key(task, number, participant)
    earlier = context.state.find_one(UpdateRecord, key)
    encoded = manifest.canonical()
    digest = hashlib.sha256(encoded).hexdigest()
    if earlier is not None and earlier.digest == digest:
        return SubmissionResult(participant=participant, manifest_digest=digest, status="received")
    check_task(record.state, "SubmitUpdates")
    check_round(round_record.state, "SubmitUpdates", number)
    if context.now > round_record.updates_due:
        raise ContractError(
            409,
            "TOO_LATE",
            f"Updates of round {number} were due at {round_record.updates_due}.",
            "Take part in the next round.",
        )
    check_manifest(
        signed,
        encoded=encoded,
        spec=record.spec,
        spec_hash=record.spec_hash,
        channel=context.stub.channel_id,
        round_record=round_record,
        cohort=context.state.get(CohortRecord, cohort_key(task, number), f"cohort of round {number}"),
        member=context.state.find_one(MemberRecord, member_key(task, participant)),
        standing=context.state.find_one(StandingRecord, standing_key(task, participant)),
        consent=context.state.find_one(ConsentRecord, consent_key(task, context.submitter.msp_id)),
        submitter_msp=context.submitter.msp_id,
        now=context.now,
    )
    if earlier is not None:
        context.state.put(
            equivocation_key(task, number, participant),
            EquivocationRecord(first=earlier.signed, second=signed),
        )
        context.event("EquivocationProven", task=task, round=number, participant=participant)
        return _refused(
            signed,
            "EQUIVOCATION",
            f"Participant {participant[:16]} signed another manifest for round {number}; both are kept as proof.",
        )
    context.state.put(key, UpdateRecord(signed=signed, digest=digest, submitted_at=context.now))
    context.event("UpdateReceived", task=task, round=number, participant=participant, manifest=digest)
    return SubmissionResult(participant=participant, manifest_digest=digest, status="received")


def _refused(signed: SignedManifest | None, code: str, message: str) -> SubmissionResult:
    return SubmissionResult(
        participant="" if signed is None else signed.manifest.participant,
        manifest_digest="" if signed is None else signed.manifest.sha256(),
        status="refused",
        code=code,
        message=message,
    )


def close_round(context: Context, task: str, number: int) -> bytes:
    """``CloseRound(task, round)`` by a validator, when everybody has submitted or the deadline has passed.

    Fixes the set of updates and counts each against its participant's privacy budget. A round with fewer updates than
    the task's minimum is aborted.
    """
    record = context.task(task)
    context.acting_validator(record)
    round_record = context.round(task, number)
    if context.state.find_one(FixedSetRecord, fixed_key(task, number)) is not None:
        return reply(round_record)
    check_round(round_record.state, "CloseRound", number)
    cohort = context.state.get(CohortRecord, cohort_key(task, number), f"cohort of round {number}")
    keys = [update_key(task, number, entry.participant) for entry in cohort.participants]
    arrived = [update for update in context.state.find(UpdateRecord, keys) if update is not None]
    if len(arrived) < len(keys) and context.now < round_record.updates_due:
        raise ContractError(
            409,
            "TOO_EARLY",
            f"{len(keys) - len(arrived)} of {len(keys)} updates of round {number} are missing and the deadline "
            f"{round_record.updates_due} has not passed.",
            "Close it when all have submitted or after the deadline.",
        )
    fixed = FixedSetRecord(
        updates=tuple(
            FixedUpdate(
                participant=update.signed.manifest.participant,
                manifest_digest=update.digest,
                num_examples=update.signed.manifest.num_examples,
            )
            for update in arrived
        )
    )
    context.state.put(fixed_key(task, number), fixed)
    msps = {entry.participant: entry.msp for entry in cohort.participants}
    _count_contributions(context, record, {each.participant: msps[each.participant] for each in fixed.updates})
    minimum = record.spec.aggregation.minimum_accepted
    if len(arrived) < minimum:
        closed = aborted(round_record, f"{len(arrived)} updates arrived, the task needs {minimum}")
    else:
        due = context.now + record.spec.deadlines.attestations
        closed = round_record.model_copy(update={"state": "closed", "attestations_due": due})
    change_round(context, context.head(task), closed)
    context.event("RoundClosed", task=task, round=number, state=closed.state, updates=len(arrived))
    return reply(closed)


def _count_contributions(context: Context, record: TaskRecord, participants: Mapping[str, str]) -> None:
    """Charge participants, given with their organisations, for the updates that the fixed set holds."""
    task = record.spec.task
    standings = context.state.find(StandingRecord, [standing_key(task, participant) for participant in participants])
    for (participant, msp), standing in zip(participants.items(), standings, strict=True):
        if standing is None:
            raise ContractError(500, "STATE", f"Participant {participant} has no standing.")
        count = standing.contributions + 1
        epsilon = record.spec.privacy_of(msp).epsilon_after(count)
        context.state.put(
            standing_key(task, participant),
            standing.model_copy(update={"contributions": count, "epsilon": epsilon}),
        )


def aborted(round_record: RoundRecord, reason: str) -> RoundRecord:
    return round_record.model_copy(update={"state": "aborted", "reason": reason})


def change_round(
    context: Context, head: HeadRecord, round_record: RoundRecord, version: HeadRecord | None = None
) -> None:
    """Write the round and, in the head, its number and state; ``version`` is the head with a new model."""
    state: RoundState = round_record.state
    changed = (version or head).model_copy(update={"round": round_record.round, "round_state": state})
    context.state.put(round_key(round_record.task, round_record.round), round_record)
    context.state.put(head_key(round_record.task), changed)
