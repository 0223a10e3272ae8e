"""Whether accepted updates are known to be within the clip norm: what the proof of each task's protocol is worth.

Protocol 1 opens its proof on a polynomial of degree 2t. Where the value of one honest validator is missing 2t of them
are left, which t lies can complete to a polynomial that is zero at zero, whatever the update. Nothing can be wrong by
this check; it says what was not proven.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedledger.audit.findings import CheckName
from fedledger.audit.report import Check, Outcome
from fedledger.audit.world import World
from fedledger_chaincode.messages.records import TaskRecord
from fedledger_chaincode.messages.task import TaskSpec

_PROTOCOLS: Mapping[str, int] = {"fedledger/task/1": 1, "fedledger/task/2": 2}
_PROVES = 2
"""The first protocol whose norm proof holds against a participant with t validators."""


@dataclass(frozen=True)
class _Accepted:
    """Accepted updates of one task."""

    task: str
    updates: int
    without_all: int
    """Those about which not all validators gave values."""


def protocol_of(spec: TaskSpec) -> int:
    """The version of the protocol by which a task's rounds go, as its specification's schema says."""
    return _PROTOCOLS[spec.schema_]


def norm_bound_check(world: World) -> Check:
    """Say of every task with norm proofs that was agreed on what its accepted updates have proven."""
    agreed = [task for task in world.tasks() if task.state not in ("proposed", "rejected")]
    asking = [task for task in agreed if task.spec.aggregation.proof == "norm"]
    proven = [_accepted(world, task) for task in asking if protocol_of(task.spec) >= _PROVES]
    unproven = [_accepted(world, task) for task in asking if protocol_of(task.spec) < _PROVES]
    count = sum(task.updates for task in proven)
    told = [_warning(unproven)] if unproven else []
    if proven or not unproven:
        told.append(f"{count} accepted updates of {len(proven)} tasks are proven to be within the clip norm")
    if len(asking) < len(agreed):
        told.append(f"{len(agreed) - len(asking)} tasks ask for no proof")
    outcome = Outcome.LIMITED if unproven else Outcome.PASSED
    return Check(CheckName.NORM_BOUND.value, outcome, count, "; ".join(told))


def _warning(tasks: list[_Accepted]) -> str:
    names = ", ".join(task.task for task in tasks)
    updates, without_all = sum(task.updates for task in tasks), sum(task.without_all for task in tasks)
    return (
        f"NOT PROVEN in {names}, which went by protocol 1: its norm proof does not hold against a participant that "
        "colludes with t validators while an honest validator is late or cannot read its share, so that an accepted "
        f"update may have any norm. {updates} accepted updates rest on it, {without_all} of them without the values of "
        "all validators"
    )


def _accepted(world: World, task: TaskRecord) -> _Accepted:
    name, validators = task.spec.task, task.spec.aggregation.n
    updates = without_all = 0
    for number, settlement in world.settlements(name):
        opened = world.openings(name, number)
        accepted = [update.participant for update in settlement.updates if update.verdict == "accepted"]
        updates += len(accepted)
        without_all += sum(1 for participant in accepted if opened[participant] < validators)
    return _Accepted(name, updates, without_all)
