"""When the organisations of a task have decided to mint."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

from fedledger_chaincode.messages.records import MintVote
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.tokens import MintDecision


def with_vote(spec: TaskSpec, votes: Sequence[MintVote], msp: str, decision: MintDecision) -> tuple[MintVote, ...]:
    """The votes after one more: an organisation has one, its last."""
    decisions = {vote.msp: vote.decision for vote in votes} | {msp: decision}
    return tuple(MintVote(msp=each, decision=decisions[each]) for each in spec.organisations if each in decisions)


def outcome(
    spec: TaskSpec, votes: Sequence[MintVote], consenting: AbstractSet[str]
) -> Literal["open", "minted", "rejected"]:
    """What the votes of organisations that take part now say.

    The majority is that of all organisations that the task names, so that nobody's leaving lowers it. Rejected is what
    a majority can no longer approve.
    """
    counted = [vote.decision for vote in votes if vote.msp in consenting]
    if counted.count("approve") >= spec.majority:
        return "minted"
    if len(spec.organisations) - counted.count("reject") < spec.majority:
        return "rejected"
    return "open"
