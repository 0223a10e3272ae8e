"""Which directions count as one: two computations of the same differ by rounding, a tilted one by much more."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedledger.agents.reference import are_alike, read_direction
from fedledger.secure_aggregation import encode_direction
from fedledger.secure_aggregation.encoding import Integers

NORM = 1 << 24
DIMENSION = 1000


def direction(*, degrees: float = 0.0, noise: float = 0.0) -> Integers:
    """One and the same, tilted by an angle, or with so much relative rounding error."""
    random = np.random.default_rng(5)
    along, across, error = (random.normal(size=DIMENSION) for _ in range(3))
    across -= along * np.dot(across, along) / np.dot(along, along)
    across *= np.linalg.norm(along) / np.linalg.norm(across)
    error *= noise * np.linalg.norm(along) / np.linalg.norm(error)
    angle = math.radians(degrees)
    encoded = encode_direction(along * math.cos(angle) + across * math.sin(angle) + error, NORM)
    assert encoded is not None
    return encoded


@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-4])
def test_computations_that_differ_by_rounding_are_alike(noise: float) -> None:
    assert are_alike(direction(), direction(noise=noise))


@pytest.mark.parametrize("degrees", [0.5, 18.0, 90.0, 180.0])
def test_a_direction_that_is_tilted_is_not(degrees: float) -> None:
    assert not are_alike(direction(), direction(degrees=degrees))


def test_nothing_is_like_no_direction_at_all() -> None:
    assert not are_alike(np.zeros(DIMENSION, dtype=np.int64), direction())


@pytest.mark.parametrize(
    "content",
    [b"", bytes(8 * DIMENSION), bytes(8 * DIMENSION - 8), b"\xff" * (8 * DIMENSION - 8) + b"\xff" * 7 + b"\x7f"],
)
def test_bytes_that_are_no_direction_of_the_task_are_none(content: bytes) -> None:
    assert read_direction(content, DIMENSION, NORM) is None


def test_a_direction_is_read_as_it_was_written() -> None:
    written = direction()
    read = read_direction(written.astype("<i8").tobytes(), DIMENSION, NORM)
    assert read is not None and np.array_equal(read, written)
