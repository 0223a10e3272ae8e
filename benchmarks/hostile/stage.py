"""One task: the honest agents of three organisations, the stopwatch that all of them go by, and what was found.

The agents are the product's own and are stepped one at a time, in whatever order; nothing of theirs is replaced but the
training of a model. Time passes by ``Hands`` alone.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from structlog.testing import capture_logs

from fedledger.agents.duties import Duty
from fedledger.agents.journal import Journal
from fedledger.agents.participant import Contribution, Participant, pseudonym_of
from fedledger.agents.reference import ReferenceMemory
from fedledger.agents.stores import ValidatorStore
from fedledger.agents.validator import Validator
from fedledger.secure_aggregation import SealingKey, encode_update
from fedledger.training import LocalResult, LocalTrainer
from fedledger.training.examples import Examples, Split
from fedledger.training.weights import Float32Array
from fedledger_chaincode.messages.records import ENDED
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView, TaskView

from .ground import Ground
from .kinds import DIRECTION, MICRO, Kind, honest_update, specification, zero_model

CHANNEL = "fedledger"
PATIENCE = 0.01
_TICK = 0.05
"""Seconds that a step of an agent takes by the stopwatch: longer than all patience of a row."""
_MOST_PASSES = 60
_MOST_WAITS = 60
"""Of one round: its phases have four deadlines."""
_LONGEST_WAIT = 15.0
"""Seconds, below every deadline."""
_EXAMPLES = 100


@dataclass(frozen=True)
class Finding:
    """A promise that was broken."""

    promise: str
    """In a few words; the same for the same fault."""
    what: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.what}"


class Broken(Exception):
    """Something was found, and the play cannot go on as if nothing were."""


@dataclass
class Hands:
    """The hands of all honest stopwatches; they move only when they are moved."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


class QuickTrainer(LocalTrainer):
    """Gives the update that a play has for this site and round; trains nothing."""

    def __init__(self, site: str, update: Callable[[int], Float32Array]) -> None:
        self.site = site
        self._update = update

    def train(self, base_weights: Any, *, round_number: int, contributed: int | None = None) -> LocalResult:
        update = self._update(round_number)
        norm = float(np.linalg.norm(update.astype(np.float64)))
        return LocalResult(update, _EXAMPLES, norm, norm, 0, 0, {}, 0.0)


@dataclass
class Site(Participant):
    """The participant agent, with a quick trainer and without records: all else is its own."""

    quick: LocalTrainer = field(default_factory=lambda: QuickTrainer("", lambda _: DIRECTION))

    def __post_init__(self) -> None:
        """There is no model to build."""

    def trainer(self, spec: TaskSpec, msp: str) -> LocalTrainer:
        return self.quick


