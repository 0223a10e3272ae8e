"""Results on stdout, everything else on stderr; one JSON document per command with ``--format json``."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

MICRO = 1_000_000


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


messages = Console(stderr=True, highlight=False, soft_wrap=True)
"""Progress, warnings and errors."""
_results = Console(highlight=False, soft_wrap=True)


def show(document: Any, text: str | Table | Sequence[str | Table], output: Format) -> None:
    """Print a result: ``document`` as JSON, or ``text`` for people."""
    if output is Format.JSON:
        sys.stdout.write(json.dumps(document, indent=2, sort_keys=True) + "\n")
        sys.stdout.flush()
        return
    for part in [text] if isinstance(text, str | Table) else text:
        _results.print(part)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table; columns whose name begins with '>' are right-aligned."""
    drawn = Table(title=title, title_justify="left")
    for column in columns:
        drawn.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    for row in rows:
        drawn.add_row(*(str(cell) for cell in row))
    return drawn


def facts(pairs: Mapping[str, object]) -> Table:
    """Names and values, one line each."""
    drawn = Table(box=None, show_header=False, pad_edge=False)
    for name, value in pairs.items():
        drawn.add_row(f"[bold]{name}[/bold]", str(value))
    return drawn


def tokens(micro: int) -> str:
    """Micro-tokens as tokens."""
    return f"{micro / MICRO:,.2f}"


def configure_logging(*, verbose: bool, quiet: bool) -> None:
    """Log events on stderr: warnings, or everything that agents do."""
    level = logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False),
        ],
        cache_logger_on_first_use=False,
    )
