"""Opening a round, receiving its updates and fixing the set that is decided about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    RevokedRecord,
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
from fedledger_chaincode.rules.reputation import is_quarantined
from fedledger_chaincode.rules.submission import check_manifest
from fedledger_chaincode.rules.transitions import check_protocol, check_round, check_task
from fedledger_chaincode.state import (
    cohort_key,
    consent_key,
    equivocation_key,
    fixed_key,
    head_key,
    member_key,
    revoked_key,
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
from fedledger_chaincode.transactions.lateness import certain_time, claims, is_late, references_in_row

_MOST_NAMED = 10
"""MSP ids in a reason, whose length is limited."""


def call_round(context: Context, task: str, number: int) -> bytes:
    """``CallRound(task, round)`` by a validator: membership does not change until ``OpenRound`` has read it, so that
    nobody's joining and leaving can keep a round from opening. After a round that never opened it needs t + 1
    validators that have seen enough participants."""
    record = context.task(task)
    check_task(record.state, "CallRound")
    context.acting_validator(record)
    head = context.head(task)
    if number in (head.called, head.round):
        return reply(head)
    _check_next(head, number)
    last = context.state.find_one(RoundRecord, round_key(task, head.round))
    if last is not None and last.void and not is_late(context, record.spec, number, "idle"):
        raise ContractError(
            409,
            "TOO_EARLY",
            f"Round {head.round} lacked participants ({last.reason}), and fewer than t + 1 validators see enough now.",
            "Wait until more have joined.",
        )
    called = head.model_copy(update={"called": number})
    context.state.put(head_key(task), called)
    context.event("RoundCalled", task=task, round=number)
    return reply(called)


def _check_next(head: HeadRecord, number: int) -> None:
    if number != head.round + 1:
        raise ContractError(
            409,
            "ROUND_NUMBER",
            f"The next round of task {head.task} is {head.round + 1}, not {number}.",
            "Open that one.",
        )
    if not head.idle:
        raise ContractError(
            409,
            "ROUND_STATE",
            f"Round {head.round} is {head.round_state}.",
            "It has to end before the next one opens.",
        )


def open_round(context: Context, task: str, number: int) -> bytes:
    """``OpenRound(task, round)`` by a validator, of a round that was called: fixes the base model and who takes part.
    If too few can, the round is over before it opens, and membership is free again."""
    record = context.task(task)
    check_task(record.state, "OpenRound")
    msp = context.acting_validator(record)
    head = context.head(task)
    if number == head.round:
        return reply(context.round(task, number))
    _check_next(head, number)
    if head.called != number:
        raise ContractError(409, "NOT_CALLED", f"Round {number} of task {task} was not called.", "Call it first.")
    record = with_amendment(context, record)
    last = context.state.find_one(RoundRecord, round_key(task, head.round))
    clock = certain_time(context, last)
    cohort, obstacle = _cohort(context, record.spec, number, clock)
    opened = RoundRecord(
        task=task,
        round=number,
        state="aborted" if obstacle else "open",
        base_version=head.version,
        base_model=head.model_digest,
        opened_by=msp,
        opened_at=max(context.now, clock),
        clock=clock,
        void=bool(obstacle),
        reason=obstacle,
    )
    context.state.put(cohort_key(task, number), cohort)
    take_in_gifts(context, task, number - 2)
    change_round(context, head, opened)
    if obstacle:
        context.event("RoundAborted", task=task, round=number, reason=obstacle)
    else:
        context.event("RoundOpened", task=task, round=number, base_model=opened.base_model, base_version=head.version)
    return reply(opened)


def _cohort(context: Context, spec: TaskSpec, number: int, clock: int) -> tuple[CohortRecord, str]:
    """Who takes part, and why the round cannot open with them, if it cannot."""
    task = spec.task
    members = spec.aggregation.validators
    validators = [
        record
        for record in context.state.find(ValidatorRecord, [validator_key(task, msp) for msp in members])
        if record is not None
    ]
    participants, exhausted = eligible(context, spec, number, clock)
    cohort = CohortRecord(participants=participants, validators=tuple(validators))
    ends_at = spec.agreement.ends_at
    missing = sorted(set(members) - {validator.msp for validator in validators})
    if ends_at is not None and max(context.now, clock) >= ends_at:
        return cohort, f"the agreement ended at {ends_at}"
    if missing:
        named = ", ".join(missing[:_MOST_NAMED])
        others = f" and {len(missing) - _MOST_NAMED} others" if len(missing) > _MOST_NAMED else ""
        return cohort, f"the validators of {named}{others} have not registered"
    if not are_enough(spec, participants):
        return cohort, (
            f"{len(participants)} participants of {len(_owners(participants))} organisations may contribute; a round "
            f"needs {spec.aggregation.minimum_accepted} of as many; the privacy budget of {exhausted} is spent"
        )
    return cohort, ""


def are_enough(spec: TaskSpec, participants: Sequence[CohortEntry]) -> bool:
    """Whether a round may begin with them: the sum of fewer would tell too much about each."""
    return min(len(participants), len(_owners(participants))) >= spec.aggregation.minimum_accepted


def _owners(participants: Sequence[CohortEntry]) -> set[str]:
    return {entry.msp for entry in participants}


def eligible(context: Context, spec: TaskSpec, number: int, now: int) -> tuple[tuple[CohortEntry, ...], int]:
    """Who may contribute to a round, by organisation, then in the order of joining; and how many more could if their
    privacy budget were not spent.

    They have joined and not left, are not suspended, and their organisation has consented to this specification.

    Args:
        now: time that has passed for certain, in seconds since the epoch: certificates that ended before it are out.
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
        if member is None or standing is None or not member.takes_part(number, now):
            continue
        limit = allowed[member.msp]
        if limit is not None and standing.contributions >= limit:
            exhausted += 1
            continue
        entries.append(
            CohortEntry(
                participant=member.participant,
                msp=member.msp,
                quarantined=is_quarantined(standing, number, spec.reputation),
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
    recorded = _Recorded()
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
            place = (signed.manifest.task, signed.manifest.round)
            if not recorded.is_of(*place):
                raise ContractError(
                    400,
                    "SEVERAL_ROUNDS",
                    f"The batch holds updates of other rounds than round {signed.manifest.round} of task "
                    f"{signed.manifest.task}.",
                    "Send one transaction for each round: its event names one alone.",
                )
            result = _receive(context, signed, recorded)
        except ContractError as fault:
            faults.append(fault)
            result = _refused(signed, fault.code, fault.sentence)
        results.append(result)
    if len(faults) == len(results):
        raise faults[0]
    _announce(context, recorded)
    return reply(SubmissionResults(results=tuple(results)))


@dataclass
class _Recorded:
    """What a transaction writes, for its one event: (task, round, participant, manifest's digest)."""

    updates: list[tuple[str, int, str, str]] = field(default_factory=list)
    equivocations: list[tuple[str, int, str, str]] = field(default_factory=list)

    def is_of(self, task: str, number: int) -> bool:
        """Whether it is all of this round."""
        return all(entry[:2] == (task, number) for entry in (*self.updates, *self.equivocations))


def _announce(context: Context, recorded: _Recorded) -> None:
    """Every equivocation is told, whatever else the transaction holds."""
    for name, entries in (("EquivocationProven", recorded.equivocations), ("UpdateReceived", recorded.updates)):
        if entries:
            task, number, _, _ = entries[0]
            context.event(
                name,
                task=task,
                round=number,
                participants=[participant for *_, participant, _ in entries],
                manifests=[digest for *_, digest in entries],
                received=len(recorded.updates),
            )
            return


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
        revoked_key(task, number, participant),
        revoked_key(task, number, msp),
    )


def _receive(context: Context, signed: SignedManifest, recorded: _Recorded) -> SubmissionResult:
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
    check_protocol(record.spec)
    check_round(round_record.state, "SubmitUpdates", number)
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
        now=max(context.now, round_record.clock),
    )
    _check_not_revoked(context, task, number, (participant, context.submitter.msp_id))
    if earlier is not None:
        proof = equivocation_key(task, number, participant)
        if context.state.find_one(EquivocationRecord, proof) is None:
            context.state.put(proof, EquivocationRecord(first=earlier.signed, second=signed))
            recorded.equivocations.append((task, number, participant, digest))
        return _refused(
            signed,
            "EQUIVOCATION",
            f"Participant {participant[:16]} signed another manifest for round {number}; both are kept as proof.",
        )
    context.state.put(key, UpdateRecord(signed=signed, digest=digest, submitted_at=context.now))
    recorded.updates.append((task, number, participant, digest))
    return SubmissionResult(participant=participant, manifest_digest=digest, status="received")


