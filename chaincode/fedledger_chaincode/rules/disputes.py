"""Who is at fault where a validator's values of an update contradict the others'; convicts nobody unproven.

docs/protocol/secure-aggregation.md, section 11. A dispute decides about stakes alone: the verdict stands without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from fedledger_chaincode.messages.records import DisputeRecord

Vote = Literal["confirms", "denies"]
"""An accused validator's disclosed share is the committed one and yields what it told; or not, or it is not there."""


def ruling_of(votes: Mapping[str, Vote], quorum: int, tolerated_faults: int) -> Vote | None:
    """*confirms* with t + 1 votes, one of which is an honest one: the participant dealt a false share; *denies* with
    n - t: the accused lied. None before that; both can never be reached (section 11.3).

    Args:
        votes: by validator; an accused one's own disclosure is its *confirms*.
        quorum: n - t.
    """
    if sum(1 for vote in votes.values() if vote == "confirms") > tolerated_faults:
        return "confirms"
    if sum(1 for vote in votes.values() if vote == "denies") >= quorum:
        return "denies"
    return None


def liars_in(dispute: DisputeRecord) -> set[str]:
    """Validators that are convicted so far."""
    return {each.validator for each in dispute.accusations if each.ruling == "denies"}
