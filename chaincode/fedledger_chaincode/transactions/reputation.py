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
    return reply(
        ReputationHistory(
            member=member,
            standing=context.state.get(StandingRecord, standing_key(task, participant), what),
            rules=record.spec.reputation,
            rounds=tuple(
                ScoredRound(
                    round=number,
                    state="settled" if round_record is None else round_record.state,
                    reason="" if round_record is None else round_record.reason,
                    quarantined=cohort is not None
                    and any(entry.quarantined for entry in cohort.participants if entry.participant == participant),
                    num_examples=0
                    if updates is None
                    else sum(entry.num_examples for entry in updates.updates if entry.participant == participant),
                    update=settled[number],
                )
                for number, round_record, cohort, updates in zip(numbers, rounds, cohorts, fixed, strict=True)
            ),
        )
    )


def _settled(context: Context, task: str, participant: str) -> dict[int, SettledUpdate]:
    """What was decided about a participant, by round."""
    return {
        int(key.rsplit("/", 1)[1]): update
        for key, settlement in context.state.scan(SettlementRecord, prefix("settlement", task))
        for update in settlement.updates
        if update.participant == participant
    }
