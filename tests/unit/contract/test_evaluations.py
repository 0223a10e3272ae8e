"""How exactly a participant may tell how a model does on its held-out records, and when."""

from __future__ import annotations

from typing import Any

import pytest

from fedledger_chaincode.messages.records import EvaluationRecord
from fedledger_chaincode.messages.round import EvaluationReport
from fedledger_chaincode.messages.task import EVALUATION_NORM, HELD_OUT
from fedledger_chaincode.messages.views import EvaluationRecords
from tests.unit.contract.ledger import MSPS, Consortium, task_spec
from tests.unit.contract.test_tasks import refused

NOISY = {"published": "noisy", "noise_multiplier": 5_000_000, "epsilon_schedule": [800_000, 1_200_000]}


def trained(rounds: int = 1, **terms: Any) -> Consortium:
    """After some rounds of a task with these terms about evaluations."""
    consortium = Consortium.active(task_spec(agreement={"evaluations": terms}, training={"rounds": 4}))
    for number in range(1, rounds + 1):
        consortium.through(number)
    return consortium


def tell(consortium: Consortium, msp: str = MSPS[0], **figures: Any) -> EvaluationRecord:
    said: dict[str, Any] = {"version": 1, "examples": 100, "auc": 810_000, "accuracy": 740_000, "loss": 560_000}
    report = EvaluationReport(task=consortium.task, **said | figures)
    return EvaluationRecord.decode(consortium.ledger.submit(consortium.participants[msp], "ReportEvaluation", report))


def test_by_default_figures_have_two_decimals_and_numbers_of_records_are_tens() -> None:
    consortium = trained()
    for finer in ({"examples": 101}, {"auc": 812_000}, {"accuracy": 740_001}, {"loss": 565_000}):
        with refused("EVALUATION_TOO_FINE"):
            tell(consortium, **finer)
    assert tell(consortium).report.auc == 810_000


def test_of_few_records_figures_are_no_finer_than_one_record() -> None:
    consortium = trained()
    with refused("EVALUATION_TOO_FINE"):
        tell(consortium, examples=20, auc=None, accuracy=740_000, loss=0)
    tell(consortium, examples=20, auc=None, accuracy=750_000, loss=0)


def test_fewer_records_than_a_step_cannot_be_told_of() -> None:
    consortium = trained()
    with refused("EVALUATION_TOO_FINE"):
        tell(consortium, examples=9)


def test_steps_are_those_that_were_agreed() -> None:
    consortium = trained(figure_step=50_000, count_step=25)
    with refused("EVALUATION_TOO_FINE"):
        tell(consortium, auc=None, accuracy=740_000, loss=550_000)
    with refused("EVALUATION_TOO_FINE"):
        tell(consortium, examples=110, auc=None, accuracy=750_000, loss=550_000)
    tell(consortium, auc=None, accuracy=750_000, loss=550_000)


def test_repeating_one_is_no_second_one_and_another_is_refused() -> None:
    consortium = trained()
    assert tell(consortium) == tell(consortium)
    with refused("ALREADY_RECORDED"):
        tell(consortium, accuracy=750_000)


def test_where_none_were_agreed_none_is_taken() -> None:
    consortium = trained(published="none")
    with refused("EVALUATIONS_NOT_AGREED"):
        tell(consortium)
    told = consortium.ledger.evaluate(
        consortium.participants[MSPS[0]], EvaluationRecords, "GetEvaluations", consortium.task, 1
    )
    assert not told.evaluations


def test_only_versions_that_are_due_are_told_of() -> None:
    consortium = trained(2, every=2)
    with refused("EVALUATION_NOT_DUE"):
        tell(consortium)
    tell(consortium, version=2)


class TestNoisy:
    def test_no_area_under_the_curve_which_no_noise_hides(self) -> None:
        consortium = trained(**NOISY)
        with refused("EVALUATION_TOO_FINE"):
            tell(consortium)
        tell(consortium, auc=None)

    def test_it_stops_where_the_schedule_or_the_budget_ends(self) -> None:
        consortium = trained(3, **NOISY)
        tell(consortium, version=2, auc=None)
        with refused("EPSILON_SPENT"):
            tell(consortium, version=3, auc=None)
        dear = trained(2, **NOISY | {"epsilon_schedule": [800_000, 3_000_001]})
        tell(dear, auc=None)
        with refused("EPSILON_SPENT"):
            tell(dear, version=2, auc=None)

    def test_the_model_that_nobody_has_trained_is_not_told_of(self) -> None:
        with refused("EVALUATION_NOT_DUE"):
            tell(trained(**NOISY), version=0, auc=None)

    def test_a_new_name_tells_only_of_rounds_that_it_takes_part_in(self) -> None:
        consortium = trained(1, **NOISY)
        tell(consortium, auc=None)
        consortium.ledger.submit(consortium.participants[MSPS[0]], "LeaveTask", consortium.task)
        consortium.participants[MSPS[0]] = consortium.ledger.actor(MSPS[0], "participant", name="somebody else")
        consortium.join(MSPS[0])
        with refused("EVALUATION_NOT_DUE"):
            tell(consortium, auc=None)
        consortium.through(2)
        tell(consortium, version=2, auc=None)

    def test_their_price_is_among_the_mechanisms_that_are_recomputed(self) -> None:
        spec = task_spec(agreement={"evaluations": NOISY})
        price = dict(spec.mechanisms())[HELD_OUT]
        assert (price.sampling_rate, price.steps_per_round) == (1_000_000, 1)
        assert (price.noise_multiplier, price.record_clip_norm) == (5_000_000, EVALUATION_NORM)
        assert price.epsilon_schedule == (800_000, 1_200_000)
        assert HELD_OUT not in dict(task_spec().mechanisms())

    @pytest.mark.parametrize(
        ("terms", "words"),
        [
            (NOISY | {"noise_multiplier": 0}, "belong to noisy"),
            (NOISY | {"epsilon_schedule": []}, "belong to noisy"),
            (NOISY | {"published": "rounded"}, "belong to noisy"),
            (NOISY | {"noise_multiplier": 299_999}, "privacy of held-out records: noise_multiplier is 299999"),
            (NOISY | {"epsilon_schedule": [1] * 2_000}, "entries of epsilon schedules"),
            (NOISY | {"epsilon_schedule": [2, 1]}, "decreases"),
        ],
    )
    def test_terms_that_say_less_than_they_seem_are_refused(self, terms: dict[str, Any], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            task_spec(agreement={"evaluations": terms})

    def test_without_a_privacy_budget_there_is_nothing_to_charge(self) -> None:
        privacy = dict.fromkeys(task_spec().privacy.model_dump(), 0) | {"mechanism": "none", "epsilon_schedule": []}
        with pytest.raises(ValueError, match="to whose budget"):
            task_spec(privacy=privacy, agreement={"evaluations": NOISY})


def test_what_may_be_told_of_held_out_records_is_never_amended() -> None:
    consortium = trained()
    spec = task_spec(agreement={"evaluations": {"figure_step": 1}}, training={"rounds": 4})
    with refused("NOT_AMENDABLE"):
        consortium.ledger.submit(consortium.governors[MSPS[0]], "ProposeAmendment", spec)
