"""``fedledger round``: where a round stands and what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from fedledger.agents.duties import CLAIMS, phase_of
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
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.references import chosen

app = typer.Typer(help="Where a round stands and what it waits for.", no_args_is_help=True)

_RULINGS = {
    None: "not decided yet",
    "confirms": "it told the truth: the participant dealt it a false share",
    "denies": "convicted: its share does not confirm what it told",
}


@app.command()
def status(
    task: TaskArgument,
    number: Annotated[int | None, typer.Argument(help="The round; else the newest.", metavar="ROUND", min=1)] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show one round: who delivered, what was decided, what is missing, and who says that it is late."""
    with session(config, profile) as opened:
        task_view = opened.ledger.task(task)
        newest = task_view.head.round if task_view.head else 0
        if not (number or newest):
            raise BadInputError(
                "NO_ROUND",
                f"No round of {task} has been opened.",
                "A validator opens it when all validators have registered and enough participants have joined.",
            )
        view = opened.ledger.round(task, number or newest)
    spec, record = task_view.record.spec, view.record
    show(
        view.model_dump(mode="json"),
        [
            facts(
                {
                    "round": record.round,
                    "state": record.state + (f": {record.reason}" if record.reason else ""),
                    "waits for": waits_for(task_view, view),
                    "said to be late": said_late(spec, view),
                    "base model": f"version {record.base_version}, {record.base_model[:16]}",
                }
                | _reference(view)
                | _sum(view)
            ),
            table(
                "Updates",
                ["participant", "organisation", "received", "verdict", ">weight", ">score"],
                _updates(view),
            ),
            *_disputes(view),
        ],
        output,
    )


def waits_for(task: TaskView, view: RoundView) -> str:
    """What has to happen next in a round."""
    record, spec = view.record, task.record.spec
    validators = spec.aggregation.validators
    match record.state:
        case "open":
            here = {update.signed.manifest.participant for update in view.updates}
            missing = [entry.msp for entry in view.cohort.participants if entry.participant not in here]
            if missing:
                return "updates of " + ", ".join(missing)
            if spec.robustness.trust_weighting == "reference-data":
                lacking = spec.aggregation.tolerated_faults + 1 - len(view.references)
                return f"{lacking} more reference directions" if lacking > 0 else "a validator closes it"
            return "a validator closes it"
        case "closed" if (phase_of(task, view) or (0, ""))[1] == "reference":
            hidden = [reference.committed_by for reference in view.references if reference.revealed is None]
            return "reference directions of " + ", ".join(hidden)
        case "closed":
            missing = sorted(set(validators) - {attestation.validator for attestation in view.attestations})
            return "attestations of " + ", ".join(missing) if missing else "settlement"
        case "settled":
            missing = sorted(set(validators) - {report.validator for report in view.reports})
            return "model reports of " + ", ".join(missing) if missing else "the end"
        case _:
            return "nothing"


def said_late(spec: TaskSpec, view: RoundView) -> str:
    """Who says in which phase that it has lasted long enough, and how many it takes to go on, and to end it."""
    said = []
    for phase, words in CLAIMS.items():
        names = [record.validator for record in view.late if record.claim.phase == phase]
        if names:
            said.append(f"{words}, {'says' if len(names) == 1 else 'say'} {', '.join(names)}")
    aggregation = spec.aggregation
    needed = f"({aggregation.tolerated_faults + 1} go on without what is late, {aggregation.quorum} end the round)"
    return f"{'; '.join(said)} {needed}" if said else "nothing"


def _reference(view: RoundView) -> dict[str, object]:
    """Whose reference direction counts, in a round to which validators give some."""
    if not view.references:
        return {}
    used = _counting(view)
    hidden = [reference.committed_by for reference in view.references if reference.revealed is None]
    told = [f"that of {used} counts"] if used else []
    for said in ("used", "rejected"):
        names = [each.validator for each in view.attestations if each.attestation.reference == said]
        told += [f"{said} by {', '.join(names)}"] if names else []
    told += [f"not shown by {', '.join(hidden)}"] if hidden else []
    return {"reference": "; ".join(told)}


def _counting(view: RoundView) -> str:
    """Whose direction counts, as far as that is known."""
    if view.settlement is not None:
        return view.settlement.reference_by
    first = chosen(view.references)
    return "" if first is None else first.committed_by


def _sum(view: RoundView) -> dict[str, object]:
    """Whose shares are summed."""
    settlement = view.settlement
    if settlement is None or not settlement.readers:
        return {}
    more = [msp for msp in settlement.summers if msp not in settlement.readers]
    return {"readers": ", ".join(settlement.readers) + (f"; {', '.join(more)} as well" if more else "")}


def _disputes(view: RoundView) -> list[Table]:
    """Accusations and what became of them; no table where nobody is accused."""
    if view.dispute is None:
        return []
    shown = {(record.validator, share.participant) for record in view.disclosures for share in record.disclosure.shares}
    votes = [vote for record in view.votes for vote in record.votes.votes]
    rows: list[Sequence[object]] = []
    for each in view.dispute.accusations:
        about = [
            vote.vote for vote in votes if (vote.participant, vote.validator) == (each.participant, each.validator)
        ]
        rows.append(
            (
                each.validator,
                each.participant[:16],
                "yes" if (each.validator, each.participant) in shown else "no",
                about.count("confirms"),
                about.count("denies"),
                _RULINGS[each.ruling],
            )
        )
    columns = ["validator", "update of", "has shown its share", ">confirm it", ">deny it", "ruling"]
    return [table("Validators whose values contradict the others'", columns, rows)]


def _updates(view: RoundView) -> list[tuple[object, ...]]:
    received = {update.signed.manifest.participant for update in view.updates}
    settled = {update.participant: update for update in view.settlement.updates} if view.settlement else {}
    rows: list[tuple[object, ...]] = []
    for entry in view.cohort.participants:
        decided = settled.get(entry.participant)
        verdict = decided.verdict if decided else ""
        rows.append(
            (
                entry.participant[:16],
                entry.msp,
                "yes" if entry.participant in received else "no",
                f"{verdict} to a reader" if decided and decided.dropped else verdict,
                decided.weight if decided else "",
                f"{decided.score / 1e6:.2f}" if decided else "",
            )
        )
    return rows
