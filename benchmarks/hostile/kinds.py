"""The tasks that are played: each kind of proof and of trust weighting, with four numbers for a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np

from fedledger.training.weights import Float32Array, Tensor, save_weights
from fedledger_chaincode.messages.task import TaskSpec

DIMENSION = 4
ROUNDS = 1_000
"""More than are ever played."""
BUDGET = 4
"""Rounds for which a privacy budget lasts, where there is one."""
MICRO = 1_000_000
_TENSORS = (Tensor("kernel", (3, 1)), Tensor("bias", (1,)))
DIRECTION = np.array([0.8, -0.6, 0.0, 0.0], dtype=np.float32)
"""What training on the reference data gives; honest updates are near to it."""


class Kind(StrEnum):
    """What a task does with an update."""

    NORM = "norm"
    """Its norm is proven."""
    DEALING = "dealing"
    """Nothing is proven but that its shares belong together."""
    REFERENCE = "reference"
    """Its norm is proven, and it is compared with a direction from reference data."""
    LAST_STEP = "last-step"
    """The same with the last step of the model."""
    BUDGET = "budget"
    """As the first, with differential privacy and a budget that is soon spent: then the task ends."""


def specification(task: str, kind: Kind, organisations: Sequence[str]) -> TaskSpec:
    """A task of four organisations, of which one may be faulty in everything. ``organisations`` are MSP ids, sorted."""
    model = zero_model()
    trust: dict[str, Any] = {"trust_weighting": "off"}
    if kind is Kind.REFERENCE:
        trust = {"trust_weighting": "reference-data", "reference_digest": hashlib.sha256(b"reference").hexdigest()}
    elif kind is Kind.LAST_STEP:
        trust = {"trust_weighting": "last-step"}
    document = {
        "schema": "fedledger/task/2",
        "task": task,
        "title": "A task",
        "purpose": "To be attacked",
        "agreement": {"purposes": ["research", "tests"], "minimum_examples": 10, "example_step": 10},
        "organisations": list(organisations),
        "model": {
            "model_id": "logistic",
            "package_digest": hashlib.sha256(b"package").hexdigest(),
            "tensors": [{"name": tensor.name, "shape": list(tensor.shape)} for tensor in _TENSORS],
            "parameter_count": DIMENSION,
            "initial_weights_digest": hashlib.sha256(model).hexdigest(),
            "initial_weights_size": len(model),
        },
        "training": {
            "algorithm": "fedavg",
            "proximal_mu": 0,
            "local_epochs": 1,
            "batch_size": 16,
            "client_optimizer": {"name": "sgd", "learning_rate": 100_000, "momentum": 0},
            "server_optimizer": {"name": "sgd", "learning_rate": MICRO, "momentum": 0},
            "rounds": ROUNDS,
        },
        "aggregation": {
            "validators": list(organisations),
            "tolerated_faults": 1,
            "clip_norm": MICRO,
            "quantised_norm": 1 << 24,
            "max_examples": 10_000,
            "max_share": 400_000,
            "minimum_accepted": 3,
            "proof": "none" if kind is Kind.DEALING else "norm",
        },
        "privacy": _privacy(BUDGET if kind is Kind.BUDGET else 0),
        "robustness": trust,
        "incentive": {
            "endowment": 3_000 * MICRO,
            "participant_stake": 100 * MICRO,
            "validator_stake": 100 * MICRO,
            "reward_per_round": 1_000,
            "validator_share": 250_000,
            "equal_share": 500_000,
            "slashing_equivocation": 50_000,
            "slashing_norm": 50_000,
            "slashing_dealing": 50_000,
            "slashing_validator": 50_000,
        },
        "reputation": {
            "initial": 500_000,
            "memory": 800_000,
            "agreement_weight": 200_000,
            "reliability_weight": 500_000,
            "honesty_weight": 300_000,
            "quarantine_threshold": 200_000,
            "quarantine_rounds": 3,
        },
        "deadlines": {"updates": 60, "attestations": 40, "aggregates": 40, "disputes": 20},
    }
    return TaskSpec.model_validate_json(json.dumps(document))


def _privacy(rounds: int) -> dict[str, Any]:
    """A budget for so many rounds; without one no privacy."""
    return {
        "mechanism": "dp-sgd" if rounds else "none",
        "noise_multiplier": 1_100_000 if rounds else 0,
        "record_clip_norm": MICRO if rounds else 0,
        "sampling_rate": 100_000 if rounds else 0,
        "steps_per_round": 10 if rounds else 0,
        "delta_pico": 10_000_000 if rounds else 0,
        "epsilon_budget": 3 * rounds * MICRO,
        "epsilon_schedule": [3 * number * MICRO for number in range(1, rounds + 1)],
    }


def zero_model() -> bytes:
    """Version 0 of every task."""
    return save_weights([np.zeros(tensor.shape, dtype=np.float32) for tensor in _TENSORS], _TENSORS)


def honest_update(organisation: int, number: int) -> Float32Array:
    """float32[d] of norm below 1, near to ``DIRECTION``: another one for each organisation and round."""
    across = np.random.default_rng([organisation, number]).normal(size=DIMENSION).astype(np.float32) * 0.1
    return np.asarray((DIRECTION + across) * np.float32(0.7), dtype=np.float32)
