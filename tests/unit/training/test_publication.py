"""What is told of held-out records: agreed steps, nothing of few, and with noise one record's part is bounded."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.errors import BadInputError
from fedledger.privacy.accountant import epsilon_schedule
from fedledger.privacy.grid import UNITS, deviation_on_grid, off_grid, squares
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.training import Examples, Metrics, Split, TaskDefinition, evaluate, load_task
from fedledger.training.publication import LARGEST_LOSS, clipped_sum, noisy_figures, report_of, rounded_report
from fedledger.training.specification import check_agreement
from fedledger_chaincode.messages.task import HELD_OUT, EvaluationTerms, TaskSpec
from fedledger_chaincode.rules.evaluations import figure_step

ORGANISATIONS = ("AMSP", "BMSP", "CMSP", "DMSP")
MICRO = 1_000_000


def agreeing(task: TaskDefinition, **terms: Any) -> TaskDefinition:
    agreement = task.settings.agreement.model_copy(update=terms)
    return dataclasses.replace(task, settings=task.settings.model_copy(update={"agreement": agreement}))


def spec_of(task: TaskDefinition, **terms: Any) -> TaskSpec:
    return agreeing(task, **terms).to_spec(organisations=ORGANISATIONS)


def figures(n: int, right: int, auc: float | None = 0.5, loss: float = 0.7) -> Metrics:
    return Metrics(auc=auc, accuracy=right / n, loss=loss, n=n)


@given(st.integers(10, 2_000), st.data())
def test_a_rounded_accuracy_fits_every_number_of_records_that_is_told_alike(n: int, data: st.DataObject) -> None:
    terms = EvaluationTerms()
    right = data.draw(st.integers(0, n))
    told = rounded_report("heart", 1, figures(n, right), terms)
    assert told is not None and told.examples == n - n % 10
    for other in range(told.examples, told.examples + 10):
        nearest = round(told.accuracy / MICRO * other)
        alike = [
            rounded_report("heart", 1, figures(other, each), terms)
            for each in range(max(0, nearest - 1), min(other, nearest + 1) + 1)
        ]
        assert told.accuracy in {each.accuracy for each in alike if each is not None}


def test_two_decimals_are_the_rule_and_few_records_have_coarser_ones() -> None:
    terms = EvaluationTerms()
    assert figure_step(terms, 100) == figure_step(terms, 5_000) == 10_000
    assert figure_step(terms, 90) == 20_000
    assert figure_step(terms, 10) == 100_000


def test_of_fewer_records_than_a_step_nothing_is_told() -> None:
    assert rounded_report("heart", 1, figures(9, 4), EvaluationTerms()) is None


@given(st.floats(0, 1), st.floats(0, 50), st.integers(10, 300))
def test_every_figure_is_a_multiple_of_the_step_and_within_its_range(auc: float, loss: float, n: int) -> None:
    terms = EvaluationTerms(figure_step=70_000)
    told = rounded_report("heart", 1, figures(n, n // 2, auc, loss), terms)
    assert told is not None and told.auc is not None
    step = figure_step(terms, told.examples)
    assert all(figure % step == 0 for figure in (told.auc, told.accuracy, told.loss))
    assert abs(told.loss - loss * MICRO) <= step / 2 + 1


@pytest.fixture(scope="module")
def splits_of_one(task: TaskDefinition) -> Split:
    return task.load_data("cleveland")


def test_a_rounded_report_is_that_of_the_metrics(task: TaskDefinition, splits_of_one: Split) -> None:
    test, base = splits_of_one.test, task.initial_weights()
    told = report_of(task, spec_of(task), 3, base, test)
    metrics = evaluate(task, base, test)
    assert told is not None and (told.task, told.version) == ("heart-disease", 3)
    assert told.examples == len(test) - len(test) % 10
    step = figure_step(EvaluationTerms(), told.examples)
    assert abs(told.accuracy / MICRO - metrics.accuracy) <= step / MICRO / 2 + 1e-9
    none = Examples(test.x[:0], test.y[:0])
    assert report_of(task, spec_of(task), 3, base, none) is None


def test_any_record_less_moves_the_noisy_sums_by_its_own_part_of_at_most_the_norm(
    task: TaskDefinition, splits_of_one: Split
) -> None:
    test, base = splits_of_one.test, task.initial_weights()
    whole = clipped_sum(task, base, test)
    for row in range(len(test)):
        rest = Examples(np.delete(test.x, row, axis=0), np.delete(test.y, row))
        part = whole - clipped_sum(task, base, rest)
        assert int(squares(part[np.newaxis])[0]) <= UNITS**2
        own = Examples(test.x[row : row + 1], test.y[row : row + 1])
        np.testing.assert_array_equal(part, clipped_sum(task, base, own))


def test_any_pump_less_moves_the_noisy_sums_by_at_most_the_norm_however_many_records_it_has() -> None:
    bearings = load_task("bearing-wear")
    test, base = bearings.load_data("district_heating").test, bearings.initial_weights()
    assert test.devices is not None
    whole = clipped_sum(bearings, base, test)
    for pump in set(test.devices):
        kept = test.devices != pump
        part = whole - clipped_sum(bearings, base, Examples(test.x[kept], test.y[kept], test.devices[kept]))
        assert 0 < int(squares(part[np.newaxis])[0]) <= UNITS**2
    assert sum(off_grid(whole, math.sqrt(2.0))[:2]) == pytest.approx(len(set(test.devices)), abs=1e-3)


def test_figures_from_sums_without_noise_are_the_metrics(task: TaskDefinition, splits_of_one: Split) -> None:
    test, base = splits_of_one.test, task.initial_weights()
    exact, found = evaluate(task, base, test), noisy_figures(clipped_sum(task, base, test))
    assert found is not None and found.auc is None and found.n == exact.n
    assert found.accuracy == pytest.approx(exact.accuracy, abs=1e-5)
    assert exact.loss < LARGEST_LOSS and found.loss == pytest.approx(exact.loss, abs=1e-5)


def test_nothing_is_told_where_noise_leaves_no_record() -> None:
    assert noisy_figures(np.array([-UNITS, UNITS // 3, UNITS])) is None


def test_noisy_reports_differ_by_the_noise_that_is_accounted_for(task: TaskDefinition, splits_of_one: Split) -> None:
    noisy = agreeing(task, evaluations="noisy", evaluation_noise=3.0, evaluation_precision=1e-6, evaluation_step=1)
    spec = noisy.to_spec(organisations=ORGANISATIONS)
    test, base = splits_of_one.test, task.initial_weights()
    # Of so many right and wrong records the number is their sum: noise of deviation sqrt(2) times that of each.
    numbers = []
    for _ in range(300):
        told = report_of(noisy, spec, 1, base, test)
        assert told is not None and told.auc is None
        numbers.append(told.examples)
    expected = math.sqrt(2.0) * deviation_on_grid(3.0) / UNITS * math.sqrt(2.0)
    # 300 numbers know their standard deviation to 4 %.
    assert abs(np.std(numbers) / expected - 1) < 0.25
    assert abs(np.mean(numbers) - len(test)) < 6 * expected / math.sqrt(300) + 1


def test_the_schedule_of_noisy_evaluations_is_that_of_the_gaussian_mechanism_and_checked(task: TaskDefinition) -> None:
    noisy = agreeing(task, evaluations="noisy", evaluation_noise=8.0, evaluate_every=3)
    spec = noisy.to_spec(organisations=ORGANISATIONS)
    terms = spec.agreement.evaluations
    assert terms.every == 3 and len(terms.epsilon_schedule) == task.training.rounds // 3
    assert terms.epsilon_schedule == epsilon_schedule(PoissonSampledGaussian(1.0, 8.0, 1), 3, task.privacy.delta)
    assert dict(spec.mechanisms())[HELD_OUT].epsilon_schedule == terms.epsilon_schedule
    assert task.agree(spec).to_spec(organisations=ORGANISATIONS) == spec
    cheaper = (*terms.epsilon_schedule[:-1], terms.epsilon_schedule[-1] - 2)
    agreement = spec.agreement.model_copy(
        update={"evaluations": terms.model_copy(update={"epsilon_schedule": cheaper})}
    )
    with pytest.raises(BadInputError, match=r"EPSILON_UNDERSTATED.*held-out records"):
        check_agreement(noisy, spec.model_copy(update={"agreement": agreement}))


@pytest.mark.parametrize("terms", [{"evaluations": "noisy"}, {"evaluation_noise": 2.0}])
def test_noise_and_its_size_are_agreed_together(task: TaskDefinition, terms: dict[str, Any]) -> None:
    kind = type(task.settings.agreement)
    with pytest.raises(ValueError, match="evaluation_noise belongs to"):
        kind.model_validate(task.settings.agreement.model_dump() | terms)
