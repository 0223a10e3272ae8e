"""Ways of taking part, honest and not, as updates of a small model; what they earn is the contract's to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DIMENSION = 30


@dataclass(frozen=True)
class Records:
    """float64[n, d] and float64[n] of 0 and 1."""

    x: Floats
    y: Floats


class World:
    """Records of one distribution, in two classes that overlap so little that ten short steps are far from the end. The
    same seed makes the same ones."""

    def __init__(self, seed: int) -> None:
        self._dice = np.random.default_rng(seed)
        self._truth = self._dice.normal(size=DIMENSION) / np.sqrt(DIMENSION)

    def records(self, count: int) -> Records:
        x = self._dice.normal(size=(count, DIMENSION))
        chance = 1 / (1 + np.exp(-8 * x @ self._truth))
        return Records(x, (self._dice.random(count) < chance).astype(float))

    def noise(self) -> Floats:
        return self._dice.normal(size=DIMENSION)


def step(weights: Floats, records: Records, rate: float = 0.1, batch: int = 16) -> Floats:
    """One pass of stochastic gradient descent on the logistic loss, from ``weights``: the change, float64[d]."""
    trained = weights.copy()
    for start in range(0, len(records.y), batch):
        x, y = records.x[start : start + batch], records.y[start : start + batch]
        trained -= rate * x.T @ (1 / (1 + np.exp(-x @ trained)) - y) / len(y)
    return trained - weights


def clipped(update: Floats, norm: float) -> Floats:
    length = float(np.linalg.norm(update))
    return update if length <= norm else update * (norm / length)


def stretched(update: Floats, norm: float) -> Floats:
    """As long as is allowed."""
    length = float(np.linalg.norm(update))
    return update * (norm / length) if length else update


@dataclass(frozen=True)
class Knowledge:
    """What somebody may make an update of."""

    weights: Floats
    last_step: Floats
    """Of the shared model."""
    reference: Floats
    """The round's direction, as everybody who has the reference data can compute it."""
    own: Records
    number: int
    world: World
    norm: float


Update = Callable[[Knowledge], Floats]


@dataclass(frozen=True)
class Strategy:
    """What one organisation does; the others work honestly with 200 records each."""

    name: str
    update: Update
    records: int = 200
    claims: int | None = None
    """Examples that each name tells; else what it has."""
    names: int = 1
    shared: bool = False
    """All names have all records; else each its part."""
    withholds: bool = False
    """Its validator commits to a reference direction and does not reveal it."""
    colluders: int = 1
    """Organisations that do the same. More than t: their validators reject every direction."""


def honest(known: Knowledge) -> Floats:
    return clipped(step(known.weights, known.own), known.norm)


def zeros(known: Knowledge) -> Floats:
    return np.zeros(DIMENSION)


def noise(known: Knowledge) -> Floats:
    return stretched(known.world.noise(), known.norm)


def old_step(known: Knowledge) -> Floats:
    return stretched(known.last_step, known.norm)


def reference(known: Knowledge) -> Floats:
    return stretched(known.reference, known.norm)


def in_turn(known: Knowledge) -> Floats:
    return honest(known) * (1 if known.number % 2 else -1)


STRATEGIES: tuple[Strategy, ...] = (
    Strategy("honest, 200 records", honest),
    Strategy("honest, 20 records", honest, records=20),
    Strategy("zeros", zeros),
    Strategy("noise", noise),
    Strategy("an old step of the model", old_step),
    Strategy("20 records, 10,000 claimed", honest, records=20, claims=10_000),
    Strategy("200 records, 10,000 claimed", honest, claims=10_000),
    Strategy("four names, a part of the records each", honest, names=4),
    Strategy("four names over the same records", honest, names=4, shared=True),
    Strategy("zeros, own validator withholds the reference", zeros, withholds=True),
    Strategy("the reference direction itself", reference),
    Strategy("honest and reversed in turn", in_turn),
    Strategy("t + 1 colluding validators, zeros", zeros, colluders=2),
)
BASELINE: Mapping[int, str] = {200: "honest, 200 records", 20: "honest, 20 records"}
"""What a strategy is held against: honest work with the records that it has."""
