"""A federation of many participants in one process, with real training, shares and proofs, over either engine."""

from __future__ import annotations

import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from fedledger.agents.journal import Journal
from fedledger.agents.participant import Participant
from fedledger.cli import validator
from fedledger.cli.demo.cast import Cast
from fedledger.cli.session import Session, connected
from fedledger.identity.keys import PrivateKey, generate_key
from fedledger.training import TaskDefinition, load_task
from fedledger.training.examples import Examples, Split, concatenate
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_network.consortium import Consortium, Organisation
from ledger_load.rounds import admission, at_once, patiently

TASK = "heart-disease"
BATCH = 100
STAKE = 1.0
"""Tokens: an organisation can pay it for many participants."""
DEADLINE = 3_600
"""Seconds: however slow the machine is, no round ends before everybody has delivered."""


def task_of(rounds: int) -> TaskDefinition:
    """The heart-disease task without privacy noise, for many participants."""
    definition = load_task(TASK).override(rounds=rounds, no_dp=True)
    settings = definition.settings
    incentive = settings.incentive.model_copy(update={"participant_stake": STAKE})
    deadlines = settings.deadlines.model_copy(update=dict.fromkeys(type(settings.deadlines).model_fields, DEADLINE))
    return replace(definition, settings=settings.model_copy(update={"incentive": incentive, "deadlines": deadlines}))


def dealt(task: TaskDefinition, participants: int) -> list[Examples]:
    """Every site's training records dealt out in turn, one class after the other: all hold both, none the same."""
    records = concatenate([task.load_data(site).train for site in task.sites])
    order = np.argsort(records.y, kind="stable")
    return [Examples(records.x[order[n::participants]], records.y[order[n::participants]]) for n in range(participants)]


@dataclass
class Spans:
    """Seconds of one round by part, in the order in which they were measured."""

    parts: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Count until the context is left."""
        begun = time.perf_counter()
        yield
        self.parts[part] = self.parts.get(part, 0.0) + time.perf_counter() - begun

    @staticmethod
    def mean(rounds: Sequence[Spans]) -> dict[str, float]:
        """The mean of each part."""
        seconds: dict[str, list[float]] = defaultdict(list)
        for each in rounds:
            for part, spent in each.parts.items():
                seconds[part].append(spent)
        return {part: statistics.fmean(spent) for part, spent in seconds.items()}


@dataclass(frozen=True)
class Federation:
    """Four organisations, each with a governor, a validator, and its part of the participants."""

    profiles: Path
    consortium: Consortium
    folder: Path
    participants: int

    def run(self, definition: TaskDefinition) -> list[Spans]:
        """Run all rounds of the task and take the time of each."""
        cast = Cast(self.profiles, self.consortium.organisations)
        task = cast.agree(definition)
        stop = threading.Event()
        with ExitStack() as stack:
            sessions = self._sessions(stack, cast, "participant")
            groups = self._admitted(stack, cast, task, definition, sessions)
            agents = [validator.build(each, task, None) for each in self._sessions(stack, cast, "validator").values()]
            for agent in agents:
                agent.register()
            groups[0][0]._trainer.train(definition.initial_model(), round_number=1)  # TensorFlow starts
            threads = [threading.Thread(target=agent.run, args=(stop,), daemon=True) for agent in agents]
            for thread in threads:
                thread.start()
            try:
                return list(self._rounds(next(iter(sessions.values())), task, definition.training.rounds, groups))
            finally:
                stop.set()
                for thread in threads:
                    thread.join()

    def _sessions(self, stack: ExitStack, cast: Cast, role: str) -> dict[Organisation, Session]:
        return {
            organisation: stack.enter_context(connected(cast.profile(organisation, role)))
            for organisation in self.consortium.organisations
        }

    def _admitted(
        self,
        stack: ExitStack,
        cast: Cast,
        task: str,
        definition: TaskDefinition,
        sessions: Mapping[Organisation, Session],
    ) -> list[list[Participant]]:
        """Each organisation's participants, with keys of their own, whom its governor admits at once."""
        data = dealt(definition, self.participants)
        groups: list[list[Participant]] = []
        for place, (organisation, session) in enumerate(sessions.items()):
            keys = {number: generate_key() for number in range(place, self.participants, len(sessions))}
            governor = stack.enter_context(connected(cast.profile(organisation, "governor")))
            requests = [admission(key, organisation.msp_id, task) for key in keys.values()]
            patiently(partial(governor.ledger.admit_participants, requests))
            groups.append([self._participant(session, task, definition, data, *each) for each in keys.items()])
        return groups

    def _participant(
        self,
        session: Session,
        task: str,
        definition: TaskDefinition,
        data: Sequence[Examples],
        number: int,
        key: PrivateKey,
    ) -> Participant:
        nothing = Examples(data[number].x[:0], data[number].y[:0])
        return Participant(
            ledger=session.ledger,
            task=task,
            channel=session.profile.channel,
            definition=definition,
            data=Split(data[number], nothing),
            key=key,
            journal=Journal(self.folder / "journal" / str(number), session.profile.channel),
            site=f"participant {number}",
            reports=False,
        )

    def _rounds(
        self, watching: Session, task: str, rounds: int, groups: Sequence[Sequence[Participant]]
    ) -> Iterator[Spans]:
        """Contribute to each round as soon as it is heard of, and yield its times when its model is out."""
        spans = Spans()
        closed = 0.0
        for event in watching.ledger.decoded_events(start_block=0):
            if event.fields.get("task") != task:
                continue
            if event.name == "RoundOpened":
                spans = Spans()
                view, current = watching.ledger.task(task), watching.ledger.round(task, int(event.fields["round"]))
                contribute(groups, view, current, spans)
                closed = time.perf_counter()
            elif event.name == "ModelPublished":
                spans.parts["validators: checks, sum and model"] = time.perf_counter() - closed
                yield spans
                if event.fields["version"] == rounds:
                    return


def contribute(groups: Sequence[Sequence[Participant]], view: TaskView, current: RoundView, spans: Spans) -> None:
    """Let every participant make its update of the round, and every organisation submit its participants'."""
    members = [member for group in groups for member in group]
    base = members[0]._model(view, current.record.base_version)
    with spans.on("training"):
        results = [each._trainer.train(base, round_number=current.record.round) for each in members]
    with spans.on("shares, proofs and signatures"):
        pending = [each._prepare(view, current, result) for each, result in zip(members, results, strict=True)]
    with spans.on("delivering shares"):
        for each, prepared in zip(members, pending, strict=True):
            each._deliver(view, current, prepared)
    waiting = iter(prepared.signed for prepared in pending)
    batches = []
    for group in groups:
        manifests = list(islice(waiting, len(group)))
        submit = group[0].ledger.submit_updates
        batches += [partial(submit, manifests[first : first + BATCH]) for first in range(0, len(manifests), BATCH)]
    with spans.on("ledger: all updates"):
        outcomes = at_once([partial(patiently, batch) for batch in batches])
    refused = [each for batch in outcomes for each in batch if each.status == "refused"]
    assert not refused, refused
