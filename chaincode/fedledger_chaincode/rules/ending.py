"""When a task can have no further round whoever comes back, and who may end it before its agreement does.

docs/protocol/rounds.md, 3.4. What can be undone, a suspension, a withdrawal, an expired certificate, is no end.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedledger_chaincode.messages.records import ConsentRecord, MemberRecord, RosterRecord, StandingRecord
from fedledger_chaincode.messages.task import TaskSpec


def has_budget(
    spec: TaskSpec, msp: str, roster: RosterRecord, present: Sequence[tuple[MemberRecord, StandingRecord]]
) -> bool:
    """Whether an organisation could ever contribute again: privacy budget is left of a participant that has not left,
    or of a newcomer, who begins with what the organisation's worst has spent.

    Args:
        present: those on the roster.
    """
    limit = spec.privacy_of(msp).allowed_contributions()
    if limit is None:
        return True
    spent = [standing.contributions for _, standing in present]
    staying = [standing.contributions for member, standing in present if member.last_round is None]
    return min(staying, default=max(roster.left_contributions, *spent, 0)) < limit


def lacks_budgets(spec: TaskSpec, spent: int) -> bool:
    """Whether a sum of as many organisations as the task needs can never be made again; ``spent`` have no budget."""
    return spent > 0 and len(spec.organisations) - spent < spec.aggregation.minimum_accepted


def is_stopped(spec: TaskSpec, consents: Sequence[ConsentRecord]) -> bool:
    """Whether those who ask to stop a task can: a majority of all its organisations, suspended or not; or, where so
    many have withdrawn that no round can begin, of those that have not."""
    asking = {consent.msp for consent in consents if consent.stop}
    if len(asking) >= spec.majority:
        return True
    staying = {*spec.organisations} - {consent.msp for consent in consents if consent.decision != "approved"}
    return len(staying) < spec.aggregation.minimum_accepted and 2 * len(asking & staying) > len(staying)
