"""A validator's part in the round's reference direction: to give one, and to check the one that counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import structlog

from fedledger.agents.reference import (
    PreparedReference,
    ReferenceMemory,
    ReferenceUpdate,
    are_alike,
    last_step,
    read_direction,
)
from fedledger.agents.stores import Areas, find_artifact, find_model
from fedledger.ledger import TaskLedger
from fedledger.secure_aggregation import AggregateError, encode_direction
from fedledger.secure_aggregation.encoding import Integers
from fedledger.store import ArtifactStore, StoreError
from fedledger_chaincode.messages.round import ReferenceCommitment, RevealedReference
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.field import ELEMENT_BYTES
from fedledger_chaincode.rules.references import chosen

_log = structlog.get_logger(__name__)

Said = Literal["none", "used", "rejected"]


@dataclass
class ReferenceDuties:
    """What one validator does about reference directions of one task."""

    ledger: TaskLedger
    task: str
    artifacts: ArtifactStore
    """The validator's own."""
    update: ReferenceUpdate | None
    """How it trains on the reference data; None when it cannot."""
    memory: ReferenceMemory | None = field(repr=False)
    areas: Areas
    _computed: tuple[int, Integers] | None = field(default=None, repr=False)
    """The own direction of the newest round."""

    def agreed(self, view: TaskView, current: RoundView, *, patient: bool) -> tuple[Integers | None, Said]:
        """The direction to compare updates with, and what to say about it: another's is checked first.

        Args:
            patient: whether there is time to try again when something cannot be fetched.

        Raises:
            StoreError: it cannot be fetched now, and there is time.
        """
        try:
            match view.record.spec.robustness.trust_weighting:
                case "last-step":
                    return self._last_step(view, current)
                case "reference-data":
                    return self._from_data(view, current, patient=patient)
        except StoreError as reason:
            if patient:
                raise
            _log.warning("no reference direction to be had", round=current.record.round, reason=str(reason))
        return None, "none"

    def _last_step(self, view: TaskView, current: RoundView) -> tuple[Integers | None, Said]:
        version = current.record.base_version
        if version == 0:
            return None, "none"
        stores = self.areas(view)
        before, base = (find_model(self.ledger, self.task, stores, number) for number in (version - 1, version))
        direction = last_step(view.record.spec, before, base)
        return (None, "none") if direction is None else (direction, "used")

    def _from_data(self, view: TaskView, current: RoundView, *, patient: bool) -> tuple[Integers | None, Said]:
        reference, spec = chosen(current.references), view.record.spec
        if reference is None or reference.revealed is None:
            return None, "none"
        own = self._own(view, current)
        if own is None:
            return None, "none"
        try:
            size = ELEMENT_BYTES * spec.model.parameter_count
            content = find_artifact(self.areas(view), reference.revealed.digest, size)
        except StoreError:
            if patient:
                raise
            content = b""
        shown = read_direction(content, spec.model.parameter_count, spec.aggregation.quantised_norm)
        if shown is None or not are_alike(own, shown):
            _log.warning(
                "the reference direction is rejected", round=current.record.round, given_by=reference.committed_by
            )
            return None, "rejected"
        return shown, "used"

    def commit(self, view: TaskView, current: RoundView) -> None:
        """Bind to the own direction while the round is open.

        Raises:
            AggregateError: ``NO_REFERENCE``, there is none to give.
            StoreError: the base model cannot be fetched now.
        """
        number = current.record.round
        own = self._own(view, current)
        if own is None or self.memory is None or not own.any():
            raise AggregateError(
                "NO_REFERENCE",
                f"This validator has no reference direction to give for round {number}.",
                "Give it the task's package with its reference data, and a folder in its profile.",
            )
        prepared = self.memory.recall(self.task, number) or PreparedReference.of(own)
        self.memory.keep(self.task, number, prepared)
        self.ledger.commit_reference(ReferenceCommitment(task=self.task, round=number, commitment=prepared.commitment))

    def reveal(self, current: RoundView) -> None:
        """Make public what was committed to.

        Raises:
            AggregateError: ``NO_REFERENCE``, it is lost.
            StoreError: it cannot be put where others find it.
        """
        number = current.record.round
        prepared = self.memory.recall(self.task, number) if self.memory is not None else None
        if prepared is None:
            raise AggregateError(
                "NO_REFERENCE",
                f"The reference direction of round {number} is lost.",
                "The round goes on with another's; this validator's counts after all others' from now on.",
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
        """int64[d], zeros where training moves nothing; None where this validator cannot compute it.

        Raises:
            StoreError: the base model cannot be fetched now.
        """
        number = current.record.round
        if self._computed is None or self._computed[0] != number:
            direction = self._remembered(view, number)
            if direction is None:
                direction = self._trained(view, current)
            if direction is None:
                return None
            self._computed = (number, direction)
        return self._computed[1]

    def _remembered(self, view: TaskView, number: int) -> Integers | None:
        kept = self.memory.recall(self.task, number) if self.memory is not None else None
        spec = view.record.spec
        size, norm = spec.model.parameter_count, spec.aggregation.quantised_norm
        return None if kept is None else read_direction(kept.content, size, norm)

    def _trained(self, view: TaskView, current: RoundView) -> Integers | None:
        if self.update is None:
            return None
        spec, number = view.record.spec, current.record.round
        base = find_model(self.ledger, self.task, self.areas(view), current.record.base_version)
        try:
            direction = encode_direction(self.update(base, number), spec.aggregation.quantised_norm)
        except Exception as reason:
            # Whatever goes wrong in training, updates are attested all the same, without a direction.
            _log.warning("no reference direction can be computed", round=number, reason=repr(reason))
            return None
        return np.zeros(spec.model.parameter_count, dtype=np.int64) if direction is None else direction
