"""Joining and leaving a task; a governor's word about its own participants, the others' about an organisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import (
    CohortRecord,
    HeadRecord,
    MemberRecord,
    RevokedRecord,
    RosterRecord,
    StandingRecord,
    SuspensionRecord,
    SuspensionVote,
    TaskRecord,
    ValidatorRecord,
)
from fedledger_chaincode.messages.round import JoinRequest, SignedAdmission
from fedledger_chaincode.messages.views import Members
from fedledger_chaincode.rules.standing import newcomer, with_departed
from fedledger_chaincode.rules.transitions import check_protocol, check_task
from fedledger_chaincode.signatures import is_signed, is_supported
from fedledger_chaincode.state import (
    cohort_key,
    consent_key,
    member_key,
    revoked_key,
    roster_key,
    standing_key,
    suspension_key,
    validator_key,
)
from fedledger_chaincode.submitter import pseudonym_of
from fedledger_chaincode.transactions.accounts import expect_earnings, pay
from fedledger_chaincode.transactions.context import (
    Context,
    check_membership_is_open,
    check_reason,
    organisation_account,
    participant_account,
    reply,
    stake_account,
)
from fedledger_chaincode.transactions.disputes import docket_of
from fedledger_chaincode.transactions.treasury import return_stakes

MAXIMUM_ADMISSIONS = 1_000
MAXIMUM_ROSTER = 2_000
"""Participants of one organisation in one task: every round reads them all."""


def join_task(context: Context, request: bytes) -> bytes:
    """``JoinTask(request)``: a participant joins under the pseudonym of its key; its organisation pays the stake. Who
    has joined may join again with a certificate that is valid for longer."""
    context.require_role("participant")
    task = JoinRequest.decode(request).task
    record = _joinable(context, task, "JoinTask")
    submitter = context.submitter
    existing = context.state.find_one(MemberRecord, member_key(task, submitter.pseudonym))
    if existing is None:
        member = _member(context, record, submitter.pseudonym, submitter.public_key_der.hex(), submitter.valid_until)
        _enter(context, record, [member])
        context.event("ParticipantJoined", task=task, participant=member.participant, msp=member.msp)
        return reply(member)
    if existing.last_round is not None:
        raise ContractError(
            409, "HAS_LEFT", f"Participant {existing.participant[:16]} has left task {task}.", "Join with a new key."
        )
    if existing.valid_until is not None and submitter.valid_until > existing.valid_until:
        existing = existing.model_copy(update={"valid_until": submitter.valid_until})
        context.state.put(member_key(task, existing.participant), existing)
        context.event("CertificateRenewed", task=task, participant=existing.participant, msp=existing.msp)
    return reply(existing)


def admit_participants(context: Context, *received: bytes) -> bytes:
    """``AdmitParticipants(signed admission, ...)``: a governor lets participants of its organisation join one task,
    many in one transaction. Each has signed for itself, the organisation vouches for it. The result is a ``Members``.
    """
    context.require_role("governor")
    if not received or len(received) > MAXIMUM_ADMISSIONS:
        raise ContractError(
            400, "BAD_ARGUMENTS", f"{len(received)} admissions were given.", f"Give 1 to {MAXIMUM_ADMISSIONS}."
        )
    signed = [SignedAdmission.decode(item) for item in received]
    task = signed[0].admission.task
    record = _joinable(context, task, "AdmitParticipants")
    members = [_admitted(context, record, each) for each in signed]
    names = [member.participant for member in members]
    if len(set(names)) < len(names):
        raise ContractError(400, "TWICE_IN_BATCH", "A key is given twice.", "Give each participant once.")
    found = context.state.find(MemberRecord, [member_key(task, name) for name in names])
    left = [member for member in found if member is not None and member.last_round is not None]
    if left:
        raise ContractError(
            409, "HAS_LEFT", f"Participant {left[0].participant[:16]} has left task {task}.", "Join with a new key."
        )
    fresh = [member for member, existing in zip(members, found, strict=True) if existing is None]
    if fresh:
        _enter(context, record, fresh)
        context.event(
            "ParticipantsAdmitted",
            task=task,
            msp=context.submitter.msp_id,
            participants=[member.participant for member in fresh],
        )
    return reply(Members(members=tuple(existing or member for existing, member in zip(found, members, strict=True))))


def _admitted(context: Context, record: TaskRecord, signed: SignedAdmission) -> MemberRecord:
    asked = signed.admission
    here = (context.stub.channel_id, record.spec.task, context.submitter.msp_id)
    if (asked.channel, asked.task, asked.msp) != here:
        raise ContractError(
            409,
            "WRONG_CONTEXT",
            f"An admission is for {asked.msp} in task {asked.task} on channel {asked.channel}.",
            "An admission counts for the one organisation and task that it was made for.",
        )
    key = bytes.fromhex(asked.public_key)
    if not (is_supported(key) and is_signed(key, signed.signature_bytes(), asked.canonical())):
        raise ContractError(
            403,
            "BAD_SIGNATURE",
            "An admission is not signed by the key that it names.",
            "Sign its canonical bytes with a P-256, P-384 or Ed25519 key.",
        )
    return _member(context, record, pseudonym_of(key), asked.public_key, None)


def _joinable(context: Context, task: str, transaction: str) -> TaskRecord:
    record = context.task(task)
    check_task(record.state, transaction)
    check_protocol(record.spec)
    head = context.head(task)
    check_membership_is_open(head)
    if not head.idle and head.version + 1 == record.spec.training.rounds:
        raise ContractError(
            409,
            "LAST_ROUND",
            f"Round {head.round} of task {task} is under way, and with its model the task is completed.",
            "Join if that round is aborted.",
        )
    msp = context.submitter.msp_id
    consent = context.consent(task, msp)
    if consent.decision == "withdrawn":
        raise ContractError(403, "NO_CONSENT", f"Organisation {msp} has withdrawn from task {task}.")
    if not consent.covers(record.spec_hash):
        why = "is suspended in" if consent.suspended else "has not approved the amended"
        raise ContractError(403, "NO_CONSENT", f"Organisation {msp} {why} task {task}.", "See: fedledger task show.")
    return record


def _member(
    context: Context, record: TaskRecord, pseudonym: str, public_key: str, valid_until: int | None
) -> MemberRecord:
    return MemberRecord(
        participant=pseudonym,
        msp=context.submitter.msp_id,
        public_key=public_key,
        stake=record.spec.incentive.participant_stake,
        first_round=context.head(record.spec.task).round + 1,
        valid_until=valid_until,
    )


def _enter(context: Context, record: TaskRecord, members: Sequence[MemberRecord]) -> None:
    """Write new members of the submitter's organisation and lock their stakes."""
    task, msp = record.spec.task, context.submitter.msp_id
    roster = context.state.find_one(RosterRecord, roster_key(task, msp)) or RosterRecord(participants=())
    if len(roster.participants) + len(members) > MAXIMUM_ROSTER:
        raise ContractError(
            409,
            "ROSTER_FULL",
            f"{msp} has {len(roster.participants)} participants in task {task}; with {len(members)} more it would have "
            f"over {MAXIMUM_ROSTER}.",
            "Let one participant stand for several devices.",
        )
    names = tuple(member.participant for member in members)
    context.state.put(roster_key(task, msp), roster.model_copy(update={"participants": (*roster.participants, *names)}))
    present = context.state.find(StandingRecord, [standing_key(task, name) for name in roster.participants])
    contributing = _contributing(context, task)
    known = [(each, name in contributing) for name, each in zip(roster.participants, present, strict=True) if each]
    standing = newcomer(record.spec, msp, roster, known)
    for member in members:
        context.state.put(member_key(task, member.participant), member)
        context.state.put(standing_key(task, member.participant), standing)
    earners = [participant_account(member.participant) for member in members if member.valid_until is not None]
    expect_earnings(context, task, earners)
    if stakes := [(stake_account(task, member.participant), member.stake) for member in members if member.stake]:
        pay(context, organisation_account(msp), stakes)


