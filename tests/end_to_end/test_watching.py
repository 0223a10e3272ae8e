"""Whoever looks on goes on when the node is killed and started again: no event is lost, and none is told twice."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

import pytest

from fedledger.cli.demo.watch import RoundRow, RoundWatch
from fedledger.cli.session import connected
from fedledger.errors import FedledgerError
from fedledger.identity.profile import load_profile
from fedledger.ledger import LedgerEvent, TaskLedger
from fedledger.ledger.patient import GivenUp, PatientLedger
from fedledger_chaincode.messages.round import EvaluationReport
from fedledger_network.consortium import Consortium
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder
from tests.attacks.conftest import NAMES, ORGANISATIONS, Game, Members, begin, training_free_spec

from .processes import Run, until_event

ROUNDS = 3


class Killed:
    """A node as a process of its own, and who watches it."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.network = NetworkFolder.create(folder, Consortium.of_names(*ORGANISATIONS))
        self.node = running.launch(self.network, attached=True)
        roles = ("governor", "participant", "validator", "auditor")
        profiles = {f"{o}-{r}": load_profile(self.network.profiles, f"{o}-{r}") for o in ORGANISATIONS for r in roles}
        ledgers = {name: opened.enter_context(connected(profile)).ledger for name, profile in profiles.items()}
        self.members = Members(ledgers, profiles, NAMES)
        onlooker = opened.enter_context(connected(profiles["cleveland-auditor"]))
        self.patient = PatientLedger(onlooker.network, onlooker.profile.chaincode)

    def kill(self) -> None:
        os.kill(self.node.pid, signal.SIGKILL)
        self.node.wait()

    def restart(self) -> None:
        self.node = running.launch(self.network, attached=True)


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Killed]:
    with ExitStack() as opened:
        node = Killed(tmp_path / "network", opened)
        try:
            yield node
        finally:
            node.node.stop()


def persistently(game: Game, organisation: str) -> None:
    """Send an update, again while the node is away."""
    while True:
        try:
            game.send(organisation, game.honest(organisation))
        except FedledgerError:
            threading.Event().wait(0.05)
        else:
            return


def judge(game: Game, version: int) -> None:
    """Every participant says how good the model is, which a watch waits for."""
    report = EvaluationReport(task=game.spec.task, version=version, examples=100, auc=None, accuracy=0, loss=0)
    for organisation in ORGANISATIONS:
        game.ledger(organisation, "participant").report_evaluation(report)


@contextmanager
def heard(ledger: TaskLedger) -> Iterator[list[tuple[str, int, str]]]:
    """Name, block and transaction of all events from the first block on, as they come."""
    found: list[tuple[str, int, str]] = []
    with ledger.events(start_block=0) as events:

        def listen() -> None:
            for event in events:
                told = LedgerEvent.decode(event)
                found.append((told.name, told.block_number, told.transaction_id))

        listener = threading.Thread(target=listen)
        listener.start()
        yield found
    listener.join(30)
    assert not listener.is_alive()


def all_events(ledger: TaskLedger, count: int) -> list[tuple[str, int, str]]:
    """The same, read anew."""
    told = islice(ledger.decoded_events(start_block=0), count)
    return [(event.name, event.block_number, event.transaction_id) for event in told]


def test_rounds_are_told_once_each_by_a_watch_whose_node_is_killed_in_every_round(killed: Killed) -> None:
    game = begin(killed.members, training_free_spec(training={"rounds": ROUNDS}))
    rows: list[RoundRow] = []
    watch = RoundWatch(killed.patient, game.spec.task, {}, on_row=rows.append, on_progress=lambda _: None)
    watching = threading.Thread(target=watch.follow)
    with heard(game.ledger("hungary", "auditor")) as events:
        watching.start()
        for number in range(1, ROUNDS + 1):
            game.open()
            for organisation in ORGANISATIONS[:2]:
                persistently(game, organisation)
            killed.kill()
            killed.restart()
            for organisation in ORGANISATIONS[2:]:
                persistently(game, organisation)
            assert game.work(until=("finalised",)).record.round == number
            judge(game, number)
        watching.join(60)
        assert not watching.is_alive()
        published = [told for told in events if told[0] == "ModelPublished"]
        assert len(published) == ROUNDS
        assert events == all_events(game.ledger("hungary", "auditor"), len(events))
        assert len(set(events)) == len(events)
    assert [(row.round, row.state, len(row.accepted)) for row in rows] == [
        (number, "finalised", len(ORGANISATIONS)) for number in range(1, ROUNDS + 1)
    ]
    assert all(fate.paid > 0 for row in rows for fate in row.participants)


SITES = {msp: organisation for organisation, msp in NAMES.items()}


@pytest.mark.parametrize(
    ("terms", "silent"),
    [({"published": "none"}, ()), ({"every": 5}, ()), ({}, ORGANISATIONS)],
    ids=["none agreed", "not due", "too few records"],
)
def test_a_watch_waits_for_no_figures_that_nobody_will_tell(
    killed: Killed, terms: dict[str, object], silent: tuple[str, ...]
) -> None:
    game = begin(killed.members, training_free_spec(training={"rounds": 1}, agreement={"evaluations": terms}))
    rows: list[RoundRow] = []
    watch = RoundWatch(
        killed.patient, game.spec.task, SITES, on_row=rows.append, on_progress=lambda _: None, silent=silent
    )
    watching = threading.Thread(target=watch.follow)
    watching.start()
    game.open()
    for organisation in ORGANISATIONS:
        persistently(game, organisation)
    game.work(until=("finalised",))
    watching.join(60)
    assert not watching.is_alive()
    (row,) = rows
    assert (row.round, row.state, dict(row.auc)) == (1, "finalised", {})


def test_queries_of_a_watch_wait_for_the_node_until_the_watch_is_given_up(killed: Killed) -> None:
    game = begin(killed.members, training_free_spec())
    watch = RoundWatch(killed.patient, game.spec.task, {}, on_row=lambda _: None, on_progress=lambda _: None)
    answers: list[str] = []
    killed.kill()
    asking = threading.Thread(target=lambda: answers.append(killed.patient.task(game.spec.task).record.state))
    asking.start()
    killed.restart()
    asking.join(60)
    assert answers == ["active"]
    watching = threading.Thread(target=watch.follow)
    watching.start()
    killed.kill()
    watch.give_up()
    watching.join(60)
    assert not watching.is_alive()
    with pytest.raises(GivenUp):
        killed.patient.task(game.spec.task)


def test_a_demo_goes_on_when_its_node_is_killed_and_started_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = Run.start("demo", "--rounds", "2", "--no-dp", "--dir", str(folder), "--format", "json")
    profiles = folder / "network" / "fedledger.toml"
    until_event(run, profiles, lambda event: event.name == "UpdateReceived" and event.fields["round"] == 1)
    network = NetworkFolder.existing(folder / "network")
    node = running.status(network)
    assert node is not None
    os.kill(node.pid, signal.SIGKILL)
    again = running.launch(network, attached=True)
    try:
        code, out, err = run.finish()
    finally:
        again.stop()
    assert code == 0, err
    result = json.loads(out)
    assert [row["round"] for row in result["rounds"]] == [1, 2]
    assert all(len(row["accepted"]) == 4 for row in result["rounds"])
    assert result["audit"]["ok"]
