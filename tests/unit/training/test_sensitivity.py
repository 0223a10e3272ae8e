"""One record or device less moves a sum by its own part, of at most the clip norm, and by nothing else: whichever it
is, wherever it stands, whoever the others are. Sums are integers, so that nothing here has a tolerance but the
last test, which sees an update with noise of a hundred-thousandth of the clip norm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedledger.errors import BadInputError
from fedledger.privacy.grid import UNITS, squares
from fedledger.training import Examples, TaskDefinition, load_task
from fedledger.training.batches import own_order
from fedledger.training.client_work import client_work
from fedledger.training.device_work import DeviceWork, device_rows
from fedledger.training.local import train_once
from fedledger.training.model import TrainableModel, trainable_model
from fedledger.training.private_work import PrivateWork
from fedledger.training.settings import Optimizer
from fedledger.training.weights import Float32Array

CLIP = 0.05
PLAIN = Optimizer(name="sgd", learning_rate=0.5)


def without(examples: Examples, rows: np.ndarray) -> Examples:
    devices = None if examples.devices is None else np.delete(examples.devices, rows)
    return Examples(np.delete(examples.x, rows, axis=0), np.delete(examples.y, rows), devices)


def is_within_the_clip_norm(part: np.ndarray) -> bool:
    return int(squares(part[np.newaxis])[0]) <= UNITS**2


@pytest.fixture(scope="module", params=["logistic", "mlp"])
def any_task(request: pytest.FixtureRequest, task: TaskDefinition) -> TaskDefinition:
    return task.override(model=request.param)


def record_work(task: TaskDefinition) -> PrivateWork:
    """DP-SGD at the task's initial weights."""
    model = trainable_model(task)
    model.assign(task.initial_weights())
    return PrivateWork(model, PLAIN, 0.0, CLIP)


def test_any_record_less_moves_a_step_by_its_own_gradient_alone(any_task: TaskDefinition, records: Examples) -> None:
    work = record_work(any_task)
    whole = work.clipped_sum(records)
    for row in range(len(records)):
        part = whole - work.clipped_sum(without(records, np.array([row])))
        assert is_within_the_clip_norm(part)
        own = Examples(records.x[row : row + 1], records.y[row : row + 1])
        np.testing.assert_array_equal(part, work.clipped_sum(own))


@pytest.fixture(scope="module")
def heart_work(task: TaskDefinition) -> PrivateWork:
    return record_work(task)


small = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=7)
"""Record, label and device of each of a few rows: drawn from so few that duplicates are common."""
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def chosen_from(records: Examples, rows: Sequence[tuple[int, int, int]]) -> Examples:
    picked, labels, devices = (np.array(column) for column in zip(*rows, strict=True))
    return Examples(records.x[picked], labels.astype(np.int32), devices.astype(np.int64))


@few
@given(small)
def test_of_few_records_with_duplicates_each_has_its_own_part(
    heart_work: PrivateWork, records: Examples, rows: list[tuple[int, int, int]]
) -> None:
    examples = chosen_from(records, rows)
    whole = heart_work.clipped_sum(examples)
    for row in range(len(examples)):
        part = whole - heart_work.clipped_sum(without(examples, np.array([row])))
        assert is_within_the_clip_norm(part)
        np.testing.assert_array_equal(
            part, heart_work.clipped_sum(Examples(examples.x[row : row + 1], examples.y[row : row + 1]))
        )


class Fleet:
    """Devices of one site at the initial weights of a task, all of which enter a step."""

    def __init__(self, task: TaskDefinition, optimizer: Optimizer, clip_norm: float) -> None:
        work = client_work(trainable_model(task), optimizer, 0.0)
        self._work = DeviceWork(work, task.tensors, task.training.batch_size, clip_norm)
        self._task = task

    def part(self, examples: Examples, drawn: Sequence[np.ndarray]) -> np.ndarray:
        """int64[d]: the sum over the devices with the rows ``drawn``."""

        def order(own: Examples) -> np.ndarray:
            epochs, seed = self._task.training.local_epochs, self._task.seed
            return own_order(own.x, own.y, epochs, seed=seed, site="fleet", round_number=1)

        return self._work.clipped_sum(self._task.initial_weights(), examples, drawn, order)


@pytest.fixture(scope="module")
def fleet(task: TaskDefinition) -> Fleet:
    return Fleet(task, PLAIN, CLIP)


