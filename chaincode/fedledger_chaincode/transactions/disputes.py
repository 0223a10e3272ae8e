"""Disputes about updates on which validators contradict each other: opening them, revealing shares, judging them."""

from __future__ import annotations

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import (
    AttestationRecord,
    Dispute,
    DisputesRecord,
    FixedSetRecord,
    JudgementRecord,
    MemberRecord,
    RevealRecord,
    RoundRecord,
    TaskRecord,
)
from fedledger_chaincode.messages.round import Attestation, RevealedShare, RevealJudgement
from fedledger_chaincode.rules.evidence import Evidence, evidence_at, find_disputes
from fedledger_chaincode.rules.transitions import check_round
from fedledger_chaincode.state import (
    attestation_key,
    disputes_key,
    fixed_key,
    judgement_key,
    member_key,
    reveal_key,
)
from fedledger_chaincode.transactions.context import ROLE_ATTRIBUTE, Context, is_repeated, reply
from fedledger_chaincode.transactions.rounds import change_round


def dispute_round(context: Context, task: str, number: int) -> bytes:
    """``DisputeRound(task, round)`` by a validator: names the contested updates and whose turn it is."""
    record = context.task(task)
    context.acting_validator(record)
    before = context.state.find_one(DisputesRecord, disputes_key(task, number))
    if before is not None:
        return reply(before)
    round_record = context.round(task, number)
    check_round(round_record.state, "DisputeRound", number)
    attestations = attestations_in_time(context, record, round_record)
    fixed = context.state.get(FixedSetRecord, fixed_key(task, number), f"fixed set of round {number}")
    found = find_disputes(fixed, attestations, record.spec.aggregation)
    if not found:
        raise ContractError(409, "NOT_CONTESTED", f"No update of round {number} is contested.", "Settle the round.")
    disputes = DisputesRecord(disputes=found)
    context.state.put(disputes_key(task, number), disputes)
    due = context.now + record.spec.deadlines.disputes
    change_round(
        context,
        context.head(task),
        round_record.model_copy(update={"state": "disputed", "disputes_due": due}),
    )
    context.event("RoundDisputed", task=task, round=number, disputes=len(found))
    return reply(disputes)


def reveal_share(context: Context, revealed: bytes) -> bytes:
    """``RevealShare(revealed)``: by the accused validator for its own share, or by the participant when nobody is
    accused, for the share of the validator that it says has lied."""
    message = RevealedShare.decode(revealed)
    task, number = message.task, message.round
    record = context.task(task)
    if message.validator not in record.spec.aggregation.validators:
        raise ContractError(404, "NOT_FOUND", f"{message.validator} is no validator of task {task}.")
    mine = RevealRecord(share=message, revealed_by=context.submitter.msp_id)
    key = reveal_key(task, number, message.participant, message.validator)
    if is_repeated(context, RevealRecord, key, mine, f"revealed share in round {number}"):
        return reply(mine)
    round_record = context.round(task, number)
    check_round(round_record.state, "RevealShare", number)
    if round_record.disputes_due is None or context.now > round_record.disputes_due:
        raise ContractError(409, "TOO_LATE", f"Shares were to be revealed until {round_record.disputes_due}.")
    _check_turn(context, record, _dispute(context, task, number, message.participant), message)
    context.state.put(key, mine)
    context.event(
        "ShareRevealed", task=task, round=number, participant=message.participant, validator=message.validator
    )
    return reply(mine)


def _dispute(context: Context, task: str, number: int, participant: str) -> Dispute:
    disputes = context.state.get(DisputesRecord, disputes_key(task, number), f"dispute in round {number}")
    for dispute in disputes.disputes:
        if dispute.participant == participant:
            return dispute
    raise ContractError(404, "NOT_FOUND", f"The update of {participant[:16]} is not contested in round {number}.")