def _check_not_revoked(context: Context, task: str, number: int, owners: Sequence[str]) -> None:
    keys = [revoked_key(task, number, owner) for owner in owners]
    revoked = next((found for found in context.state.find(RevokedRecord, keys) if found is not None), None)
    if revoked is not None:
        raise ContractError(
            403,
            "SUSPENDED",
            f"{revoked.owner[:16]} was suspended while round {number} was open: {revoked.reason}",
            "Take part in the next round, if that has been lifted.",
        )


def _refused(signed: SignedManifest | None, code: str, message: str) -> SubmissionResult:
    return SubmissionResult(
        participant="" if signed is None else signed.manifest.participant,
        manifest_digest="" if signed is None else signed.manifest.sha256(),
        status="refused",
        code=code,
        message=message,
    )


def close_round(context: Context, task: str, number: int) -> bytes:
    """``CloseRound(task, round)`` by a validator, when everybody has submitted or t + 1 validators say that it is late.

    Fixes the set of updates and counts each against its participant's privacy budget. A round with fewer updates than
    the task's minimum is aborted, which takes n - t validators.
    """
    record = context.task(task)
    context.acting_validator(record)
    round_record = context.round(task, number)
    if context.state.find_one(FixedSetRecord, fixed_key(task, number)) is not None:
        return reply(round_record)
    check_task(record.state, "CloseRound")
    check_round(round_record.state, "CloseRound", number)
    spec = record.spec
    cohort = context.state.get(CohortRecord, cohort_key(task, number), f"cohort of round {number}")
    keys = [update_key(task, number, entry.participant) for entry in cohort.participants]
    found = context.state.find(UpdateRecord, keys)
    suspended = _revoked(context, spec, cohort, number)
    here = [(entry, update) for entry, update in zip(cohort.participants, found, strict=True) if entry not in suspended]
    arrived = [(entry, update) for entry, update in here if update is not None]
    enough = are_enough(spec, [entry for entry, _ in arrived])
    _check_may_close(context, spec, number, missing=len(here) - len(arrived), enough=enough)
    fixed = FixedSetRecord(
        updates=tuple(
            FixedUpdate(
                participant=entry.participant,
                manifest_digest=update.digest,
                num_examples=update.signed.manifest.num_examples,
            )
            for entry, update in arrived
        )
    )
    context.state.put(fixed_key(task, number), fixed)
    _count_contributions(context, record, {entry.participant: entry.msp for entry, _ in arrived})
    if enough:
        closed = round_record.model_copy(update={"state": "closed"})
    else:
        minimum, owners = spec.aggregation.minimum_accepted, len(_owners([entry for entry, _ in arrived]))
        reason = f"{len(arrived)} updates of {owners} organisations arrived, the task needs {minimum} of as many"
        closed = aborted(round_record, reason)
    change_round(context, context.head(task), closed)
    context.event("RoundClosed", task=task, round=number, state=closed.state, updates=len(arrived))
    return reply(closed)


