"""One hostile organisation among four, for as long as one likes: what it does, what becomes of it, what it breaks.

``python benchmarks/hostile_member.py [--minutes 1] [--seed 1] [--organisation hungary] [--kind norm] [--least]``. Each
play is a task of its own on an embedded ledger, with the honest agents of the three other organisations; its moves
follow from the seed. After each move everything is checked that docs/threat-model.md promises, and at the end of each
ledger it is audited. Prints what was done, how often and how it was answered, what the ledger made of it, and what was
found, with the moves that find it; with ``--least`` without those that are not needed. ``--moves`` plays given ones
again. Ends with 1 when something was found.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import machine
from hostile.ground import ORGANISATIONS, Ground, ground
from hostile.kinds import Kind
from hostile.play import Move, Play, Setting, least, random_moves
from hostile.promises import check_ledger
from hostile.wire import HELD, TAKEN

from fedledger.cli.output import configure_logging

PLAYS = 8
"""On one ledger, which is audited when they are over."""
MOVES = 60


class Run:
    """All plays, and what they came to."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.until = time.monotonic() + 60 * arguments.minutes
        self.rng = Random(arguments.seed)
        self.least = arguments.least
        self.moves_given = [Move(*each) for each in ast.literal_eval(arguments.moves)]
        kinds = tuple(Kind) if arguments.kind is None else (Kind(arguments.kind),)
        members = ORGANISATIONS if arguments.organisation is None else (arguments.organisation,)
        self.cast = itertools.cycle([(kind, member) for member in members for kind in kinds])
        self.told: Counter[tuple[str, str]] = Counter()
        self.came: Counter[str] = Counter()
        self.plays = self.moves = self.ledgers = 0
        self.found: dict[str, str] = {}
        """The first play that broke each promise."""

    @property
    def is_over(self) -> bool:
        return bool(time.monotonic() > self.until)

    def on_ledgers(self) -> None:
        """Play on one ledger after another until the time is over."""
        while not self.is_over:
            with tempfile.TemporaryDirectory() as folder, ground(Path(folder) / "n") as running:
                setting = Setting(running, Path(folder) / "plays")
                hostile = self._on(running, setting)
                self.told.update(setting.told)
                self.came.update(setting.came)
                self.ledgers += 1
                for reason in check_ledger(running, next(each for each in ORGANISATIONS if each not in hostile)):
                    self._keep("the audit is ok", f"{reason} (the hostile ones: {', '.join(sorted(hostile))})")

    def _on(self, running: Ground, setting: Setting) -> set[str]:
        """The plays of one ledger; returns which organisations were hostile: the same one in all of them."""
        kind, hostile = next(self.cast)
        for _ in range(PLAYS):
            moves = self.moves_given or random_moves(self.rng, MOVES)
            with setting.play(kind, hostile) as playing:
                for move in moves:
                    playing.make(move)
                playing.finish()
            self.plays += 1
            self.moves += len(playing.moves)
            self._look_at(setting, kind, hostile, playing)
            if self.is_over or self.moves_given:
                self.until = 0.0 if self.moves_given else self.until
                break
            kind = next(each for each, member in self.cast if member == hostile)
        return {hostile}

    def _look_at(self, setting: Setting, kind: Kind, hostile: str, playing: Play) -> None:
        for promise in dict.fromkeys(finding.promise for finding in playing.findings):
            if promise in self.found:
                continue
            if self.least:

                def still(moves: Sequence[Move], promise: str = promise) -> bool:
                    again = setting.replay(kind, hostile, moves)
                    return any(finding.promise == promise for finding in again.findings)

                if still(playing.moves):
                    playing = setting.replay(kind, hostile, least(playing.moves, still))
            self._keep(promise, playing.journal())

    def _keep(self, promise: str, text: str) -> None:
        if promise not in self.found:
            self.found[promise] = text
            print(f"FOUND {promise}\n{text}\n", flush=True)


def tell(run: Run) -> None:
    """Print the tables."""
    print(f"{run.plays} plays with {run.moves} moves on {run.ledgers} ledgers; {machine.description()}\n")
    acts = sorted({act for act, _ in run.told})
    print(f"{'what the hostile organisation did':52} {'times':>7} {'taken':>7}  refused with, or not possible because")
    for act in acts:
        answers = Counter({code: count for (name, code), count in run.told.items() if name == act})
        total = sum(answers.values())
        taken = answers.pop(TAKEN, 0) + answers.pop(HELD, 0) + answers.pop("put", 0) + answers.pop("done", 0)
        reasons = ", ".join(f"{code} {count}" for code, count in answers.most_common())
        print(f"{act:52} {total:7} {taken:7}  {reasons}")
    print("\nwhat became of it")
    for name, count in sorted(run.came.items()):
        print(f"  {name:60} {count:7}")
    print(f"\nfound: {', '.join(run.found) or 'nothing'}")


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="of playing (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all moves (default: %(default)s)")
    parser.add_argument("--organisation", choices=ORGANISATIONS, help="the hostile one; else each in turn")
    parser.add_argument("--kind", choices=[kind.value for kind in Kind], help="of task; else each in turn")
    parser.add_argument("--moves", default="[]", help="[(name, seed), ...] of one play, as it was printed")
    parser.add_argument("--least", action="store_true", help="look for the least moves that find the same")
    configure_logging(verbose=False, quiet=False)
    run = Run(parser.parse_args())
    run.on_ledgers()
    tell(run)
    sys.exit(bool(run.found))


if __name__ == "__main__":
    main()