@dataclass
class Stage:
    """A task that has begun: everybody has joined and registered."""

    ground: Ground
    spec: TaskSpec
    kind: Kind
    hostile: str
    """The hostile organisation."""
    folder: Path
    hands: Hands = field(default_factory=Hands)
    validators: dict[str, Validator] = field(default_factory=dict)
    """Honest ones, by organisation."""
    sites: dict[str, Site] = field(default_factory=dict)
    """Honest participants, by organisation."""
    findings: list[Finding] = field(default_factory=list)
    log: list[MutableMapping[str, Any]] = field(default_factory=list, repr=False)
    """What agents have logged since it was looked at last."""
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    """The newest reasons that honest agents gave for what they could not do."""
    progress: int = 0
    """Steps that honest agents have taken."""

    @property
    def task(self) -> str:
        return self.spec.task

    @property
    def honest(self) -> tuple[str, ...]:
        return tuple(organisation for organisation in self.ground.names if organisation != self.hostile)

    @property
    def hostile_msp(self) -> str:
        return self.ground.names[self.hostile]

    def pseudonym(self, organisation: str) -> str:
        """Of the participant with a certificate."""
        return pseudonym_of(self.ground.member(organisation, "participant").profile.credentials().key)

    def encoded(self, organisation: str, number: int) -> npt.NDArray[np.int64]:
        """int64[d], what an honest site shares in a round."""
        aggregation = self.spec.aggregation
        update = honest_update(list(self.ground.names).index(organisation), number)
        return encode_update(update, aggregation.clip_norm / MICRO, aggregation.quantised_norm)

    # --- what is on the ledger, by an honest peer

    def view(self) -> TaskView:
        return self.ground.member(self.honest[0], "auditor").ledger.task(self.task)

    def round(self, number: int) -> RoundView:
        return self.ground.member(self.honest[0], "auditor").ledger.round(self.task, number)

    def newest(self) -> RoundView | None:
        """The round that the head names; None before the first."""
        head = self.view().head
        return self.round(head.round) if head is not None and head.round else None

    # --- honest agents

    def find(self, promise: str, what: str) -> None:
        """Note that a promise is broken."""
        self.findings.append(Finding(promise, what))

    def step(self, role: str, organisation: str) -> float | None:
        """One step of an honest agent; whatever it raises, or ends too early, is a finding."""
        self.hands.seconds += _TICK
        agent: Validator | Site = (self.validators if role == "validator" else self.sites)[organisation]
        try:
            seconds = agent.step()
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            self.find(f"no honest {role} raises out of its step", f"{organisation}: {trace}")
            return None
        for entry in self._logged():
            if "reason" in entry:
                self.notes.append(f"{organisation}'s {role}: {entry['event']}: {str(entry['reason'])[-300:]}")
            trace = next((text for text in entry.values() if isinstance(text, str) and "Traceback (" in text), "")
            if trace:
                self.find(f"no step of an honest {role} fails for a reason of its own", f"{organisation}: {trace}")
        if seconds is None and self.view().record.state == "active":
            self.find(f"no honest {role} ends before its task", organisation)
        return seconds

    def _logged(self) -> list[MutableMapping[str, Any]]:
        found = list(self.log)
        self.log.clear()
        return found

    def agents(self) -> list[tuple[str, str]]:
        """Role and organisation of every honest agent."""
        return [(role, organisation) for role in ("participant", "validator") for organisation in self.honest]

    def settle_down(self) -> float:
        """Let honest agents step until none of them does anything; returns the seconds that they want to wait then."""
        idle = 0
        for _ in range(_MOST_PASSES):
            before, head = self.progress, self.view().head
            roles = ("participant", "validator") if head is not None and head.round_state == "open" else ("validator",)
            waits = [self.step(*agent) for agent in self.agents() if agent[0] in roles]
            idle = idle + 1 if self.progress == before else 0
            wait = min((wait for wait in waits if wait is not None), default=0.0)
            # Who waits for another one in the row, or could not take a step, looks again in the pass after.
            if idle and (wait > _TICK or idle == 2):
                return wait
        self.find("honest agents come to rest", f"still at work after {_MOST_PASSES} passes")
        raise Broken

    def let_pass(self, part: float) -> None:
        """Time in which honest agents do all that they can, and then wait: up to what they want, or longer."""
        self.hands.seconds += max(_TICK, 2 * part * self.settle_down())

    def play_round(self) -> RoundView | None:
        """Go on until the round under way has ended, or the next one if there is none; None when the task has ended."""
        head = self.view().head
        if head is None:
            raise AssertionError("the task is not active")
        number = head.round + 1 if head.idle else head.round
        for _ in self._waiting():
            view = self.view()
            if view.record.state != "active":
                return None
            if view.head is not None and view.head.round >= number:
                current = self.round(number)
                if current.record.state in ENDED:
                    return current
        view = self.view()
        state = "not begun" if view.head is None or view.head.round < number else self.round(number).record.state
        self.find("the round ends", f"round {number} is {state} after {_MOST_WAITS} waits")
        raise Broken

    def settle_disputes(self) -> None:
        """Go on until every accusation has its ruling; rounds go on meanwhile."""
        for _ in self._waiting():
            if not self.view().accusations:
                return
        self.find("a ruling always comes", f"{self.view().accusations}")

    def _waiting(self) -> Iterator[None]:
        """Let honest agents come to rest, again and again, and time pass between: more and more while nothing happens,
        for who cannot take a step tries again at once."""
        least = _TICK
        for _ in range(_MOST_WAITS):
            before = self.progress
            wait = self.settle_down()
            yield
            least = _TICK if self.progress > before else min(2 * least, _LONGEST_WAIT)
            self.hands.seconds += max(wait, least)

    def _taken(self, _: Duty | Contribution) -> None:
        self.progress += 1


@contextmanager
def stage(ground: Ground, name: str, kind: Kind, hostile: str, folder: Path) -> Iterator[Stage]:
    """A task of its own on the network, for as long as the context lasts."""
    spec = specification(name, kind, sorted(ground.names.values()))
    with capture_logs() as log:
        begun = Stage(ground, spec, kind, hostile, folder, log=log)
        for organisation in ground.names:
            governor = ground.member(organisation, "governor").ledger
            governor.propose_task(spec)
            governor.approve_task(spec.task, spec.sha256())
        for organisation, msp in ground.names.items():
            ground.member(organisation, "participant").ledger.join_task(spec.task)
            if organisation != hostile:
                begun.validators[organisation] = _validator(begun, organisation, msp)
                begun.validators[organisation].register()
                begun.sites[organisation] = _site(begun, organisation)
        yield begun


def _validator(begun: Stage, organisation: str, msp: str) -> Validator:
    member = begun.ground.member(organisation, "validator")
    return Validator(
        member.ledger,
        begun.task,
        msp,
        ValidatorStore(member.profile.store),
        SealingKey.generate(),
        patience=PATIENCE,
        now=begun.hands,
        initial_model=zero_model(),
        reference_update=lambda _base, _round: DIRECTION,
        memory=ReferenceMemory(begun.folder / organisation / "references"),
        on_step=begun._taken,
    )


def _site(begun: Stage, organisation: str) -> Site:
    member = begun.ground.member(organisation, "participant")
    index = list(begun.ground.names).index(organisation)
    nothing = Examples(np.zeros((0, 1), dtype=np.float32), np.zeros(0, dtype=np.int32))
    return Site(
        ledger=member.ledger,
        task=begun.task,
        channel=CHANNEL,
        definition=None,  # type: ignore[arg-type]
        data=Split(nothing, nothing),
        key=member.profile.credentials().key,
        journal=Journal(begun.folder / organisation, CHANNEL),
        site=organisation,
        reports=False,
        on_contribution=begun._taken,
        quick=QuickTrainer(organisation, lambda number: honest_update(index, number)),
    )
