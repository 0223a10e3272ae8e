"""A play: moves, one after another, on a task of their own; what was found in it, and the least of it that finds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from pydantic import ValidationError

from fedledger.errors import FedledgerError

from . import governor_acts, participant_acts, store_acts, validator_acts  # noqa: F401  they fill the table of acts
from .ground import Ground
from .kinds import Kind
from .member import ACTS, HostileMember, NotNow, apt
from .promises import Promises
from .stage import Broken, Finding, Stage, stage

_WEIGHTS = {"apt": 80, "race": 20, "honest": 30, "everybody": 30, "wait": 20, "round": 6}
"""Of moves that are no single act, which has 1."""
MOVES = (*_WEIGHTS, *ACTS)


@dataclass(frozen=True)
class Move:
    """Something that happens; all of its chances follow from its seed."""

    name: str
    seed: int


@dataclass
class Play:
    """One task as it is played."""

    stage: Stage
    member: HostileMember
    promises: Promises
    moves: list[Move] = field(default_factory=list)
    """Those that were made."""
    ended: bool = False
    """Whether something was found that it cannot go on with."""

    @property
    def findings(self) -> Sequence[Finding]:
        return self.stage.findings

    def make(self, move: Move) -> None:
        """One move, and a look at everything that must hold."""
        if self.ended:
            return
        self.moves.append(move)
        rng = Random(move.seed)
        with self._going_on():
            match move.name:
                case "honest":
                    self.stage.step(*rng.choice(self.stage.agents()))
                case "everybody":
                    for agent in rng.sample(self.stage.agents(), len(self.stage.agents())):
                        self.stage.step(*agent)
                case "wait":
                    self.stage.let_pass(rng.choice((0.3, 1.0, 1.0, 3.0)))
                case "round":
                    self.stage.play_round()
                case "race":
                    self._race(rng)
                case "apt":
                    self.member.look()
                    self._act(rng.choice(apt(self.member.phase)), rng)
                case _:
                    self.member.look()
                    self._act(move.name, rng)
            self.ended = self.promises.check().record.state != "active"

    def finish(self) -> None:
        """Let the round end, and all disputes."""
        if self.findings:
            return
        with self._going_on():
            if self.stage.view().record.state == "active":
                self.stage.play_round()
            self.stage.settle_disputes()
            self.promises.check_end()

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except Broken:
            self.ended = True
        self.ended = self.ended or bool(self.findings)

    def _act(self, name: str, rng: Random) -> None:
        self.member.rng, self.member.act = rng, name
        try:
            ACTS[name].act(self.member)
        except (NotNow, FedledgerError, ValidationError, OSError) as reason:
            self.member.failed(reason)

    def _race(self, rng: Random) -> None:
        """Something hostile that nobody waits for, right before an honest step."""
        self.member.look()
        for wire in self.member.wires.values():
            wire.waits = False
        self._act(rng.choice(apt(self.member.phase)), rng)
        for wire in self.member.wires.values():
            wire.waits = True
        self.stage.step(*rng.choice(self.stage.agents()))

    def journal(self) -> str:
        """All moves as they can be made again, and what was found."""
        moves = ", ".join(f"({move.name!r}, {move.seed})" for move in self.moves)
        found = "\n".join([*map(str, self.findings), *(f"  {note}" for note in dict.fromkeys(self.stage.notes))])
        return f'--kind {self.stage.kind.value} --organisation {self.stage.hostile} --moves "[{moves}]"\n{found}'


@dataclass
class Setting:
    """Where plays take place: each on a task of its own."""

    ground: Ground
    folder: Path
    count: int = 0
    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    came: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def play(self, kind: Kind, hostile: str) -> Iterator[Play]:
        """A new task."""
        self.count += 1
        name = f"play-{self.count}"
        with stage(self.ground, name, kind, hostile, self.folder / name) as begun:
            member = HostileMember.of(begun)
            playing = Play(begun, member, Promises(begun, member))
            yield playing
            self.told.update(member.told)
            self.came.update(playing.promises.counts)

    def replay(self, kind: Kind, hostile: str, moves: Sequence[Move]) -> Play:
        """These moves, to the end."""
        with self.play(kind, hostile) as playing:
            for move in moves:
                playing.make(move)
            playing.finish()
        return playing


def random_moves(rng: Random, count: int) -> list[Move]:
    """So many moves."""
    names = rng.choices(MOVES, weights=[_WEIGHTS.get(name, 1) for name in MOVES], k=count)
    return [Move(name, rng.getrandbits(32)) for name in names]


def least(moves: Sequence[Move], still: Callable[[Sequence[Move]], bool]) -> list[Move]:
    """The moves without those that are not needed (Zeller and Hildebrandt 2002, ddmin).

    Args:
        still: whether moves find the same.
    """
    kept, parts = list(moves), 2
    while len(kept) > 1:
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            fewer = kept[:start] + kept[start + size :]
            if still(fewer):
                kept, parts = fewer, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(kept), 2 * parts)
    return kept
