"""An organisation with privacy of its own, from task.toml to the ledger and back into its training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedledger.errors import BadInputError
from fedledger.privacy.accountant import epsilon_schedule
from fedledger.training import LocalTrainer, TaskDefinition, load_task
from fedledger.training.examples import Split
from fedledger.training.thresholds import agreement_factor_of, honest_deviation, threshold_factor
from fedledger_chaincode.messages.task import TaskSpec

ORGANISATIONS = ("ClevelandMSP", "HungaryMSP", "LongBeachMSP", "SwitzerlandMSP")
CAREFUL = "SwitzerlandMSP"
OWN = f"""
[own_privacy.{CAREFUL}]
target_epsilon = 1.0
epsilon_budget = 1.0
delta = 0.000001
"""


def with_own(task: TaskDefinition, folder: Path, own: str = OWN) -> TaskDefinition:
    target = Path(shutil.copytree(task.folder, folder / "task"))
    (target / "task.toml").write_text((target / "task.toml").read_text() + own)
    return load_task(target)


@pytest.fixture(scope="module")
def owned(task: TaskDefinition, tmp_path_factory: pytest.TempPathFactory) -> TaskDefinition:
    return with_own(task, tmp_path_factory.mktemp("own")).override(rounds=3)


@pytest.fixture(scope="module")
def spec(owned: TaskDefinition) -> TaskSpec:
    return owned.to_spec(organisations=ORGANISATIONS)


def forged(spec: TaskSpec, factor: int | None = None, **privacy: Any) -> TaskSpec:
    (own,) = spec.own_privacy
    changed = own.model_copy(
        update={
            "privacy": own.privacy.model_copy(update=privacy),
            "agreement_factor": own.agreement_factor if factor is None else factor,
        }
    )
    return spec.model_copy(update={"own_privacy": (changed,)})


def test_the_ledger_holds_both_mechanisms_with_their_schedules(owned: TaskDefinition, spec: TaskSpec) -> None:
    assert spec.privacy_of("ClevelandMSP") == spec.privacy
    own = spec.privacy_of(CAREFUL)
    assert (own.epsilon_budget, own.delta_pico) == (1_000_000, 1_000_000)
    assert own.noise_multiplier > spec.privacy.noise_multiplier
    assert own.sampling_rate == spec.privacy.sampling_rate
    mechanism = owned.of_organisation(CAREFUL).mechanism
    assert mechanism is not None
    assert own.epsilon_schedule == epsilon_schedule(mechanism, 3, 1e-6)
    assert own.epsilon_schedule[-1] <= 1_000_000 < spec.privacy.epsilon_schedule[-1]


def test_whoever_agrees_gets_both_back(owned: TaskDefinition, spec: TaskSpec) -> None:
    agreed = load_task(owned.folder).agree(TaskSpec.decode(spec.canonical()))
    for msp in ORGANISATIONS:
        ours, theirs = owned.of_organisation(msp), agreed.of_organisation(msp)
        assert ours.mechanism == theirs.mechanism
        assert ours.epsilon_schedule == theirs.epsilon_schedule
        assert ours.client_optimizer == theirs.client_optimizer == owned.client_optimizer
    assert agreed.to_spec(organisations=ORGANISATIONS) == spec


def test_an_own_schedule_that_understates_is_not_approved(owned: TaskDefinition, spec: TaskSpec) -> None:
    schedule = spec.privacy_of(CAREFUL).epsilon_schedule
    with pytest.raises(BadInputError, match=f"EPSILON_UNDERSTATED.* of {CAREFUL}"):
        owned.agree(forged(spec, epsilon_schedule=(*schedule[:-1], schedule[-1] - 2)))


def test_it_trains_with_its_own_noise_and_within_its_own_budget(
    owned: TaskDefinition, splits: dict[str, Split]
) -> None:
    base, records = owned.initial_weights(), splits["switzerland"].train

    def scatter(task: TaskDefinition) -> float:
        trainer = LocalTrainer(task, records, site="switzerland")
        updates = [trainer.train(base, round_number=1) for _ in range(12)]
        assert {update.cumulative_epsilon_micro for update in updates} == {task.epsilon_schedule[0]}
        return float(np.std([update.update for update in updates], axis=0).mean())

    own = owned.of_organisation(CAREFUL)
    assert own.mechanism is not None and owned.mechanism is not None
    # Whole updates are clipped too, which takes away from the larger noise.
    ratio = own.mechanism.noise_multiplier / owned.mechanism.noise_multiplier
    assert 1.2 < scatter(own) / scatter(owned) < 1.1 * ratio
    with pytest.raises(BadInputError, match=r"EPSILON_SPENT.* of 1\.000"):
        LocalTrainer(own, records, site="switzerland").train(base, round_number=4)


def test_expected_agreement_follows_from_the_own_noise_and_nobody_chooses_it(
    task: TaskDefinition, tmp_path: Path
) -> None:
    guarded = with_own(task, tmp_path).override(rounds=3, variant="guarded")
    own = guarded.of_organisation(CAREFUL)
    assert honest_deviation(own) > honest_deviation(guarded)
    factor = agreement_factor_of(guarded, CAREFUL)
    assert factor == round(threshold_factor(own) / threshold_factor(guarded) * 1e6) < 1_000_000
    spec = guarded.to_spec(organisations=ORGANISATIONS)
    assert spec.own_privacy[0].agreement_factor == factor
    guarded.agree(spec)
    with pytest.raises(BadInputError, match=f"TASK_DIFFERS.*{CAREFUL} is to be divided"):
        guarded.agree(forged(spec, factor=factor - 1))


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ("target_epsilon = 2.0\nepsilon_budget = 1.0", "own_privacy.SwitzerlandMSP: target_epsilon is above"),
        ("target_epsilon = 1.0\nnoise_multiplier = 1.0", "own_privacy.SwitzerlandMSP: needs either"),
        ("noise = 1.0", "own_privacy.SwitzerlandMSP.noise"),
    ],
)
def test_what_does_not_hold_together_is_refused(task: TaskDefinition, tmp_path: Path, own: str, reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        with_own(task, tmp_path, f"\n[own_privacy.{CAREFUL}]\n{own}\n")


def test_an_organisation_without_a_part_in_the_task_is_named(owned: TaskDefinition) -> None:
    with pytest.raises(BadInputError, match=r"TASK_SPEC.*own_privacy must be of organisations"):
        owned.to_spec(organisations=("AMSP", "BMSP", "CMSP", "DMSP"))


def test_without_dp_nobody_has_any(owned: TaskDefinition) -> None:
    assert owned.override(no_dp=True).to_spec(organisations=ORGANISATIONS).own_privacy == ()
