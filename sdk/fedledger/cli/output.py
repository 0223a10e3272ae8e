"""Results on stdout, everything else on stderr; one JSON document per command with ``--format json``."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from io import StringIO
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

MICRO = 1_000_000


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


messages = Console(stderr=True, highlight=False, soft_wrap=True)
"""Progress, warnings and errors."""
_ANY_WIDTH = 100_000
"""Columns of a pipe: lines in it are never wrapped."""


def show(document: Any, text: str | Table | Sequence[str | Table], output: Format) -> None:
    """Print a result: ``document`` as JSON, or ``text`` for people; in a pipe without frames, one line per row."""
    if output is Format.JSON:
        sys.stdout.write(json.dumps(document, indent=2, sort_keys=True) + "\n")
        sys.stdout.flush()
        return
    parts: Sequence[str | Table] = [text] if isinstance(text, str | Table) else text
    results = Console(highlight=False, soft_wrap=True)
    if results.is_terminal:
        for part in parts:
            results.print(part, markup=False)
        return
    for part in parts:
        sys.stdout.write(_plain(part))
    sys.stdout.flush()


def _plain(part: str | Table) -> str:
    if isinstance(part, str):
        return part + "\n"
    part.box = None
    page = Console(width=_ANY_WIDTH, no_color=True, color_system=None, force_terminal=False, file=StringIO())
    with page.capture() as captured:
        page.print(part)
    return "".join(line.rstrip() + "\n" for line in captured.get().splitlines())


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table; columns whose name begins with '>' are right-aligned."""
    drawn = Table(title=title, title_justify="left")
    for column in columns:
        drawn.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    for row in rows:
        drawn.add_row(*(Text(str(cell)) for cell in row))
    return drawn


def facts(pairs: Mapping[str, object]) -> Table:
    """Names and values, one line each."""
    drawn = Table(box=None, show_header=False, pad_edge=False)
    for name, value in pairs.items():
        drawn.add_row(Text(name, style="bold"), Text(str(value)))
    return drawn


def tokens(micro: int) -> str:
    """Micro-tokens as tokens."""
    return f"{micro / MICRO:,.2f}"


def configure_logging(*, verbose: bool, quiet: bool) -> None:
    """Log events on stderr: warnings, or everything that agents do."""
    level = logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Looked up at each line: who runs commands in its own process may have put another stderr in place since.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False),
        ],
        cache_logger_on_first_use=False,
    )
