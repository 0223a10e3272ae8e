"""A round as fedledger runs it, through the code of the SDK and the contract, without the sharing, which is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.poisoning.digits import Floats
from fedledger.secure_aggregation import decode_sum, encode_direction, encode_update
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.task import RobustnessSpec
from fedledger_chaincode.rules.trust import LEVELS, agreement, trust_level
from fedledger_chaincode.rules.weights import capped_weights, fit_field

QUANTISED_NORM = 1 << 24


@dataclass(frozen=True)
class Terms:
    """What a task sets; see ``AggregationSpec`` and ``RobustnessSpec``."""

    clip_norm: float
    robustness: RobustnessSpec
    max_examples: int
    max_share: float
    quantised_norm: int = QUANTISED_NORM


@dataclass(frozen=True)
class Settled:
    """What a round came to."""

    update: Floats | None
    """float32[d], the mean; None where nobody was trusted, and the round is aborted."""
    trust: tuple[int, ...]
    agreement: tuple[int, ...]
    """In micro-units; all 0 without a reference direction."""
    weights: tuple[int, ...]


def settle_round(updates: Floats, examples: Sequence[int], reference: Floats | None, terms: Terms) -> Settled:
    """Participants encode, validators take inner products, the contract weighs, validators decode.

    Args:
        updates: float32[n, d], base minus trained weights, before clipping.
        examples: as claimed.
        reference: the round's reference direction before it is encoded; None in a round without.
    """
    encoded = [encode_update(update, terms.clip_norm, terms.quantised_norm) for update in updates]
    direction = None if reference is None else encode_direction(reference, terms.quantised_norm)
    if direction is None:
        agreements, trust = [0] * len(encoded), [1] * len(encoded)
    else:
        products = [int(np.dot(update, direction)) for update in encoded]
        agreements = [agreement(product, terms.quantised_norm) for product in products]
        trust = [trust_level(product, terms.quantised_norm, terms.robustness) for product in products]
    counted = [min(count, terms.max_examples) * level for count, level in zip(examples, trust, strict=True)]
    largest = terms.max_examples * (LEVELS if direction is not None else 1)
    weights = fit_field(capped_weights(counted, largest, round(terms.max_share * MICRO)), terms.quantised_norm)
    if not sum(weights):
        return Settled(None, tuple(trust), tuple(agreements), weights)
    total = np.zeros(updates.shape[1], dtype=np.int64)
    for weight, update in zip(weights, encoded, strict=True):
        if weight:
            total += weight * update
    mean = decode_sum(total, sum(weights), terms.clip_norm, terms.quantised_norm)
    return Settled(mean.astype(np.float32), tuple(trust), tuple(agreements), weights)
