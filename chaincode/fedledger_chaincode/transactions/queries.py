"""Queries: records put together for a reader. They read ranges, so they are evaluated and never submitted."""

from __future__ import annotations

from typing import Literal, get_args

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import (
    AggregateShareRecord,
    AmendmentRecord,
    AttestationRecord,
    CohortRecord,
    DisclosureRecord,
    DisputeRecord,
    EquivocationRecord,
    EvaluationRecord,
    FixedSetRecord,
    HeadRecord,
    LateRecord,
    MemberRecord,
    ModelRecord,
    ReportRecord,
    RevokedRecord,
    RoundRecord,
    SettlementRecord,
    StandingRecord,
    SuspensionRecord,
    TaskRecord,
    UpdateRecord,
    ValidatorRecord,
    VotesRecord,
)
from fedledger_chaincode.messages.round import Phase
from fedledger_chaincode.messages.views import (
    AccountBalance,
    EvaluationRecords,
    MemberView,
    MemberViews,
    ModelRecords,
    RoundView,
    TaskSummaries,
    TaskSummary,
    TaskView,
    Wallet,
)
from fedledger_chaincode.rules.ending import lacks_budgets
from fedledger_chaincode.state import (
    aggregate_key,
    attestation_key,
    cohort_key,
    disclosure_key,
    dispute_key,
    equivocation_key,
    fixed_key,
    head_key,
    late_key,
    member_key,
    model_key,
    prefix,
    report_key,
    revoked_key,
    round_key,
    settlement_key,
    standing_key,
    update_key,
    validator_key,
    votes_key,
)
from fedledger_chaincode.transactions.accounts import holdings
from fedledger_chaincode.transactions.agreements import decided_amendment
from fedledger_chaincode.transactions.context import (
    Context,
    insurance_account,
    not_a_party,
    organisation_account,
    participant_account,
    pool_account,
    reply,
    stake_account,
)
from fedledger_chaincode.transactions.disputes import docket_of
from fedledger_chaincode.transactions.ending import spent_organisations
from fedledger_chaincode.transactions.lateness import BETWEEN_ROUNDS, certain_time, references_in_row
from fedledger_chaincode.transactions.rounds import are_enough, eligible


def get_task(context: Context, task: str) -> bytes:
    """``GetTask(task)``: a ``TaskView``."""
    record = context.task(task)
    organisations = record.spec.organisations
    consents = context.consents(task, organisations)
    validators = context.state.find(
        ValidatorRecord, [validator_key(task, msp) for msp in record.spec.aggregation.validators]
    )
    head = context.state.find_one(HeadRecord, head_key(task))
    outlook, late = _outlook(context, record, head)
    return reply(
        TaskView(
            record=record,
            consents=tuple(consents[msp] for msp in organisations if msp in consents),
            validators=tuple(validator for validator in validators if validator is not None),
            head=head,
            amendments=tuple(each for _, each in context.state.scan(AmendmentRecord, prefix("amendment", task))),
            suspensions=tuple(each for _, each in context.state.scan(SuspensionRecord, prefix("suspension", task))),
            accusations=docket_of(context, task).pending,
            outlook=outlook,
            late=late,
        )
    )


def _outlook(
    context: Context, record: TaskRecord, head: HeadRecord | None
) -> tuple[Literal["", "ready", "waits", "over"], tuple[LateRecord, ...]]:
    """What becomes of a task between two rounds, and what validators have said about its next one."""
    if record.state != "active" or head is None or not head.idle:
        return "", ()
    spec, task, number = record.spec, record.spec.task, head.round + 1
    validators = spec.aggregation.validators
    late = [late_key(task, number, phase, msp) for phase in BETWEEN_ROUNDS for msp in validators]
    said = tuple(found for found in context.state.find(LateRecord, late) if found is not None)
    last = context.state.find_one(RoundRecord, round_key(task, head.round))
    if decided_amendment(context, record) is not None:
        return "ready", said
    able, _ = eligible(context, spec, number, certain_time(context, last))
    registered = context.state.find(ValidatorRecord, [validator_key(task, msp) for msp in validators])
    if None not in registered and are_enough(spec, able):
        return "ready", said
    over = lacks_budgets(spec, len(spent_organisations(context, spec)))
    return ("over" if over else "waits"), said


def list_tasks(context: Context) -> bytes:
    """``ListTasks()``: a ``TaskSummaries``."""
    records = [record for _, record in context.state.scan(TaskRecord, prefix("task"))]
    heads = context.state.find(HeadRecord, [head_key(record.spec.task) for record in records])
    return reply(
        TaskSummaries(
            tasks=tuple(
                TaskSummary(
                    task=record.spec.task,
                    title=record.spec.title,
                    state=record.state,
                    spec_hash=record.spec_hash,
                    version=0 if head is None else head.version,
                    round=0 if head is None else head.round,
                )
                for record, head in zip(records, heads, strict=True)
            )
        )
    )


