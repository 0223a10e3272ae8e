"""Small networks and local SGD in numpy: one participant after another, so that its weights stay in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.poisoning.digits import CLASSES, PIXELS, Digits, Floats, Indices

_ONE_HOT = np.eye(CLASSES, dtype=np.float32)


@dataclass(frozen=True)
class Network:
    """A perceptron with one hidden layer of ReLUs, or softmax regression without a hidden layer."""

    hidden: int | None = 32

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        if self.hidden is None:
            return (PIXELS, CLASSES), (CLASSES,)
        return (PIXELS, self.hidden), (self.hidden,), (self.hidden, CLASSES), (CLASSES,)

    @property
    def dimension(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def initial(self, random: np.random.Generator) -> Floats:
        """float32[d]: He's initialisation, biases of zero."""
        parts = [
            random.normal(0.0, np.sqrt(2.0 / shape[0]), shape) if len(shape) == 2 else np.zeros(shape)
            for shape in self.shapes
        ]
        return np.asarray(np.concatenate([part.reshape(-1) for part in parts]), dtype=np.float32)

    def parts(self, weights: Floats) -> list[Floats]:
        """Views of float32[..., d] as the tensors of each layer."""
        views, start = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape))
            views.append(weights[..., start : start + size].reshape(*weights.shape[:-1], *shape))
            start += size
        return views

    def predict(self, weights: Floats, images: Floats) -> Indices:
        """Classes of images float32[n, 784]."""
        parts = self.parts(weights)
        if self.hidden is None:
            return np.asarray((images @ parts[0] + parts[1]).argmax(axis=1))
        return np.asarray((np.maximum(images @ parts[0] + parts[1], 0) @ parts[2] + parts[3]).argmax(axis=1))

    def gradients(self, weights: Floats, images: Floats, targets: Floats) -> list[Floats]:
        """Of the mean cross-entropy, one per tensor: weights [d], images [b, 784], targets [b, 10]."""
        parts = self.parts(weights)
        inner = images if self.hidden is None else np.maximum(images @ parts[0] + parts[1], 0)
        error = _softmax(inner @ parts[-2] + parts[-1]) - targets
        error /= np.float32(len(images))
        last = [inner.T @ error, error.sum(axis=0)]
        if self.hidden is None:
            return last
        back = error @ parts[2].T * (inner > 0)
        return [images.T @ back, back.sum(axis=0), *last]


@dataclass(frozen=True)
class LocalWork:
    """What a participant does in a round; batches are drawn with replacement."""

    steps: int = 5
    batch: int = 16
    learning_rate: float = 0.3

    def updates(self, network: Network, base: Floats, owners: Sequence[Digits], random: np.random.Generator) -> Floats:
        """float32[p, d]: base minus trained weights of each owner."""
        updates = np.empty((len(owners), network.dimension), dtype=np.float32)
        for update, owner in zip(updates, owners, strict=True):
            update[:] = base - self.trained(network, base, owner, random)
        return updates

    def trained(self, network: Network, base: Floats, owner: Digits, random: np.random.Generator) -> Floats:
        """float32[d]: the weights after one owner's steps."""
        weights = base.copy()
        parts = network.parts(weights)
        for _ in range(self.steps):
            chosen = random.integers(0, len(owner), self.batch)
            gradients = network.gradients(weights, owner.images[chosen], _ONE_HOT[owner.labels[chosen]])
            for part, gradient in zip(parts, gradients, strict=True):
                gradient *= np.float32(self.learning_rate)
                part -= gradient
        return weights


def _softmax(scores: Floats) -> Floats:
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