def _contributing(context: Context, task: str) -> frozenset[str]:
    """Who may still be charged for an update of the round under way."""
    head = context.head(task)
    if head.round_state != "open":
        return frozenset()
    cohort = context.state.get(CohortRecord, cohort_key(task, head.round), f"cohort of round {head.round}")
    return frozenset(entry.participant for entry in cohort.participants)


def leave_task(context: Context, task: str) -> bytes:
    """``LeaveTask(task)``: the participant takes no part from the next round on; its stake goes back at once
    unless a round is under way: then when it says so again after that round, or when the task ends."""
    context.require_role("participant")
    pseudonym = context.submitter.pseudonym
    member = context.member(task, pseudonym)
    state = context.task(task).state
    if member.last_round is not None and (not member.stake or state != "active"):
        return reply(member)
    check_task(state, "LeaveTask")
    head = context.head(task)
    check_membership_is_open(head)
    free = head.idle and not docket_of(context, task).holds(pseudonym)
    if member.last_round is not None and not free:
        return reply(member)
    left = member if member.last_round is not None else member.model_copy(update={"last_round": head.round})
    if free:
        (left,) = _release(context, task, member.msp, [left])
    else:
        context.state.put(member_key(task, pseudonym), left)
    context.event("ParticipantLeft", task=task, participant=pseudonym, msp=member.msp)
    return reply(left)


