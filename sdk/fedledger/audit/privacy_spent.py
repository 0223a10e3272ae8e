"""Whether each task's epsilon schedule covers what its mechanism spends, recomputed by dp_accounting.

That the ledger charged every participant by the schedule and stopped at the budget is part of the contract's re-run.
Skipped where dp_accounting is not installed.
"""

from __future__ import annotations

from fedledger.audit.findings import CheckName
from fedledger.audit.report import Check, Outcome, package
from fedledger.audit.world import World
from fedledger.errors import FedledgerError
from fedledger.privacy.accountant import covers
from fedledger_chaincode.messages.task import PrivacySpec

_MICRO = 1_000_000


def privacy_check(world: World) -> Check:
    """Recompute the schedule of every task that was approved and trains with differential privacy."""
    name = CheckName.PRIVACY.value
    specs = [task.spec for task in world.tasks() if task.state not in ("proposed", "rejected")]
    private = [
        (spec.task, owner, privacy)
        for spec in specs
        for owner, privacy in spec.mechanisms()
        if privacy.mechanism != "none"
    ]
    for checked, (task, owner, privacy) in enumerate(private):
        try:
            reason = _understated(privacy)
        except ModuleNotFoundError as error:
            return Check(name, Outcome.SKIPPED, checked, f"not checked: package {package(error)} is not installed")
        except FedledgerError as error:
            reason = error.message
        if reason:
            return Check(name, Outcome.FAILED, checked, f"task {task}{f', {owner}' if owner else ''}: {reason}")
    without = len(specs) - len({task for task, _, _ in private})
    detail = f"{len(private)} epsilon schedules recomputed" + (f"; {without} tasks without privacy" if without else "")
    return Check(name, Outcome.PASSED, len(private), detail)


def _understated(privacy: PrivacySpec) -> str:
    from fedledger.training.specification import recomputed_schedule

    recomputed = recomputed_schedule(privacy)
    if covers(privacy.epsilon_schedule, recomputed):
        return ""
    for rounds, (claimed, spent) in enumerate(zip(privacy.epsilon_schedule, recomputed, strict=True), start=1):
        if not covers((claimed,), (spent,)):
            return (
                f"after {rounds} rounds epsilon is {spent / _MICRO:.6f}, and the ledger charges {claimed / _MICRO:.6f}"
            )
    return "the schedule is shorter than what it stands for"
