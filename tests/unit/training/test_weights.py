"""Model files are canonical, strict, and read by the safetensors library; vectors and tensors are inverse."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from fedledger.errors import BadInputError
from fedledger.training.weights import (
    Tensor,
    flatten,
    initial_weights,
    load_weights,
    parameter_count,
    save_weights,
    unflatten,
)

TENSORS = (Tensor("hidden/kernel", (3, 2)), Tensor("hidden/bias", (2,)), Tensor("scale", ()))
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = st.lists(finite, min_size=9, max_size=9).map(lambda values: np.array(values, dtype=np.float32))


@given(vectors)
def test_a_saved_file_loads_to_the_same_bits(vector: np.ndarray) -> None:
    weights = unflatten(vector, TENSORS)
    loaded = load_weights(save_weights(weights, TENSORS), TENSORS)
    assert flatten(loaded).tobytes() == vector.tobytes()
    assert [array.shape for array in loaded] == [(3, 2), (2,), ()]


@given(vectors)
def test_the_safetensors_library_reads_the_file(vector: np.ndarray) -> None:
    weights = unflatten(vector, TENSORS)
    read = safetensors.numpy.load(save_weights(weights, TENSORS))
    for tensor, array in zip(TENSORS, weights, strict=True):
        np.testing.assert_array_equal(read[tensor.name], array)


def test_the_encoding_never_changes() -> None:
    data = save_weights(initial_weights(TENSORS, seed=7), TENSORS)
    assert hashlib.sha256(data).hexdigest() == "fc6e7546e4a34cfd57f8e8260832b3a4e78d064d1e5bedd4b547b02f9b649177"


def test_initial_weights_are_glorot_uniform_and_depend_on_seed_and_name() -> None:
    wide = (Tensor("a/kernel", (200, 100)), Tensor("b/kernel", (200, 100)), Tensor("norm/gamma", (4,)))
    a, b, gamma = initial_weights(wide, seed=1)
    limit = np.sqrt(6 / 300)
    assert np.abs(a).max() <= limit
    assert abs(a.std() - limit / np.sqrt(3)) < 0.01 * limit
    assert not np.array_equal(a, b)
    assert not np.array_equal(a, initial_weights(wide, seed=2)[0])
    assert gamma.tolist() == [1.0] * 4


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: data[:-1], id="cut off"),
        pytest.param(lambda data: data + b"\0", id="byte appended"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data.replace(b"F32", b"F16"), id="another type"),
        pytest.param(lambda data: data.replace(b"hidden/bias", b"hidden/bIas"), id="another name"),
        pytest.param(lambda data: data.replace(b"[3,2]", b"[2,3]"), id="another shape"),
        pytest.param(lambda data: b"\xff" * 8 + data[8:], id="absurd header length"),
    ],
)
def test_any_other_file_is_refused(spoil) -> None:  # type: ignore[no-untyped-def]
    data = save_weights(initial_weights(TENSORS, seed=7), TENSORS)
    with pytest.raises(BadInputError, match="WEIGHTS_FILE"):
        load_weights(spoil(data), TENSORS)


@given(vectors, st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 8))
def test_nan_and_infinity_are_refused_in_both_directions(vector: np.ndarray, bad: float, place: int) -> None:
    weights = unflatten(vector, TENSORS)
    data = bytearray(save_weights(weights, TENSORS))
    end = len(data) - 4 * (8 - place)
    data[end - 4 : end] = np.float32(bad).tobytes()
    with pytest.raises(BadInputError, match="WEIGHTS_NOT_FINITE"):
        load_weights(bytes(data), TENSORS)
    vector[place] = bad
    with pytest.raises(BadInputError, match="WEIGHTS_NOT_FINITE"):
        unflatten(vector, TENSORS)


def test_weights_of_another_model_are_refused() -> None:
    with pytest.raises(BadInputError, match="WEIGHTS_SHAPE"):
        save_weights([np.zeros((2, 3)), np.zeros(2), np.zeros(())], TENSORS)
    with pytest.raises(BadInputError, match="WEIGHTS_SHAPE"):
        unflatten(np.zeros(8), TENSORS)


def test_a_name_used_twice_is_refused() -> None:
    twice = (Tensor("kernel", (2,)), Tensor("kernel", (2,)))
    with pytest.raises(BadInputError, match="same name"):
        save_weights([np.zeros(2), np.zeros(2)], twice)


def test_parameters_are_counted_over_all_tensors() -> None:
    assert parameter_count(TENSORS) == 9
    assert parameter_count(()) == 0
    assert flatten([]).shape == (0,)
