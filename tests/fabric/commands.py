"""Commands as they are typed, run in this process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from fedledger.cli.main import app


def fedledger(*words: str | Path) -> Any:
    """What the command prints as JSON; raises what it refuses with."""
    result = CliRunner().invoke(app, [*map(str, words), "--format", "json"])
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout)


def at_once(commands: Iterable[Sequence[str | Path]]) -> None:
    """Run commands beside each other; what they print is not looked at."""
    lines = [[*map(str, words), "--format", "json"] for words in commands]
    with ThreadPoolExecutor(len(lines)) as pool:
        list(pool.map(lambda words: get_command(app).main(words, standalone_mode=False), lines))
