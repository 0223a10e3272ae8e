"""Every model version computed again from the aggregate shares behind it: the decoded sum, then the server step.

Needs the artifacts; where one is missing the version is not checked, which is no failure and is said. An artifact that
does not have its digest is a failure. No TensorFlow: the server step is the numpy reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fedledger.audit.artifacts import Artifacts, DamagedArtifact
from fedledger.audit.findings import CheckName, Finding
from fedledger.audit.report import Check, Outcome, package
from fedledger.audit.world import World
from fedledger.errors import FedledgerError
from fedledger_chaincode.messages.records import ModelRecord
from fedledger_chaincode.messages.task import TaskSpec

if TYPE_CHECKING:
    from fedledger.outcome import Outcome as RoundOutcome

BlockOf = Callable[[str], int | None]
"""The number of the block that holds a transaction, by its id."""


class _Unchecked(Exception):
    """A version cannot be computed again, and why."""


@dataclass
class _Line:
    """One check's line as it grows."""

    name: CheckName
    count: int = 0
    unchecked: list[str] = field(default_factory=list)
    failure: Check | None = None

    def fail(self, reason: str, block: int | None) -> None:
        """Keep the first failure by block."""
        earlier = None if self.failure is None else self.failure.first_bad_block
        if self.failure is None or (block is not None and (earlier is None or block < earlier)):
            where = "" if block is None else f"block {block}: "
            self.failure = Check(self.name.value, Outcome.FAILED, self.count, f"{where}{reason}", block)

    def check(self, what: str) -> Check:
        if self.failure is not None:
            return self.failure
        if self.unchecked:
            detail = f"{self.count} {what}; {len(self.unchecked)} not checked: {self.unchecked[0]}"
            return Check(self.name.value, Outcome.SKIPPED, self.count, detail)
        return Check(self.name.value, Outcome.PASSED, self.count, f"{self.count} {what}")


def model_checks(world: World, artifacts: Artifacts, block_of: BlockOf) -> tuple[Check, Check]:
    """Compute each version of each task again; returns the checks of aggregates and of models."""
    aggregates, models = _Line(CheckName.AGGREGATES), _Line(CheckName.MODELS)
    for task in world.tasks():
        for record in world.models(task.spec.task):
            block = block_of(record.transaction_id)
            try:
                _check_stored(record, artifacts)
                if record.version == 0:
                    continue
                computed = _recompute(world, task.spec, record, artifacts)
                _check_aggregate(record, computed)
                aggregates.count += 1
                _check_model(record, computed)
                models.count += 1
                artifacts.add(computed.model)
            except _Unchecked as reason:
                aggregates.unchecked.append(f"version {record.version} of {task.spec.task}, {reason}")
                models.unchecked.append(f"version {record.version} of {task.spec.task}, {reason}")
            except Finding as finding:
                line = aggregates if finding.check is CheckName.AGGREGATES else models
                line.fail(f"version {record.version} of {task.spec.task}: {finding.reason}", block)
    return (
        aggregates.check("weighted sums decoded from the validators' shares"),
        models.check("model versions computed from those sums"),
    )


def _check_stored(record: ModelRecord, artifacts: Artifacts) -> None:
    _artifact(artifacts, record.model_digest, CheckName.MODELS, "the model file")


def _recompute(world: World, spec: TaskSpec, record: ModelRecord, artifacts: Artifacts) -> RoundOutcome:
    try:
        from fedledger.outcome import outcome, settled_sum
    except ModuleNotFoundError as error:
        raise _Unchecked(f"package {package(error)} is not installed") from error
    shares = {}
    for reference in record.aggregate_shares:
        what = f"the aggregate share of {reference.validator}"
        content = _artifact(artifacts, reference.digest, CheckName.AGGREGATES, what)
        if content is not None:
            shares[reference.validator] = content
    missing = [reference.validator for reference in record.aggregate_shares if reference.validator not in shares]
    if len(shares) < spec.aggregation.quorum:
        raise _Unchecked(f"artifact missing: the aggregate share of {missing[0] if missing else 'a validator'}")
    base = _model_file(world, record, record.version - 1, artifacts)
    momentum = spec.training.server_optimizer.momentum and record.version > 1
    parent = _model_file(world, record, record.version - 2, artifacts) if momentum else None
    settlement = world.settlement(record.task, record.round)
    wanted = settled_sum(record.task, record.round, settlement, world.roots(settlement, record.task, record.round))
    try:
        computed = outcome(spec, wanted, shares, base, parent)
    except FedledgerError as error:
        if missing:  # with the share that is not here the liar could be told
            raise _Unchecked(f"artifact missing: the aggregate share of {missing[0]}") from error
        raise Finding(CheckName.AGGREGATES, f"the sum cannot be decoded from the shares. {error.message}") from error
    innocent = [msp for msp in record.liars if msp in shares and msp not in computed.liars]
    if innocent:
        raise Finding(CheckName.AGGREGATES, f"the share of {innocent[0]} is right, and the ledger calls it a lie")
    return computed


def _check_aggregate(record: ModelRecord, computed: RoundOutcome) -> None:
    if computed.aggregate_digest != record.aggregate_digest:
        raise Finding(
            CheckName.AGGREGATES,
            f"the shares decode to the sum {computed.aggregate_digest[:16]}, the ledger has "
            f"{(record.aggregate_digest or 'none')[:16]}",
        )


def _check_model(record: ModelRecord, computed: RoundOutcome) -> None:
    if computed.model_digest != record.model_digest:
        raise Finding(
            CheckName.MODELS,
            f"the sum leads to the model {computed.model_digest[:16]}, the ledger has {record.model_digest[:16]}",
        )


def _model_file(world: World, record: ModelRecord, version: int, artifacts: Artifacts) -> bytes:
    digest = world.model(record.task, version).model_digest
    content = _artifact(artifacts, digest, CheckName.MODELS, f"the file of version {version}")
    if content is None:
        raise _Unchecked(f"artifact missing: the model file of version {version}")
    return content


def _artifact(artifacts: Artifacts, digest: str, check: CheckName, what: str) -> bytes | None:
    try:
        return artifacts.get(digest)
    except DamagedArtifact as error:
        raise Finding(check, f"{what} is damaged: {digest[:16]} in {error.where} has another digest") from error
