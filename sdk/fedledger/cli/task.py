"""``fedledger task``: the data-sharing agreement, from its proposal to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedledger.cli.agreement_warnings import warnings_of
from fedledger.cli.output import Format, facts, show, table, tokens
from fedledger.cli.session import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    ProfileOption,
    TaskArgument,
    session,
)
from fedledger.cli.shown import remember, was_shown
from fedledger.cli.task_text import agreement_of, document_of, open_amendment, said, state_of, to_be_read, warnings
from fedledger.errors import BadInputError
from fedledger.identity.files import write_atomic
from fedledger.identity.profile import Profile
from fedledger.training import load_task
from fedledger.training.comparison import differing, nearest
from fedledger.training.specification import check_bounds
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import TaskView

app = typer.Typer(help="Propose, read, approve and end tasks: the data-sharing agreements.", no_args_is_help=True)

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is kept on the ledger.")]
PackageArgument = Annotated[str, typer.Argument(help="A folder with task.toml, or a task that is installed.")]
PackageOption = Annotated[
    str | None, typer.Option("--package", help="The task's package, to compare with; else the installed one.")
]


@app.command()
def propose(
    package: PackageArgument,
    organisations: Annotated[
        list[str], typer.Option("--organisation", help="MSP id of an organisation; once for each.")
    ],
    validators: Annotated[
        list[str] | None,
        typer.Option("--validator", help="MSP id of one that validates; else all do."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
    rounds: Annotated[int | None, typer.Option(help="Number of rounds.", min=1)] = None,
    algorithm: Annotated[str | None, typer.Option(help="fedavg or fedprox.")] = None,
    model: Annotated[str | None, typer.Option(help="One of the task's models.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="Privacy budget of the whole task.")] = None,
    no_dp: Annotated[bool, typer.Option("--no-dp", help="Train without differential privacy.")] = False,
    variant: Annotated[str | None, typer.Option(help="One of the variants in task.toml.")] = None,
) -> None:
    """Propose a task to the consortium (governor)."""
    definition = load_task(package).override(
        rounds=rounds, algorithm=algorithm, model=model, epsilon=epsilon, no_dp=no_dp, variant=variant
    )
    spec = definition.to_spec(
        organisations=sorted(organisations), validators=sorted(validators) if validators else None
    )
    with session(config, profile) as opened:
        record = opened.ledger.propose_task(spec)
    show(
        {"task": spec.task, "spec_hash": record.spec_hash, "state": record.state},
        f"Task {spec.task} is {record.state}. Its hash, to be approved: {record.spec_hash}",
        output,
    )


@app.command()
def approve(
    task: TaskArgument,
    spec_hash: Annotated[str | None, typer.Option("--hash", help="The hash that was read and is approved.")] = None,
    package: PackageOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Give the organisation's consent (governor) to what ``task show`` has shown, or to a hash that is typed out;
    recomputes what privacy costs."""
    with session(config, profile) as opened:
        view = opened.ledger.task(task)
        spec = _to_approve(view, opened.profile.msp_id, spec_hash)
        if spec_hash is None:
            _check_was_shown(config, opened.profile, spec)
        definition = load_task(package or task)
        check_bounds(spec)
        if spec_hash is None:
            _check_weakens_nothing(spec, nearest(definition, spec), opened.profile.msp_id)
        definition.agree(spec)
        record = opened.ledger.approve_task(task, spec.sha256())
    show(
        {"task": task, "spec_hash": spec.sha256(), "state": record.state},
        f"Approved {spec.sha256()[:16]}; task {task} is {record.state}.",
        output,
    )


def _check_was_shown(config: Path, profile: Profile, spec: TaskSpec) -> None:
    if not was_shown(config, profile.name, spec.sha256()):
        raise BadInputError(
            "NOT_SHOWN",
            f"What would be approved of task {spec.task} has the hash {spec.sha256()}, which was never shown to "
            f"{profile.name} here.",
            "Read it with: fedledger task show, and approve again, or type out the hash that you have read: --hash.",
        )


def _check_weakens_nothing(spec: TaskSpec, package: TaskSpec, msp: str) -> None:
    known = {rule.path for rule in warnings_of(package, msp)}
    new = [rule for rule in warnings_of(spec, msp) if rule.path not in known]
    if new:
        raise BadInputError(
            "WEAKENS",
            f"Task {spec.task} protects less than the package at hand: {new[0].path}: {new[0].reason}"
            + (f"; and {len(new) - 1} more." if len(new) > 1 else "."),
            f"If that is wanted all the same, type out its hash: --hash {spec.sha256()}",
        )


def _candidates(view: TaskView) -> list[TaskSpec]:
    """What may be approved: the open amendment, and the task itself."""
    return [*(each.spec for each in view.amendments if each.state == "open"), view.record.spec]


