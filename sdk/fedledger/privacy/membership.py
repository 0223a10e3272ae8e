"""Membership inference: how well an attacker tells a model's training records from others; refuses to call it proof.

The attacks are those of TensorFlow Privacy's ``membership_inference_attack``, computed here: the wheel of
tensorflow-privacy 0.9.0 does not contain that module, and tensorflow-empirical-privacy 0.1.0, which does, cannot be
imported with scikit-learn 1.5 or newer. A test compares both on figures that its code printed.

An attack is a lower bound of what leaks. What holds for every attacker is :func:`bound_of`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedledger.errors import BadInputError

Array = npt.NDArray[np.float64]
FALSE_POSITIVE_RATES = (0.01, 0.1)
"""At which the true positive rate is told: an attacker who accuses hardly anybody wrongly (Carlini et al. 2022)."""
_FOLDS = 2
_SMALLEST_PROBABILITY = 1e-8
_KOLMOGOROV_MEAN = math.sqrt(math.pi / 2) * math.log(2)


@dataclass(frozen=True)
class Signals:
    """What an attacker computes of a model's answers, one entry per record, or per device."""

    loss: Array
    """float64[n], cross-entropy."""
    entropy: Array
    """float64[n], prediction entropy that takes the label into account (Song and Mittal 2021, equation 8)."""
    features: Array
    """float64[n, k + 1], class probabilities and loss, from which an attacker learns."""

    def __len__(self) -> int:
        return len(self.loss)


@dataclass(frozen=True)
class Attack:
    """How one attack did."""

    name: str
    auc: float
    """Area under the ROC curve of members against others; 0.5 is a coin."""
    auc_error: float
    """Standard error of ``auc`` (Hanley and McNeil 1982)."""
    advantage: float
    """Largest difference of true and false positive rate (Yeom et al. 2018, over all thresholds)."""
    tpr_at: Mapping[float, float]
    """True positive rate by false positive rate."""


@dataclass(frozen=True)
class Bound:
    """What no attack exceeds, whatever it knows."""

    advantage: float
    auc: float
    tpr_at: Mapping[float, float]


def signals_of(
    probabilities: Array, labels: npt.NDArray[np.int32], groups: npt.NDArray[np.int64] | None = None
) -> Signals:
    """Signals from class probabilities float64[n, k] and labels int32[n]; means over each of ``groups`` (int64[n],
    the device of a record) where these are given.
    """
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    loss = -_log(own)
    others = probabilities * _log(1.0 - probabilities)
    others[rows, labels] = (1.0 - own) * _log(own)
    signals = np.column_stack([loss, -others.sum(axis=1), probabilities])
    if groups is not None:
        _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
        totals = np.zeros((len(counts), signals.shape[1]))
        np.add.at(totals, inverse, signals)
        signals = totals / counts[:, None]
    return Signals(signals[:, 0], signals[:, 1], np.column_stack([signals[:, 2:], signals[:, 0]]))


def membership_attacks(members: Signals, others: Signals) -> tuple[Attack, ...]:
    """Three attacks on ``members``, which were trained on, and ``others``, which were not.

    Raises BadInputError TOO_FEW_RECORDS with fewer than two of either.
    """
    if min(len(members), len(others)) < _FOLDS:
        raise BadInputError(
            "TOO_FEW_RECORDS",
            f"Membership inference needs at least two of each; there are {len(members)} members, {len(others)} others.",
            "Hold back more records for the test part in data.py.",
        )
    return (
        _attack("loss threshold", -members.loss, -others.loss),
        _attack("entropy threshold", -members.entropy, -others.entropy),
        _attack("logistic regression", *_learnt_scores(members.features, others.features)),
    )


def advantage_by_chance(members: int, others: int) -> float:
    """Mean advantage that is measured where there is none: the largest difference of two empirical distributions of
    so many records from one (Kolmogorov 1933).
    """
    return min(_KOLMOGOROV_MEAN * math.sqrt((members + others) / (members * others)), 1.0)


def bound_of(epsilon: float, delta: float, total_variation: float = 1.0) -> Bound:
    """What (epsilon, delta)-differential privacy leaves to any attacker (Kairouz, Oh and Viswanath 2015, theorem 2.1).

    ``total_variation`` of the mechanism, where it is known, bounds the advantage as well. With
    ``a = (1 - delta) / (1 + e^epsilon)`` the least false negative rate at the false positive rate x is
    ``max(0, 1 - delta - e^epsilon x, e^-epsilon (1 - delta - x))``, the advantage ``1 - 2a``, the area under the ROC
    curve ``1 - (1 - delta) a``.
    """
    corner = (1.0 - delta) * math.exp(-epsilon) / (1.0 + math.exp(-epsilon))
    advantage = min(1.0 - 2.0 * corner, total_variation)
    return Bound(
        advantage=advantage,
        auc=1.0 - (1.0 - delta) * corner,
        tpr_at={
            rate: min(
                1.0,
                delta + math.exp(min(epsilon, 700.0)) * rate,
                1.0 - math.exp(-epsilon) * (1.0 - delta - rate),
                rate + advantage,
            )
            for rate in FALSE_POSITIVE_RATES
        },
    )


def _attack(name: str, members: Array, others: Array) -> Attack:
    """Judge scores, which are the higher the more a record looks like a member."""
    from sklearn.metrics import auc, roc_curve

    is_member = np.concatenate([np.ones(len(members)), np.zeros(len(others))])
    false_positive, true_positive, _ = roc_curve(is_member, np.concatenate([members, others]), drop_intermediate=False)
    area = float(auc(false_positive, true_positive))
    return Attack(
        name=name,
        auc=area,
        auc_error=_auc_error(area, len(members), len(others)),
        advantage=float(np.abs(true_positive - false_positive).max()),
        tpr_at={
            rate: float(true_positive[np.searchsorted(false_positive, rate, side="right") - 1])
            for rate in FALSE_POSITIVE_RATES
        },
    )


def _learnt_scores(members: Array, others: Array) -> tuple[Array, Array]:
    """Scores of a logistic regression, each from a model that was fitted on the other half."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = np.concatenate([members, others])
    is_member = np.concatenate([np.ones(len(members)), np.zeros(len(others))])
    attacker = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(attacker, features, is_member, cv=folds, method="predict_proba")[:, 1]
    return scores[: len(members)], scores[len(members) :]


def _auc_error(area: float, members: int, others: int) -> float:
    above, below = area / (2.0 - area), 2.0 * area * area / (1.0 + area)
    spread = (members - 1) * (above - area * area) + (others - 1) * (below - area * area)
    return math.sqrt(max(area * (1.0 - area) + spread, 0.0) / (members * others))


def _log(values: Array) -> Array:
    return np.asarray(np.log(np.maximum(values, _SMALLEST_PROBABILITY)))
