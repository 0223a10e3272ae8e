"""The query that reputations are explained from. It reads ranges, so it is evaluated and never submitted."""

from __future__ import annotations

from fedledger_chaincode.messages.records import (
    CohortRecord,
    FixedSetRecord,
    MemberRecord,
    RoundRecord,
    SettledUpdate,
    SettlementRecord,
    StandingRecord,
)
from fedledger_chaincode.messages.views import ReputationHistory, ScoredRound
from fedledger_chaincode.state import (
    cohort_key,
    fixed_key,
    member_key,
    prefix,
    round_key,
    standing_key,
)
from fedledger_chaincode.transactions.context import Context, reply


def get_reputation(context: Context, task: str, participant: str) -> bytes:
    """``GetReputation(task, participant)``: a ``ReputationHistory``: every settled round whose cohort it was in."""
    record = context.task(task)
    what = f"participant {participant[:16]} in task {task}"
    member = context.state.get(MemberRecord, member_key(task, participant), what)
    settled = _settled(context, task, participant)
    numbers = list(settled)
    rounds = context.state.find(RoundRecord, [round_key(task, number) for number in numbers])
    cohorts = context.state.find(CohortRecord, [cohort_key(task, number) for number in numbers])
    fixed = context.state.find(FixedSetRecord, [fixed_key(task, number) for number in numbers])
    scored = [
        _scored(participant, settled[round_record.round], round_record, cohort, updates)
        for round_record, cohort, updates in zip(rounds, cohorts, fixed, strict=True)
        if round_record is not None and cohort is not None and updates is not None
    ]
    return reply(
        ReputationHistory(
            member=member,
            standing=context.state.get(StandingRecord, standing_key(task, participant), what),
            rules=record.spec.reputation,
            rounds=tuple(scored),
        )
    )


def _scored(
    participant: str, update: SettledUpdate, record: RoundRecord, cohort: CohortRecord, fixed: FixedSetRecord
) -> ScoredRound:
    entry = next(each for each in cohort.participants if each.participant == participant)
    return ScoredRound(
        round=record.round,
        state=record.state,
        reason=record.reason,
        quarantined=entry.quarantined,
        reputation=entry.reputation,
        num_examples=sum(each.num_examples for each in fixed.updates if each.participant == participant),
        update=update,
    )


def _settled(context: Context, task: str, participant: str) -> dict[int, SettledUpdate]:
    """What was decided about a participant, by round."""
    return {
        int(key.rsplit("/", 1)[1]): update
        for key, settlement in context.state.scan(SettlementRecord, prefix("settlement", task))
        for update in settlement.updates
        if update.participant == participant
    }
