"""The steps that a validator takes, each with the words in which it is told: nobody adds one and forgets the other."""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """One step; its value is its name in logs and documents."""

    words: str
    """What has been done with the round, as said after "Round 3:"."""

    def __new__(cls, value: str, words: str = "") -> Step:
        if not words:
            raise TypeError(f"the step {value} has no words")
        member = str.__new__(cls, value)
        member._value_ = value
        member.words = words
        return member

    CALL = "call", "called: who takes part is fixed now"
    OPEN = "open", "opened"
    COMMIT_REFERENCE = "commit-reference", "the own reference direction is committed to"
    CLAIM_LATE = "claim-late", "what is missing is said to be late"
    CLOSE = "close", "closed"
    REVEAL_REFERENCE = "reveal-reference", "the own reference direction is revealed"
    ATTEST = "attest", "the updates' shares are checked"
    SETTLE = "settle", "settled"
    DISCLOSE = "disclose", "the shares that others doubt are disclosed"
    VOTE_DEALING = "vote-dealing", "voted on shares that others have disclosed, or have not"
    SHARE = "share", "the sum of shares is posted"
    REPORT = "report", "the new model is reported"
    FINALISE = "finalise", "finalised"
    ABORT = "abort", "aborted"
    CONCLUDE = "conclude", "it does not come any more: the task is ended"
