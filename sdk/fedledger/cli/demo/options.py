"""What a demo was asked to do, remembered in its folder so that the same command goes on with it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fedledger.cli.demo.attacks import DEADLINES, Attack
from fedledger.errors import BadInputError
from fedledger.identity.files import write_atomic
from fedledger.training import TaskDefinition, load_task

TASK_PACKAGE = "heart-disease"
GUARDED = "guarded"
"""The variant of the task that weighs updates by their agreement with reference data; attacks are shown on it."""
RUNS = Path("run")
_OPTIONS = "demo.json"
_RESULT = "result.json"


@dataclass(frozen=True)
class DemoOptions:
    """The options that change what is computed; None leaves the task's own setting."""

    rounds: int | None = None
    algorithm: str | None = None
    model: str | None = None
    epsilon: float | None = None
    no_dp: bool = False
    seed: int | None = None
    attack: str | None = None

    def definition(self) -> TaskDefinition:
        """The demo's task with these options."""
        definition = load_task(TASK_PACKAGE).override(
            rounds=self.rounds,
            algorithm=self.algorithm,
            model=self.model,
            epsilon=self.epsilon,
            no_dp=self.no_dp,
            seed=self.seed,
            variant=None if self.attack is None else GUARDED,
        )
        if self.attack is None:
            return definition
        deadlines = definition.settings.deadlines.model_copy(update=DEADLINES.get(Attack(self.attack), {}))
        return replace(definition, settings=definition.settings.model_copy(update={"deadlines": deadlines}))


@dataclass(frozen=True)
class DemoFolder:
    """Everything of one demo: identities, ledger, stores, journals, result."""

    path: Path

    @classmethod
    def chosen(cls, path: Path | None, options: DemoOptions) -> DemoFolder:
        """The named folder, else an unfinished demo with the same options, else a new one below ``run/``.

        Raises:
            BadInputError: ``DEMO_DIFFERS``, the folder holds a demo with other options; ``NOT_A_DEMO``.
        """
        if path is not None:
            folder = cls(path.absolute())
            folder._claim(options)
            return folder
        for candidate in sorted(RUNS.glob(f"demo-*/{_OPTIONS}"), reverse=True):
            folder = cls(candidate.parent.absolute())
            if not folder.is_finished and folder.options() == options:
                return folder
        folder = cls((RUNS / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}").absolute())
        folder._claim(options)
        return folder

    @property
    def is_finished(self) -> bool:
        return (self.path / _RESULT).exists()

    def options(self) -> DemoOptions:
        """What was asked for when the demo began."""
        try:
            return DemoOptions(**json.loads((self.path / _OPTIONS).read_bytes()))
        except (ValueError, TypeError) as error:
            raise BadInputError(
                "NOT_A_DEMO", f"{self.path / _OPTIONS} cannot be read: {error}.", "Choose another folder with --dir."
            ) from error

    def keep_result(self, document: object) -> Path:
        """Write the demo's result, which ends it."""
        path = self.path / _RESULT
        write_atomic(path, json.dumps(document, indent=2, sort_keys=True).encode() + b"\n")
        return path

    def _claim(self, options: DemoOptions) -> None:
        if (self.path / _OPTIONS).exists():
            held = self.options()
            if held != options:
                raise BadInputError(
                    "DEMO_DIFFERS",
                    f"{self.path} holds a demo with other options: {held}.",
                    "Repeat it with those options, or choose another folder with --dir.",
                )
            return
        if self.path.exists() and any(self.path.iterdir()):
            raise BadInputError(
                "NOT_A_DEMO", f"{self.path} exists and holds something else.", "Choose another folder with --dir."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path / _OPTIONS, json.dumps(asdict(options)).encode())
