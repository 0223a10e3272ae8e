"""DP-FedAvg over an organisation's devices does what the accountant assumes: each device is clipped, drawn, hidden."""

from __future__ import annotations

import dataclasses
from typing import Any

import dp_accounting
import numpy as np
import pytest

from fedledger.errors import BadInputError
from fedledger.privacy.accountant import epsilon_schedule
from fedledger.privacy.grid import deviation_on_grid
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.privacy.noise import noise_of_steps
from fedledger.training import Examples, LocalTrainer, TaskDefinition, concatenate, split_by_device
from fedledger.training.batches import own_order
from fedledger.training.client_work import ClientWork, client_work
from fedledger.training.device_work import DeviceWork, device_rows, noisy_mean
from fedledger.training.model import trainable_model
from fedledger.training.runtime import tensorflow
from fedledger.training.settings import Optimizer

tf = tensorflow()
CLIP = 0.05
DEVICES = 6
PLAIN = Optimizer(name="sgd", learning_rate=0.5)


@pytest.fixture(scope="module")
def fleet() -> Examples:
    """Six devices with 1 to 6 records of 30 features, rows shuffled."""
    generator = np.random.default_rng(3)
    devices = np.repeat(np.arange(DEVICES), np.arange(1, DEVICES + 1))
    generator.shuffle(devices)
    x = generator.normal(size=(len(devices), 30)).astype(np.float32)
    return Examples(x, (np.arange(len(devices)) % 2).astype(np.int32), devices.astype(np.int64))


@pytest.fixture(scope="module")
def rows(fleet: Examples) -> tuple[np.ndarray, ...]:
    return device_rows(fleet, origin="The fleet")


@pytest.fixture(scope="module")
def client(task: TaskDefinition) -> ClientWork:
    return client_work(trainable_model(task), PLAIN, 0.0)


def in_order(own: Examples) -> np.ndarray:
    return own_order(own.x, own.y, 1, seed=1, site="fleet", round_number=1)


def device_task(task: TaskDefinition, **privacy: object) -> TaskDefinition:
    """The task with dp-fedavg and these settings of [privacy]."""
    changes = {"mechanism": "dp-fedavg", "record_clip_norm": CLIP, "client_optimizer": PLAIN} | privacy
    changed = task.settings.privacy.model_copy(update=changes)
    return dataclasses.replace(task, settings=task.settings.model_copy(update={"privacy": changed}))


def fixed_noise(**privacy: object) -> dict[str, object]:
    return {"target_epsilon": None, "epsilon_budget": 1e6} | privacy


def run(
    task: TaskDefinition, client: ClientWork, examples: Examples, mechanism: PoissonSampledGaussian
) -> dict[str, np.ndarray | float]:
    work = DeviceWork(client, task.tensors, 16, CLIP)
    devices = device_rows(examples, origin="The fleet")
    trained = work.run(task.initial_weights(), examples, devices, mechanism, in_order, told=len(devices))
    return {"update": trained.update, **trained.metrics}


def device_updates(task: TaskDefinition, client: ClientWork, fleet: Examples) -> np.ndarray:
    """Each device's own update, float64[devices, d], by training one device at a time."""
    updates = []
    for own in device_rows(fleet, origin="The fleet"):
        records = Examples(fleet.x[own], fleet.y[own])
        updates.append(client.run(task.initial_weights(), records, in_order(records), 16).update)
    return np.stack(updates).astype(np.float64)


def test_rows_of_a_device_are_its_own_and_all_are_found(fleet: Examples, rows: tuple[np.ndarray, ...]) -> None:
    assert [len(own) for own in rows] == list(range(1, DEVICES + 1))
    assert fleet.devices is not None
    for device, own in enumerate(rows):
        assert (fleet.devices[own] == device).all()
    assert sorted(np.concatenate(rows)) == list(range(len(fleet)))


def test_each_devices_update_is_clipped_before_the_mean(
    task: TaskDefinition, client: ClientWork, fleet: Examples
) -> None:
    own = device_updates(task, client, fleet)
    norms = np.linalg.norm(own, axis=1)
    assert norms.min() < 10 * CLIP and norms.max() > CLIP
    expected = (own * np.minimum(1.0, CLIP / norms)[:, None]).mean(axis=0)
    quiet = PoissonSampledGaussian(1.0, 1e-6, 1)
    np.testing.assert_allclose(run(task, client, fleet, quiet)["update"], expected, atol=1e-6)


def test_one_device_more_moves_the_sum_by_at_most_the_clip_norm_however_many_records_it_has(
    task: TaskDefinition, client: ClientWork, fleet: Examples
) -> None:
    quiet = PoissonSampledGaussian(1.0, 1e-6, 1)
    assert fleet.devices is not None
    whole = np.asarray(run(task, client, fleet, quiet)["update"]) * DEVICES
    for gone in range(DEVICES):
        rest_rows = fleet.devices != gone
        rest = Examples(fleet.x[rest_rows], fleet.y[rest_rows], fleet.devices[rest_rows])
        without = np.asarray(run(task, client, rest, quiet)["update"]) * (DEVICES - 1)
        moved = np.linalg.norm(whole - without)
        assert 0.2 * CLIP < moved <= CLIP * (1 + 1e-3)


