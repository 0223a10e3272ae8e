"""Metrics are those of scikit-learn, and undefined where they have no meaning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from fedledger.errors import BadInputError
from fedledger.training import Examples, Split, TaskDefinition, evaluate, predict, unflatten
from fedledger.training.evaluation import metrics_of, roc_auc

scored = st.lists(
    st.tuples(st.integers(0, 20).map(lambda value: value / 20), st.booleans()), min_size=2, max_size=60
).filter(lambda rows: len({label for _, label in rows}) == 2)


@given(scored)
def test_auc_is_that_of_scikit_learn_with_ties(rows: list[tuple[float, bool]]) -> None:
    scores, labels = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    assert roc_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))


def test_auc_of_one_class_is_not_a_number_and_not_a_half() -> None:
    assert roc_auc(np.array([0.1, 0.9]), np.array([True, True])) is None
    assert roc_auc(np.array([0.1, 0.9]), np.array([False, False])) is None


@pytest.mark.parametrize("classes", [2, 4])
def test_metrics_are_those_of_scikit_learn(classes: int) -> None:
    generator = np.random.default_rng(3)
    probabilities = generator.dirichlet(np.ones(classes), size=200)
    labels = generator.integers(0, classes, 200).astype(np.int32)
    found = metrics_of(probabilities, labels)
    scores = probabilities[:, 1] if classes == 2 else probabilities
    assert found.auc == pytest.approx(roc_auc_score(labels, scores, multi_class="ovr"))
    assert found.accuracy == pytest.approx(accuracy_score(labels, probabilities.argmax(axis=1)))
    assert found.loss == pytest.approx(log_loss(labels, probabilities))
    assert found.n == 200


def test_predictions_are_the_models_own(task: TaskDefinition, records: Examples) -> None:
    generator = np.random.default_rng(5)
    weights = unflatten(generator.normal(size=31).astype(np.float32), task.tensors)
    logits = records.x @ weights[0] + weights[1]
    expected = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
    probabilities = predict(task, weights, records.x)
    np.testing.assert_allclose(probabilities[:, 1:], expected, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


def test_initial_weights_know_nothing(task: TaskDefinition, splits: dict[str, Split]) -> None:
    zeros = unflatten(np.zeros(31, np.float32), task.tensors)
    found = evaluate(task, zeros, splits["cleveland"].test)
    assert found.auc == 0.5
    assert found.loss == pytest.approx(np.log(2.0))
    assert found.n == len(splits["cleveland"].test)


def test_no_records_to_judge_by_is_refused(task: TaskDefinition) -> None:
    none = Examples(np.zeros((0, 30), np.float32), np.zeros(0, np.int32))
    with pytest.raises(BadInputError, match="DATASET_EMPTY: The test data holds no records"):
        evaluate(task, task.initial_model(), none)
