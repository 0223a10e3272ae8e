"""Local training: what a site hands in, from which inputs it refuses to train, and what reproduces."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.errors import BadInputError
from fedledger.training import Examples, LocalTrainer, Split, TaskDefinition, save_weights, unflatten
from fedledger.training.local import clip, l2_norm, train_once

MICRO = 1_000_000


def trainer(task: TaskDefinition, splits: dict[str, Split], site: str = "switzerland") -> LocalTrainer:
    return LocalTrainer(task, splits[site].train, site=site)


def test_without_dp_the_same_round_gives_the_same_update(public_task: TaskDefinition, splits: dict[str, Split]) -> None:
    base = public_task.initial_weights()
    first = trainer(public_task, splits).train(base, round_number=1)
    again = trainer(public_task, splits).train(base, round_number=1)
    later = trainer(public_task, splits).train(base, round_number=2)
    assert first.update.tobytes() == again.update.tobytes()
    assert first.update.tobytes() != later.update.tobytes()
    assert first.epsilon_micro == first.cumulative_epsilon_micro == 0


def test_with_dp_the_same_seed_and_round_differ(task: TaskDefinition, splits: dict[str, Split]) -> None:
    base = task.initial_weights()
    one = trainer(task, splits).train(base, round_number=1)
    other = trainer(task, splits).train(base, round_number=1)
    assert not np.array_equal(one.update, other.update)


def test_a_model_file_and_its_arrays_give_the_same_update(
    public_task: TaskDefinition, splits: dict[str, Split]
) -> None:
    base = public_task.initial_weights()
    from_arrays = trainer(public_task, splits).train(base, round_number=1)
    from_file = trainer(public_task, splits).train(public_task.initial_model(), round_number=1)
    assert from_arrays.update.tobytes() == from_file.update.tobytes()


@pytest.mark.parametrize("model", ["logistic", "mlp"])
def test_an_update_is_a_float32_vector_within_the_clip_norm(
    task: TaskDefinition, splits: dict[str, Split], model: str
) -> None:
    chosen = task.override(model=model)
    result = trainer(chosen, splits, "cleveland").train(chosen.initial_weights(), round_number=1)
    assert result.update.dtype == np.float32
    assert result.update.shape == (chosen.parameter_count,)
    assert result.num_examples == len(splits["cleveland"].train)
    assert result.norm <= chosen.aggregation.clip_norm
    assert result.was_clipped == (result.unclipped_norm > chosen.aggregation.clip_norm)


def test_training_from_the_update_lowers_the_loss(public_task: TaskDefinition, splits: dict[str, Split]) -> None:
    site = trainer(public_task, splits, "hungary")
    weights = public_task.initial_weights()
    losses = []
    for round_number in (1, 2, 3):
        result = site.train(weights, round_number=round_number)
        losses.append(result.metrics["loss"])
        flat = np.concatenate([part.reshape(-1) for part in weights])
        weights = unflatten(flat - result.update, public_task.tensors)
    assert losses[0] > losses[1] > losses[2]


def test_each_contribution_costs_what_the_schedule_says(task: TaskDefinition, splits: dict[str, Split]) -> None:
    site = trainer(task, splits)
    schedule = task.epsilon_schedule
    first = site.train(task.initial_weights(), round_number=1)
    assert (first.epsilon_micro, first.cumulative_epsilon_micro) == (schedule[0], schedule[0])
    # Round 7, but only the third that this site contributes to.
    third = site.train(task.initial_weights(), round_number=7, contributed=2)
    assert (third.epsilon_micro, third.cumulative_epsilon_micro) == (schedule[2] - schedule[1], schedule[2])


def test_training_past_the_budget_is_refused(task: TaskDefinition, splits: dict[str, Split]) -> None:
    with pytest.raises(BadInputError, match="EPSILON_SPENT"):
        trainer(task, splits).train(task.initial_weights(), round_number=11)


def test_a_delta_that_some_record_could_be_published_within_is_refused(
    task: TaskDefinition, splits: dict[str, Split]
) -> None:
    privacy = task.settings.privacy.model_copy(update={"delta": 0.02})
    loose = dataclasses.replace(task, settings=task.settings.model_copy(update={"privacy": privacy}))
    with pytest.raises(BadInputError, match="DELTA_TOO_LARGE"):
        trainer(loose, splits)


def test_nothing_to_train_on_is_refused(task: TaskDefinition) -> None:
    none = Examples(np.zeros((0, 30), np.float32), np.zeros(0, np.int32))
    with pytest.raises(BadInputError, match=r"DATASET_EMPTY: The training data of ward 7 holds no records"):
        LocalTrainer(task, none, site="ward 7")


def test_one_class_only_is_refused_unless_the_task_allows_it(task: TaskDefinition, records: Examples) -> None:
    healthy = Examples(records.x, np.zeros_like(records.y))
    with pytest.raises(BadInputError, match="ONE_CLASS"):
        LocalTrainer(task, healthy, site="ward 7")
    training = task.settings.training.model_copy(update={"allow_single_class": True})
    lenient = dataclasses.replace(task, settings=task.settings.model_copy(update={"training": training}))
    assert LocalTrainer(lenient, healthy, site="ward 7").train(task.initial_weights(), round_number=1).norm > 0


@pytest.mark.parametrize(
    ("x", "y", "code"),
    [
        pytest.param(np.full((4, 30), np.nan, np.float32), [0, 1, 0, 1], "DATASET_NOT_FINITE", id="NaN"),
        pytest.param(np.zeros((4, 29), np.float32), [0, 1, 0, 1], "DATASET_SHAPE", id="a column too few"),
        pytest.param(np.zeros((4, 30), np.float64), [0, 1, 0, 1], "DATASET_SHAPE", id="another type"),
        pytest.param(np.zeros((4, 30), np.float32), [0, 1, 2, 1], "DATASET_LABELS", id="a third class"),
        pytest.param(np.zeros((4, 30), np.float32), [0, 1, 0], "DATASET_SHAPE", id="a label too few"),
    ],
)
def test_records_that_do_not_fit_the_task_are_refused(
    task: TaskDefinition, x: np.ndarray, y: list[int], code: str
) -> None:
    with pytest.raises(BadInputError, match=code):
        LocalTrainer(task, Examples(x, np.array(y, np.int32)), site="ward 7")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_base_weights_that_are_not_finite_are_refused(
    task: TaskDefinition, splits: dict[str, Split], bad: float
) -> None:
    base = task.initial_weights()
    base[0][3, 0] = bad
    with pytest.raises(BadInputError, match="WEIGHTS_NOT_FINITE"):
        trainer(task, splits).train(base, round_number=1)


def test_base_weights_of_another_model_are_refused(task: TaskDefinition, splits: dict[str, Split]) -> None:
    other = task.override(model="mlp")
    with pytest.raises(BadInputError, match="WEIGHTS_FILE"):
        trainer(task, splits).train(save_weights(other.initial_weights(), other.tensors), round_number=1)


@pytest.mark.parametrize("private", [False, True])
def test_training_that_diverges_is_refused_and_with_dp_not_told(
    task: TaskDefinition, records: Examples, private: bool
) -> None:
    chosen = task if private else task.override(no_dp=True)
    extreme = Examples(np.where(records.x > 0, np.float32(3e38), np.float32(-3e38)), records.y)
    trainer = LocalTrainer(chosen, extreme, site="ward 7")
    if private:
        # An error would tell that some record was drawn.
        assert trainer.train(task.initial_weights(), round_number=1).norm > 0
        return
    with pytest.raises(BadInputError, match="UPDATE_NOT_FINITE"):
        trainer.train(task.initial_weights(), round_number=1)


def test_fedprox_with_mu_zero_is_fedavg_and_a_larger_mu_stays_nearer_to_the_base(
    public_task: TaskDefinition, splits: dict[str, Split]
) -> None:
    base, site = public_task.initial_weights(), splits["cleveland"].train

    def norm(mu: float) -> float:
        training = public_task.settings.training.model_copy(update={"algorithm": "fedprox", "proximal_mu": mu})
        prox = dataclasses.replace(public_task, settings=public_task.settings.model_copy(update={"training": training}))
        return l2_norm(train_once(prox, base, site, site="cleveland", round_number=1).update)

    fedavg = l2_norm(train_once(public_task, base, site, site="cleveland", round_number=1).update)
    assert norm(0.0) == fedavg
    assert fedavg > norm(0.1) > norm(1.0)


def test_fedprox_is_gradient_descent_on_the_loss_with_a_proximal_term(
    public_task: TaskDefinition, records: Examples
) -> None:
    # Logistic regression by hand, whole batches: w <- w - lr (mean (p - y) x + mu (w - w0)), Li et al. 2020, eq. 2.
    training = public_task.settings.training.model_copy(
        update={"algorithm": "fedprox", "proximal_mu": 0.5, "local_epochs": 5, "batch_size": len(records)}
    )
    prox = dataclasses.replace(public_task, settings=public_task.settings.model_copy(update={"training": training}))
    start = np.concatenate([part.reshape(-1) for part in public_task.initial_weights()]).astype(np.float64)
    x = np.concatenate([records.x, np.ones((len(records), 1))], axis=1)
    w = start.copy()
    for _ in range(5):
        p = 1.0 / (1.0 + np.exp(-(x @ w)))
        w -= 0.1 * (x.T @ (p - records.y) / len(records) + 0.5 * (w - start))
    trained = train_once(prox, public_task.initial_weights(), records, site="ward 7", round_number=1)
    np.testing.assert_allclose(trained.update, start - w, atol=1e-6)


vectors = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50).map(
    lambda values: np.array(values, dtype=np.float32)
)


@given(vectors, st.floats(0.01, 100.0))
def test_clipping_never_exceeds_the_norm_and_keeps_the_direction(vector: np.ndarray, limit: float) -> None:
    clipped, norm = clip(vector, limit)
    assert l2_norm(clipped) <= limit
    if norm <= limit:
        assert clipped is vector
    else:
        assert l2_norm(clipped) > 0.999 * limit
        np.testing.assert_allclose(clipped / limit, vector / norm, atol=1e-5)
