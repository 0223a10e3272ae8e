"""Nobody approves, trains for or audits away a schedule that charges less than the mechanism costs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from fedledger.audit import Outcome, verify
from fedledger.errors import BadInputError
from fedledger.privacy.accountant import covers, epsilon_schedule, schedule_bounds
from fedledger.training import Examples, LocalTrainer, TaskDefinition, load_task
from fedledger.training.settings import PICO
from fedledger.training.specification import agreed_mechanism, recomputed_schedule
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.submission import agreed_privacy
from tests.unit.audit.members import consortium
from tests.unit.contract.ledger import task_spec

ORGANISATIONS = ("ClevelandMSP", "HungaryMSP", "LongBeachVaMSP", "SwitzerlandMSP")
ROUNDS = 4


@pytest.fixture(scope="module")
def task() -> TaskDefinition:
    return load_task("heart-disease").override(rounds=ROUNDS)


@pytest.fixture(scope="module")
def spec(task: TaskDefinition) -> TaskSpec:
    return task.to_spec(organisations=ORGANISATIONS)


def with_privacy(spec: TaskSpec, **changes: Any) -> TaskSpec:
    changed = spec.model_copy(update={"privacy": spec.privacy.model_copy(update=changes)})
    return TaskSpec.decode(changed.canonical())


def lowered(spec: TaskSpec, entry: int, micro: int) -> TaskSpec:
    """The specification with one entry of its schedule lower by so many micro-epsilon."""
    schedule = list(spec.privacy.epsilon_schedule)
    schedule[entry] -= micro
    return with_privacy(spec, epsilon_schedule=tuple(schedule))


def test_the_schedule_is_the_smaller_of_two_bounds_entry_by_entry(spec: TaskSpec) -> None:
    mechanism = agreed_mechanism(spec.privacy)
    assert mechanism is not None
    bounds = schedule_bounds(mechanism, ROUNDS, spec.privacy.delta_pico / PICO)
    assert spec.privacy.epsilon_schedule == tuple(bound.smaller for bound in bounds)
    assert all(bound.pld is not None and bound.rdp is not None for bound in bounds)


@pytest.mark.parametrize("entry", range(ROUNDS))
def test_one_micro_epsilon_is_rounding_and_two_are_a_false_claim(
    task: TaskDefinition, spec: TaskSpec, entry: int
) -> None:
    # Figures are rounded up to micro-epsilon, and two machines may differ by the last one of them.
    task.agree(lowered(spec, entry, 1))
    with pytest.raises(BadInputError, match="EPSILON_UNDERSTATED"):
        task.agree(lowered(spec, entry, 2))


def test_the_auditor_draws_the_same_line() -> None:
    cost = recomputed_schedule(task_spec().privacy)
    for understated, outcome in ((1, Outcome.PASSED), (2, Outcome.FAILED)):
        claimed = [*cost[:-1], cost[-1] - understated]
        privacy = {"epsilon_budget": 100_000_000, "epsilon_schedule": claimed}
        report = verify(consortium(rounds=0, privacy=privacy).ledger.blocks)
        assert report.check("privacy spent").outcome is outcome
    assert f"after {len(cost)} rounds" in report.check("privacy spent").detail


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"sampling_rate": 200_001}, id="more records in a step"),
        pytest.param({"steps_per_round": 11}, id="more steps"),
        pytest.param({"delta_pico": 9_000_000}, id="smaller delta"),
        pytest.param({"noise_multiplier": 2_000_000}, id="less noise"),
    ],
)
def test_the_schedule_of_another_mechanism_is_refused(
    task: TaskDefinition, spec: TaskSpec, changes: dict[str, int]
) -> None:
    with pytest.raises(BadInputError, match="EPSILON_UNDERSTATED"):
        task.agree(with_privacy(spec, **changes))


def test_a_schedule_that_is_too_long_is_checked_to_its_end(task: TaskDefinition, spec: TaskSpec) -> None:
    schedule = spec.privacy.epsilon_schedule
    with pytest.raises(BadInputError, match="EPSILON_UNDERSTATED"):
        task.agree(with_privacy(spec, epsilon_schedule=(*schedule, schedule[-1])))
    mechanism = agreed_mechanism(spec.privacy)
    assert mechanism is not None
    longer = epsilon_schedule(mechanism, ROUNDS + 1, spec.privacy.delta_pico / PICO)
    task.agree(with_privacy(spec, epsilon_schedule=longer))


def test_a_claim_may_be_higher_than_the_cost(task: TaskDefinition, spec: TaskSpec) -> None:
    task.agree(with_privacy(spec, epsilon_schedule=tuple(e + 100_000 for e in spec.privacy.epsilon_schedule)))


def test_the_mechanism_of_devices_costs_as_much_as_that_of_records(spec: TaskSpec) -> None:
    assert recomputed_schedule(with_privacy(spec, mechanism="dp-fedavg").privacy) == recomputed_schedule(spec.privacy)


def test_a_manifest_has_to_name_the_agreed_mechanism(spec: TaskSpec) -> None:
    agreed = agreed_privacy(spec, ORGANISATIONS[0])
    assert agreed.mechanism == "dp-sgd"
    assert agreed_privacy(with_privacy(spec, mechanism="dp-fedavg"), ORGANISATIONS[0]) != agreed
    assert agreed_privacy(with_privacy(spec, steps_per_round=9), ORGANISATIONS[0]) != agreed
    assert agreed_privacy(with_privacy(spec, sampling_rate=100_000), ORGANISATIONS[0]) != agreed


@pytest.mark.parametrize("records", [20, 2_000])
def test_the_same_schedule_holds_at_a_small_and_at_a_large_site(task: TaskDefinition, records: int) -> None:
    generator = np.random.default_rng(records)
    x = generator.normal(size=(records, 30)).astype(np.float32)
    trainer = LocalTrainer(task, Examples(x, (np.arange(records) % 2).astype(np.int32)), site="site")
    result = trainer.train(task.initial_weights(), round_number=1)
    mechanism = task.mechanism
    assert mechanism is not None
    # Rate and steps are the agreement's whatever the site's size: what grows with it is only how many enter a step.
    assert result.metrics["steps"] == mechanism.steps
    expected = mechanism.steps * mechanism.sampling_rate * records
    deviation = np.sqrt(expected * (1 - mechanism.sampling_rate))
    assert abs(result.metrics["records_drawn"] - expected) < 6 * deviation
    assert result.epsilon_micro == task.epsilon_schedule[0]
    assert covers((result.epsilon_micro,), epsilon_schedule(mechanism, 1, task.privacy.delta))


def test_a_site_for_which_delta_is_no_promise_does_not_train(task: TaskDefinition) -> None:
    privacy = task.settings.privacy.model_copy(update={"delta": 0.001})
    careless = dataclasses.replace(task, settings=task.settings.model_copy(update={"privacy": privacy}))
    x, y = np.zeros((1_000, 30), dtype=np.float32), (np.arange(1_000) % 2).astype(np.int32)
    LocalTrainer(careless, Examples(x[:500], y[:500]), site="small")
    with pytest.raises(BadInputError, match="DELTA_TOO_LARGE"):
        LocalTrainer(careless, Examples(x, y), site="large")
