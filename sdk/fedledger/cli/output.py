"""Results on stdout, everything else on stderr; one JSON document per command with ``--format json``.

Other organisations write what is printed. Text is shown as it stands, never as markup; what a terminal would obey or
not show is escaped; JSON is exact.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from io import StringIO
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedledger_chaincode.messages.texts import HIDDEN

MICRO = 1_000_000


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


messages = Console(stderr=True, highlight=False, soft_wrap=True)
"""Progress, warnings and errors; ``say`` and ``working`` write to it."""
_ANY_WIDTH = 100_000
"""Columns of a pipe: lines in it are never wrapped."""


def safe(text: object) -> str:
    """A text from elsewhere in one line, in which a terminal finds nothing to obey and a reader nothing hidden."""
    return HIDDEN.sub(_escaped, str(text))


def safe_lines(text: object) -> str:
    """The same in as many lines as the text has, with its tabs: for what this program has put together itself."""
    return HIDDEN.sub(lambda found: found[0] if found[0] in "\n\t" else _escaped(found), str(text))


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode()


def say(text: str) -> None:
    """Tell how things go, on stderr."""
    messages.print(Text(safe_lines(text)))


def complain(kind: str, text: str) -> None:
    """Tell on stderr what went wrong, whatever ``--quiet`` says."""
    was_quiet, messages.quiet = messages.quiet, False
    messages.print(Text.assemble((kind, "red"), f" {safe_lines(text)}" if text else ""))
    messages.quiet = was_quiet


@contextmanager
def working(first: str) -> Iterator[Callable[[str], None]]:
    """Show on stderr that something is under way while the context lasts, and what; a pipe sees nothing of it."""
    with messages.status(Text(safe(first))) as status:
        yield lambda text: status.update(Text(safe(text)))


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
            results.print(Text(safe_lines(part)) if isinstance(part, str) else part)
        return
    for part in parts:
        sys.stdout.write(_plain(part))
    sys.stdout.flush()


def _plain(part: str | Table) -> str:
    if isinstance(part, str):
        return safe_lines(part) + "\n"
    part.box = None
    page = Console(width=_ANY_WIDTH, no_color=True, color_system=None, force_terminal=False, file=StringIO())
    with page.capture() as captured:
        page.print(part)
    return "".join(line.rstrip() + "\n" for line in captured.get().splitlines())


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table; columns whose name begins with '>' are right-aligned."""
    drawn = Table(title=Text(safe(title), style="table.title"), title_justify="left")
    for column in columns:
        drawn.add_column(Text(column.lstrip(">")), justify="right" if column.startswith(">") else "left")
    for row in rows:
        drawn.add_row(*(Text(safe(cell)) for cell in row))
    return drawn


def facts(pairs: Mapping[str, object]) -> Table:
    """Names and values, one line each."""
    drawn = Table(box=None, show_header=False, pad_edge=False)
    for name, value in pairs.items():
        drawn.add_row(Text(safe(name), style="bold"), Text(safe(value)))
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
            _safe_fields,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False),
        ],
        cache_logger_on_first_use=False,
    )


def _safe_fields(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {name: safe_lines(value) if isinstance(value, str) else value for name, value in event.items()}
