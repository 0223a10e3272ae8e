"""Seconds per round of the heart-disease task over the embedded ledger, by what they are spent on, beside plain TFF.

    python benchmarks/rounds.py [--rounds 10] [--no-dp]

All agents are threads of this process, as in `fedledger demo`, and the ledger is a process of its own. The first round
is left out of the means: TensorFlow traces its graphs in it, on both sides. The plain federation runs the same client
work and server step on the same records one site after the other, without shares, validators or ledger.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import machine

from fedledger.agents.participant import Participant
from fedledger.agents.validator import Validator
from fedledger.cli import participant, validator
from fedledger.cli.demo.cast import Cast
from fedledger.cli.engines import DEMO_ORGANISATIONS
from fedledger.cli.output import configure_logging
from fedledger.cli.session import Session, quiet_tensorflow
from fedledger.ledger import TaskLedger
from fedledger.secure_aggregation import PreparedUpdate, UpdateContext
from fedledger.training import LocalResult, TaskDefinition, load_task
from fedledger.training.baselines import train_federated
from fedledger_chaincode.messages.round import Attestation
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_network.consortium import Consortium
from fedledger_network.embedded import running
from fedledger_network.embedded.folder import NetworkFolder

TASK = "heart-disease"
WORK = {
    "participant": ("training", "sharing", "ledger"),
    "validator": ("checking", "aggregation", "ledger"),
}


@dataclass
class Stopwatch:
    """Seconds of one agent by round and work; work inside other work counts for the inner one alone."""

    round: int = 0
    seconds: dict[tuple[int, str], float] = field(default_factory=lambda: defaultdict(float))
    _open: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def on(self, work: str) -> Iterator[None]:
        """Count the time until the context is left."""
        now = time.perf_counter()
        self._settle(now)
        self._open.append((work, now))
        try:
            yield
        finally:
            now = time.perf_counter()
            self._settle(now)
            self._open.pop()
            if self._open:
                self._open[-1] = (self._open[-1][0], now)

    def _settle(self, now: float) -> None:
        if self._open:
            work, since = self._open[-1]
            self.seconds[self.round, work] += now - since


class TimedLedger(TaskLedger):
    """Counts the time that the agent waits for the ledger."""

    watch: Stopwatch

    def _submit_raw(self, function: str, *arguments: object) -> bytes:
        with self.watch.on("ledger"):
            return super()._submit_raw(function, *arguments)  # type: ignore[arg-type]

    def _evaluate_raw(self, function: str, *arguments: object) -> bytes:
        with self.watch.on("ledger"):
            return super()._evaluate_raw(function, *arguments)  # type: ignore[arg-type]


class TimedParticipant(Participant):
    """Counts training, and what it takes to share and prove an update."""

    watch: Stopwatch

    def _contribute(self, view: TaskView, current: RoundView) -> None:
        self.watch.round = current.record.round
        super()._contribute(view, current)

    def _train(self, view: TaskView, current: RoundView) -> LocalResult:
        with self.watch.on("training"):
            return super()._train(view, current)

    def _share(
        self, spec: TaskSpec, context: UpdateContext, result: LocalResult, keys: Sequence[str]
    ) -> PreparedUpdate:
        with self.watch.on("sharing"):
            return super()._share(spec, context, result, keys)


class TimedValidator(Validator):
    """Counts checking shares, and adding them up to the next model."""

    watch: Stopwatch

    def _attestation(self, view: TaskView, current: RoundView) -> Attestation:
        self.watch.round = current.record.round
        with self.watch.on("checking"):
            return super()._attestation(view, current)

    def _share(self, view: TaskView, current: RoundView) -> None:
        with self.watch.on("aggregation"):
            super()._share(view, current)

    def _report(self, view: TaskView, current: RoundView) -> None:
        with self.watch.on("aggregation"):
            super()._report(view, current)


@dataclass(frozen=True)
class Measured:
    """One federation over the ledger."""

    spans: Mapping[str, Sequence[float]]
    """Seconds by part of a round, one number a round."""
    work: Mapping[str, Sequence[Stopwatch]]
    """Of each participant and each validator."""


def over_the_ledger(definition: TaskDefinition, folder: Path) -> Measured:
    """Run all rounds of the task and take the time."""
    network = NetworkFolder.create(folder, Consortium.of_names(*DEMO_ORGANISATIONS))
    process = running.launch(network, attached=True)
    try:
        cast = Cast(network.profiles, network.consortium().organisations)
        task = cast.agree(definition)
        cast.enlist(task)
        watches: dict[str, list[Stopwatch]] = {"participant": [], "validator": []}
        stop = threading.Event()
        with ExitStack() as sessions:
            threads = []
            for organisation in cast.organisations:
                for role, found in watches.items():
                    found.append(Stopwatch())
                    opened = sessions.enter_context(_timed(cast, organisation.name, role, found[-1]))
                    agent = _agent(opened, task, role, organisation.name, found[-1])
                    threads.append(threading.Thread(target=agent.run, args=(stop,), daemon=True))
            for thread in threads:
                thread.start()
            with _timed(cast, cast.organisations[0].name, "auditor", Stopwatch()) as watching:
                spans = _spans(watching.ledger, definition.training.rounds)
            for thread in threads:
                thread.join()
        return Measured(spans, watches)
    finally:
        process.stop()


@contextmanager
def _timed(cast: Cast, name: str, role: str, watch: Stopwatch) -> Iterator[Session]:
    profile = cast.profile(next(o for o in cast.organisations if o.name == name), role)
    with profile.connect() as gateway:
        network = gateway.get_network(profile.channel)
        ledger = TimedLedger(network, profile.chaincode)
        ledger.watch = watch
        yield Session(profile, network, ledger)


def _agent(opened: Session, task: str, role: str, site: str, watch: Stopwatch) -> Participant | Validator:
    honest: Participant | Validator
    if role == "participant":
        honest = participant.build(opened, task, None, site)
        timed: TimedParticipant | TimedValidator = TimedParticipant(**_fields(honest))
    else:
        honest = validator.build(opened, task, None)
        timed = TimedValidator(**_fields(honest))
    timed.watch = watch
    return timed


def _fields(agent: Participant | Validator) -> dict[str, Any]:
    return {entry.name: getattr(agent, entry.name) for entry in fields(agent) if entry.init}


def _spans(ledger: TaskLedger, rounds: int) -> dict[str, list[float]]:
    """Seconds from event to event, as they are heard."""
    marks = ("RoundOpened", "RoundClosed", "RoundSettled", "ModelPublished")
    spans: dict[str, list[float]] = {"updates": [], "checks": [], "sum and model": [], "round": []}
    heard: dict[str, float] = {}
    for event in ledger.decoded_events(start_block=0):
        if event.name in marks:
            heard[event.name] = time.perf_counter()
        if event.name == "ModelPublished":
            times = [heard[mark] for mark in marks]
            for name, begin, end in zip(("updates", "checks", "sum and model"), times, times[1:], strict=False):
                spans[name].append(end - begin)
            spans["round"].append(times[-1] - times[0])
            if event.fields["version"] == rounds:
                return spans
    raise AssertionError("the stream of events ended before the task")


def plain(definition: TaskDefinition) -> list[float]:
    """Seconds of each round of the same training without shares and ledger."""
    data = {site: definition.load_data(site).train for site in definition.sites}
    ends = [time.perf_counter()]
    train_federated(definition, data, after_round=lambda *_: ends.append(time.perf_counter()))
    return [end - begin for begin, end in itertools.pairwise(ends)]


def main() -> None:
    """Run both federations and print their times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="rounds, of which the first is not counted")
    parser.add_argument("--no-dp", action="store_true", help="without differential privacy")
    arguments = parser.parse_args()
    quiet_tensorflow()
    configure_logging(verbose=False, quiet=True)
    definition = load_task(TASK).override(rounds=arguments.rounds, no_dp=arguments.no_dp)
    with tempfile.TemporaryDirectory() as place:
        measured = over_the_ledger(definition, Path(place) / "n")
    alone = plain(definition)
    privacy = f"epsilon {definition.privacy.epsilon_budget:g}" if definition.is_private else "no privacy"
    print(f"{TASK}, {definition.parameter_count} parameters, {privacy}, four sites, {arguments.rounds} rounds")
    print(machine.description("tensorflow-federated"))
    print(f"\nOne round over the embedded ledger  {_mean(measured.spans['round']):8.3f} s")
    for name in ("updates", "checks", "sum and model"):
        print(f"  {name:32}  {_mean(measured.spans[name]):8.3f} s")
    print(f"One round of plain TFF              {_mean(alone):8.3f} s")
    print("\nWork of one agent in one round, mean over the four (threads of one process wait for each other)")
    for role, names in WORK.items():
        for name in names:
            times = [w.seconds[number, name] for w in measured.work[role] for number in range(2, arguments.rounds + 1)]
            print(f"  {role:12} {name:20}  {statistics.fmean(times):8.3f} s")


def _mean(rounds: Sequence[float]) -> float:
    return statistics.fmean(rounds[1:])


if __name__ == "__main__":
    main()
