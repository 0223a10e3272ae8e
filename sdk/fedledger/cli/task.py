"""``fedledger task``: the data-sharing agreement, from its proposal to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedledger.cli.output import Format, facts, show, table, tokens
from fedledger.cli.session import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    ProfileOption,
    TaskArgument,
    session,
)
from fedledger.cli.task_text import agreement_of, document_of, open_amendment, said, state_of
from fedledger.errors import BadInputError
from fedledger.identity.files import write_atomic
from fedledger.training import load_task
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
    """Give the organisation's consent (governor): compares with the package at hand, recomputes what privacy costs."""
    with session(config, profile) as opened:
        spec = _to_approve(opened.ledger.task(task), opened.profile.msp_id, spec_hash)
        load_task(package or task).agree(spec)
        record = opened.ledger.approve_task(task, spec.sha256())
    show(
        {"task": task, "spec_hash": spec.sha256(), "state": record.state},
        f"Approved {spec.sha256()[:16]}; task {task} is {record.state}.",
        output,
    )


def _to_approve(view: TaskView, msp: str, spec_hash: str | None) -> TaskSpec:
    """The specification of that hash; without one the open amendment's, if this organisation approved the task before.

    Raises:
        BadInputError: ``SPEC_HASH`` when there is none of that hash.
    """
    record = view.record
    proposed = [each.spec for each in view.amendments if each.state == "open"]
    if spec_hash is None:
        approved = any(each.msp == msp and each.covers(record.spec_hash) for each in view.consents)
        return proposed[0] if approved and proposed else record.spec
    found = next((spec for spec in (record.spec, *proposed) if spec.sha256() == spec_hash), None)
    if found is None:
        raise BadInputError(
            "SPEC_HASH",
            f"Neither task {record.spec.task} nor an open amendment of it has the hash {spec_hash}.",
            "Read them with: fedledger task show, and approve the hash that you have read.",
        )
    return found


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
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show a task: what was agreed, by whom, and where it stands."""
    with session(config, profile) as opened:
        view = opened.ledger.task(task)
        members = opened.ledger.members(task)
    spec = view.record.spec
    document = document_of(view) | {
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
        ]
    }
    consents = {consent.msp: consent for consent in view.consents}
    show(
        document,
        [
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
            *open_amendment(view),
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
