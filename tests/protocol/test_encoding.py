"""Updates become integers within their norm, and weighted sums become the weighted mean again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fedledger.secure_aggregation import AggregateError, UpdateError, decode_sum, encode_update
from fedledger.secure_aggregation.encoding import within_norm

finite = st.floats(allow_nan=False, allow_infinity=False)
norms = st.sampled_from([1, 2, 255, 1 << 16, 1 << 24, 30_854_650, 1 << 29])
clips = st.sampled_from([1e-6, 0.5, 1.0, 3.0, 1e6])


def exact_squares(integers: np.ndarray) -> int:  # type: ignore[type-arg]
    return sum(int(x) ** 2 for x in integers)


@given(arrays.arrays(np.float64, st.integers(0, 50), elements=finite), clips, norms)
def test_the_squared_norm_never_exceeds_the_bound(update, clip, norm) -> None:  # type: ignore[no-untyped-def]
    assert exact_squares(encode_update(update, clip, norm)) <= norm**2


@given(arrays.arrays(np.float64, 40, elements=st.floats(-1, 1)), norms)
def test_every_coordinate_is_within_one_step_of_the_clipped_update(update, norm) -> None:  # type: ignore[no-untyped-def]
    clip = 2.0
    length = float(np.linalg.norm(update))
    clipped = update * (clip / length) if length > clip else update
    decoded = encode_update(update, clip, norm) * (clip / norm)
    assert np.abs(decoded - clipped).max() <= clip / norm * (1 + 1e-6)


@pytest.mark.parametrize("dimension", [1, 2, 100, 10_000])
def test_an_update_at_the_bound_keeps_almost_all_of_its_norm(dimension: int) -> None:
    update = np.random.default_rng(dimension).normal(size=dimension)
    encoded = encode_update(update, float(np.linalg.norm(update)), 1 << 24)
    assert 1 - 1e-4 < math.sqrt(exact_squares(encoded)) / (1 << 24) <= 1


def test_float32_and_shapes_are_taken_as_they_are() -> None:
    update = np.array([[0.25, -0.5], [0.0, 0.125]], dtype=np.float32)
    assert encode_update(update, 1.0, 1 << 8).tolist() == [64, -128, 0, 32]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(UpdateError, match="UPDATE_NOT_FINITE: 1 of the update's 3 numbers"):
        encode_update([0.0, value, 1.0], 1.0, 1 << 24)


@pytest.mark.parametrize("clip", [0.0, -1.0, math.nan, math.inf])
def test_a_clip_norm_that_bounds_nothing_is_refused(clip: float) -> None:
    with pytest.raises(UpdateError, match="CLIP_NORM"):
        encode_update([1.0], clip, 1 << 24)


@given(
    arrays.arrays(np.int64, st.integers(0, 6), elements=st.integers(-(2**63), 2**63 - 1)),
    norms,
)
def test_the_norm_check_is_exact_for_any_integers(integers, norm) -> None:  # type: ignore[no-untyped-def]
    assert within_norm(integers, norm) == (exact_squares(integers) <= norm**2)


@pytest.mark.parametrize("norm", [5, 13, 1 << 24, 1 << 29])
def test_the_norm_check_decides_at_the_bound_itself(norm: int) -> None:
    assert within_norm(np.array([norm, 0]), norm)
    assert not within_norm(np.array([norm, 1]), norm)
    assert not within_norm(np.array([norm + 1]), norm)


@given(st.lists(st.tuples(st.integers(1, 1 << 20), st.integers(0, 2**32)), min_size=1, max_size=8), clips, norms)
def test_the_decoded_sum_is_the_weighted_mean(updates, clip, norm) -> None:  # type: ignore[no-untyped-def]
    weights = [weight for weight, _ in updates]
    encoded = [encode_update(np.random.default_rng(seed).normal(size=7), clip, norm) for _, seed in updates]
    total = sum(weight * x for weight, x in zip(weights, encoded, strict=True))
    mean = decode_sum(total, sum(weights), clip, norm)
    expected = sum(weight * x.astype(float) for weight, x in zip(weights, encoded, strict=True))
    np.testing.assert_allclose(mean, expected / sum(weights) / norm * clip, rtol=1e-12)


def test_a_sum_beyond_what_its_weights_allow_is_refused() -> None:
    assert decode_sum([-30, 30], 3, 1.0, 10).tolist() == [-1.0, 1.0]
    for total in ([31, 0], [0, -31], [-(2**63), 0]):
        with pytest.raises(AggregateError, match="SUM_OUT_OF_BOUNDS"):
            decode_sum(total, 3, 1.0, 10)


def test_a_sum_of_nothing_is_refused() -> None:
    with pytest.raises(AggregateError, match="NO_WEIGHT"):
        decode_sum([0], 0, 1.0, 10)
