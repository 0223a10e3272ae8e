"""Commands as one of four organisations' members, on an embedded ledger with a task that needs no training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedledger.cli.main import run
from fedledger.identity.profile import FILE_NAME
from tests.attacks.conftest import ORGANISATIONS, Game, begin, everybody, training_free_spec


@dataclass(frozen=True)
class Played:
    """A task that runs, and the file with everybody's profiles."""

    game: Game
    profiles: Path


@contextmanager
def play(folder: Path, **changes: Any) -> Iterator[Played]:
    """A task that all four have approved and joined; ``changes`` are those of its specification."""
    with everybody(folder, *ORGANISATIONS) as members:
        yield Played(begin(members, training_free_spec(**changes)), folder / FILE_NAME)


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def said(played: Played, capsys: pytest.CaptureFixture[str], profile: str, *arguments: str) -> Said:
    """Run a command as a profile."""
    capsys.readouterr()
    code = run([*arguments, "--config", str(played.profiles), "--profile", profile])
    captured = capsys.readouterr()
    return Said(code, captured.out, captured.err)
