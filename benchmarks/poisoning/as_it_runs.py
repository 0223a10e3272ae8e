"""A round as fedledger runs it, through the code of the SDK and the contract, without the sharing, which is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.poisoning.digits import Floats
from fedledger.secure_aggregation import decode_sum, encode_direction, encode_update
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.records import CohortEntry, SettledUpdate, StandingRecord
from fedledger_chaincode.messages.task import AggregationSpec, ReputationSpec, RobustnessSpec
from fedledger_chaincode.rules.reputation import updated_standing
from fedledger_chaincode.rules.settlement import Judged, Rules, weigh

QUANTISED_NORM = 1 << 24


@dataclass(frozen=True)
class Terms:
    """What a task sets."""

    rules: Rules

    @property
    def clip_norm(self) -> float:
        """C, in the units of an update."""
        return self.rules.aggregation.clip_norm / MICRO

    @classmethod
    def of(
        cls,
        clip_norm: float,
        robustness: RobustnessSpec,
        reputation: ReputationSpec,
        max_examples: int,
        max_share: float,
    ) -> Terms:
        aggregation = AggregationSpec(
            validators=("AMSP", "BMSP", "CMSP", "DMSP"),
            tolerated_faults=1,
            clip_norm=round(clip_norm * MICRO),
            quantised_norm=QUANTISED_NORM,
            max_examples=max_examples,
            max_share=round(max_share * MICRO),
            minimum_accepted=3,
            proof="norm",
        )
        return cls(Rules(aggregation, robustness, reputation))


@dataclass(frozen=True)
class Ledger:
    """What is known of every participant before a round."""

    number: int
    """Of the round that comes next."""
    standings: tuple[StandingRecord, ...]

    @classmethod
    def new(cls, participants: int, reputation: ReputationSpec) -> Ledger:
        standing = StandingRecord(contributions=0, epsilon=0, reputation=reputation.initial)
        return cls(1, (standing,) * participants)

    def cohort(self) -> tuple[CohortEntry, ...]:
        """As a round's opening writes it."""
        return tuple(
            CohortEntry(
                participant=f"{index:064x}",
                msp=f"Site{index}MSP",
                quarantined=standing.quarantined_until >= self.number,
                reputation=standing.reputation,
            )
            for index, standing in enumerate(self.standings)
        )

    def after(self, settled: Sequence[SettledUpdate], reputation: ReputationSpec) -> Ledger:
        standings = tuple(
            updated_standing(standing, update.score, self.number, reputation)
            for standing, update in zip(self.standings, settled, strict=True)
        )
        return replace(self, number=self.number + 1, standings=standings)


@dataclass(frozen=True)
class Settled:
    """What a round came to."""

    mean: Floats | None
    """float32[d]; None where nobody had a weight, and the round is aborted."""
    updates: tuple[SettledUpdate, ...]
    agreements: tuple[float, ...]
    """Cosines, shortened; empty without a reference direction."""
    ledger: Ledger


def settle_round(
    updates: Floats, examples: Sequence[int], reference: Floats | None, terms: Terms, ledger: Ledger
) -> Settled:
    """Participants encode, validators take inner products, the contract weighs and scores, validators decode.

    Args:
        updates: float32[n, d], base minus trained weights, before clipping.
        examples: as claimed.
        reference: the round's reference direction before it is encoded; None in a round without.
    """
    rules, norm = terms.rules, terms.rules.aggregation.quantised_norm
    encoded = [encode_update(update, terms.clip_norm, norm) for update in updates]
    direction = None if reference is None else encode_direction(reference, norm)
    products = [None if direction is None else int(np.dot(update, direction)) for update in encoded]
    cohort = ledger.cohort()
    names = [entry.participant for entry in cohort]
    judged = {
        name: Judged("accepted", proven=False, inner_product=product)
        for name, product in zip(names, products, strict=True)
    }
    settled = weigh(rules, cohort, dict(zip(names, examples, strict=True)), judged)
    return Settled(
        mean=_mean(encoded, [update.weight for update in settled], terms),
        updates=settled,
        agreements=tuple(product / norm**2 for product in products if product is not None),
        ledger=ledger.after(settled, rules.reputation),
    )


def _mean(
    encoded: Sequence[np.ndarray[tuple[int], np.dtype[np.int64]]], weights: Sequence[int], terms: Terms
) -> Floats | None:
    if not any(weights):
        return None
    total = np.zeros_like(encoded[0])
    for weight, update in zip(weights, encoded, strict=True):
        if weight:
            total += weight * update
    mean = decode_sum(total, sum(weights), terms.clip_norm, terms.rules.aggregation.quantised_norm)
    return mean.astype(np.float32)
