"""``fedledger validator``: register the organisation's validator and keep it running."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fedledger.agents.duties import Duty
from fedledger.agents.lock import only_one
from fedledger.agents.openings import OpeningMemory
from fedledger.agents.reference import ReferenceMemory
from fedledger.agents.stores import ValidatorStore
from fedledger.agents.validator import PATIENCE_SECONDS, Validator
from fedledger.cli.output import Format, say, show, tokens
from fedledger.cli.running import stopped_by_signals
from fedledger.cli.session import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    ProfileOption,
    Session,
    TaskArgument,
    session,
)
from fedledger.errors import BadInputError
from fedledger.identity.files import make_private_folder, read_private, write_private
from fedledger.identity.profile import Profile
from fedledger.secure_aggregation import SealingKey
from fedledger.training import load_task
from fedledger.training.reference import reference_update

app = typer.Typer(help="Register the organisation's validator and keep it running.", no_args_is_help=True)

PackageOption = Annotated[
    str | None, typer.Option("--package", help="The task's package: a folder; else the installed one of that name.")
]
PatienceOption = Annotated[
    float, typer.Option("--patience", min=0.01, help="Seconds to wait for the validator before it in the row.")
]


@app.command()
def register(
    task: TaskArgument,
    package: PackageOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Offer the validator's sealing key and store on the ledger; makes the key when there is none."""
    with session(config, profile) as opened:
        record = build(opened, task, package).register()
    show(
        record.model_dump(mode="json"),
        f"The validator of {record.msp} is registered: store {record.store}, stake {tokens(record.stake)} tokens.",
        output,
    )


@app.command()
def run(
    task: TaskArgument,
    package: PackageOption = None,
    patience: PatienceOption = PATIENCE_SECONDS,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Check, aggregate and move rounds on until the task ends. Ctrl-C at any moment; the same command goes on."""
    with session(config, profile) as opened, stopped_by_signals() as stop:
        validator = build(opened, task, package)
        validator.patience = patience
        steps: list[Duty] = []

        def taken(duty: Duty) -> None:
            steps.append(duty)
            say(told(duty))

        validator.on_step = taken
        with held(opened.profile, task):
            get_ready(validator)
            say(f"The validator of {validator.msp} works on {task}.")
            validator.run(stop)
        state = opened.ledger.task(task).record.state
    show(
        {
            "task": task,
            "msp": validator.msp,
            "state": state,
            "stopped": stop.is_set(),
            "steps": [_document(duty) for duty in steps],
        },
        f"Stopped; task {task} is {state}." if stop.is_set() else f"Task {task} is {state}.",
        output,
    )


def told(duty: Duty) -> str:
    """A step that was taken, in a sentence."""
    return f"Round {duty.round}: {duty.words}."


def build(opened: Session, task: str, package: str | None) -> Validator:
    """The validator agent of a profile; its sealing key is made when the file is not there.

    Raises:
        BadInputError: the profile names no file for the sealing key, or the package is not the agreed one.
    """
    profile = opened.profile
    key = _key_file(profile)
    definition = load_task(package or task).agree(opened.ledger.task(task).record.spec)
    return Validator(
        ledger=opened.ledger,
        task=task,
        msp=profile.msp_id,
        store=ValidatorStore.own(profile.store),
        allowed=profile.stores,
        sealing_key=sealing_key(key),
        initial_model=definition.initial_model(),
        reference_update=partial(reference_update, definition)
        if definition.settings.robustness.trust_weighting == "reference-data"
        else None,
        memory=ReferenceMemory(_folder(profile) / "references" / profile.channel),
        openings=OpeningMemory(_folder(profile) / "openings" / profile.channel),
    )


def held(profile: Profile, task: str) -> AbstractContextManager[None]:
    """Keep other processes from being the profile's validator of the task while the context lasts.

    Raises:
        FedledgerError: ``AGENT_RUNS``, one is.
    """
    return only_one(_folder(profile) / "locks" / profile.channel / f"{task}.lock", f"validator of task {task}")


def _folder(profile: Profile) -> Path:
    """Where the validator keeps what it must remember."""
    return profile.validator or _key_file(profile).parent


def _key_file(profile: Profile) -> Path:
    if profile.sealing_key is None:
        raise BadInputError(
            "PROFILE_MALFORMED",
            f"Profile {profile.name} names no file for the sealing key.",
            'Add sealing_key = "FILE".',
        )
    return profile.sealing_key


def get_ready(validator: Validator) -> None:
    """Load what training on reference data needs, which may take longer than an attestation may: before it has to."""
    if validator.reference_update is not None and validator.initial_model is not None:
        validator.reference_update(validator.initial_model, 1)


def sealing_key(path: Path) -> SealingKey:
    """The key in ``path``, made with mode 0600 when there is none."""
    if path.exists():
        return SealingKey.from_pem(read_private(path))
    key = SealingKey.generate()
    make_private_folder(path.parent)
    write_private(path, key.to_pem())
    return key


def _document(duty: Duty) -> dict[str, object]:
    late = {} if duty.phase is None else {"phase": duty.phase}
    return {"round": duty.round, "step": duty.step.value} | late
