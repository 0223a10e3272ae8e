"""The steps that validators take, each with the words in which it is told; there is no step without words."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Step(StrEnum):
    """What a validator can do next; the value is its name in documents."""

    words: str
    """What has happened when it was taken, as the rest of a sentence about a round."""

    def __new__(cls, name: str, words: str) -> Self:
        step = str.__new__(cls, name)
        step._value_ = name
        step.words = words
        return step

    CALL = "call", "called: who takes part is fixed now"
    OPEN = "open", "opened"
    COMMIT_REFERENCE = "commit-reference", "the own reference direction is committed to"
    CLOSE = "close", "closed"
    REVEAL_REFERENCE = "reveal-reference", "the own reference direction is shown"
    ATTEST = "attest", "the updates' shares are checked"
    SETTLE = "settle", "settled"
    SHARE = "share", "the sum of shares is posted"
    REPORT = "report", "the new model is reported"
    FINALISE = "finalise", "finalised"
    ABORT = "abort", "aborted"
    CLAIM_LATE = "claim-late", "said to others that it is late"
    DISCLOSE = "disclose", "shares that others doubt are shown"
    JUDGE = "judge", "shares that others have shown, or have not, are judged"
    CONCLUDE = "conclude", "the task is ended"
