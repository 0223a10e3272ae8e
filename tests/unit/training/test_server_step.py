"""One server step gives the same bytes by TFF's optimiser and by the reference, on every machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger.errors import BadInputError
from fedledger.training import ReferenceServerStep, ServerStep, Tensor, flatten, save_weights, unflatten
from fedledger.training.runtime import tensorflow, tensorflow_federated
from fedledger.training.server_reference import velocity
from fedledger.training.weights import load_weights

TENSORS = (Tensor("hidden/kernel", (3, 2)), Tensor("hidden/bias", (2,)))
MICRO = 1_000_000


@dataclass(frozen=True)
class Sgd:
    learning_rate: int
    momentum: int = 0


def model_file(vector: np.ndarray) -> bytes:
    return save_weights(unflatten(vector, TENSORS), TENSORS)


def as_finite_float(bits: int) -> float:
    """The float32 with these bits, a number below 2^100: subnormal numbers are among them."""
    value = float(np.int32(bits).view(np.float32))
    return value if abs(value) < 2.0**100 else 0.0


vectors = st.lists(st.integers(-(2**31), 2**31 - 1).map(as_finite_float), min_size=8, max_size=8).map(
    lambda values: np.array(values, dtype=np.float32)
)
optimizers = st.builds(Sgd, st.integers(1, 3 * MICRO), st.sampled_from([0, 1, 500_000, 900_000, 999_999]))


@settings(deadline=None, max_examples=200)
@given(vectors, vectors, vectors | st.none(), optimizers)
def test_tffs_optimiser_and_the_reference_agree_to_the_last_bit(
    base: np.ndarray, update: np.ndarray, parent: np.ndarray | None, optimizer: Sgd
) -> None:
    before = None if parent is None else model_file(parent)
    arguments = model_file(base), update, before
    try:
        expected = ReferenceServerStep(TENSORS, optimizer).apply(*arguments)
    except BadInputError as error:
        with pytest.raises(BadInputError, match=error.code):
            ServerStep(TENSORS, optimizer).apply(*arguments)
    else:
        assert ServerStep(TENSORS, optimizer).apply(*arguments) == expected


def test_the_bytes_never_change() -> None:
    generator = np.random.Generator(np.random.PCG64(3))
    base, parent, update = (generator.integers(-999, 999, 8).astype(np.float32) / np.float32(64) for _ in range(3))
    stepped = ReferenceServerStep(TENSORS, Sgd(700_000, 900_000)).apply(model_file(base), update, model_file(parent))
    assert hashlib.sha256(stepped).hexdigest() == "55a408364c994d96098657e523e29b3943911bb7399759a484861b32cde6fa7e"


def test_plain_sgd_with_rate_one_subtracts_the_mean_update() -> None:
    base, update = np.arange(8, dtype=np.float32), np.full(8, 0.5, dtype=np.float32)
    stepped = ReferenceServerStep(TENSORS, Sgd(MICRO)).apply(model_file(base), update)
    np.testing.assert_array_equal(flatten(load_weights(stepped, TENSORS)), base - update)


def test_momentum_derived_from_two_models_follows_tffs_own_accumulator() -> None:
    tf, tff = tensorflow(), tensorflow_federated()
    optimizer = Sgd(500_000, 900_000)
    kept = tff.learning.optimizers.build_sgdm(0.5, 0.9)
    generator = np.random.default_rng(5)
    weights = generator.normal(size=8).astype(np.float32)
    state = kept.initialize((tf.TensorSpec((8,), tf.float32),))
    derived, parent = weights, None
    for _ in range(6):
        update = generator.normal(size=8).astype(np.float32)
        state, (weights,) = kept.next(state, (tf.constant(weights),), (tf.constant(update),))
        stepped = ReferenceServerStep(TENSORS, optimizer).apply(
            model_file(derived), update, None if parent is None else model_file(parent)
        )
        parent, derived = derived, flatten(load_weights(stepped, TENSORS))
        np.testing.assert_allclose(derived, weights, atol=1e-5)
    np.testing.assert_allclose(velocity(parent, derived, 500_000), state["accumulator"][0], atol=1e-5)


@pytest.mark.parametrize("step", [ServerStep, ReferenceServerStep])
def test_an_update_of_another_length_or_type_is_refused(step: type[ReferenceServerStep]) -> None:
    base = model_file(np.zeros(8, np.float32))
    for update in (np.zeros(7, np.float32), np.zeros(8, np.float64), np.zeros((8, 1), np.float32)):
        with pytest.raises(BadInputError, match="WEIGHTS_SHAPE"):
            step(TENSORS, Sgd(MICRO)).apply(base, update)


@pytest.mark.parametrize("step", [ServerStep, ReferenceServerStep])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_update_that_is_not_finite_is_refused(step: type[ReferenceServerStep], bad: float) -> None:
    update = np.zeros(8, np.float32)
    update[5] = bad
    with pytest.raises(BadInputError, match="NOT_FINITE"):
        step(TENSORS, Sgd(MICRO)).apply(model_file(np.zeros(8, np.float32)), update)
