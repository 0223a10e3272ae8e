"""What a newcomer begins with: a new name gains nothing over its organisation's worst, present or past."""

from __future__ import annotations

from collections.abc import Sequence

from fedledger_chaincode.messages.records import RosterRecord, StandingRecord
from fedledger_chaincode.messages.task import TaskSpec


def newcomer(
    spec: TaskSpec, msp: str, roster: RosterRecord, present: Sequence[tuple[StandingRecord, bool]]
) -> StandingRecord:
    """The standing of a participant that joins an organisation's roster.

    Reputation is the task's initial one, or less if somebody of the organisation has less or left it with less; the
    longest quarantine goes on; and of the privacy budget is spent what the one spent that spent most, for it may be the
    same data.

    Args:
        present: of those who are on the roster, and whether they may still contribute to the round under way.
    """
    worst = roster
    for standing, contributing in present:
        worst = with_departed(worst, standing, contributing=contributing)
    privacy = spec.privacy_of(msp)
    spent = min(worst.left_contributions, len(privacy.epsilon_schedule))
    return StandingRecord(
        contributions=worst.left_contributions,
        epsilon=privacy.epsilon_after(spent),
        reputation=min(spec.reputation.initial, worst.left_reputation),
        quarantined_until=worst.left_quarantine,
    )


def with_departed(roster: RosterRecord, standing: StandingRecord, *, contributing: bool = False) -> RosterRecord:
    """The roster after a participant with that standing has left; ``contributing`` to a round that is under way."""
    contributions = standing.contributions + contributing
    return roster.model_copy(
        update={
            "left_reputation": min(roster.left_reputation, standing.reputation),
            "left_quarantine": max(roster.left_quarantine, standing.quarantined_until),
            "left_contributions": max(roster.left_contributions, contributions),
        }
    )
