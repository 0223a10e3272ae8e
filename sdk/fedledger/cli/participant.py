"""``fedledger participant``: join a task, train in it, leave it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fedledger.agents.journal import Journal
from fedledger.agents.participant import Contribution, Participant, pseudonym_of
from fedledger.cli.output import MICRO, Format, facts, say, show, tokens
from fedledger.cli.running import stopped_by_signals
from fedledger.cli.session import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    ProfileOption,
    Session,
    TaskArgument,
    quiet_tensorflow,
    session,
)
from fedledger.errors import BadInputError
from fedledger.identity.files import read_private
from fedledger.identity.keys import load_private_key
from fedledger.training import Metrics, load_task

app = typer.Typer(help="Join a task, train in it, leave it.", no_args_is_help=True)

PackageOption = Annotated[
    str | None, typer.Option("--package", help="The task's package: a folder; else the installed one of that name.")
]
DataOption = Annotated[
    str | None,
    typer.Option("--data", help="The organisation's records: a file, or a site of the package; else the profile's."),
]


@app.command()
def join(
    task: TaskArgument,
    package: PackageOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Join a task under the pseudonym of this profile's key; the organisation's account pays the stake."""
    with session(config, profile) as opened:
        load_task(package or task).agree(opened.ledger.task(task).record.spec)
        member = opened.ledger.join_task(task)
    show(
        member.model_dump(mode="json"),
        f"Joined {task} as {member.participant}, from round {member.first_round} on; "
        f"stake {tokens(member.stake)} tokens.",
        output,
    )


@app.command()
def leave(
    task: TaskArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Take no part from the next round on."""
    with session(config, profile) as opened:
        member = opened.ledger.leave_task(task)
    show(member.model_dump(mode="json"), f"Left {task} after round {member.last_round}.", output)


@app.command("show")
def show_participant(
    task: TaskArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show this profile's standing in a task: contributions, privacy spent, reputation, tokens."""
    with session(config, profile) as opened:
        view = opened.ledger.member(task, pseudonym(opened))
        budget = opened.ledger.task(task).record.spec.privacy_of(view.member.msp).epsilon_budget
    standing = view.standing
    show(
        view.model_dump(mode="json"),
        facts(
            {
                "participant": view.member.participant,
                "organisation": view.member.msp,
                "contributions": standing.contributions,
                "epsilon": f"{standing.epsilon / 1e6:.3f} of {budget / 1e6:.3f}" if budget else "without privacy",
                "reputation": f"{standing.reputation / 1e6:.3f}",
                "quarantined": f"until round {standing.quarantined_until}" if standing.quarantined_until else "no",
                "tokens": tokens(view.balance),
                "stake": tokens(view.stake),
            }
        ),
        output,
    )


@app.command()
def run(
    task: TaskArgument,
    package: PackageOption = None,
    data: DataOption = None,
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, help="Leave after this many contributions.")] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Private key of a participant that was admitted; this profile submits for it."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Train in each round until the task ends. Ctrl-C at any moment; the same command goes on."""
    quiet_tensorflow()
    sent: list[Contribution] = []
    with session(config, profile) as opened, stopped_by_signals() as stop:

        def contributed(contribution: Contribution) -> None:
            sent.append(contribution)
            say(_line(contribution))
            if rounds is not None and len(sent) >= rounds:
                if key is None:
                    opened.ledger.leave_task(task)
                stop.set()

        participant = build(opened, task, package, data, key)
        participant.on_contribution = contributed
        participant.on_evaluation = _evaluated
        with participant.journal.held(task):
            say(f"{participant.site} takes part in {task} as {participant.pseudonym[:16]}.")
            participant.run(stop)
        state = opened.ledger.task(task).record.state
    show(
        {
            "task": task,
            "participant": participant.pseudonym,
            "state": state,
            "stopped": stop.is_set(),
            "contributions": [_document(contribution) for contribution in sent],
        },
        f"Stopped; task {task} is {state}." if stop.is_set() else f"Task {task} is {state}.",
        output,
    )


def build(opened: Session, task: str, package: str | None, data: str | None, key: Path | None = None) -> Participant:
    """The participant agent of a profile, or of one that was admitted by its ``key``, for which the profile submits.

    Raises:
        BadInputError: the package is not the agreed one, or there are no usable records.
    """
    profile, source = opened.profile, records_of(opened, data)
    if profile.participant is None:
        raise BadInputError(
            "PROFILE_MALFORMED",
            f"Profile {profile.name} names no folder for the participant's journal.",
            'Add participant = "FOLDER".',
        )
    definition = load_task(package or task).agree(opened.ledger.task(task).record.spec)
    private = profile.credentials().key if key is None else load_private_key(read_private(key))
    return Participant(
        ledger=opened.ledger,
        task=task,
        channel=profile.channel,
        definition=definition,
        data=definition.load_data(source),
        key=private,
        journal=Journal(
            profile.participant if key is None else profile.participant / pseudonym_of(private), profile.channel
        ),
        site=Path(source).stem,
        allowed=profile.stores,
        reports=key is None,
    )


def records_of(opened: Session, data: str | None) -> str:
    """The file or site of the organisation's records: ``data``, or what the profile names.

    Raises:
        BadInputError: ``NO_DATA``.
    """
    source = data or (str(opened.profile.data) if opened.profile.data else None)
    if source is None:
        raise BadInputError("NO_DATA", "No records are named.", "Name them with --data, or as data in the profile.")
    return source


def pseudonym(opened: Session) -> str:
    """The pseudonym of the session's identity."""
    return pseudonym_of(opened.profile.credentials().key)


def _document(contribution: Contribution) -> dict[str, Any]:
    result = contribution.result
    return {
        "round": contribution.round,
        "records": None if result is None else result.num_examples,
        "epsilon": None if result is None else result.cumulative_epsilon_micro / MICRO,
        "seconds": None if result is None else result.seconds,
    }


def _line(contribution: Contribution) -> str:
    result = contribution.result
    if result is None:
        return f"Round {contribution.round}: the update that was prepared before is on the ledger."
    privacy = f", epsilon {result.cumulative_epsilon_micro / 1e6:.3f} so far" if result.epsilon_micro else ""
    return (
        f"Round {contribution.round}: update on the ledger; {result.num_examples} records, norm {result.norm:.3f}"
        f"{' (clipped)' if result.was_clipped else ''}{privacy}; trained in {result.seconds:.1f} s."
    )


def _evaluated(version: int, metrics: Metrics) -> None:
    auc = "undefined" if metrics.auc is None else f"{metrics.auc:.3f}"
    say(f"Model {version}: AUC {auc}, accuracy {metrics.accuracy:.3f} on {metrics.n} held-out records.")
