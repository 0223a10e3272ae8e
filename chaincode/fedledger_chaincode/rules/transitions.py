"""The states of tasks and rounds and which transaction may change them: one table each."""

from __future__ import annotations

from collections.abc import Mapping

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import RoundState, TaskState

TASK_TRANSITIONS: Mapping[tuple[TaskState, str], tuple[TaskState, ...]] = {
    ("proposed", "ApproveTask"): ("proposed", "active"),
    ("proposed", "RejectTask"): ("proposed", "rejected"),
    ("active", "ApproveTask"): ("active",),
    ("active", "WithdrawConsent"): ("active",),
    ("active", "RejectTask"): ("active",),
    ("active", "StopTask"): ("active", "stopped"),
    ("active", "ProposeAmendment"): ("active",),
    ("active", "VoteSuspension"): ("active",),
    ("active", "ConcludeTask"): ("completed",),
    ("active", "SuspendParticipant"): ("active",),
    ("active", "ReinstateParticipant"): ("active",),
    ("active", "AdmitParticipants"): ("active",),
    ("active", "RegisterValidator"): ("active",),
    ("active", "JoinTask"): ("active",),
    ("active", "LeaveTask"): ("active",),
    ("active", "OpenRound"): ("active",),
    ("active", "SubmitUpdates"): ("active",),
    ("active", "FinaliseRound"): ("active", "completed"),
    ("active", "ProposeMint"): ("active",),
    ("active", "VoteMint"): ("active",),
}

ROUND_TRANSITIONS: Mapping[tuple[RoundState, str], tuple[RoundState, ...]] = {
    ("open", "SubmitUpdates"): ("open",),
    ("open", "CommitReference"): ("open",),
    ("open", "CloseRound"): ("closed", "aborted"),
    ("closed", "AttestUpdates"): ("closed",),
    ("closed", "RevealReference"): ("closed",),
    ("closed", "DisputeRound"): ("disputed",),
    ("closed", "SettleRound"): ("settled", "aborted"),
    ("closed", "AbortRound"): ("aborted",),
    ("disputed", "RevealShare"): ("disputed",),
    ("disputed", "JudgeReveal"): ("disputed",),
    ("disputed", "SettleRound"): ("settled", "aborted"),
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