@few
@given(small)
def test_of_few_devices_with_duplicates_each_has_its_own_part(
    fleet: Fleet, records: Examples, rows: list[tuple[int, int, int]]
) -> None:
    examples = chosen_from(records, rows)
    devices = device_rows(examples, origin="The fleet")
    whole = fleet.part(examples, devices)
    for own in devices:
        rest = without(examples, own)
        others = device_rows(rest, origin="The fleet") if len(rest) else ()
        part = whole - fleet.part(rest, others)
        assert is_within_the_clip_norm(part)
        np.testing.assert_array_equal(part, fleet.part(examples, [own]))


@pytest.mark.parametrize("site", ["harbour", "waterworks", "refinery", "district_heating"])
def test_any_pump_less_changes_nothing_of_the_pump_that_takes_its_place(site: str) -> None:
    # In the list without a pump the next one has its place. A step that draws both of them, without it that one alone.
    bearings = load_task("bearing-wear")
    optimizer, clip_norm = bearings.client_optimizer, bearings.privacy.record_clip_norm
    pumps = Fleet(bearings, optimizer, clip_norm)
    examples = bearings.load_data(site).train
    devices = device_rows(examples, origin=site)
    alone = [pumps.part(examples, [own]) for own in devices]
    for place, own in enumerate(devices):
        assert is_within_the_clip_norm(alone[place])
        rest = without(examples, own)
        others = device_rows(rest, origin=site)
        after = place % len(others)
        part = alone[place] + alone[(place + 1) % len(devices)] - pumps.part(rest, [others[after]])
        np.testing.assert_array_equal(part, alone[place])


def quiet(task: TaskDefinition, mechanism: str) -> TaskDefinition:
    """The task with every record or device in its one step, and next to no noise."""
    changes = {
        "mechanism": mechanism,
        "record_clip_norm": CLIP,
        "client_optimizer": Optimizer(name="sgd", learning_rate=1.0),
        "sampling_rate": 1.0,
        "steps_per_round": 1,
        "target_epsilon": None,
        "noise_multiplier": 1e-6,
        "epsilon_budget": 1e6,
    }
    privacy = task.settings.privacy.model_copy(update=changes)
    agreement = task.settings.agreement.model_copy(update={"example_step": 10})
    return dataclasses.replace(
        task, settings=task.settings.model_copy(update={"privacy": privacy, "agreement": agreement})
    )


@pytest.mark.parametrize("mechanism", ["dp-sgd", "dp-fedavg"])
def test_an_update_moves_by_at_most_the_clip_norm_over_the_number_that_is_told(
    task: TaskDefinition, records: Examples, mechanism: str
) -> None:
    # Of 19 units 10 are told, of 18 as well: the divisor tells nothing that the manifest does not.
    examples = Examples(records.x[:38], records.y[:38], np.arange(38) // 2)
    if mechanism == "dp-sgd":
        examples = Examples(records.x[:19], records.y[:19], np.arange(19))
    chosen = quiet(task, mechanism)
    assert examples.devices is not None

    def total(of: Examples) -> Float32Array:
        return train_once(chosen, task.initial_weights(), of, site="fleet", round_number=1).update * 10

    whole = total(examples)
    for unit in range(19):
        moved = np.linalg.norm(whole - total(without(examples, np.flatnonzero(examples.devices == unit))))
        assert 0.1 * CLIP < moved <= CLIP * (1 + 1e-4)


def test_a_record_whose_gradient_is_no_number_counts_as_nothing_and_is_not_told(
    task: TaskDefinition, records: Examples
) -> None:
    work = record_work(task)
    x = records.x.copy()
    x[3] = 3e38
    whole = work.clipped_sum(Examples(x, records.y))
    np.testing.assert_array_equal(whole, work.clipped_sum(without(records, np.array([3]))))


@pytest.mark.parametrize("mechanism", ["dp-sgd", "dp-fedavg"])
def test_a_model_that_draws_random_numbers_is_refused_with_privacy(
    task: TaskDefinition, records: Examples, mechanism: str, tmp_path: object
) -> None:
    import shutil
    from pathlib import Path

    folder = Path(shutil.copytree(task.folder, Path(str(tmp_path)) / "task"))
    model = (folder / "model.py").read_text()
    line = "    logit = tf.keras"
    (folder / "model.py").write_text(model.replace(line, f"    hidden = tf.keras.layers.Dropout(0.5)(hidden)\n{line}"))
    dropping = load_task(folder)
    assert TrainableModel(dropping).random_operations
    private = quiet(dropping, mechanism)
    examples = Examples(records.x, records.y, np.arange(40))
    with pytest.raises(BadInputError, match=r"MODEL_RANDOM.*Random"):
        train_once(private, private.initial_weights(), examples, site="ward 7", round_number=1)
    public = dropping.override(no_dp=True)
    assert train_once(public, public.initial_weights(), examples, site="ward 7", round_number=1).update.any()
