"""The shared model beside each site alone and beside all data pooled: the delta of the paper, |V_FED - V_SUM|.

Only a demo or a benchmark can compute this, for it takes everybody's records in one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedledger.cli.demo.attacks import Attack, altered, poisoned
from fedledger.training import Split, TaskDefinition, concatenate, evaluate
from fedledger.training.baselines import train_alone, train_pooled
from fedledger.training.local import train_once
from fedledger.training.weights import Float32Array, flatten, unflatten


@dataclass(frozen=True)
class Comparison:
    """AUC on held-out records: of all sites together, and by site."""

    federated: float
    pooled: float
    federated_by_site: Mapping[str, float]
    pooled_by_site: Mapping[str, float]
    alone_by_site: Mapping[str, float]
    """Each site's own model on its own held-out records."""

    @property
    def delta(self) -> float:
        """|V_FED - V_SUM| with V the AUC on all sites' held-out records."""
        return abs(self.federated - self.pooled)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "federated": self.federated,
            "pooled": self.pooled,
            "alone": dict(self.alone_by_site),
            "federated_by_site": dict(self.federated_by_site),
            "pooled_by_site": dict(self.pooled_by_site),
        }


def without_defence(
    definition: TaskDefinition, data: Mapping[str, Split], attack: Attack | None, attacker: str
) -> list[Float32Array]:
    """The model of plain federated averaging, attacked or not: no clip norm, no cap, no proof, no ledger."""
    weights = definition.initial_weights()
    rate = np.float32(definition.training.server_optimizer.learning_rate)
    examples = {site: (poisoned(split, attack) if site == attacker else split).train for site, split in data.items()}
    total = sum(len(part) for part in examples.values())
    for round_number in range(1, definition.training.rounds + 1):
        mean = np.zeros(definition.parameter_count, dtype=np.float32)
        for site, part in examples.items():
            update = train_once(definition, weights, part, site=site, round_number=round_number).update
            mean += (altered(update, attack) if site == attacker else update) * np.float32(len(part) / total)
        weights = unflatten(flatten(weights) - rate * mean, definition.tensors)
    return weights


def compare(definition: TaskDefinition, data: Mapping[str, Split], shared_model: bytes) -> Comparison:
    """Train the baselines with the same model, optimiser, rounds and epochs, without privacy noise, and judge all."""
    everybody = concatenate([split.test for split in data.values()])
    pooled = train_pooled(definition, {site: split.train for site, split in data.items()})
    alone = {site: train_alone(definition, split.train, site=site) for site, split in data.items()}

    def auc(weights: Any, split: Split) -> float | None:
        return evaluate(definition, weights, split.test).auc

    def by_site(weights_of: Mapping[str, Any]) -> dict[str, float]:
        found = {site: auc(weights_of[site], split) for site, split in data.items()}
        return {site: value for site, value in found.items() if value is not None}

    return Comparison(
        federated=evaluate(definition, shared_model, everybody).auc or 0.0,
        pooled=evaluate(definition, pooled, everybody).auc or 0.0,
        federated_by_site=by_site(dict.fromkeys(data, shared_model)),
        pooled_by_site=by_site(dict.fromkeys(data, pooled)),
        alone_by_site=by_site(alone),
    )