def _release(context: Context, task: str, msp: str, members: Sequence[MemberRecord]) -> list[MemberRecord]:
    """Return the stakes of members of one organisation that leave between two rounds, and take them off its roster.

    Who stays on it has a stake to return when the task ends, which reads the rosters.
    """
    key = roster_key(task, msp)
    roster = context.state.get(RosterRecord, key, f"roster of {msp}")
    names = [member.participant for member in members]
    for name, standing in zip(
        names, context.state.find(StandingRecord, [standing_key(task, name) for name in names]), strict=True
    ):
        if standing is None:
            raise ContractError(500, "STATE", f"Participant {name} has no standing.")
        roster = with_departed(roster, standing)
    remaining = tuple(other for other in roster.participants if other not in set(names))
    context.state.put(key, roster.model_copy(update={"participants": remaining}))
    return_stakes(context, task, [(msp, name) for name in names])
    released = [member.model_copy(update={"stake": 0}) for member in members]
    for member in released:
        context.state.put(member_key(task, member.participant), member)
    return released


def reclaim_stakes(context: Context, task: str) -> bytes:
    """``ReclaimStakes(task)`` by the governor of an organisation that has withdrawn or is suspended, between two
    rounds: its participants leave, and all its stakes come back but those that an accusation holds. Its validator goes
    on without one, and is not paid until the organisation takes part and registers it again. The result is a
    ``Members``."""
    context.require_role("governor")
    record = context.task(task)
    msp = context.party(record)
    check_task(record.state, "ReclaimStakes")
    head = context.head(task)
    check_membership_is_open(head)
    if context.consent(task, msp).takes_part:
        raise ContractError(
            409,
            "TAKES_PART",
            f"Organisation {msp} takes part in task {task}, for which its stakes answer.",
            "Withdraw first: fedledger task withdraw.",
        )
    if not head.idle:
        raise ContractError(
            409, "ROUND_STATE", f"Round {head.round} is {head.round_state}.", "Repeat it when that round is over."
        )
    docket = docket_of(context, task)
    roster = context.state.find_one(RosterRecord, roster_key(task, msp)) or RosterRecord(participants=())
    free = [name for name in roster.participants if not docket.holds(name)]
    found = context.state.find(MemberRecord, [member_key(task, name) for name in free])
    leaving = [
        member if member.last_round is not None else member.model_copy(update={"last_round": head.round})
        for member in found
        if member is not None
    ]
    released = _release(context, task, msp, leaving) if leaving else []
    validator = context.state.find_one(ValidatorRecord, validator_key(task, msp))
    if validator is not None and validator.stake and not docket.holds(msp):
        return_stakes(context, task, [(msp, msp)])
        context.state.put(validator_key(task, msp), validator.model_copy(update={"stake": 0}))
    if context.moved or released:
        context.event("StakesReclaimed", task=task, msp=msp, participants=[each.participant for each in released])
    return reply(Members(members=tuple(released)))


