"""A record's side of the split follows from the seed and its own bytes, a device's from its own number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.training import Examples, TaskDefinition, load_task, split_by_device
from fedledger.training.examples import stratified_split

SHARE = 0.3


def sides(x: np.ndarray, y: np.ndarray, seed: int = 1) -> dict[bytes, bool]:
    """By a record's bytes, whether it is held back; raises where equal records are on both sides."""
    split = stratified_split(x, y.tolist(), seed=seed, test_share=SHARE)
    found: dict[bytes, bool] = {}
    for part, held_back in ((split.train, False), (split.test, True)):
        for features, label in zip(part.x, part.y, strict=True):
            assert found.setdefault(features.tobytes() + label.tobytes(), held_back) == held_back
    return found


records = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=2, max_size=12)


@given(records, st.data())
def test_taking_records_out_or_shuffling_them_moves_no_other(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    x = np.array([[value, -value] for value, _ in rows], dtype=np.float32)
    y = np.array([label for _, label in rows], dtype=np.int32)
    whole = sides(x, y)
    kept = data.draw(st.lists(st.integers(0, len(rows) - 1), unique=True, min_size=1))
    rest = sides(x[kept], y[kept])
    assert rest == {record: whole[record] for record in rest}


def test_without_any_one_patient_all_others_stay_on_their_side() -> None:
    task = load_task("heart-disease")
    split = task.load_data("cleveland")
    x = np.concatenate([split.train.x, split.test.x])
    y = np.concatenate([split.train.y, split.test.y])
    whole = sides(x, y, task.seed)
    for gone in range(len(x)):
        rest = sides(np.delete(x, gone, axis=0), np.delete(y, gone), task.seed)
        assert all(whole[record] == side for record, side in rest.items())


def test_equal_records_are_on_one_side_and_a_minus_before_zero_makes_no_other() -> None:
    x = np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, 1.0]], dtype=np.float32)
    split = stratified_split(x, [1, 1, 1], seed=4, test_share=0.5)
    assert {len(split.train), len(split.test)} == {0, 3}


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_about_the_share_is_held_back_of_each_class(share: float) -> None:
    generator = np.random.default_rng(2)
    x, y = generator.normal(size=(20_000, 3)), (np.arange(20_000) % 2).tolist()
    split = stratified_split(x, y, seed=9, test_share=share)
    for label in (0, 1):
        held_back = int((split.test.y == label).sum())
        assert abs(held_back - 10_000 * share) < 6 * np.sqrt(10_000 * share * (1 - share))


def test_another_seed_draws_other_sides() -> None:
    x, y = np.random.default_rng(3).normal(size=(400, 3)), [0] * 400
    one, other = (stratified_split(x, y, seed=seed, test_share=0.5).test.x.tobytes() for seed in (1, 2))
    assert one != other


def test_a_device_stays_where_it_is_whatever_others_there_are_and_however_many_records_it_has() -> None:
    def side(devices: np.ndarray) -> dict[int, bool]:
        x = np.random.default_rng(0).normal(size=(len(devices), 2))
        split = split_by_device(x, [0] * len(devices), devices, seed=6, test_share=0.25)
        assert split.train.devices is not None and split.test.devices is not None
        assert not set(split.train.devices) & set(split.test.devices)
        return {int(d): False for d in split.train.devices} | {int(d): True for d in split.test.devices}

    whole = side(np.repeat(np.arange(60), 3))
    assert any(whole.values()) and not all(whole.values())
    for gone in range(60):
        rest = side(np.repeat(np.delete(np.arange(60), gone), 5)[::-1])
        assert rest == {device: held for device, held in whole.items() if device != gone}


def test_what_is_withdrawn_leaves_training_and_held_out_records_alike(task: TaskDefinition) -> None:
    split = task.load_data("hungary")
    x, y = np.concatenate([split.train.x, split.test.x]), np.concatenate([split.train.y, split.test.y])
    for part in (split.train, split.test):
        gone = next(row for row in range(len(x)) if (x[row] == part.x[0]).all() and y[row] == part.y[0])
        rest = stratified_split(np.delete(x, gone, axis=0), np.delete(y, gone).tolist(), seed=task.seed, test_share=0.3)
        expected = Examples(part.x[1:], part.y[1:])
        found = rest.train if part is split.train else rest.test
        np.testing.assert_array_equal(found.x, expected.x)
        np.testing.assert_array_equal(found.y, expected.y)
        other = (rest.test, split.test) if part is split.train else (rest.train, split.train)
        np.testing.assert_array_equal(other[0].x, other[1].x)
