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

    CALL = "call", "called"
    OPEN = "open", "opened"
    COMMIT_REFERENCE = "commit-reference", "the reference direction is committed to"
    CLAIM_LATE = "claim-late", "what is missing is claimed to be late"
    CLOSE = "close", "closed"
    REVEAL_REFERENCE = "reveal-reference", "the reference direction is revealed"
    ATTEST = "attest", "the updates' shares are checked"
    SETTLE = "settle", "settled"
    DISCLOSE = "disclose", "the shares of contested updates are disclosed"
    VOTE_DEALING = "vote-dealing", "voted on the shares that were disclosed"
    SHARE = "share", "the sum of shares is posted"
    REPORT = "report", "the new model is reported"
    FINALISE = "finalise", "finalised"
    ABORT = "abort", "aborted"

    # Of protocol 1.
    DISPUTE = "dispute", "the dispute is opened"
    REVEAL = "reveal", "the share of a contested update is shown"
    JUDGE = "judge", "the shares that were shown are judged"
