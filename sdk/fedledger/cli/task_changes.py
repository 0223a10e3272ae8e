"""``fedledger task``: changes of a task that runs. Amendments, its end, and votes about an organisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer

from fedledger.cli.output import MICRO, Format, show
from fedledger.cli.session import DEFAULT_CONFIG, ConfigOption, FormatOption, ProfileOption, TaskArgument, session
from fedledger.cli.task import ReasonOption, app
from fedledger.cli.task_text import document_of, open_amendment, state_of
from fedledger.errors import BadInputError
from fedledger_chaincode.messages.task import PrivacySpec, TaskSpec
from fedledger_chaincode.messages.views import TaskView

MspArgument = Annotated[str, typer.Argument(help="MSP id of the organisation.", metavar="MSP")]


@app.command()
def amend(
    task: TaskArgument,
    title: Annotated[str | None, typer.Option(help="Another title.")] = None,
    purpose: Annotated[str | None, typer.Option(help="Another purpose, in words.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", help="An agreed use, in place of all others; once for each."),
    ] = None,
    minimum_examples: Annotated[int | None, typer.Option(min=1, help="Fewest examples of an update.")] = None,
    ends: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"], help="End of the agreement, in UTC.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="More rounds.")] = None,
    epsilon_budget: Annotated[float | None, typer.Option(min=0, help="Another budget of a participant.")] = None,
    own_budget: Annotated[
        list[str] | None,
        typer.Option(
            "--own-epsilon-budget", help="The same for an organisation with privacy of its own.", metavar="MSP=NUMBER"
        ),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Propose other terms for a task that runs (governor); they count from the round after a majority approved them."""
    terms = {
        "purposes": None if allow is None else tuple(sorted(set(allow))),
        "minimum_examples": minimum_examples,
        "ends_at": None if ends is None else int(ends.replace(tzinfo=UTC).timestamp()),
    }
    with session(config, profile) as opened:
        current = opened.ledger.task(task).record.spec
        proposed = _with(
            current,
            {"title": title, "purpose": purpose},
            agreement=terms,
            training={"rounds": rounds},
            privacy={"epsilon_budget": None if epsilon_budget is None else round(epsilon_budget * MICRO)},
        )
        proposed = _with_schedules(_with_own_budgets(proposed, own_budget or ()))
        amendment = opened.ledger.propose_amendment(proposed)
        view = opened.ledger.task(task)
        msp = opened.profile.msp_id
    show(amendment.model_dump(mode="json", by_alias=True), open_amendment(view, msp), output)


def _with(spec: TaskSpec, fields: dict[str, Any], **tables: dict[str, Any]) -> TaskSpec:
    """The specification with those values that are not None."""
    changes = {name: value for name, value in fields.items() if value is not None}
    for name, table in tables.items():
        values = {key: value for key, value in table.items() if value is not None}
        changes[name] = getattr(spec, name).model_copy(update=values)
    changed = spec.model_copy(update=changes)
    try:
        return TaskSpec.model_validate_json(changed.canonical())
    except ValueError as error:
        raise BadInputError("BAD_AMENDMENT", f"These terms do not hold together: {error}", "Change them.") from error


def _with_own_budgets(spec: TaskSpec, budgets: Sequence[str]) -> TaskSpec:
    """With other budgets, each as ``MSP=NUMBER``, of organisations that have privacy of their own."""
    own = {each.msp: each for each in spec.own_privacy}
    for given in budgets:
        msp, _, number = given.partition("=")
        try:
            budget = round(float(number) * MICRO)
        except (ValueError, OverflowError):
            budget = 0
        if msp not in own or budget <= 0:
            raise BadInputError(
                "BAD_AMENDMENT",
                f"{given!r} is no budget of an organisation with privacy of its own.",
                f"Write MSP=NUMBER, with one of: {', '.join(own) or 'none has its own'}.",
            )
        privacy = own[msp].privacy.model_copy(update={"epsilon_budget": budget})
        own[msp] = own[msp].model_copy(update={"privacy": privacy})
    return spec.model_copy(update={"own_privacy": tuple(own.values())})


def _with_schedules(spec: TaskSpec) -> TaskSpec:
    """With what further rounds cost appended to every epsilon schedule."""
    rounds = spec.training.rounds
    own = tuple(each.model_copy(update={"privacy": _longer(each.privacy, rounds)}) for each in spec.own_privacy)
    return spec.model_copy(update={"privacy": _longer(spec.privacy, rounds), "own_privacy": own})


def _longer(privacy: PrivacySpec, rounds: int) -> PrivacySpec:
    from fedledger.training.specification import recomputed_schedule

    known = privacy.epsilon_schedule
    if privacy.mechanism == "none" or len(known) >= rounds:
        return privacy
    longer = recomputed_schedule(privacy.model_copy(update={"epsilon_schedule": (known[-1],) * rounds}))
    schedule = known + tuple(max(known[-1], epsilon) for epsilon in longer[len(known) :])
    return privacy.model_copy(update={"epsilon_schedule": schedule})


@app.command()
def conclude(
    task: TaskArgument,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """End a task whose agreement has ended, or whose privacy budgets are spent (governor or validator)."""
    with session(config, profile) as opened:
        opened.ledger.conclude_task(task)
        view = opened.ledger.task(task)
    _show_state(view, output)


def _vote(decision: Literal["suspend", "reinstate"]) -> Callable[..., None]:
    def command(
        task: TaskArgument,
        msp: MspArgument,
        reason: ReasonOption,
        config: ConfigOption = DEFAULT_CONFIG,
        profile: ProfileOption = None,
        output: FormatOption = Format.TEXT,
    ) -> None:
        with session(config, profile) as opened:
            record = opened.ledger.vote_suspension(task, msp, decision, reason)
        votes = [f"  {vote.msp}: {vote.decision}, {vote.reason}" for vote in record.votes]
        now = "is suspended" if record.suspended else "takes part"
        show(record.model_dump(mode="json"), [f"{msp} {now} in task {task}.", *votes], output)

    return command


app.command("suspend", help="Vote to suspend another organisation's part in a task (governor).")(_vote("suspend"))
app.command("reinstate", help="Vote to let a suspended organisation go on (governor).")(_vote("reinstate"))


def _show_state(view: TaskView, output: Format) -> None:
    show(document_of(view), f"Task {view.record.spec.task} is {state_of(view)}", output)