def get_round(context: Context, task: str, number: int) -> bytes:
    """``GetRound(task, round)``: a ``RoundView``, everything about one round."""
    record = context.task(task)
    round_record = context.round(task, number)
    cohort = context.state.get(CohortRecord, cohort_key(task, number), f"cohort of round {number}")
    validators = record.spec.aggregation.validators
    pseudonyms = [entry.participant for entry in cohort.participants]
    state = context.state
    updates = state.find(UpdateRecord, [update_key(task, number, pseudonym) for pseudonym in pseudonyms])
    proofs = state.find(EquivocationRecord, [equivocation_key(task, number, pseudonym) for pseudonym in pseudonyms])
    attestations = state.find(AttestationRecord, [attestation_key(task, number, msp) for msp in validators])
    aggregates = state.find(AggregateShareRecord, [aggregate_key(task, number, msp) for msp in validators])
    reports = state.find(ReportRecord, [report_key(task, number, msp) for msp in validators])
    owners = [*pseudonyms, *dict.fromkeys(entry.msp for entry in cohort.participants)]
    revoked = state.find(RevokedRecord, [revoked_key(task, number, owner) for owner in owners])
    late = [late_key(task, number, phase, msp) for phase in get_args(Phase) for msp in validators]
    disclosures = state.find(DisclosureRecord, [disclosure_key(task, number, msp) for msp in validators])
    votes = state.find(VotesRecord, [votes_key(task, number, msp) for msp in validators])
    settlement = state.find_one(SettlementRecord, settlement_key(task, number))
    references = references_in_row(context, record.spec, number)
    if settlement is not None:
        references.sort(key=lambda reference: reference.committed_by != settlement.reference_by)
    return reply(
        RoundView(
            record=round_record,
            cohort=cohort,
            updates=tuple(update for update in updates if update is not None),
            equivocations=tuple(proof for proof in proofs if proof is not None),
            revoked=tuple(found for found in revoked if found is not None),
            fixed=state.find_one(FixedSetRecord, fixed_key(task, number)),
            attestations=tuple(attestation for attestation in attestations if attestation is not None),
            references=tuple(references),
            late=tuple(found for found in state.find(LateRecord, late) if found is not None),
            dispute=state.find_one(DisputeRecord, dispute_key(task, number)),
            disclosures=tuple(found for found in disclosures if found is not None),
            votes=tuple(found for found in votes if found is not None),
            settlement=settlement,
            aggregates=tuple(aggregate for aggregate in aggregates if aggregate is not None),
            reports=tuple(report for report in reports if report is not None),
        )
    )


def get_members(context: Context, task: str) -> bytes:
    """``GetMembers(task)``: a ``MemberViews``, by pseudonym."""
    context.task(task)
    members = [member for _, member in context.state.scan(MemberRecord, prefix("member", task))]
    return reply(MemberViews(members=_member_views(context, task, members)))


def get_member(context: Context, task: str, participant: str) -> bytes:
    """``GetMember(task, participant)``: a ``MemberView``."""
    member = context.state.get(
        MemberRecord, member_key(task, participant), f"participant {participant[:16]} in task {task}"
    )
    return reply(_member_views(context, task, [member])[0])


def _member_views(context: Context, task: str, members: list[MemberRecord]) -> tuple[MemberView, ...]:
    standings = context.state.find(StandingRecord, [standing_key(task, member.participant) for member in members])
    accounts = [participant_account(member.participant) for member in members]
    stakes = [stake_account(task, member.participant) for member in members]
    balances = holdings(context, [*accounts, *stakes])
    views = []
    for member, standing, account, stake in zip(members, standings, accounts, stakes, strict=True):
        if standing is None:
            raise ContractError(500, "STATE", f"Participant {member.participant} has no standing.")
        views.append(MemberView(member=member, standing=standing, balance=balances[account], stake=balances[stake]))
    return tuple(views)


def get_model(context: Context, task: str, version: int) -> bytes:
    """``GetModel(task, version)``: a ``ModelRecord``."""
    return reply(context.state.get(ModelRecord, model_key(task, version), f"model version {version} of task {task}"))


def list_models(context: Context, task: str) -> bytes:
    """``ListModels(task)``: a ``ModelRecords`` in the order of versions."""
    context.task(task)
    return reply(
        ModelRecords(models=tuple(model for _, model in context.state.scan(ModelRecord, prefix("model", task))))
    )


def model_lineage(context: Context, task: str, version: int) -> bytes:
    """``ModelLineage(task, version)``: a ``ModelRecords`` from the version back to the initial model."""
    # Only of a version that exists are the earlier ones counted: the number is whatever somebody sends.
    context.state.get(ModelRecord, model_key(task, version), f"model version {version} of task {task}")
    keys = [model_key(task, number) for number in range(version, -1, -1)]
    lineage = [model for model in context.state.find(ModelRecord, keys) if model is not None]
    return reply(ModelRecords(models=tuple(lineage)))


def get_evaluations(context: Context, task: str, version: int) -> bytes:
    """``GetEvaluations(task, version)``: an ``EvaluationRecords``, by pseudonym."""
    start = prefix("evaluation", task, f"{version:07d}")
    return reply(
        EvaluationRecords(evaluations=tuple(record for _, record in context.state.scan(EvaluationRecord, start)))
    )


def get_wallet(context: Context, task: str, msp: str) -> bytes:
    """``GetWallet(task, msp)``: a ``Wallet``: an organisation's account, stakes and participants, and the task's pool
    and insurance."""
    if msp not in context.task(task).spec.organisations:
        raise not_a_party(msp, task)
    members = [member for _, member in context.state.scan(MemberRecord, prefix("member", task)) if member.msp == msp]
    accounts = [organisation_account(msp), stake_account(task, msp)]
    for member in members:
        accounts += [participant_account(member.participant), stake_account(task, member.participant)]
    accounts += [pool_account(task), insurance_account(task)]
    balances = holdings(context, accounts)
    return reply(
        Wallet(
            msp=msp,
            accounts=tuple(AccountBalance(account=account, balance=balances[account]) for account in accounts),
        )
    )
