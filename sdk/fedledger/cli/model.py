"""``fedledger model``: the registry of global models, and the models themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from fedledger.agents.stores import artifact_areas, find_model_of
from fedledger.cli.output import Format, facts, show, table
from fedledger.cli.session import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    ProfileOption,
    Session,
    TaskArgument,
    session,
)
from fedledger.identity.files import write_atomic
from fedledger_chaincode.messages.records import EvaluationRecord, ModelRecord

app = typer.Typer(help="The registry of global models, and the models themselves.", no_args_is_help=True)

VersionArgument = Annotated[int | None, typer.Argument(help="The version; else the newest.", metavar="VERSION", min=0)]


@app.command("list")
def list_models(
    task: TaskArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """List all versions, with what participants say of them."""
    with session(config, profile) as opened:
        models = opened.ledger.models(task)
        judged = {model.version: opened.ledger.evaluations(task, model.version) for model in models}
        agreed = opened.ledger.task(task).record.spec.agreement.purposes
    show(
        [_document(model, judged[model.version], agreed) for model in models],
        table(
            f"Models of {task}",
            [">version", "digest", ">round", ">updates", ">mean AUC", ">worst AUC", "may be used for", "note"],
            [
                (
                    model.version,
                    model.model_digest[:16],
                    model.round,
                    len(model.contributions),
                    *_summary(judged[model.version]),
                    _uses(model, agreed),
                    f"deprecated: {model.deprecated}" if model.deprecated else "",
                )
                for model in models
            ],
        ),
        output,
    )


@app.command("show")
def show_model(
    task: TaskArgument,
    version: VersionArgument = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show one version: parent, contributions and their weights, who reported it, payments, evaluations."""
    with session(config, profile) as opened:
        model = opened.ledger.model(task, _version(opened, task, version))
        judged = opened.ledger.evaluations(task, model.version)
        agreed = opened.ledger.task(task).record.spec.agreement.purposes
    show(
        _document(model, judged, agreed),
        [
            facts(
                {
                    "version": model.version,
                    "digest": model.model_digest,
                    "parent": model.parent or "none: the initial model",
                    "round": model.round,
                    "may be used for": _uses(model, agreed),
                    "reported by": ", ".join(model.reported_by) or "the task",
                    "liars": ", ".join(model.liars) or "none",
                    "transaction": model.transaction_id,
                    "deprecated": model.deprecated or "no",
                }
            ),
            table(
                "Contributions",
                ["participant", "organisation", ">weight", ">epsilon so far"],
                [(c.participant[:16], c.msp, c.weight, f"{c.epsilon / 1e6:.3f}") for c in model.contributions],
            ),
            table(
                "Evaluations by participants on their own held-out records",
                ["organisation", ">records", ">AUC", ">accuracy", ">loss"],
                [
                    (
                        e.msp,
                        e.report.examples,
                        "undefined" if e.report.auc is None else f"{e.report.auc / 1e6:.3f}",
                        f"{e.report.accuracy / 1e6:.3f}",
                        f"{e.report.loss / 1e6:.3f}",
                    )
                    for e in judged
                ],
            ),
        ],
        output,
    )


@app.command()
def lineage(
    task: TaskArgument,
    version: VersionArgument = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show where a version comes from, back to the initial model."""
    with session(config, profile) as opened:
        models = opened.ledger.lineage(task, _version(opened, task, version))
        agreed = opened.ledger.task(task).record.spec.agreement.purposes
    show(
        [model.model_dump(mode="json") for model in models],
        table(
            f"Lineage of {task}",
            [">version", "digest", ">round", "may be used for", "contributions", "transaction"],
            [
                (
                    model.version,
                    model.model_digest[:16],
                    model.round,
                    _uses(model, agreed),
                    ", ".join(f"{c.msp} {c.weight}" for c in model.contributions) or "initial weights",
                    model.transaction_id[:16],
                )
                for model in models
            ],
        ),
        output,
    )


@app.command()
def pull(
    task: TaskArgument,
    version: VersionArgument = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write it; else TASK-VERSION.safetensors.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Fetch a version's weights from any validator's store and check them against the ledger."""
    with session(config, profile) as opened:
        model = opened.ledger.model(task, _version(opened, task, version))
        content = fetch(opened, task, model)
    path = out or Path(f"{task}-{model.version}.safetensors")
    write_atomic(path, content)
    show(
        {"task": task, "version": model.version, "digest": model.model_digest, "path": str(path)},
        f"Version {model.version} of {task} is in {path}; its digest is the ledger's: {model.model_digest}.",
        output,
    )


@app.command()
def use(
    task: TaskArgument,
    purpose: Annotated[str, typer.Option("--for", help="What for: one of the uses that the task's agreement allows.")],
    version: VersionArgument = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Say on the ledger what the organisation uses a model for; a use that is not agreed on is refused."""
    with session(config, profile) as opened:
        record = opened.ledger.use_model(task, _version(opened, task, version), purpose)
    show(
        record.model_dump(mode="json"),
        f"{record.msp} uses version {record.version} of {task} for {record.purpose}.",
        output,
    )


@app.command()
def uses(
    task: TaskArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """List what organisations say they use models of a task for."""
    with session(config, profile) as opened:
        found = opened.ledger.model_uses(task)
    show(
        [use.model_dump(mode="json") for use in found],
        table("Uses", [">version", "organisation", "for"], [(use.version, use.msp, use.purpose) for use in found]),
        output,
    )


@app.command()
def deprecate(
    task: TaskArgument,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=0)],
    reason: Annotated[str, typer.Option("--reason", help="Why nobody should use it any more.")],
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Mark a version as deprecated (governor)."""
    with session(config, profile) as opened:
        model = opened.ledger.deprecate_model(task, version, reason)
    show(model.model_dump(mode="json"), f"Version {version} of {task} is deprecated: {model.deprecated}", output)


def fetch(opened: Session, task: str, model: ModelRecord) -> bytes:
    """The model file of a registry entry, checked against its digest."""
    view = opened.ledger.task(task)
    return find_model_of(view.record.spec, model, artifact_areas(view, allowed=opened.profile.stores))


def _version(opened: Session, task: str, version: int | None) -> int:
    if version is not None:
        return version
    head = opened.ledger.task(task).head
    return head.version if head else 0


def _document(model: ModelRecord, judged: tuple[EvaluationRecord, ...], agreed: Sequence[str]) -> dict[str, Any]:
    allowed = list(model.allowed_uses(agreed))
    return model.model_dump(mode="json") | {"evaluations": _evaluations(judged), "allowed_uses": allowed}


def _uses(model: ModelRecord, agreed: Sequence[str]) -> str:
    """What all agreements under which it and its ancestors were trained allow, and the one in force."""
    return ", ".join(model.allowed_uses(agreed)) or "nothing"


def _evaluations(judged: tuple[EvaluationRecord, ...]) -> list[dict[str, Any]]:
    return [evaluation.model_dump(mode="json") for evaluation in judged]


def _summary(judged: tuple[EvaluationRecord, ...]) -> tuple[str, str]:
    known = [evaluation.report.auc / 1e6 for evaluation in judged if evaluation.report.auc is not None]
    return (f"{sum(known) / len(known):.3f}", f"{min(known):.3f}") if known else ("", "")
