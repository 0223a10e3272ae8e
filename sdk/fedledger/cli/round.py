"""``fedledger round``: where a round stands and what it waits for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from fedledger.cli.output import Format, facts, show, table
from fedledger.cli.session import (
    DEFAULT_CONFIG,
    ConfigOption,
    FormatOption,
    ProfileOption,
    TaskArgument,
    session,
)
from fedledger.errors import BadInputError
from fedledger_chaincode.messages.views import RoundView

app = typer.Typer(help="Where a round stands and what it waits for.", no_args_is_help=True)


@app.command()
def status(
    task: TaskArgument,
    number: Annotated[int | None, typer.Argument(help="The round; else the newest.", metavar="ROUND", min=1)] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show one round: who delivered, what was decided, what is missing and until when."""
    with session(config, profile) as opened:
        head = opened.ledger.task(task).head
        newest = head.round if head else 0
        if not (number or newest):
            raise BadInputError(
                "NO_ROUND",
                f"No round of {task} has been opened.",
                "A validator opens it when all validators have registered and enough participants have joined.",
            )
        view = opened.ledger.round(task, number or newest)
        validators = opened.ledger.task(task).record.spec.aggregation.validators
    record = view.record
    show(
        view.model_dump(mode="json"),
        [
            facts(
                {
                    "round": record.round,
                    "state": record.state + (f": {record.reason}" if record.reason else ""),
                    "waits for": waits_for(view, validators),
                    "base model": f"version {record.base_version}, {record.base_model[:16]}",
                }
            ),
            table(
                "Updates",
                ["participant", "organisation", "received", "verdict", ">weight", ">score"],
                _updates(view),
            ),
        ],
        output,
    )


def waits_for(view: RoundView, validators: tuple[str, ...]) -> str:
    """What has to happen next, and until when it may."""
    record = view.record
    match record.state:
        case "open":
            here = {update.signed.manifest.participant for update in view.updates}
            missing = [e.msp for e in view.cohort.participants if e.participant not in here]
            return (
                _until("updates of " + ", ".join(missing), record.updates_due) if missing else "a validator closes it"
            )
        case "closed":
            missing = sorted(set(validators) - {attestation.validator for attestation in view.attestations})
            return _until("attestations of " + ", ".join(missing), record.attestations_due) if missing else "settlement"
        case "settled":
            missing = sorted(set(validators) - {report.validator for report in view.reports})
            return _until("model reports of " + ", ".join(missing), record.aggregates_due) if missing else "the end"
        case _:
            return "nothing"


def _until(what: str, due: int | None) -> str:
    return what if due is None else f"{what}, until {datetime.fromtimestamp(due, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _updates(view: RoundView) -> list[tuple[object, ...]]:
    received = {update.signed.manifest.participant for update in view.updates}
    settled = {update.participant: update for update in view.settlement.updates} if view.settlement else {}
    rows: list[tuple[object, ...]] = []
    for entry in view.cohort.participants:
        decided = settled.get(entry.participant)
        rows.append(
            (
                entry.participant[:16],
                entry.msp,
                "yes" if entry.participant in received else "no",
                decided.verdict if decided else "",
                decided.weight if decided else "",
                f"{decided.score / 1e6:.2f}" if decided else "",
            )
        )
    return rows
