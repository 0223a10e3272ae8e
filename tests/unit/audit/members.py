"""A consortium that trains on a ``BlockLedger``: real shares of a real sum, and the models that follow from it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedledger.outcome import outcome, settled_sum
from fedledger.secure_aggregation import WeightedSum
from fedledger.secure_aggregation.aggregate import aggregate_share_file
from fedledger.secure_aggregation.sharing import Dealing
from fedledger.training.weights import save_weights
from fedledger_chaincode.messages.records import ModelRecord
from fedledger_chaincode.messages.round import AggregateShare, ModelReport, ValidatorRegistration
from fedledger_chaincode.rules.field import MODULUS
from tests.unit.audit.block_ledger import BlockLedger
from tests.unit.contract.ledger import MSPS, Actor, Consortium, Ledger, digest, task_spec

ROLES = ("governor", "validator", "participant")


@dataclass
class TrainingConsortium(Consortium):
    """A consortium whose validators post real shares of a real sum and report the model that follows from it."""

    artifacts: dict[str, bytes] = field(default_factory=dict)
    files: list[bytes] = field(default_factory=list)
    """Model files by version."""
    store: str = "file:///stores"

    def register(self, msp: str) -> None:
        registration = ValidatorRegistration(task=self.task, sealing_key=digest(msp), store=f"{self.store}/{msp}")
        self.ledger.submit(self.validators[msp], "RegisterValidator", registration)

    def keep(self, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        self.artifacts[name] = content
        return name

    def _shares(self, number: int) -> tuple[WeightedSum, dict[str, bytes]]:
        view = self.round(number)
        assert view.settlement is not None
        roots = {u.signed.manifest.participant: u.signed.manifest.root for u in view.updates}
        wanted = settled_sum(self.task, number, view.settlement, roots)
        total = np.arange(4, dtype=np.int64) * 1_000_003 * number - 1_500_000
        elements = np.where(total < 0, total + MODULUS, total).astype(np.uint64)
        dealing = Dealing(elements, np.full((1, 4), 12_345 + number, dtype=np.uint64))
        return wanted, {
            msp: aggregate_share_file(dealing.share(point), point, wanted) for point, msp in enumerate(MSPS, start=1)
        }

    def post_share(self, msp: str, number: int) -> None:
        content = self._shares(number)[1][msp]
        share = AggregateShare(task=self.task, round=number, digest=self.keep(content), size=len(content))
        self.ledger.submit(self.validators[msp], "PostAggregateShare", share)

    def report(self, msp: str, number: int, model: str = "", liars: tuple[str, ...] = ()) -> None:
        wanted, shares = self._shares(number)
        parent = self.files[-2] if len(self.files) > 1 else None
        result = outcome(self.spec, wanted, shares, self.files[-1], parent)
        reported = (
            result.model
            if not model
            else save_weights(
                [np.full(tensor.shape, 7.0) for tensor in self.spec.model.tensors], self.spec.model.tensors
            )
        )
        report = ModelReport(
            task=self.task,
            round=number,
            aggregate_digest=result.aggregate_digest,
            model_digest=self.keep(reported),
            model_size=len(reported),
            liars=liars,
        )
        self.ledger.submit(self.validators[msp], "ReportModel", report)

    def finalise(self, number: int, by: str = MSPS[0]) -> bytes:
        finalised = super().finalise(number, by)
        self.files.append(self.artifacts[ModelRecord.decode(finalised).model_digest])
        return finalised


def consortium(rounds: int = 1, **changes: Any) -> TrainingConsortium:
    """An active task of four organisations on a ``BlockLedger``, with so many whole rounds."""
    ledger = BlockLedger()
    actors = {role: {msp: ledger.actor(msp, role, name=role) for msp in MSPS} for role in ROLES}
    return founded(ledger, actors, rounds, **changes)


def founded(
    ledger: Ledger,
    actors: Mapping[str, dict[str, Actor]],
    rounds: int,
    store: str = "file:///stores",
    **changes: Any,
) -> TrainingConsortium:
    """The same on any ledger, by ``actors`` by role and organisation; ``store`` is the folder of all stores."""
    schedule = {"epsilon_budget": 12_000_000, "epsilon_schedule": [2_400_000 * count for count in range(1, 6)]}
    first = save_weights([np.zeros((3, 1)), np.zeros(1)], task_spec().model.tensors)
    model = {"initial_weights_digest": hashlib.sha256(first).hexdigest(), "initial_weights_size": len(first)}
    spec = task_spec(**{"training": {"rounds": 50}, "privacy": schedule, "model": model} | changes)
    members = TrainingConsortium(ledger, spec, *(actors[role] for role in ROLES))
    members.store = store
    members.keep(first)
    members.files.append(first)
    members.begin()
    for number in range(1, rounds + 1):
        members.through(number)
    return members
