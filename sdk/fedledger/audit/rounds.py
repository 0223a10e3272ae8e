"""What the rounds of a ledger decided, in numbers: all of it was computed again by the contract's re-run.

Decides nothing; it says how much is behind the one line ``contract re-run``.
"""

from __future__ import annotations

from collections import Counter

from fedledger.audit.findings import CheckName
from fedledger.audit.report import Check, Outcome
from fedledger.audit.world import World


def rounds_check(world: World) -> Check:
    """Count verdicts, weights, payments and model versions of the replayed state."""
    counts: Counter[str] = Counter()
    for task in world.tasks():
        for _, settlement in world.settlements(task.spec.task):
            counts["rounds"] += 1
            counts["verdicts"] += len(settlement.updates)
            counts["accepted"] += sum(1 for update in settlement.updates if update.verdict == "accepted")
        for model in world.models(task.spec.task):
            counts["payments"] += len(model.payments)
            counts["versions"] += model.version > 0
    detail = (
        f"{counts['verdicts']} verdicts with weight and score ({counts['accepted']} accepted) of {counts['rounds']} "
        f"rounds, {counts['payments']} payments for {counts['versions']} model versions recomputed"
    )
    return Check(CheckName.ROUNDS.value, Outcome.PASSED, counts["rounds"], detail)