def _to_approve(view: TaskView, msp: str, spec_hash: str | None) -> TaskSpec:
    """The specification of that hash; without one the open amendment's, if this organisation approved the task before.

    Raises:
        BadInputError: ``SPEC_HASH`` when there is none of that hash.
    """
    record = view.record
    if spec_hash is None:
        approved = any(each.msp == msp and each.covers(record.spec_hash) for each in view.consents)
        return _candidates(view)[0] if approved else record.spec
    found = next((spec for spec in _candidates(view) if spec.sha256() == spec_hash), None)
    if found is None:
        raise BadInputError(
            "SPEC_HASH",
            f"Neither task {record.spec.task} nor an open amendment of it has the hash {spec_hash}.",
            "Read them with: fedledger task show, and approve the hash that you have read.",
        )
    return found


def _package_of(spec: TaskSpec, source: str) -> TaskSpec | None:
    """What the package at hand makes of the same task; None where there is none, or it is another one's."""
    try:
        return nearest(load_task(source), spec)
    except BadInputError:
        return None


def _ending(name: str, help_text: str) -> None:
    def command(
        task: TaskArgument,
        reason: ReasonOption,
        config: ConfigOption = DEFAULT_CONFIG,
        profile: ProfileOption = None,
        output: FormatOption = Format.TEXT,
    ) -> None:
        with session(config, profile) as opened:
            call = {
                "reject": opened.ledger.reject_task,
                "stop": opened.ledger.stop_task,
                "continue": opened.ledger.continue_task,
                "withdraw": opened.ledger.withdraw_consent,
            }[name]
            call(task, reason)
            view = opened.ledger.task(task)
        show(document_of(view), f"Done; task {task} is {view.record.state}.", output)

    app.command(name, help=help_text)(command)


_ending("reject", "Refuse a proposed task, or the open amendment of one that runs (governor).")
_ending("stop", "Ask to stop a task; the majority stops it (governor).")
_ending("continue", "Take the request to stop a task back (governor).")
_ending("withdraw", "Withdraw the organisation's consent, from the next round on (governor).")


@app.command("show")
def show_task(
    task: TaskArgument,
    package: PackageOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show a task: what is agreed, every field in words, by whom, and where it stands; before it is approved how it
    differs from the package at hand, what weakens protection, and what it means for this organisation."""
    with session(config, profile) as opened:
        view = opened.ledger.task(task)
        members = opened.ledger.members(task)
        own = opened.profile
    spec = view.record.spec
    msp = own.msp_id
    newest = _candidates(view)[0]
    undecided = view.record.state == "proposed" or newest != spec
    compared = _package_of(newest, package or task) if undecided or package else None
    first = to_be_read(view, newest, msp, compared) if undecided or package else warnings(spec, msp)
    for shown in _candidates(view):
        remember(config, own.name, shown.sha256())
    document = document_of(view) | {
        "warnings": [{"field": rule.path, "reason": rule.reason} for rule in warnings_of(newest, msp)],
        "differs_from_package": None if compared is None else list(differing(compared, newest)),
        "members": [
            {
                "participant": member.member.participant,
                "msp": member.member.msp,
                "contributions": member.standing.contributions,
                "epsilon": member.standing.epsilon / 1e6,
                "reputation": member.standing.reputation / 1e6,
                "balance": member.balance / 1e6,
            }
            for member in members
        ],
    }
    consents = {consent.msp: consent for consent in view.consents}
    show(
        document,
        [
            *open_amendment(view, msp)[:1],
            *first,
            facts(agreement_of(spec) | {"state": state_of(view), "hash": view.record.spec_hash}),
            table(
                "Organisations",
                ["organisation", "said", "validator"],
                [
                    (
                        msp,
                        said(consents.get(msp), view.record.spec_hash),
                        "registered"
                        if any(validator.msp == msp for validator in view.validators)
                        else "missing"
                        if msp in spec.aggregation.validators
                        else "none",
                    )
                    for msp in spec.organisations
                ],
            ),
            table(
                "Participants",
                ["participant", "organisation", ">rounds", ">epsilon", ">reputation", ">tokens"],
                [
                    (
                        member.member.participant[:16],
                        member.member.msp,
                        member.standing.contributions,
                        f"{member.standing.epsilon / 1e6:.3f}",
                        f"{member.standing.reputation / 1e6:.3f}",
                        tokens(member.balance),
                    )
                    for member in members
                ],
            ),
        ],
        output,
    )


@app.command("list")
def list_tasks(
    config: ConfigOption = DEFAULT_CONFIG, profile: ProfileOption = None, output: FormatOption = Format.TEXT
) -> None:
    """List the tasks on the channel."""
    with session(config, profile) as opened:
        summaries = opened.ledger.tasks()
    show(
        [summary.model_dump(mode="json") for summary in summaries],
        table(
            "Tasks",
            ["task", "title", "state", ">round", ">version"],
            [(s.task, s.title, s.state, s.round, s.version) for s in summaries],
        ),
        output,
    )


@app.command()
def export(
    task: TaskArgument,
    file: Annotated[Path, typer.Argument(help="Where to write the agreement.")],
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Write the agreement's canonical bytes, whose SHA-256 is the hash on the ledger."""
    with session(config, profile) as opened:
        record = opened.ledger.task(task).record
    write_atomic(file, record.spec.canonical())
    show(
        {"task": task, "file": str(file), "sha256": record.spec_hash},
        f"Wrote {file}; its SHA-256 is {record.spec_hash}.",
        output,
    )
