"""A task is read whole or refused with the place that is wrong; what the ledger holds of it is exact."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from fedledger.errors import BadInputError
from fedledger.training import TaskDefinition, load_task
from fedledger.training.specification import recomputed_schedule
from fedledger_chaincode.messages.task import TaskSpec

ORGANISATIONS = ("SwitzerlandMSP", "ClevelandMSP", "LongBeachMSP", "HungaryMSP")


@pytest.fixture
def folder(task: TaskDefinition, tmp_path: Path) -> Path:
    copy = tmp_path / "heart_disease"
    shutil.copytree(task.folder, copy)
    return copy


def edit(folder: Path, before: str, after: str, file: str = "task.toml") -> Path:
    text = (folder / file).read_text()
    assert before in text
    (folder / file).write_text(text.replace(before, after, 1))
    return folder


@pytest.mark.parametrize("source", ["heart-disease", "heart_disease"])
def test_a_shipped_task_is_found_by_name(source: str) -> None:
    assert load_task(source).name == "heart-disease"


def test_a_task_is_found_by_its_folder(folder: Path, task: TaskDefinition) -> None:
    assert load_task(folder).package_digest() == task.package_digest()
    assert load_task(str(folder)).settings == task.settings


def test_a_name_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadInputError, match=r"TASK_FOLDER.*heart_disease"):
        load_task("hart-disease")


@pytest.mark.parametrize("name", ["task.toml", "data.py", "model.py"])
def test_a_folder_that_lacks_a_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadInputError, match=f"TASK_FOLDER.*{name} missing"):
        load_task(folder)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        pytest.param("rounds = 10", "round = 10", r"\[training\]: unknown key 'round'.*'rounds'", id="misspelt key"),
        pytest.param("rounds = 10", "", r"\[training\]: key 'rounds' is missing", id="missing key"),
        pytest.param("rounds = 10", 'rounds = "10"', r"\[training\]: rounds: .*integer", id="wrong type"),
        pytest.param("rounds = 10", "rounds = 0", r"\[training\]: rounds: .*greater", id="out of range"),
        pytest.param("rounds = 10", "rounds = ", "is not TOML", id="no TOML"),
        pytest.param("proximal_mu = 0.1", "proximal_mu = 0.1234567", "more than six decimals", id="too fine"),
        pytest.param("delta = 1e-5", "delta = 1.5", "less than 1", id="delta"),
        pytest.param("delta = 1e-5", "delta = 1e-5\nnoise_multiplier = 2.0", "not both", id="noise said twice"),
        pytest.param("epsilon_budget = 3.0", "epsilon_budget = 2.0", "above epsilon_budget", id="budget"),
        pytest.param('kind = "logistic"', 'kind = "forest"', "no table", id="unknown model"),
        pytest.param("[deadlines]", "[deadline]", "unknown key 'deadline'.*'deadlines'", id="misspelt table"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_place(folder: Path, before: str, after: str, words: str) -> None:
    with pytest.raises(BadInputError, match=f"(?s)TASK_FILE.*{words}"):
        load_task(edit(folder, before, after))


def test_code_that_does_not_run_is_refused(folder: Path, task: TaskDefinition) -> None:
    with pytest.raises(BadInputError, match=r"TASK_CODE.*data\.py cannot be run"):
        load_task(edit(folder, "import csv", "import no_such_module", "data.py")).load_data("cleveland")
    with pytest.raises(BadInputError, match=r"TASK_CODE.*no function 'load'"):
        load_task(edit(folder, "import no_such_module", "import csv", "data.py"))
        load_task(edit(folder, "def load(", "def read(", "data.py")).load_data("cleveland")


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        pytest.param('name="hidden"', 'name="middle"', "MODEL_TENSORS", id="another name"),
        pytest.param("HIDDEN_UNITS = 16", "HIDDEN_UNITS = 8", "MODEL_TENSORS", id="another shape"),
        pytest.param(
            "logit = tf",
            "hidden = tf.keras.layers.BatchNormalization()(hidden)\n    logit = tf",
            "MODEL_STATE",
            id="state",
        ),
        pytest.param('name="hidden"', 'name="hidden", kernel_regularizer="l2"', "MODEL_STATE", id="regulariser"),
        pytest.param("tf.keras.layers.Dense(1,", "tf.keras.layers.Dense(2,", "MODEL_TENSORS", id="two logits"),
    ],
)
def test_a_model_that_is_not_the_declared_one_is_refused(folder: Path, before: str, after: str, code: str) -> None:
    from fedledger.training.model import TrainableModel

    with pytest.raises(BadInputError, match=code):
        TrainableModel(load_task(edit(folder, before, after, "model.py")).override(model="mlp"))


def test_the_digest_covers_every_file_and_nothing_else(folder: Path, task: TaskDefinition) -> None:
    (folder / "README.md").write_text("another text")
    assert load_task(folder).package_digest() == task.package_digest()
    seen = {task.package_digest()}
    for name in ("task.toml", "data.py", "model.py"):
        (folder / name).write_text((folder / name).read_text() + "\n")
        seen.add(load_task(folder).package_digest())
    assert len(seen) == 4


def test_the_specification_holds_the_settings_in_integers(task: TaskDefinition) -> None:
    spec = task.to_spec(organisations=ORGANISATIONS)
    assert TaskSpec.decode(spec.canonical()) == spec
    assert spec.organisations == spec.aggregation.validators == tuple(sorted(ORGANISATIONS))
    assert spec.model.package_digest == task.package_digest()
    assert spec.model.parameter_count == 31
    assert spec.model.initial_weights_digest == hashlib.sha256(task.initial_model()).hexdigest()
    assert spec.aggregation.clip_norm == 2_000_000
    assert spec.aggregation.quantised_norm == 1 << 24
    assert spec.training.proximal_mu == 0
    assert spec.training.client_optimizer.learning_rate == 200_000
    assert spec.privacy.delta_pico == 10_000_000
    assert spec.privacy.epsilon_budget == 3_000_000
    assert spec.privacy.epsilon_schedule == recomputed_schedule(spec.privacy)
    assert spec.privacy.epsilon_schedule[-1] <= 3_000_000 < spec.privacy.epsilon_schedule[-1] + 5_000
    assert spec.privacy.allowed_contributions() == spec.training.rounds


def test_without_dp_the_specification_has_no_parameters_of_privacy(task: TaskDefinition) -> None:
    privacy = task.override(no_dp=True).to_spec(organisations=ORGANISATIONS).privacy
    assert privacy.mechanism == "none"
    assert privacy.epsilon_schedule == ()
    assert privacy.noise_multiplier == privacy.epsilon_budget == 0


def test_organisations_that_the_ledger_would_refuse_are_refused_first(task: TaskDefinition) -> None:
    with pytest.raises(BadInputError, match=r"TASK_SPEC.*needs n >= 3t \+ 1"):
        task.to_spec(organisations=ORGANISATIONS[:3])
    with pytest.raises(BadInputError, match=r"TASK_SPEC.*not among the organisations"):
        task.to_spec(organisations=ORGANISATIONS, validators=("AMSP", *ORGANISATIONS[1:]))


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"no_dp": True},
        {"rounds": 3, "algorithm": "fedprox", "model": "mlp", "epsilon": 8.0},
        {"rounds": 20, "no_dp": True, "algorithm": "fedprox"},
    ],
)
def test_whoever_has_the_folder_trains_by_the_agreement(
    task: TaskDefinition, folder: Path, overrides: dict[str, object]
) -> None:
    proposed = task.override(**overrides)  # type: ignore[arg-type]
    spec = proposed.to_spec(organisations=ORGANISATIONS)
    agreed = load_task(folder).agree(spec)
    assert agreed.to_spec(organisations=ORGANISATIONS) == spec
    assert agreed.mechanism == proposed.mechanism
    assert agreed.client_optimizer == proposed.client_optimizer
    assert agreed.initial_model() == proposed.initial_model()


def test_another_code_than_the_agreed_is_refused(task: TaskDefinition, folder: Path) -> None:
    spec = task.to_spec(organisations=ORGANISATIONS)
    with pytest.raises(BadInputError, match=r"TASK_DIFFERS.*digest"):
        load_task(edit(folder, "TEST_SHARE = 0.3", "TEST_SHARE = 0.1", "data.py")).agree(spec)


def test_the_seed_comes_with_the_agreement(task: TaskDefinition) -> None:
    spec = task.override(seed=9).to_spec(organisations=ORGANISATIONS)
    assert task.agree(spec).seed == 9


def test_initial_weights_that_are_not_those_of_the_seed_are_refused(task: TaskDefinition) -> None:
    spec = task.override(seed=9).to_spec(organisations=ORGANISATIONS)
    forged = spec.model_copy(update={"training": spec.training.model_copy(update={"seed": 1})})
    with pytest.raises(BadInputError, match=r"TASK_DIFFERS.*seed 1"):
        task.agree(forged)


def test_an_agreement_that_understates_epsilon_is_refused(task: TaskDefinition) -> None:
    spec = task.to_spec(organisations=ORGANISATIONS)
    lower = tuple(epsilon // 2 for epsilon in spec.privacy.epsilon_schedule)
    claimed = spec.model_copy(update={"privacy": spec.privacy.model_copy(update={"epsilon_schedule": lower})})
    with pytest.raises(BadInputError, match="EPSILON_UNDERSTATED"):
        task.agree(claimed)


def test_epsilon_together_with_no_privacy_is_refused(task: TaskDefinition) -> None:
    with pytest.raises(BadInputError, match="BAD_ARGUMENTS"):
        task.override(epsilon=1.0, no_dp=True)
    with pytest.raises(BadInputError, match="TASK_FILE"):
        task.override(epsilon=-1.0)
    with pytest.raises(BadInputError, match="TASK_FILE"):
        task.override(algorithm="fedsgd")


AGREEMENT = """
[agreement]
purposes = ["screening", "research"]
minimum_examples = 20
example_step = 10
ends = 2035-01-31T00:00:00Z
"""


def test_terms_of_the_agreement_reach_the_ledger_and_come_back(folder: Path) -> None:
    (folder / "task.toml").write_text((folder / "task.toml").read_text() + AGREEMENT)
    spec = load_task(folder).to_spec(organisations=ORGANISATIONS)
    assert spec.agreement.model_dump() == {
        "purposes": ("research", "screening"),
        "minimum_examples": 20,
        "example_step": 10,
        "ends_at": 2_053_814_400,
        "evaluations": {
            "published": "rounded",
            "figure_step": 10_000,
            "count_step": 10,
            "every": 1,
            "noise_multiplier": 0,
            "epsilon_schedule": (),
        },
    }
    assert load_task(folder).agree(spec).to_spec(organisations=ORGANISATIONS) == spec


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("00:00:00Z", "00:00:00", "timezone"),
        ("00:00:00Z", "00:00:00.5Z", "no whole second"),
        ('"screening"', '"Screening!"', "pattern"),
        ("minimum_examples = 20", "minimum_examples = 0", "greater"),
        ("example_step", "example_steps", "unknown key"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused(folder: Path, before: str, after: str, words: str) -> None:
    (folder / "task.toml").write_text((folder / "task.toml").read_text() + AGREEMENT)
    with pytest.raises(BadInputError, match=words):
        load_task(edit(folder, before, after))
