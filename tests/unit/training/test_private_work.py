"""DP-SGD does what the accountant assumes: per-record clipping, Poisson sampling, noise of the stated size."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fedledger.privacy.agreement import LocalSteps, update_deviation
from fedledger.privacy.grid import off_grid
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.training import Examples, LocalTrainer, TaskDefinition, flatten
from fedledger.training.model import trainable_model
from fedledger.training.private_work import PrivateWork
from fedledger.training.runtime import tensorflow
from fedledger.training.settings import Optimizer

tf = tensorflow()
CLIP = 1.0
PLAIN = Optimizer(name="sgd", learning_rate=1.0)


@pytest.fixture(scope="module", params=["logistic", "mlp"])
def any_task(request: pytest.FixtureRequest, task: TaskDefinition) -> TaskDefinition:
    return task.override(model=request.param)


@pytest.fixture(scope="module")
def work(any_task: TaskDefinition) -> PrivateWork:
    return PrivateWork(trainable_model(any_task), PLAIN, 0.0, CLIP)


def record_gradients(task: TaskDefinition, records: Examples) -> np.ndarray:
    """One gradient per record, float64[n, d], by differentiating one record at a time."""
    model = task.build_model()
    for variable, array in zip(model.trainable_variables, task.initial_weights(), strict=True):
        variable.assign(array)
    gradients = []
    for x, y in zip(records.x, records.y, strict=True):
        with tf.GradientTape() as tape:
            logit = model(x[None])[0, 0]
            loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=float(y), logits=logit)
        gradients.append(flatten([part.numpy() for part in tape.gradient(loss, model.trainable_variables)]))
    return np.stack(gradients).astype(np.float64)


def test_each_records_gradient_is_clipped_before_the_sum(
    any_task: TaskDefinition, work: PrivateWork, records: Examples
) -> None:
    gradients = record_gradients(any_task, records)
    norms = np.linalg.norm(gradients, axis=1)
    assert norms.min() < CLIP < norms.max()
    expected = (gradients * np.minimum(1.0, CLIP / norms)[:, None]).sum(axis=0)
    trainable_model(any_task).assign(any_task.initial_weights())
    np.testing.assert_allclose(off_grid(work.clipped_sum(records), CLIP), expected, atol=2e-5)


def test_one_record_more_moves_the_sum_by_at_most_the_clip_norm(
    any_task: TaskDefinition, work: PrivateWork, records: Examples
) -> None:
    trainable_model(any_task).assign(any_task.initial_weights())
    whole = work.clipped_sum(records)
    for row in range(len(records)):
        rest = Examples(np.delete(records.x, row, axis=0), np.delete(records.y, row))
        assert np.linalg.norm(off_grid(whole - work.clipped_sum(rest), CLIP)) <= CLIP


def test_an_empty_sample_adds_nothing_but_noise(any_task: TaskDefinition, work: PrivateWork, records: Examples) -> None:
    nobody = Examples(records.x[:0], records.y[:0])
    assert not work.clipped_sum(nobody).any()
    rare = PoissonSampledGaussian(sampling_rate=1e-6, noise_multiplier=1.0, steps=1)
    trained = work.run(any_task.initial_weights(), records, rare, told=40)
    assert trained.metrics["records_drawn"] == 0
    assert trained.update.any()


def test_the_variance_of_repeated_updates_is_that_of_the_mechanism(
    any_task: TaskDefinition, work: PrivateWork, records: Examples
) -> None:
    # With every record in the step, noise is all that differs between two runs.
    mechanism = PoissonSampledGaussian(sampling_rate=1.0, noise_multiplier=3.0, steps=1)
    runs = 12_000 // any_task.parameter_count
    updates = np.stack([work.run(any_task.initial_weights(), records, mechanism, told=40).update for _ in range(runs)])
    noise = (updates - updates.mean(axis=0)) * len(records) / PLAIN.learning_rate
    spread = np.sqrt((noise**2).sum() / ((runs - 1) * any_task.parameter_count))
    # 12,000 numbers know their standard deviation to 0.65 %.
    assert abs(spread / (mechanism.noise_multiplier * CLIP) - 1) < 0.04
    assert len({update.tobytes() for update in updates}) == runs


def test_noise_is_independent_between_steps_coordinates_and_runs(
    any_task: TaskDefinition, work: PrivateWork, records: Examples
) -> None:
    mechanism = PoissonSampledGaussian(sampling_rate=1.0, noise_multiplier=50.0, steps=2)
    runs = 12_000 // any_task.parameter_count
    base = any_task.initial_weights()
    updates = np.stack([work.run(base, records, mechanism, told=40).update for _ in range(runs)]).astype(np.float64)
    # Two steps of independent noise add up in variance; the same noise twice would add up in amplitude.
    centred = updates * len(records) / (mechanism.noise_multiplier * CLIP)
    assert abs(centred.std() / np.sqrt(2) - 1) < 0.05
    neighbours = (centred[:, 1:] * centred[:, :-1]).mean()
    consecutive = (centred[1:] * centred[:-1]).mean()
    assert abs(neighbours) < 0.12
    assert abs(consecutive) < 0.12


@pytest.mark.parametrize(("momentum", "mu"), [(0.0, 0.0), (0.5, 0.0), (0.0, 2.0), (0.5, 2.0)])
def test_the_noise_of_a_whole_update_is_what_thresholds_reckon_with(
    task: TaskDefinition, records: Examples, momentum: float, mu: float
) -> None:
    # Noise so large that the sample does not matter, steps so short that gradients do not change.
    mechanism = PoissonSampledGaussian(sampling_rate=0.5, noise_multiplier=100.0, steps=6)
    optimizer = Optimizer(name="sgd", learning_rate=0.001, momentum=momentum)
    work = PrivateWork(trainable_model(task), optimizer, 100 * mu, CLIP)
    base = task.initial_weights()
    updates = np.stack([work.run(base, records, mechanism, told=40).update for _ in range(400)]).astype(np.float64)
    steps = LocalSteps(optimizer.learning_rate, momentum, 100 * mu)
    expected = update_deviation(mechanism, CLIP, steps, len(records))
    # 12,400 numbers know their standard deviation to 0.65 %.
    assert abs((updates - updates.mean(axis=0)).std() / expected - 1) < 0.04


def test_the_divisor_is_the_expected_batch_and_never_the_drawn_one(task: TaskDefinition, records: Examples) -> None:
    # One record repeated: a step of k records is k times its clipped gradient over q n.
    work = PrivateWork(trainable_model(task), PLAIN, 0.0, CLIP)
    same = Examples(np.repeat(records.x[:1], 40, axis=0), np.repeat(records.y[:1], 40))
    quiet = PoissonSampledGaussian(sampling_rate=0.5, noise_multiplier=1e-6, steps=1)
    trainable_model(task).assign(task.initial_weights())
    one = off_grid(work.clipped_sum(Examples(same.x[:1], same.y[:1])), CLIP)
    drawn = set()
    for _ in range(20):
        trained = work.run(task.initial_weights(), same, quiet, told=40)
        count = trained.metrics["records_drawn"]
        drawn.add(count)
        np.testing.assert_allclose(trained.update, one * count / 20, atol=1e-5)
    assert len(drawn) > 1


def test_records_are_drawn_one_by_one_with_the_accounted_probability(task: TaskDefinition, records: Examples) -> None:
    work = PrivateWork(trainable_model(task), PLAIN, 0.0, CLIP)
    mechanism = PoissonSampledGaussian(sampling_rate=0.2, noise_multiplier=1.0, steps=1)
    base = task.initial_weights()
    drawn = np.array([work.run(base, records, mechanism, told=40).metrics["records_drawn"] for _ in range(400)])
    # Binomial(40, 0.2): mean 8, variance 6.4; a fixed batch size would have variance 0.
    assert abs(drawn.mean() - 8.0) < 5 * np.sqrt(6.4 / 400)
    assert 4.0 < drawn.var() < 9.5


def test_the_trainer_uses_the_mechanism_that_is_accounted_for(task: TaskDefinition, records: Examples) -> None:
    privacy = task.settings.privacy.model_copy(
        update={
            "target_epsilon": None,
            "noise_multiplier": 4.0,
            "sampling_rate": 1.0,
            "steps_per_round": 1,
            "epsilon_budget": 10.0,
            "record_clip_norm": 0.25,
            "client_optimizer": PLAIN,
        }
    )
    chosen = dataclasses.replace(task, settings=task.settings.model_copy(update={"privacy": privacy}))
    assert chosen.mechanism == PoissonSampledGaussian(1.0, 4.0, 1)
    trainer = LocalTrainer(chosen, records, site="ward 7")
    updates = np.stack([trainer.train(task.initial_weights(), round_number=1).update for _ in range(300)])
    noise = (updates - updates.mean(axis=0)) * len(records)
    assert abs(noise.std() / (4.0 * 0.25) - 1) < 0.05


def test_the_proximal_term_pulls_towards_the_base(task: TaskDefinition, records: Examples) -> None:
    mechanism = PoissonSampledGaussian(sampling_rate=1.0, noise_multiplier=1e-6, steps=40)
    model = trainable_model(task)
    base = task.initial_weights()
    free = PrivateWork(model, PLAIN, 0.0, CLIP).run(base, records, mechanism, told=40)
    pulled = PrivateWork(model, PLAIN, 0.5, CLIP).run(base, records, mechanism, told=40)
    assert np.linalg.norm(pulled.update) < 0.9 * np.linalg.norm(free.update)
