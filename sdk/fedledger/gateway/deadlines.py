"""How long each call may take; a call without a deadline is not offered, except for streams that never end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deadlines:
    """Seconds that each kind of call may take.

    ``events`` bounds the whole life of a stream of events or blocks; None lets it run until it is closed, and
    then only keepalive (see ``open_channel``) notices a peer that is gone. Evaluation and endorsement include
    the contract's own run, which Fabric bounds to 30 s.
    """

    evaluate: float = 30.0
    endorse: float = 30.0
    submit: float = 15.0
    commit_status: float = 60.0
    events: float | None = None
