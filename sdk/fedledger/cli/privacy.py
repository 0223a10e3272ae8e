"""``fedledger privacy``: what a mechanism costs round by round, by two accountants, before anybody agrees to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from fedledger.cli.output import MICRO, Format, facts, show, table
from fedledger.cli.session import DEFAULT_CONFIG, ConfigOption, FormatOption, ProfileOption, TaskArgument, session
from fedledger.errors import BadInputError
from fedledger.privacy.accountant import EpsilonBounds, covers, epsilon_schedule, membership_accuracy, schedule_bounds
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.training import load_task
from fedledger.training.settings import PICO
from fedledger.training.specification import agreed_mechanism
from fedledger_chaincode.messages.task import PrivacySpec

app = typer.Typer(help="What a task's differential privacy costs, round by round.", no_args_is_help=True)


@app.command()
def schedule(
    package: Annotated[str, typer.Argument(help="A folder with task.toml, or a task that is installed.")],
    rounds: Annotated[int | None, typer.Option(help="Number of rounds.", min=1)] = None,
    epsilon: Annotated[float | None, typer.Option(help="Privacy budget of the whole task.")] = None,
    variant: Annotated[str | None, typer.Option(help="One of the variants in task.toml.")] = None,
    organisation: Annotated[
        str | None, typer.Option(help="With privacy of its own in task.toml, where it has some.", metavar="MSP")
    ] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Show what each number of contributed rounds costs, by both accountants; needs no network."""
    task = load_task(package).override(rounds=rounds, epsilon=epsilon, variant=variant)
    if organisation is not None:
        task = task.of_organisation(organisation)
    if task.mechanism is None:
        raise _without_privacy(task.name)
    count, delta = task.training.rounds, task.privacy.delta
    charged = epsilon_schedule(task.mechanism, count, delta)
    bounds = schedule_bounds(task.mechanism, count, delta)
    guess = membership_accuracy(task.mechanism, count)
    budget = round(task.privacy.epsilon_budget * MICRO)
    document = _document(task.name, task.privacy.mechanism, task.mechanism, delta, budget, charged, bounds)
    show(
        document | {"right_guesses": guess},
        [
            facts(_mechanism_facts(document) | {"anybody's guess is right at most": f"{guess:.1%}, after all rounds"}),
            _rows(document, "ledger charges"),
        ],
        output,
    )


@app.command()
def check(
    task: TaskArgument,
    spec_hash: Annotated[
        str | None, typer.Option("--hash", help="Of an open amendment; else the agreement that is in force.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    profile: ProfileOption = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Recompute the schedule of a task on the ledger, and fail if it charges less than its mechanism costs."""
    with session(config, profile) as opened:
        view = opened.ledger.task(task)
    specs = {spec.sha256(): spec for spec in (view.record.spec, *(each.spec for each in view.amendments))}
    spec = view.record.spec if spec_hash is None else specs.get(spec_hash)
    if spec is None:
        raise BadInputError(
            "SPEC_HASH", f"Task {task} has no agreement of the hash {spec_hash}.", "Read it with: fedledger task show."
        )
    documents = {owner: _agreed(task, privacy) for owner, privacy in spec.mechanisms() if privacy.mechanism != "none"}
    if not documents:
        raise _without_privacy(task)
    lines: list[Any] = []
    for owner, document in documents.items():
        whose = {"of": owner} if owner else {}
        lines += [facts(whose | _mechanism_facts(document)), _rows(document, "agreement says")]
    own = {owner: document for owner, document in documents.items() if owner}
    show(documents.get("", {"task": task, "mechanism": "none"}) | {"own_privacy": own}, lines, output)
    understated = [owner for owner, document in documents.items() if not document["covered"]]
    if understated:
        raise BadInputError(
            "EPSILON_UNDERSTATED",
            f"The agreement on task {task} charges {understated[0] or 'participants'} less than the mechanism costs.",
            "Do not approve it; propose the task with the schedule that dp_accounting computes.",
        )


def _agreed(task: str, privacy: PrivacySpec) -> dict[str, Any]:
    mechanism, delta, claimed = agreed_mechanism(privacy), privacy.delta_pico / PICO, privacy.epsilon_schedule
    assert mechanism is not None
    bounds = schedule_bounds(mechanism, len(claimed), delta)
    document = _document(task, privacy.mechanism, mechanism, delta, privacy.epsilon_budget, claimed, bounds)
    return document | {"covered": covers(claimed, epsilon_schedule(mechanism, len(claimed), delta))}


def _document(
    task: str,
    name: str,
    mechanism: PoissonSampledGaussian,
    delta: float,
    budget: int,
    charged: Sequence[int],
    bounds: Sequence[EpsilonBounds],
) -> dict[str, Any]:
    return {
        "task": task,
        "mechanism": name,
        "sampling_rate": mechanism.sampling_rate,
        "noise_multiplier": mechanism.noise_multiplier,
        "steps_per_round": mechanism.steps,
        "delta": delta,
        "epsilon_budget": budget / MICRO,
        "schedule": [
            {
                "rounds": rounds,
                "epsilon": epsilon / MICRO,
                "pld": _in_units(bound.pld),
                "rdp": _in_units(bound.rdp),
                "within_budget": epsilon <= budget,
            }
            for rounds, (epsilon, bound) in enumerate(zip(charged, bounds, strict=True), start=1)
        ],
    }


def _mechanism_facts(document: dict[str, Any]) -> dict[str, object]:
    unit = "device" if document["mechanism"] == "dp-fedavg" else "record"
    return {
        "task": document["task"],
        "mechanism": f"{document['mechanism']}, protects each {unit}",
        "noise multiplier": f"{document['noise_multiplier']:g}",
        "sampling": f"each {unit} in each step with probability {document['sampling_rate']:g}",
        "steps a round": document["steps_per_round"],
        "delta": f"{document['delta']:g}",
        "budget": f"{document['epsilon_budget']:g}",
    }


def _rows(document: dict[str, Any], charged: str) -> Any:
    return table(
        "Epsilon after so many rounds",
        [">rounds", f">{charged}", ">loss distributions", ">Renyi", "within budget"],
        [
            (
                row["rounds"],
                f"{row['epsilon']:.6f}",
                _figure(row["pld"]),
                _figure(row["rdp"]),
                "yes" if row["within_budget"] else "no: refused",
            )
            for row in document["schedule"]
        ],
    )


def _in_units(micro: int | None) -> float | None:
    return None if micro is None else micro / MICRO


def _figure(epsilon: float | None) -> str:
    return "none" if epsilon is None else f"{epsilon:.6f}"


def _without_privacy(task: str) -> BadInputError:
    return BadInputError(
        "NO_PRIVACY", f"Task {task} trains without differential privacy.", "Choose a mechanism in task.toml."
    )
