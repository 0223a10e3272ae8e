"""What malicious participants send; they know every honest update of the round, which is more than they can know.

Sources: sign flip with factor 4, Li et al. 2019 (RSA); model replacement, Bagdasaryan et al. 2020; ALIE, Baruch et
al. 2019, z = 1.5; min-max and min-sum, Shejwalkar and Houmansadr 2021, along the standard deviation.
The two *adaptive* attacks are aimed at trust from one inner product: as much agreement as the median honest update has,
the rest of the allowed length spent on harm. The *late* one is honest until its participants have a reputation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from benchmarks.poisoning.digits import CLASSES, Digits, Floats, with_trigger

AttackName = Literal[
    "none",
    "label flip",
    "sign flip",
    "scaled",
    "Gaussian",
    "min-max",
    "min-sum",
    "ALIE",
    "backdoor",
    "adaptive untargeted",
    "adaptive backdoor",
    "late backdoor",
    "1 to 7",
]
KNOWN: tuple[AttackName, ...] = get_args(AttackName)[:9]
"""Those of the literature; the next three are aimed at fedledger's rule, the last is Biscotti's."""
AIMED: tuple[AttackName, ...] = ("adaptive untargeted", "adaptive backdoor", "late backdoor")
BACKDOORS = frozenset({"backdoor", "adaptive backdoor", "late backdoor"})
LATE = 20
"""Rounds for which the late attack is none."""
TARGET = 0
"""Class that the backdoor asks for."""
_ALIE_Z = 1.5
_SIGN_FACTOR = 4.0
_SCALE = 10.0


@dataclass(frozen=True)
class Knowledge:
    """What the attackers have before them in one round."""

    honest: Floats
    """float32[h, d]: the updates of honest participants."""
    truthful: Floats
    """float32[m, d]: what the attackers' own data would give."""
    previous_step: Floats | None
    """float32[d]: the public last step of the global model."""
    clip_norm: float
    """C of the task."""
    reference_is_public: bool
    """Whether the round's direction is the public last step; a committed one is guessed from the honest mean."""


def poisoned_data(attack: AttackName, owners: Sequence[Digits]) -> list[Digits]:
    """What attackers train on."""
    if attack in ("label flip", "scaled"):
        return [Digits(owner.images, CLASSES - 1 - owner.labels) for owner in owners]
    if attack == "1 to 7":
        return [Digits(owner.images, np.where(owner.labels == 1, 7, owner.labels)) for owner in owners]
    if attack in BACKDOORS:
        return [
            Digits(
                np.concatenate([owner.images, with_trigger(owner.images)]),
                np.concatenate([owner.labels, np.full_like(owner.labels, TARGET)]),
            )
            for owner in owners
        ]
    return list(owners)


def attack_updates(attack: AttackName, known: Knowledge, random: np.random.Generator) -> Floats:
    """float32[m, d] of the attackers; ``known.truthful`` is from :func:`poisoned_data`."""
    own = known.truthful
    malicious, total = len(own), len(own) + len(known.honest)
    mean = known.honest.mean(axis=0)
    match attack:
        case "none" | "label flip" | "1 to 7":
            return own
        case "sign flip":
            return np.asarray(-_SIGN_FACTOR * own, dtype=np.float32)
        case "scaled":
            return np.asarray(_SCALE * own, dtype=np.float32)
        case "Gaussian":
            noise = random.standard_normal(own.shape).astype(np.float32)
            return _of_length(noise, _SCALE * float(np.linalg.norm(known.honest, axis=1).mean()))
        case "ALIE":
            return np.repeat((mean - _ALIE_Z * known.honest.std(axis=0))[None], malicious, axis=0)
        case "min-max" | "min-sum":
            return np.repeat(_farthest(known.honest, attack == "min-sum")[None], malicious, axis=0)
        case "backdoor" | "late backdoor":
            return np.asarray(own * (total / malicious), dtype=np.float32)
        case "adaptive backdoor":
            return np.stack([_agreeing(known, mean, update) for update in own])
        case "adaptive untargeted":
            return np.repeat(_agreeing(known, mean, -mean)[None], malicious, axis=0)


def _agreeing(known: Knowledge, mean: Floats, harm: Floats) -> Floats:
    """A vector of norm C that agrees with what the direction is taken to be as the median honest update does, the
    rest harm."""
    guessed = known.previous_step if known.reference_is_public and known.previous_step is not None else mean
    unit = guessed / np.float32(max(float(np.linalg.norm(guessed)), 1e-12))
    lengths = np.maximum(np.linalg.norm(known.honest, axis=1), known.clip_norm)
    cosine = float(np.clip(np.median(known.honest @ unit / lengths), 0.0, 1.0))
    rest = harm - unit * np.dot(harm, unit)
    length = float(np.linalg.norm(rest))
    if length < 1e-9:
        return np.asarray(unit * known.clip_norm, dtype=np.float32)
    sine = float(np.sqrt(1.0 - cosine**2))
    return np.asarray((unit * cosine + rest * (sine / length)) * known.clip_norm, dtype=np.float32)


def _of_length(vectors: Floats, length: float) -> Floats:
    return np.asarray(vectors * (length / np.linalg.norm(vectors, axis=1, keepdims=True)), dtype=np.float32)


def _farthest(honest: Floats, use_sum: bool) -> Floats:
    """The honest mean, moved against the honest deviation as far as no honest update is an outlier more than it."""
    mean, away = honest.mean(axis=0), -honest.std(axis=0)
    squares = np.einsum("ij,ij->i", honest, honest)
    between = np.maximum(squares[:, None] + squares[None] - 2.0 * (honest @ honest.T), 0.0)
    limit = float(between.sum(axis=1).max() if use_sum else between.max())
    centred = honest - mean
    own, cross, length = np.einsum("ij,ij->i", centred, centred), centred @ away, float(away @ away)
    low, high = 0.0, 50.0
    for _ in range(30):
        factor = (low + high) / 2.0
        distances = own - 2.0 * factor * cross + factor**2 * length
        if float(distances.sum() if use_sum else distances.max()) <= limit:
            low = factor
        else:
            high = factor
    return np.asarray(mean + np.float32(low) * away, dtype=np.float32)