def _revoked(context: Context, spec: TaskSpec, cohort: CohortRecord, number: int) -> tuple[CohortEntry, ...]:
    """Who of the cohort was suspended, alone or with its organisation, while the round was open."""
    owners = {owner for entry in cohort.participants for owner in (entry.participant, entry.msp)}
    keys = [revoked_key(spec.task, number, owner) for owner in sorted(owners)]
    named = {found.owner for found in context.state.find(RevokedRecord, keys) if found is not None}
    return tuple(entry for entry in cohort.participants if {entry.participant, entry.msp} & named)


def _check_may_close(context: Context, spec: TaskSpec, number: int, *, missing: int, enough: bool) -> None:
    """Raise 409 ``TOO_EARLY`` while something may still come: updates, or directions to compare them with."""
    faults, quorum = spec.aggregation.tolerated_faults, spec.aggregation.quorum
    waits = missing > 0
    if not waits and spec.robustness.trust_weighting == "reference-data":
        waits = len(references_in_row(context, spec, number)) <= faults
    if not waits:
        return
    said, needed = claims(context, spec, number, "updates"), faults + 1 if enough else quorum
    if said < needed:
        what = f"{missing} updates" if missing else "reference directions"
        raise ContractError(
            409,
            "TOO_EARLY",
            f"{what} of round {number} are missing; {said} validators say that it is late, {needed} are needed.",
            "Close it when all have submitted or enough validators have claimed that it is late.",
        )


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
    changed = (version or head).model_copy(update={"round": round_record.round, "round_state": state, "called": 0})
    context.state.put(round_key(round_record.task, round_record.round), round_record)
    context.state.put(head_key(round_record.task), changed)
