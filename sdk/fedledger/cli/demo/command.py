"""The command: bring everything up, let it run, compare, audit, say what came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from fedledger.audit.report import AuditReport
from fedledger.audit.sources import verify_network
from fedledger.cli import model as model_command
from fedledger.cli.demo import show as pages
from fedledger.cli.demo.attack_report import attack_report
from fedledger.cli.demo.attacks import EXPLAINED, Attack
from fedledger.cli.demo.cast import Cast, processes, threads
from fedledger.cli.demo.comparison import Comparison, compare
from fedledger.cli.demo.options import DemoFolder, DemoOptions
from fedledger.cli.demo.watch import RoundRow, RoundWatch
from fedledger.cli.engines import Engine, Network, network_at
from fedledger.cli.output import MICRO, Format, say, show, working
from fedledger.cli.session import FormatOption, Session, connected, quiet_tensorflow
from fedledger.errors import BadInputError, ExitCode, FedledgerError
from fedledger.ledger.patient import PatientLedger
from fedledger.training import TaskDefinition
from fedledger_chaincode.messages.views import MemberView
from fedledger_chaincode.rules.evaluations import told_records


def demo(
    rounds: Annotated[int | None, typer.Option(min=1, help="Number of rounds.")] = None,
    algorithm: Annotated[str | None, typer.Option(help="fedavg or fedprox.")] = None,
    model: Annotated[str | None, typer.Option(help="logistic or mlp.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="Privacy budget of the whole run.")] = None,
    no_dp: Annotated[bool, typer.Option("--no-dp", help="Train without differential privacy.")] = False,
    as_processes: Annotated[
        bool, typer.Option("--processes", help="Every agent a process of its own, instead of threads of this one.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Of initial weights, splits and batches; never of privacy.")] = None,
    engine: Annotated[Engine, typer.Option(help="embedded, or fabric.")] = Engine.EMBEDDED,
    attack: Annotated[
        Attack | None, typer.Option(help="Let one organisation misbehave, and see what becomes of it.")
    ] = None,
    folder: Annotated[Path | None, typer.Option("--dir", help="Where everything is kept; else below run/.")] = None,
    output: FormatOption = Format.TEXT,
) -> None:
    """Let four hospitals train one heart-disease model over a ledger, on real data.

    Interrupted at any moment, the same command goes on where it stopped. The embedded ledger is one process: a stand-in
    for a Fabric network, not a distributed ledger.
    """
    quiet_tensorflow()
    if attack is not None and as_processes:
        raise BadInputError("BAD_ARGUMENTS", "--attack needs all agents in one process.", "Leave out --processes.")
    options = DemoOptions(rounds, algorithm, model, epsilon, no_dp, seed, attack.value if attack else None)
    definition = options.definition()
    place = DemoFolder.chosen(folder, options)
    say(f"Everything is kept in {place.path}")
    network = network_at(place.path / "network", engine, attached=True)
    members = network.consortium.organisations
    with _running(network):
        cast = Cast(network.profiles, members, attack)
        if attack is not None:
            say(f"{cast.attacker.name}, attack {attack.value}: {EXPLAINED[attack]}")
        task = cast.agree(definition)
        cast.enlist(task)
        with connected(cast.onlooker()) as opened:
            agreed = definition.agree(opened.ledger.task(task).record.spec)
            rows = _rounds(opened, cast, task, agreed, place, as_processes)
            _conclude(opened, cast, task, agreed, rows, place, output)


@contextmanager
def _running(network: Network) -> Iterator[None]:
    say(f"Starting the {network.engine.value} ledger of four organisations...")
    try:
        with working("starting") as progress:
            network.up(progress, attached=True)
        yield
    finally:
        network.down()


def _rounds(
    opened: Session, cast: Cast, task: str, definition: TaskDefinition, place: DemoFolder, as_processes: bool
) -> list[RoundRow]:
    """Run all agents until the task has ended."""
    sites = sorted(cast.sites.values())
    budget = definition.privacy.epsilon_budget if definition.is_private else 0.0
    failures: list[tuple[str, Exception]] = []

    def told(row: RoundRow) -> str:
        line = pages.line(row, sites, budget)
        return line if cast.attack is None else f"{line}\n{pages.fates(row)}"

    watch = RoundWatch(
        PatientLedger(opened.network, opened.profile.chaincode),
        task,
        cast.sites,
        on_row=lambda row: say(told(row)),
        on_progress=lambda text: progress(text),
        on_news=lambda text: say(f"       {text}"),
        silent=_silent(opened, task, definition, sites),
    )

    def failed(name: str, error: Exception) -> None:
        failures.append((name, error))
        watch.give_up()

    agents = processes(cast, task, place.path / "logs", failed) if as_processes else threads(cast, task, failed)
    say("Loading TensorFlow and TensorFlow Federated...")
    say(pages.heading(sites, budget))
    with working("waiting for the first round") as progress, agents:
        watch.follow()
    if failures:
        name, error = failures[0]
        if isinstance(error, FedledgerError):
            raise FedledgerError(error.code, f"The {name} stopped: {error.message}", error.remedy) from error
        raise error
    return watch.rows


def _silent(opened: Session, task: str, definition: TaskDefinition, sites: Sequence[str]) -> frozenset[str]:
    """Sites with fewer held-out records than are told of."""
    terms = opened.ledger.task(task).record.spec.agreement.evaluations
    return frozenset(site for site in sites if not told_records(terms, len(definition.load_data(site).test)))


def _conclude(
    opened: Session,
    cast: Cast,
    task: str,
    definition: TaskDefinition,
    rows: list[RoundRow],
    place: DemoFolder,
    output: Format,
) -> None:
    say("Training on each site alone and on all data pooled, for comparison...")
    head = opened.ledger.task(task).head
    if head is None:
        raise FedledgerError("NO_MODEL", f"Task {task} has no model.", f"Look into {place.path}.")
    newest = opened.ledger.model(task, head.version)
    data = {site: definition.load_data(site) for site in sorted(cast.sites.values())}
    shared = model_command.fetch(opened, task, newest)
    comparison = compare(definition, data, shared)
    say("Auditing the ledger from its first block on...")
    audit = verify_network(opened.network, allowed=opened.profile.stores, chaincode=opened.profile.chaincode)
    members = opened.ledger.members(task)
    report = None
    if cast.attack is not None:
        report = attack_report(opened.ledger, definition, rows, cast.attack, cast.attacker, data, shared)
    document = _document(task, rows, comparison, members, audit, newest.version, newest.model_digest)
    if report is not None:
        document["attack"] = report
    result = place.keep_result(document)
    hints = [
        f"export FEDLEDGER_CONFIG={cast.profiles}; fedledger network up --dir {cast.profiles.parent}",
        f"fedledger model lineage {task} --profile cleveland-auditor",
        "fedledger audit export --profile cleveland-auditor --out ledger.bin && fedledger audit verify ledger.bin",
    ]
    page = pages.summary(comparison, members, cast.sites, audit, hints)
    show(document, [*pages.attack_page(report), *page] if report else page, output)
    say(f"The result is kept in {result}")
    if not audit.ok:
        raise typer.Exit(ExitCode.FAILED)


def _document(
    task: str,
    rows: list[RoundRow],
    comparison: Comparison,
    members: tuple[MemberView, ...],
    audit: AuditReport,
    version: int,
    digest: str,
) -> dict[str, Any]:
    report = audit.document()
    return {
        "task": task,
        "rounds": [row.document() for row in rows],
        "auc": comparison.document(),
        "delta": comparison.delta,
        "wallet": {
            view.member.participant: {
                "balance": view.balance / MICRO,
                "reputation": view.standing.reputation / MICRO,
                "msp": view.member.msp,
            }
            for view in members
        },
        "audit": {"ok": report["ok"], "checks": report["checks"]},
        "model": {"version": version, "digest": digest},
    }