def _check_turn(context: Context, record: TaskRecord, dispute: Dispute, message: RevealedShare) -> None:
    """Only a share whose owner is accused, or whose dealer says that its owner lied, may be made public."""
    if dispute.accused:
        if message.validator in dispute.accused and context.acting_validator(record) == message.validator:
            return
        raise ContractError(
            403,
            "NOT_YOUR_TURN",
            f"In this dispute {', '.join(dispute.accused)} reveal their own shares, each its own.",
            "Wait for them or for the deadline.",
        )
    member = context.state.get(
        MemberRecord, member_key(record.spec.task, dispute.participant), f"participant {dispute.participant[:16]}"
    )
    is_participant = context.submitter.attributes.get(ROLE_ATTRIBUTE) == "participant"
    if not is_participant or context.submitter.public_key_der.hex() != member.public_key:
        raise ContractError(
            403,
            "NOT_YOUR_TURN",
            "In this dispute it is for the participant itself to reveal the share of the validator that lied.",
            "Wait for it or for the deadline.",
        )


def judge_reveal(context: Context, judgement: bytes) -> bytes:
    """``JudgeReveal(judgement)``: a validator recomputes another's values from its revealed share."""
    message = RevealJudgement.decode(judgement)
    task, number = message.task, message.round
    judge = context.acting_validator(context.task(task))
    if judge == message.validator:
        raise ContractError(403, "OWN_SHARE", "Nobody judges its own share.", "Leave it to the other validators.")
    mine = JudgementRecord(judge=judge, judgement=message)
    key = judgement_key(task, number, message.participant, message.validator, judge)
    if is_repeated(context, JudgementRecord, key, mine, f"judgement in round {number}"):
        return reply(mine)
    check_round(context.round(task, number).state, "JudgeReveal", number)
    reveal = reveal_key(task, number, message.participant, message.validator)
    context.state.get(RevealRecord, reveal, f"revealed share of {message.validator} in round {number}")
    context.state.put(key, mine)
    context.event(
        "RevealJudged",
        task=task,
        round=number,
        participant=message.participant,
        validator=message.validator,
        judge=judge,
        ruling=message.ruling,
    )
    return reply(mine)


# --- what settling reads


def read_attestations(context: Context, record: TaskRecord, number: int) -> dict[str, Attestation]:
    """Attestations of a round by validator."""
    keys = [attestation_key(record.spec.task, number, msp) for msp in record.spec.aggregation.validators]
    found = context.state.find(AttestationRecord, keys)
    return {entry.validator: entry.attestation for entry in found if entry is not None}


def attestations_in_time(context: Context, record: TaskRecord, round_record: RoundRecord) -> dict[str, Attestation]:
    """All attestations, or at least n - t of them when the deadline has passed; raises 409 ``TOO_EARLY``."""
    aggregation, due = record.spec.aggregation, round_record.attestations_due
    attestations = read_attestations(context, record, round_record.round)
    late = due is not None and context.now >= due
    if len(attestations) < aggregation.n and not (late and len(attestations) >= aggregation.quorum):
        raise ContractError(
            409,
            "TOO_EARLY",
            f"{len(attestations)} of {aggregation.n} validators have attested round {round_record.round}; "
            f"{aggregation.quorum} suffice after {due}.",
            "Wait for the others or for the deadline.",
        )
    return attestations


def read_evidence(context: Context, record: TaskRecord, round_record: RoundRecord) -> Evidence:
    """Disputes of a round, what was revealed and how it was judged."""
    task, number = record.spec.task, round_record.round
    validators = record.spec.aggregation.validators
    disputes = context.state.get(DisputesRecord, disputes_key(task, number), f"disputes of round {number}").disputes
    places = [(dispute.participant, msp) for dispute in disputes for msp in validators]
    reveals = context.state.find(RevealRecord, [reveal_key(task, number, *place) for place in places])
    judgements = context.state.find(
        JudgementRecord, [judgement_key(task, number, *place, judge) for place in places for judge in validators]
    )
    return evidence_at(
        context.now,
        round_record.disputes_due or 0,
        record.spec.deadlines.disputes,
        disputes,
        [reveal for reveal in reveals if reveal is not None],
        [judgement for judgement in judgements if judgement is not None],
    )
