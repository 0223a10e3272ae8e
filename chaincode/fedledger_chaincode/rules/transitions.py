"""The states of tasks and rounds and which transaction may change them: one table each."""

from __future__ import annotations

from collections.abc import Mapping

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import RoundState, TaskState
from fedledger_chaincode.messages.task import TaskSpec

PROTOCOL = 2
"""The version of the round protocol that this contract runs."""

TASK_TRANSITIONS: Mapping[tuple[TaskState, str], tuple[TaskState, ...]] = {
    ("proposed", "ApproveTask"): ("proposed", "active"),
    ("proposed", "RejectTask"): ("proposed", "rejected"),
    ("active", "ApproveTask"): ("active",),
    ("active", "WithdrawConsent"): ("active",),
    ("active", "RejectTask"): ("active",),
    ("active", "StopTask"): ("active", "stopped"),
    ("active", "ContinueTask"): ("active",),
    ("active", "ProposeAmendment"): ("active",),
    ("active", "VoteSuspension"): ("active",),
    ("active", "ConcludeTask"): ("completed",),
    ("active", "SuspendParticipant"): ("active",),
    ("active", "ReinstateParticipant"): ("active",),
    ("active", "AdmitParticipants"): ("active",),
    ("active", "RegisterValidator"): ("active",),
    ("active", "JoinTask"): ("active",),
    ("active", "LeaveTask"): ("active",),
    ("active", "ReclaimStakes"): ("active",),
    ("active", "CallRound"): ("active",),
    ("active", "OpenRound"): ("active",),
    ("active", "SubmitUpdates"): ("active",),
    ("active", "CloseRound"): ("active",),
    ("active", "SettleRound"): ("active",),
    ("active", "AbortRound"): ("active",),
    ("active", "FinaliseRound"): ("active", "completed"),
    ("active", "ProposeMint"): ("active",),
    ("active", "VoteMint"): ("active",),
}

ROUND_TRANSITIONS: Mapping[tuple[RoundState, str], tuple[RoundState, ...]] = {
    ("open", "SubmitUpdates"): ("open",),
    ("open", "CommitReference"): ("open",),
    ("open", "CloseRound"): ("closed", "aborted"),
    ("closed", "RevealReference"): ("closed",),
    ("closed", "AttestUpdates"): ("closed",),
    ("closed", "SettleRound"): ("settled", "aborted"),
    ("closed", "AbortRound"): ("aborted",),
    ("settled", "PostAggregateShare"): ("settled",),
    ("settled", "ReportModel"): ("settled",),
    ("settled", "FinaliseRound"): ("finalised",),
    ("settled", "AbortRound"): ("aborted",),
}


def check_task(state: TaskState, transaction: str) -> None:
    """Raise 409 ``TASK_STATE`` unless the transaction is possible in this state."""
    if (state, transaction) not in TASK_TRANSITIONS:
        possible = sorted({start for start, name in TASK_TRANSITIONS if name == transaction})
        raise ContractError(409, "TASK_STATE", f"The task is {state}; {transaction} needs it {' or '.join(possible)}.")


def check_protocol(spec: TaskSpec) -> None:
    """Raise 409 ``PROTOCOL_VERSION`` for a task of an earlier release: its rounds do not go on under this contract."""
    if spec.protocol != PROTOCOL:
        raise ContractError(
            409,
            "PROTOCOL_VERSION",
            f"Task {spec.task} goes by protocol {spec.protocol}, whose norm bound does not hold against t "
            f"colluding validators; this contract runs rounds of protocol {PROTOCOL}.",
            "Stop it with: fedledger task stop, which returns all stakes, and propose a new task.",
        )


def check_round(state: RoundState, transaction: str, number: int) -> None:
    """Raise 409 ``ROUND_STATE`` unless the transaction is possible in this state."""
    if (state, transaction) not in ROUND_TRANSITIONS:
        possible = [start for start, name in ROUND_TRANSITIONS if name == transaction]
        raise ContractError(
            409,
            "ROUND_STATE",
            f"Round {number} is {state}; {transaction} needs it {' or '.join(possible)}.",
            "Look at the round's state and go on with the newest round.",
        )