def test_the_variance_of_repeated_answers_is_that_of_the_mechanism(task: TaskDefinition, client: ClientWork) -> None:
    mechanism = PoissonSampledGaussian(1.0, 3.0, 1)
    drawn = noise_of_steps(20, 500, deviation_on_grid(3.0))
    query = DeviceWork(client, task.tensors, 16, CLIP).query(mechanism, DEVICES, drawn)
    total = np.full(500, 12_345, dtype=np.int64)
    answers = np.stack([noisy_mean(query, total)[0] for _ in range(20)])
    noise = (answers - answers.mean(axis=0)) * DEVICES
    spread = np.sqrt((noise**2).sum() / (19 * 500))
    # 9,500 numbers know their standard deviation to 0.7 %.
    assert abs(spread / (3.0 * CLIP) - 1) < 0.04
    assert len({answer.tobytes() for answer in answers}) == 20
    assert abs(np.corrcoef(noise[0], noise[1])[0, 1]) < 0.25


def test_devices_are_drawn_one_by_one_with_the_accounted_probability(
    task: TaskDefinition, client: ClientWork, fleet: Examples
) -> None:
    mechanism = PoissonSampledGaussian(0.25, 1.0, 1)
    drawn = np.array([run(task, client, fleet, mechanism)["devices_drawn"] for _ in range(24)])
    # Binomial(6, 0.25): mean 1.5, variance 1.125; a fixed number of devices would have variance 0.
    assert abs(drawn.mean() - 1.5) < 5 * np.sqrt(1.125 / 24)
    assert drawn.var() > 0.2


def test_the_divisor_is_the_expected_number_of_devices(
    task: TaskDefinition, client: ClientWork, fleet: Examples, rows: tuple[np.ndarray, ...]
) -> None:
    same = np.tile(rows[3], DEVICES)
    twins = Examples(fleet.x[same], fleet.y[same], np.repeat(np.arange(DEVICES), len(rows[3])).astype(np.int64))
    quiet, full = PoissonSampledGaussian(0.5, 1e-6, 1), PoissonSampledGaussian(1.0, 1e-6, 1)
    # All records fit in one batch, so that their order does not matter and all twins have the same update.
    one = np.asarray(run(task, client, twins, full)["update"])
    counts = set()
    for _ in range(5):
        trained = run(task, client, twins, quiet)
        counts.add(trained["devices_drawn"])
        np.testing.assert_allclose(trained["update"], one * float(trained["devices_drawn"]) / 3.0, atol=1e-5)
    assert len(counts) > 1


def test_nobody_drawn_leaves_noise_alone(task: TaskDefinition, client: ClientWork, fleet: Examples) -> None:
    rare = PoissonSampledGaussian(1e-6, 1.0, 1)
    trained = run(task, client, fleet, rare)
    assert trained["devices_drawn"] == 0
    assert np.asarray(trained["update"]).any()


def test_a_step_starts_from_where_the_last_one_ended(task: TaskDefinition, client: ClientWork, fleet: Examples) -> None:
    one, three = (
        np.linalg.norm(np.asarray(run(task, client, fleet, PoissonSampledGaussian(1.0, 1e-6, steps))["update"]))
        for steps in (1, 3)
    )
    # Gradients turn on the way, so that three steps go less than three times as far.
    assert 1.5 * one < three < 3.0 * one


def test_a_device_that_diverges_counts_as_nothing_and_is_not_told(task: TaskDefinition, fleet: Examples) -> None:
    wild = client_work(trainable_model(task), Optimizer(name="sgd", learning_rate=1e9), 0.0)
    assert fleet.devices is not None
    x = np.zeros_like(fleet.x)
    x[fleet.devices == DEVICES - 1] = 3e38
    with pytest.raises(BadInputError, match="UPDATE_NOT_FINITE"):
        wild.run(task.initial_weights(), Examples(x, fleet.y), np.arange(len(fleet)), 16)
    trained = run(task, wild, Examples(x, fleet.y, fleet.devices), PoissonSampledGaussian(1.0, 1e-6, 1))
    assert np.isfinite(np.asarray(trained["update"])).all()


def test_the_query_tells_the_event_that_the_schedule_is_computed_for(
    task: TaskDefinition, client: ClientWork, fleet: Examples
) -> None:
    mechanism = PoissonSampledGaussian(0.25, 1.7, 1)
    nothing = np.zeros(4, dtype=np.int64)
    query = DeviceWork(client, task.tensors, 16, CLIP).query(mechanism, DEVICES, iter([nothing]))
    _, event = noisy_mean(query, nothing)
    assert isinstance(event, dp_accounting.GaussianDpEvent)
    assert event.noise_multiplier == pytest.approx(1.7, rel=1e-6)
    step = dp_accounting.PoissonSampledDpEvent(mechanism.sampling_rate, event)
    accountant = dp_accounting.pld.PLDAccountant(value_discretization_interval=1e-3)
    spent = accountant.compose(dp_accounting.SelfComposedDpEvent(step, 5)).get_epsilon(1e-5)
    assert epsilon_schedule(mechanism, 5, 1e-5)[-1] / 1e6 == pytest.approx(spent, abs=1e-4)


