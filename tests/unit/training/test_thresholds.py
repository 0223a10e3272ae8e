"""Thresholds of trust on the ledger follow from the package and the agreed noise; nobody chooses them."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from fedledger.errors import BadInputError
from fedledger.training import TaskDefinition, load_task
from fedledger.training.thresholds import honest_deviation, ledger_thresholds, threshold_factor
from fedledger_chaincode.messages.task import TaskSpec

ORGANISATIONS = ("ClevelandMSP", "HungaryMSP", "LongBeachMSP", "SwitzerlandMSP")


@pytest.fixture(scope="module")
def guarded(task: TaskDefinition) -> TaskDefinition:
    return task.override(variant="guarded")


@pytest.fixture
def folder(task: TaskDefinition, tmp_path: Path) -> Path:
    return Path(shutil.copytree(task.folder, tmp_path / "heart_disease"))


def spec_of(task: TaskDefinition) -> TaskSpec:
    return task.to_spec(organisations=ORGANISATIONS)


def edited(folder: Path, before: str, after: str, file: str = "task.toml") -> TaskDefinition:
    text = (folder / file).read_text()
    assert before in text
    (folder / file).write_text(text.replace(before, after, 1))
    return load_task(folder)


def test_without_privacy_the_ledger_applies_what_the_task_states(guarded: TaskDefinition) -> None:
    assert ledger_thresholds(guarded.override(no_dp=True)) == (50_000, 350_000)


def test_with_privacy_thresholds_shrink_by_what_the_mechanism_leaves_of_agreement(guarded: TaskDefinition) -> None:
    mechanism = guarded.mechanism
    assert mechanism is not None
    # 10 steps of rate 0.2 on an expected 40 of 200 records, clipped to 1.
    sigma = 0.2 * math.sqrt(10) * mechanism.noise_multiplier / 40
    assert honest_deviation(guarded) == pytest.approx(sigma)
    assert threshold_factor(guarded) == pytest.approx(0.3 / math.sqrt(0.3**2 + 31 * sigma**2))
    robustness = spec_of(guarded).robustness
    assert robustness.no_trust == round(50_000 * threshold_factor(guarded))
    assert robustness.full_trust == round(350_000 * threshold_factor(guarded))


@pytest.mark.parametrize("stronger", [{"epsilon": 1.0}, {"model": "mlp"}])
def test_more_noise_or_more_dimensions_lower_them(guarded: TaskDefinition, stronger: dict[str, object]) -> None:
    other = guarded.override(**stronger)  # type: ignore[arg-type]
    assert threshold_factor(other) < threshold_factor(guarded) < 1


def test_a_task_without_trust_has_none(task: TaskDefinition) -> None:
    robustness = spec_of(task).robustness
    assert (robustness.trust_weighting, robustness.no_trust, robustness.full_trust) == ("off", 0, 1_000_000)
    assert robustness.reference_digest is None


@pytest.mark.parametrize("overrides", [{}, {"no_dp": True}, {"epsilon": 8.0, "model": "mlp", "algorithm": "fedprox"}])
def test_every_approver_derives_the_same(task: TaskDefinition, folder: Path, overrides: dict[str, object]) -> None:
    proposed = task.override(variant="guarded", **overrides)  # type: ignore[arg-type]
    spec = spec_of(proposed)
    agreed = load_task(folder).agree(TaskSpec.decode(spec.canonical()))
    assert agreed.settings.robustness.trust_weighting == "reference-data"
    assert spec_of(agreed).robustness == spec.robustness


@pytest.mark.parametrize("change", [{"no_trust": 0}, {"full_trust": 900_000}, {"no_trust": 37_629}])
def test_an_approver_refuses_thresholds_that_the_proposer_chose(
    task: TaskDefinition, guarded: TaskDefinition, change: dict[str, int]
) -> None:
    spec = spec_of(guarded)
    forged = spec.model_copy(update={"robustness": spec.robustness.model_copy(update=change)})
    assert forged.robustness != spec.robustness
    with pytest.raises(BadInputError, match=r"TASK_DIFFERS.*from the package and the agreed noise follow"):
        task.agree(forged)


def test_an_approver_refuses_noise_that_does_not_match_the_thresholds(
    task: TaskDefinition, guarded: TaskDefinition
) -> None:
    # Thresholds of a task without noise, smuggled into one with noise: honest updates would count next to nothing.
    clean = spec_of(guarded.override(no_dp=True)).robustness
    forged = spec_of(guarded).model_copy(update={"robustness": clean})
    with pytest.raises(BadInputError, match="TASK_DIFFERS"):
        task.agree(forged)


def test_an_approver_refuses_other_reference_data(guarded: TaskDefinition, folder: Path) -> None:
    lines = (folder / "reference.csv").read_text().splitlines()
    (folder / "reference.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(BadInputError, match=r"TASK_DIFFERS.*reference data"):
        load_task(folder).agree(spec_of(guarded))


def test_noise_without_an_honest_norm_to_reckon_with_is_refused(folder: Path) -> None:
    with pytest.raises(BadInputError, match=r"TASK_FILE.*needs honest_norm"):
        edited(folder, "honest_norm = 0.3\n", "")


def test_thresholds_that_noise_leaves_no_room_between_are_refused(folder: Path) -> None:
    loud = edited(folder, "honest_norm = 0.3", "honest_norm = 0.000001")
    crushed = edited(folder, "full_trust = 0.35", "full_trust = 0.050001")
    assert crushed.settings.robustness.honest_norm == loud.settings.robustness.honest_norm
    with pytest.raises(BadInputError, match=r"TASK_SPEC.*no_trust has to be below full_trust"):
        spec_of(crushed.override(variant="guarded", epsilon=0.05))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[variants.other.robustness]\nno_trust = 0.1\n", r"variant 'other' changes robustness\.no_trust"),
        ("[variants.other.data]\nclasses = 3\n", r"variant 'other' changes data\.classes"),
        ("[variants.other.training]\nround = 3\n", r"variant 'other' changes training\.round"),
        ("[variants.other.training]\nrounds = 0\n", r"variant other, table \[training\]: rounds"),
    ],
)
def test_a_variant_that_cannot_be_agreed_on_is_refused(folder: Path, line: str, words: str) -> None:
    with (folder / "task.toml").open("a") as file:
        file.write(f"\n{line}")
    with pytest.raises(BadInputError, match=f"(?s)TASK_FILE.*{words}"):
        load_task(folder)


def test_a_variant_that_is_not_there_is_refused_with_those_that_are(task: TaskDefinition) -> None:
    with pytest.raises(BadInputError, match=r"BAD_ARGUMENTS.*guarded"):
        task.override(variant="garded")
