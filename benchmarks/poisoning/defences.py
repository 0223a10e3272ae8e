"""Known robust means, in the clear: each maps updates float32[n, d] to one float32[d].

Sources: median and trimmed mean, Yin et al. 2018; multi-Krum, Blanchard et al. 2017; centred clipping, Karimireddy et
al. 2021; FLTrust, Cao et al. 2021. Those that need the number of attackers are told it, in their favour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.poisoning.digits import Floats, Indices

_CLIPPING_STEPS = 3


@dataclass(frozen=True)
class Received:
    """What an aggregation in the clear sees in one round."""

    updates: Floats
    examples: Indices
    """int64[n], as claimed."""
    malicious: int
    root_update: Floats
    momentum: Floats
    """float32[d]: the previous robust mean, the centre of centred clipping."""


def federated_average(received: Received) -> Floats:
    """Weighted by the claimed number of examples."""
    weights = (received.examples / received.examples.sum()).astype(np.float32)
    return np.asarray(weights @ received.updates)


def coordinate_median(received: Received) -> Floats:
    return np.asarray(np.median(received.updates, axis=0))


def trimmed_mean(received: Received) -> Floats:
    """Without the ``malicious`` largest and smallest of each coordinate."""
    kept = slice(received.malicious, len(received.updates) - received.malicious)
    return np.asarray(np.sort(received.updates, axis=0)[kept].mean(axis=0))


def multi_krum(received: Received) -> Floats:
    """Mean of the n - f updates whose n - f - 2 nearest neighbours are nearest."""
    updates, kept = received.updates, len(received.updates) - received.malicious
    squares = np.einsum("ij,ij->i", updates, updates)
    distances = squares[:, None] + squares[None] - 2.0 * (updates @ updates.T)
    np.fill_diagonal(distances, np.inf)
    scores = np.sort(distances, axis=1)[:, : kept - 2].sum(axis=1)
    return np.asarray(updates[np.argsort(scores)[:kept]].mean(axis=0))


def centred_clipping(received: Received) -> Floats:
    """Three steps from the previous mean; radius: the median distance to it."""
    centre = received.momentum
    for _ in range(_CLIPPING_STEPS):
        away = received.updates - centre
        lengths = np.linalg.norm(away, axis=1)
        radius = np.median(lengths)
        centre = centre + (away * np.minimum(1.0, radius / np.maximum(lengths, 1e-12))[:, None]).mean(axis=0)
    return np.asarray(centre, dtype=np.float32)


def fltrust(received: Received) -> Floats:
    """Mean weighted by the ReLU of the cosine to the root update, each scaled to the root update's norm."""
    root_norm = np.linalg.norm(received.root_update)
    norms = np.maximum(np.linalg.norm(received.updates, axis=1), 1e-12)
    trust = np.maximum(received.updates @ received.root_update / (norms * max(float(root_norm), 1e-12)), 0.0)
    if trust.sum() == 0.0:
        return np.zeros_like(received.root_update)
    return np.asarray((trust * root_norm / norms / trust.sum()).astype(np.float32) @ received.updates)


IN_THE_CLEAR = {
    "FedAvg": federated_average,
    "median": coordinate_median,
    "trimmed mean": trimmed_mean,
    "multi-Krum": multi_krum,
    "centred clipping": centred_clipping,
    "FLTrust": fltrust,
}