def test_without_noise_the_mean_is_that_of_tensorflow_privacys_own_query(
    task: TaskDefinition, client: ClientWork
) -> None:
    import tensorflow_privacy as tfp

    updates = list(np.random.default_rng(5).normal(scale=0.02, size=(7, 9)).astype(np.float32))

    def answer(query: Any, kind: Any) -> np.ndarray:
        parameters = query.derive_sample_params(query.initial_global_state())
        total = query.initial_sample_state(tf.zeros(9, dtype=kind))
        for update in updates:
            total = query.accumulate_record(parameters, total, tf.constant(update))
        result, _, _ = query.get_noised_result(total, query.initial_global_state())
        return np.asarray(result)

    silent = iter([np.zeros(9, dtype=np.int64)])
    ours = DeviceWork(client, task.tensors, 16, CLIP).query(PoissonSampledGaussian(0.5, 1e-9, 1), 20, silent)
    theirs = tfp.NormalizedQuery(tfp.GaussianSumQuery(CLIP, 0.0), denominator=10.0)
    np.testing.assert_allclose(answer(ours, tf.int64), answer(theirs, tf.float32), atol=1e-7)


def test_the_trainer_counts_devices_and_charges_the_schedule(task: TaskDefinition, fleet: Examples) -> None:
    chosen = device_task(task, **fixed_noise(noise_multiplier=2.0, sampling_rate=0.5, steps_per_round=1))
    assert chosen.is_private
    trainer = LocalTrainer(chosen, fleet, site="fleet")
    result = trainer.train(task.initial_model(), round_number=2)
    assert result.num_examples == DEVICES
    schedule = epsilon_schedule(PoissonSampledGaussian(0.5, 2.0, 1), chosen.training.rounds, chosen.privacy.delta)
    assert result.cumulative_epsilon_micro == schedule[1]
    assert result.epsilon_micro == schedule[1] - schedule[0]
    assert result.metrics["steps"] == 1.0


def test_the_trainers_noise_is_that_of_the_agreed_mechanism(task: TaskDefinition, fleet: Examples) -> None:
    chosen = device_task(task, **fixed_noise(noise_multiplier=4.0, sampling_rate=1.0, steps_per_round=1))
    trainer = LocalTrainer(chosen, fleet, site="fleet")
    updates = np.stack([trainer.train(task.initial_weights(), round_number=1).update for _ in range(8)])
    noise = (updates - updates.mean(axis=0)) * DEVICES
    assert abs(noise.std() * np.sqrt(8 / 7) / (4.0 * CLIP) - 1) < 0.3


def test_delta_is_compared_with_the_number_of_devices(task: TaskDefinition, fleet: Examples) -> None:
    with pytest.raises(BadInputError, match=r"DELTA_TOO_LARGE.*6 devices"):
        LocalTrainer(device_task(task, delta=0.2), fleet, site="fleet")


def test_records_without_devices_are_refused(task: TaskDefinition, fleet: Examples) -> None:
    with pytest.raises(BadInputError, match="DEVICES_MISSING"):
        LocalTrainer(device_task(task), Examples(fleet.x, fleet.y), site="fleet")


@pytest.mark.parametrize("devices", [np.zeros(3, dtype=np.int64), np.zeros(21, dtype=np.int32)])
def test_devices_that_do_not_fit_the_records_are_refused(
    task: TaskDefinition, fleet: Examples, devices: np.ndarray
) -> None:
    with pytest.raises(BadInputError, match="DATASET_SHAPE"):
        LocalTrainer(device_task(task), Examples(fleet.x, fleet.y, devices), site="fleet")


def test_the_split_keeps_a_device_on_one_side(fleet: Examples) -> None:
    assert fleet.devices is not None
    split = split_by_device(fleet.x, fleet.y.tolist(), fleet.devices, seed=4, test_share=0.25)
    assert split.train.devices is not None and split.test.devices is not None
    kept, held_back = set(split.train.devices), set(split.test.devices)
    assert not kept & held_back
    assert kept | held_back == set(range(DEVICES)) and kept and held_back
    assert len(split.train) + len(split.test) == len(fleet)
    assert concatenate([split.train, split.test]).devices is None


def test_the_agreement_carries_the_mechanism(task: TaskDefinition) -> None:
    organisations = ("AMSP", "BMSP", "CMSP", "DMSP")
    chosen = device_task(task)
    spec = chosen.to_spec(organisations=organisations)
    assert spec.privacy.mechanism == "dp-fedavg"
    agreed = task.agree(spec)
    assert agreed.privacy.mechanism == "dp-fedavg"
    assert agreed.mechanism == chosen.mechanism
    assert agreed.override(epsilon=8.0).privacy.mechanism == "dp-fedavg"
