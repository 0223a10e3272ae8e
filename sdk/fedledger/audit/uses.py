"""What model versions may be used for, and that no use was taken down that one of them does not allow.

A version inherits: it allows at most what its parent does. docs/protocol/rounds.md, 4.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from fedledger.audit.findings import CheckName
from fedledger.audit.report import Check, Outcome
from fedledger.audit.world import World
from fedledger_chaincode.messages.records import ModelRecord, TaskRecord


def uses_check(world: World) -> Check:
    """Every version of every task, and every use that an organisation has told."""
    count = 0
    told: list[str] = []
    for task in world.tasks():
        models = world.models(task.spec.task)
        wrong = _wider(models) or _not_allowed(world, task, models)
        if wrong:
            return Check(CheckName.USES.value, Outcome.FAILED, count, f"{wrong} of {task.spec.task}")
        count += len(models)
        if models:
            told.append(_newest(task, models[-1]))
    return Check(CheckName.USES.value, Outcome.PASSED, count, "; ".join(told) or "there is no model")


def _wider(models: Sequence[ModelRecord]) -> str:
    for parent, model in pairwise(models):
        gained = {*(model.purposes or ())} - {*(parent.purposes or ())}
        if gained and parent.purposes is not None:
            return f"version {model.version} is open to {', '.join(sorted(gained))}, its parent is not: models"
    return ""


def _not_allowed(world: World, task: TaskRecord, models: Sequence[ModelRecord]) -> str:
    allowed = {model.version: model.purposes for model in models}
    for use in world.uses(task.spec.task):
        purposes = allowed.get(use.version)
        if purposes is not None and use.purpose not in purposes:
            return f"{use.msp} uses version {use.version} for {use.purpose}, which it does not allow: models"
    return ""


def _newest(task: TaskRecord, model: ModelRecord) -> str:
    uses = ", ".join(model.allowed_uses(task.spec.agreement.purposes)) or "nothing"
    return f"version {model.version} of {task.spec.task} may be used for {uses}"
