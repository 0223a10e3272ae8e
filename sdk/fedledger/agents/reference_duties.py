"""A validator's part in the round's reference direction: to give one when it opened the round, to check another's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import structlog

from fedledger.agents.reference import (
    PreparedReference,
    ReferenceMemory,
    ReferenceUpdate,
    are_alike,
    public_reference,
)
from fedledger.agents.stores import artifact_areas, find_artifact, find_model
from fedledger.ledger import TaskLedger
from fedledger.secure_aggregation import AggregateError, encode_direction
from fedledger.secure_aggregation.encoding import Integers
from fedledger.store import ArtifactStore
from fedledger_chaincode.messages.round import ReferenceCommitment, RevealedReference
from fedledger_chaincode.messages.views import RoundView, TaskView

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ReferenceDuties:
    """What one validator does about reference directions of one task."""

    ledger: TaskLedger
    task: str
    artifacts: ArtifactStore
    """The validator's own."""
    update: ReferenceUpdate | None
    """How it trains on the reference data; None when it cannot."""
    memory: ReferenceMemory | None = field(repr=False)

    def public(self, view: TaskView, current: RoundView) -> Integers | None:
        """The round's reference direction as everybody reads it; None where it has none."""
        stores = artifact_areas(view, self.artifacts)
        return public_reference(
            view,
            current,
            lambda version: find_model(self.ledger, self.task, stores, version),
            lambda digest, size: find_artifact(stores, digest, size),
        )

    def agreed(self, view: TaskView, current: RoundView) -> tuple[Integers | None, Literal["none", "used", "rejected"]]:
        """The direction to compare updates with, and what to say about it: another's is checked first."""
        reference = self.public(view, current)
        if reference is None:
            return None, "none"
        if view.record.spec.robustness.trust_weighting == "reference-data":
            own = self._own(view, current)
            if own is None or not are_alike(own, reference):
                _log.warning("the reference direction is not used", round=current.record.round, task=self.task)
                return None, "rejected"
        return reference, "used"

    def commit(self, view: TaskView, current: RoundView) -> None:
        """Bind to the own direction while the round is open.

        Raises:
            AggregateError: ``NO_REFERENCE``, there is none to give.
        """
        number = current.record.round
        direction = self._own(view, current)
        if direction is None or self.memory is None:
            raise AggregateError(
                "NO_REFERENCE",
                f"This validator has no reference direction for round {number}; updates are weighted without one.",
                "Give it the task's package with its reference data, and a folder in its profile.",
            )
        prepared = self.memory.recall(self.task, number) or PreparedReference.of(direction)
        self.memory.keep(self.task, number, prepared)
        self.ledger.commit_reference(ReferenceCommitment(task=self.task, round=number, commitment=prepared.commitment))

    def reveal(self, current: RoundView) -> None:
        """Make public what was committed to.

        Raises:
            AggregateError: ``NO_REFERENCE``, it is lost.
        """
        number = current.record.round
        prepared = self.memory.recall(self.task, number) if self.memory is not None else None
        if prepared is None:
            raise AggregateError(
                "NO_REFERENCE", f"The reference direction of round {number} is lost.", "The round goes on without it."
            )
        self.ledger.reveal_reference(
            RevealedReference(
                task=self.task,
                round=number,
                salt=prepared.salt.hex(),
                digest=self.artifacts.put(prepared.content),
                size=len(prepared.content),
            )
        )

    def forget(self, number: int) -> None:
        """Erase what was remembered of a round that is over."""
        if self.memory is not None:
            self.memory.forget(self.task, number)

    def _own(self, view: TaskView, current: RoundView) -> Integers | None:
        if self.update is None:
            return None
        stores = artifact_areas(view, self.artifacts)
        base = find_model(self.ledger, self.task, stores, current.record.base_version)
        return encode_direction(self.update(base, current.record.round), view.record.spec.aggregation.quantised_norm)
