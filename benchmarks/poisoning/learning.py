"""Small networks and local SGD in numpy.

The first layer's weights move only along a participant's own images, W = W_base - X^T A, so that scores are
X W_base - (X X^T) A: local steps work on Gram matrices of some hundred examples, not on 784 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
        scores = images @ parts[0] + parts[1]
        if self.hidden is not None:
            scores = np.maximum(scores, 0) @ parts[2] + parts[3]
        return np.asarray(scores.argmax(axis=1))


@dataclass(frozen=True)
class Cohort:
    """Examples of p owners, padded to the largest: what local work needs, computed once."""

    images: Floats
    """float32[p, n, 784], zero where an owner has fewer."""
    targets: Floats
    """float32[p, n, 10], one-hot."""
    sizes: Indices
    """int64[p]."""
    gram: Floats
    """float32[p, n, n], X X^T + 1: the 1 is for the bias."""
    squares: Floats
    """float32[p, n], squared lengths of images, the bias' 1 included."""

    @classmethod
    def of(cls, owners: Sequence[Digits]) -> Cohort:
        sizes = np.array([len(owner) for owner in owners], dtype=np.int64)
        images = np.zeros((len(owners), int(sizes.max()), PIXELS), dtype=np.float32)
        targets = np.zeros((*images.shape[:2], CLASSES), dtype=np.float32)
        for number, owner in enumerate(owners):
            images[number, : len(owner)] = owner.images
            targets[number, : len(owner)] = _ONE_HOT[owner.labels]
        gram = images @ images.transpose(0, 2, 1) + np.float32(1.0)
        return cls(images, targets, sizes, gram, np.ascontiguousarray(np.einsum("pii->pi", gram)))

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """bool[p, n]: not padding."""
        return np.asarray(np.arange(self.images.shape[1]) < self.sizes[:, None])


@dataclass(frozen=True)
class LocalWork:
    """What a participant does in a round: steps on Poisson samples of its examples."""

    steps: int = 5
    sampling: float = 0.4
    """Probability with which each example enters a step."""
    learning_rate: float = 0.1
    record_clip: float | None = None
    """Bound of each example's gradient norm, as in DP-SGD; None without."""

    def updates(self, network: Network, base: Floats, cohort: Cohort, random: np.random.Generator) -> Floats:
        """float32[p, d]: base minus trained weights of each owner."""
        parts = network.parts(base)
        base_scores = cohort.images @ parts[0] + parts[1]
        moved = np.zeros_like(base_scores)
        later = [np.repeat(part[None], len(cohort.sizes), axis=0) for part in parts[2:]]
        for _ in range(self.steps):
            shares = self._shares(cohort, random)
            scores = base_scores - cohort.gram @ moved
            moved += self._step(scores, later, shares, cohort)
        updates = np.empty((len(cohort.sizes), network.dimension), dtype=np.float32)
        own = network.parts(updates)
        np.matmul(cohort.images.transpose(0, 2, 1), moved, out=own[0])
        own[1][:] = moved.sum(axis=1)
        for view, start, end in zip(own[2:], parts[2:], later, strict=True):
            view[:] = start - end
        return updates

    def _shares(self, cohort: Cohort, random: np.random.Generator) -> Floats:
        """float32[p, n]: the learning rate over the expected size of a sample, for each example in it."""
        chosen = cohort.present
        if self.sampling < 1.0:
            chosen &= random.random(chosen.shape, dtype=np.float32) < self.sampling
        share = (self.learning_rate / (self.sampling * cohort.sizes[:, None])).astype(np.float32)
        return np.asarray(chosen * share, dtype=np.float32)

    def _step(self, scores: Floats, later: list[Floats], shares: Floats, cohort: Cohort) -> Floats:
        """What to subtract in terms of images, float32[p, n, first layer's width]; moves ``later`` layers in place."""
        if not later:
            error = _softmax(scores) - cohort.targets
            return error * (shares * self._kept(_lengths(error) * cohort.squares))[..., None]
        kernel, bias = later
        inner = np.maximum(scores, 0)
        error = _softmax(inner @ kernel + bias[:, None]) - cohort.targets
        back = error @ kernel.transpose(0, 2, 1) * (scores > 0)
        if self.record_clip is not None:
            squares = _lengths(error) * (_lengths(inner) + 1) + _lengths(back) * cohort.squares
            shares = shares * self._kept(squares)
        error *= shares[..., None]
        kernel -= inner.transpose(0, 2, 1) @ error
        bias -= error.sum(axis=1)
        return back * shares[..., None]

    def _kept(self, squares: Floats) -> Floats:
        """The factors that bring gradients of these squared norms within the record clip."""
        if self.record_clip is None:
            return np.ones_like(squares)
        return np.asarray(np.minimum(1.0, self.record_clip / np.sqrt(np.maximum(squares, 1e-12))), dtype=np.float32)


def _lengths(vectors: Floats) -> Floats:
    """Squared lengths along the last axis."""
    return np.asarray(np.einsum("...i,...i->...", vectors, vectors))


def _softmax(scores: Floats) -> Floats:
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