def suspend_participant(context: Context, task: str, participant: str, reason: str) -> bytes:
    """``SuspendParticipant(task, participant, reason)``: a governor takes its own participant out, at once."""
    return _set_suspended(context, "SuspendParticipant", task, participant, reason, suspended=True)


def reinstate_participant(context: Context, task: str, participant: str, reason: str) -> bytes:
    """``ReinstateParticipant(task, participant, reason)``: a governor lets its own participant go on."""
    return _set_suspended(context, "ReinstateParticipant", task, participant, reason, suspended=False)


def _set_suspended(
    context: Context, transaction: str, task: str, participant: str, reason: str, *, suspended: bool
) -> bytes:
    context.require_role("governor")
    check_reason(reason)
    member = context.member(task, participant)
    check_task(context.task(task).state, transaction)
    check_membership_is_open(context.head(task))
    if member.msp != context.submitter.msp_id:
        raise ContractError(
            403,
            "WRONG_ORGANISATION",
            f"Participant {participant[:16]} belongs to {member.msp}.",
            "A governor decides about participants of its own organisation; about another one vote with: "
            "fedledger task suspend.",
        )
    if bool(member.suspended) == suspended:
        return reply(member)
    if suspended:
        _revoke(context, context.head(task), participant, reason)
    member = member.model_copy(update={"suspended": reason if suspended else ""})
    context.state.put(member_key(task, participant), member)
    name = "ParticipantSuspended" if suspended else "ParticipantReinstated"
    context.event(name, task=task, participant=participant, msp=member.msp, reason=reason)
    return reply(member)


def _revoke(context: Context, head: HeadRecord, owner: str, reason: str) -> None:
    """In an open round updates of whom is suspended count no more, even if they have arrived. Once for a round: what a
    governor may say again and again would stand in the way of the round's closing."""
    if head.round_state == "open":
        key = revoked_key(head.task, head.round, owner)
        if context.state.find_one(RevokedRecord, key) is None:
            context.state.put(key, RevokedRecord(owner=owner, reason=reason))


def vote_suspension(context: Context, task: str, msp: str, decision: str, reason: str) -> bytes:
    """``VoteSuspension(task, msp, decision, reason)``: a governor says ``suspend`` or ``reinstate`` about another
    organisation; while a majority of all organisations of the task says so, its part in the task is suspended."""
    context.require_role("governor")
    check_reason(reason)
    record = context.task(task)
    check_task(record.state, "VoteSuspension")
    check_membership_is_open(context.head(task))
    voter = context.voice(record)
    others = [each for each in record.spec.organisations if each != msp]
    if decision not in ("suspend", "reinstate"):
        raise ContractError(400, "BAD_ARGUMENTS", f"{decision[:50]!r} is no decision.", "Say suspend or reinstate.")
    chosen: Literal["suspend", "reinstate"] = "suspend" if decision == "suspend" else "reinstate"
    if msp not in record.spec.organisations or voter == msp:
        raise ContractError(
            400,
            "BAD_ARGUMENTS",
            f"{voter} cannot vote about {msp} in task {task}.",
            "Name another organisation of the task; to leave it yourself: fedledger task withdraw.",
        )
    key = suspension_key(task, msp)
    earlier = context.state.find_one(SuspensionRecord, key) or SuspensionRecord(msp=msp, suspended=False, votes=())
    votes = {vote.msp: vote for vote in earlier.votes}
    votes[voter] = SuspensionVote(msp=voter, decision=chosen, reason=reason)
    suspended = sum(1 for vote in votes.values() if vote.decision == "suspend") >= record.spec.majority
    after = SuspensionRecord(msp=msp, suspended=suspended, votes=tuple(votes[each] for each in others if each in votes))
    if after == earlier:
        return reply(earlier)
    context.state.put(key, after)
    if after.suspended != earlier.suspended:
        consent = context.consent(task, msp)
        context.state.put(consent_key(task, msp), consent.model_copy(update={"suspended": suspended}))
        if suspended:
            _revoke(context, context.head(task), msp, reason)
    context.event("SuspensionVoted", task=task, msp=msp, voter=voter, decision=chosen, suspended=suspended)
    return reply(after)
