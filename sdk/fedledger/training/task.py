"""A learning task from a folder of task.toml, data.py and model.py; needs no TensorFlow until a model is
built.

The three files are read once: what is hashed is what is run. Refuses a folder or settings that are not
complete.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from fedledger.errors import BadInputError
from fedledger.privacy.accountant import calibrate_noise, epsilon_schedule
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.training.examples import Examples, Split, check_examples, concatenate
from fedledger.training.runtime import choose_kernels, tensorflow
from fedledger.training.settings import (
    Aggregation,
    Optimizer,
    Privacy,
    TaskSettings,
    Training,
)
from fedledger.training.specification import agreed_settings, check_agreement, initial_model, specification
from fedledger.training.task_file import parse_settings, validate_settings, variant_of
from fedledger.training.weights import Float32Array, Tensor, initial_weights, parameter_count, weights_of
from fedledger_chaincode.messages.task import TaskSpec

PACKAGE_FILES = ("data.py", "model.py", "task.toml")
_DIGEST_TAG = b"fedledger/task-package/1"
_SHIPPED_PACKAGE = "fl_tasks"


@dataclass(frozen=True)
class TaskDefinition:
    """One task: its settings, its code, and everything that follows from them."""

    folder: Path
    settings: TaskSettings
    files: tuple[tuple[str, bytes], ...] = field(repr=False)
    """Name and content of data.py, model.py and task.toml, as read."""

    @classmethod
    def load(cls, folder: str | Path) -> TaskDefinition:
        """Read the task in ``folder``.

        Raises BadInputError TASK_FOLDER when a file is missing, TASK_FILE when task.toml cannot be used.
        """
        root = Path(folder).resolve()
        missing = [name for name in PACKAGE_FILES if not (root / name).is_file()]
        if missing:
            raise BadInputError(
                "TASK_FOLDER",
                f"{root} is not a task: {', '.join(missing)} missing.",
                "A task folder holds task.toml, data.py and model.py; see docs/tasks.md.",
            )
        files = tuple((name, (root / name).read_bytes()) for name in PACKAGE_FILES)
        return cls(root, parse_settings(dict(files)["task.toml"], root / "task.toml"), files)

    def override(
        self,
        *,
        rounds: int | None = None,
        algorithm: str | None = None,
        model: str | None = None,
        epsilon: float | None = None,
        no_dp: bool = False,
        seed: int | None = None,
        variant: str | None = None,
    ) -> TaskDefinition:
        """The same task with some settings replaced, as the options of ``fedledger demo`` and ``task
        propose`` do.

        ``variant`` is one of those in task.toml; the other options change it further. ``epsilon`` becomes target and
        budget of the whole run. Raises BadInputError TASK_FILE for a value that task.toml could not hold,
        BAD_ARGUMENTS for ``epsilon`` together with ``no_dp`` and for a variant that is not there.
        """
        if epsilon is not None and no_dp:
            raise BadInputError(
                "BAD_ARGUMENTS",
                "An epsilon was given and differential privacy was turned off.",
                "Choose one of the two.",
            )
        source = f"{self.folder / 'task.toml'}"
        settings = self.settings if variant is None else variant_of(self.settings, variant, source)
        document = settings.model_dump(exclude_none=True)
        for table, key, value in (
            ("training", "rounds", rounds),
            ("training", "algorithm", algorithm),
            ("model", "kind", model),
            ("task", "seed", seed),
        ):
            if value is not None:
                document[table][key] = value
        if no_dp:
            document["privacy"]["mechanism"] = "none"
            document["own_privacy"] = {}
        if epsilon is not None:
            document["privacy"].pop("noise_multiplier", None)
            if not self.is_private:
                document["privacy"]["mechanism"] = "dp-sgd"
            document["privacy"] |= {
                "target_epsilon": epsilon,
                "epsilon_budget": epsilon,
            }
        return replace(self, settings=validate_settings(document, f"{source} with overrides"))

    @property
    def name(self) -> str:
        return self.settings.task.name

    @property
    def kind(self) -> str:
        """Which model is trained."""
        return self.settings.model.kind

    @property
    def seed(self) -> int:
        return self.settings.task.seed

    @property
    def sites(self) -> tuple[str, ...]:
        """Datasets that come with the task."""
        return self.settings.data.sites

    @property
    def classes(self) -> int:
        return self.settings.data.classes

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.settings.data.input_shape

    @property
    def training(self) -> Training:
        return self.settings.training

    @property
    def aggregation(self) -> Aggregation:
        return self.settings.aggregation

    @property
    def privacy(self) -> Privacy:
        return self.settings.privacy

    @property
    def client_optimizer(self) -> Optimizer:
        """The local optimiser that is in force, with or without DP."""
        if self.is_private and self.privacy.client_optimizer is not None:
            return self.privacy.client_optimizer
        return self.training.client_optimizer

    def of_organisation(self, msp: str) -> TaskDefinition:
        """This task as one organisation trains for it: with privacy of its own where it has some."""
        if msp not in self.settings.own_privacy:
            return self
        privacy = self.settings.privacy_of(msp).model_copy(update={"client_optimizer": self.client_optimizer})
        return replace(self, settings=self.settings.model_copy(update={"privacy": privacy, "own_privacy": {}}))

    @property
    def is_private(self) -> bool:
        """Whether local training is differentially private."""
        return self.privacy.mechanism != "none"

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """The trainable tensors of the chosen model, in the order of an update."""
        return tuple(Tensor(name, shape) for name, shape in self.settings.model.kinds[self.kind].tensors)

    @property
    def parameter_count(self) -> int:
        """d, the length of a flat update."""
        return parameter_count(self.tensors)

    def initial_weights(self) -> list[Float32Array]:
        """Weights of model version 0, the same on every machine."""
        return initial_weights(self.tensors, self.seed)

    def to_spec(self, *, organisations: Sequence[str], validators: Sequence[str] | None = None) -> TaskSpec:
        """The ledger's specification of this task; ``validators`` are all organisations unless given.

        Raises BadInputError TASK_SPEC.
        """
        return specification(
            self,
            organisations=organisations,
            validators=sorted(organisations) if validators is None else validators,
        )

    def agree(self, spec: TaskSpec) -> TaskDefinition:
        """This task with the settings of the agreement ``spec``, which may differ from task.toml.

        Checks that code, model, initial weights and epsilon schedule are what the agreement says: call it before
        approving a task and before training for it. Raises BadInputError TASK_DIFFERS, EPSILON_UNDERSTATED.
        """
        agreed = replace(self, settings=agreed_settings(self, spec))
        check_agreement(agreed, spec)
        return agreed

    def initial_model(self) -> bytes:
        """The model file of version 0."""
        return initial_model(self)

    def package_digest(self) -> str:
        """Hex SHA-256 over names and contents of the three files, each prefixed with its length."""
        digest = hashlib.sha256(_DIGEST_TAG)
        for name, content in self.files:
            encoded = name.encode()
            digest.update(len(encoded).to_bytes(4, "big") + encoded)
            digest.update(len(content).to_bytes(8, "big") + content)
        return digest.hexdigest()

    @cached_property
    def mechanism(self) -> PoissonSampledGaussian | None:
        """The mechanism of one round, None without DP; computes the noise multiplier where a target is
        given.
        """
        if not self.is_private:
            return None
        privacy = self.privacy
        multiplier = privacy.noise_multiplier
        if multiplier is None:
            assert privacy.target_epsilon is not None
            multiplier = calibrate_noise(
                privacy.target_epsilon,
                rounds=self.training.rounds,
                steps=privacy.steps_per_round,
                sampling_rate=privacy.sampling_rate,
                delta=privacy.delta,
            )
        return PoissonSampledGaussian(privacy.sampling_rate, multiplier, privacy.steps_per_round)

    @cached_property
    def epsilon_schedule(self) -> tuple[int, ...]:
        """Cumulative micro-epsilon after 1 .. rounds contributed rounds; empty without DP."""
        if self.mechanism is None:
            return ()
        return epsilon_schedule(self.mechanism, self.training.rounds, self.privacy.delta)

    def load_data(self, source: str | Path) -> Split:
        """The records of a site of the package, or of a file, split by the task's seed.

        Raises BadInputError from the task's own ``load``, and DATASET_* when what it returns does not fit
        the task. An empty test part is allowed: such a site trains but cannot judge a model.
        """
        load = _function(self._data_module, "load", self.folder / "data.py")
        split = load(source, self.seed)
        if not isinstance(split, Split):
            raise BadInputError(
                "TASK_CODE",
                f"load in {self.folder / 'data.py'} returned {type(split).__name__}.",
                "Return a fedledger.training.Split(train, test).",
            )
        for part, examples in (("training", split.train), ("test", split.test)):
            if part == "test" and len(examples) == 0:
                continue
            check_examples(
                examples, input_shape=self.input_shape, classes=self.classes, origin=f"{source}, {part} part,"
            )
        return split

    def reference_examples(self) -> Examples:
        """The reference data of the task, all of them.

        Raises BadInputError NO_REFERENCE, and as :meth:`load_data` does.
        """
        source = self.settings.robustness.reference
        if source is None:
            raise BadInputError(
                "NO_REFERENCE",
                f"Task {self.name} has no reference data.",
                "Name them as reference in table [robustness] of task.toml.",
            )
        path = self.folder / source
        split = self.load_data(path if path.exists() else source)
        return concatenate([part for part in (split.train, split.test) if len(part)])

    def reference_digest(self) -> str:
        """Hex SHA-256 over shape, features and labels of the reference data."""
        examples = self.reference_examples()
        shape = ",".join(str(size) for size in examples.x.shape).encode()
        return hashlib.sha256(shape + b"|" + examples.x.tobytes() + examples.y.tobytes()).hexdigest()

    def build_model(self) -> Any:
        """A new untrained ``tf.keras.Model`` from the task's ``build``; imports TensorFlow."""
        tensorflow()
        return _function(self._model_module, "build", self.folder / "model.py")(self.kind)

    def keras_model(self, weights: bytes | Sequence[Float32Array]) -> Any:
        """A ``tf.keras.Model`` that holds ``weights`` (a model file, or arrays); imports TensorFlow.

        Raises BadInputError WEIGHTS_FILE, WEIGHTS_SHAPE, WEIGHTS_NOT_FINITE.
        """
        arrays = weights_of(weights, self.tensors)
        model = self.build_model()
        for variable, array in zip(model.trainable_variables, arrays, strict=True):
            variable.assign(array)
        return model

    @cached_property
    def _data_module(self) -> ModuleType:
        return self._execute("data.py")

    @cached_property
    def _model_module(self) -> ModuleType:
        return self._execute("model.py")

    def _execute(self, name: str) -> ModuleType:
        path = self.folder / name
        module = ModuleType(f"fedledger_task_{self.package_digest()[:16]}_{path.stem}")
        module.__file__ = str(path)
        # The file may import TensorFlow.
        choose_kernels()
        try:
            code = compile(dict(self.files)[name], str(path), "exec")
            exec(code, module.__dict__)
        except (SyntaxError, ImportError) as error:
            raise BadInputError(
                "TASK_CODE", f"{path} cannot be run: {error}.", "Mend the file or install what it imports."
            ) from error
        return module


def _function(module: ModuleType, name: str, path: Path) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if not callable(found):
        raise BadInputError(
            "TASK_CODE", f"{path} has no function {name!r}.", "Define it; docs/tasks.md shows its signature."
        )
    return found  # type: ignore[no-any-return]


def load_task(source: str | Path) -> TaskDefinition:
    """The task in a folder, or a task that is installed with fedledger, by name (``heart-disease``).

    Raises BadInputError TASK_FOLDER, TASK_FILE.
    """
    path = Path(source)
    if path.is_dir():
        return TaskDefinition.load(path)
    shipped = _shipped_tasks()
    name = str(source).replace("-", "_")
    if name in shipped:
        return TaskDefinition.load(shipped[name])
    raise BadInputError(
        "TASK_FOLDER",
        f"There is no folder {path} and no task of that name.",
        f"Give a folder that holds task.toml, or one of: {', '.join(sorted(shipped)) or 'none is installed'}.",
    )


def _shipped_tasks() -> dict[str, Path]:
    package = importlib.util.find_spec(_SHIPPED_PACKAGE)
    roots = [] if package is None else package.submodule_search_locations or []
    return {file.parent.name: file.parent for root in roots for file in Path(root).glob("*/task.toml")}
