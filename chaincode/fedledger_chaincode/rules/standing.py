"""What a newcomer begins with: a new name gains nothing over the one that was left behind."""

from __future__ import annotations

from fedledger_chaincode.messages.records import RosterRecord, StandingRecord
from fedledger_chaincode.messages.task import TaskSpec


def newcomer(spec: TaskSpec, msp: str, roster: RosterRecord) -> StandingRecord:
    """The standing of a participant that joins an organisation's roster.

    Reputation is the task's initial one, or less if somebody left the organisation with less; a quarantine goes on; and
    of the privacy budget is spent what the one spent of those who left that spent most, for it may be the same data.
    """
    privacy = spec.privacy_of(msp)
    spent = min(roster.left_contributions, len(privacy.epsilon_schedule))
    return StandingRecord(
        contributions=roster.left_contributions,
        epsilon=privacy.epsilon_after(spent),
        reputation=min(spec.reputation.initial, roster.left_reputation),
        quarantined_until=roster.left_quarantine,
    )


def with_departed(roster: RosterRecord, standing: StandingRecord, *, between_rounds: bool) -> RosterRecord:
    """The roster after a participant with that standing has left; in a round, to which it may still contribute."""
    contributions = standing.contributions + (0 if between_rounds else 1)
    return roster.model_copy(
        update={
            "left_reputation": min(roster.left_reputation, standing.reputation),
            "left_quarantine": max(roster.left_quarantine, standing.quarantined_until),
            "left_contributions": max(roster.left_contributions, contributions),
        }
    )
