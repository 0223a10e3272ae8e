"""Reading task.toml: refuses what it may not say with file, table and key, and what to write instead."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedledger.errors import BadInputError
from fedledger.training.settings import (
    About,
    Aggregation,
    Data,
    Deadlines,
    Incentive,
    Kind,
    Model,
    Optimizer,
    Privacy,
    Reputation,
    Robustness,
    Table,
    TaskSettings,
    Training,
)


def parse_settings(text: bytes, path: Path) -> TaskSettings:
    """The settings in the bytes of a task.toml; ``path`` is only named in errors.

    Raises BadInputError TASK_FILE naming file, table and key, with what to write instead.
    """
    try:
        document = tomllib.loads(text.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(
            "TASK_FILE", f"{path} is not TOML: {error}.", "Mend the syntax at that place (https://toml.io)."
        ) from None
    settings = validate_settings(document, str(path))
    for name in settings.variants:
        variant_of(settings, name, str(path))
    return settings


def variant_of(settings: TaskSettings, name: str, source: str) -> TaskSettings:
    """The settings with the changes of ``[variants.NAME]``; ``source`` says in errors where they came from.

    Raises BadInputError BAD_ARGUMENTS for a name that is not there, TASK_FILE.
    """
    if name not in settings.variants:
        raise BadInputError(
            "BAD_ARGUMENTS",
            f"{source} has no variant {name!r}.",
            f"Known here: {', '.join(sorted(settings.variants)) or 'none'}.",
        )
    document = settings.model_dump(exclude_none=True)
    for table, values in settings.variants[name].items():
        document[table] |= values
    return validate_settings(document, f"{source}, variant {name}")


def validate_settings(document: dict[str, Any], source: str) -> TaskSettings:
    """The settings in a parsed document; ``source`` says in errors where it came from.

    Raises BadInputError TASK_FILE.
    """
    try:
        return TaskSettings.model_validate(document)
    except ValidationError as error:
        # Unknown keys first: a misspelt key also shows up as a missing one.
        found = sorted(error.errors(include_url=False), key=lambda entry: entry["type"] != "extra_forbidden")[0]
        raise _explained(found["type"], found["loc"], found["msg"], source) from None


def _explained(kind: str, place: tuple[int | str, ...], text: str, source: str) -> BadInputError:
    tables, key = _table_and_key(place)
    where = f"{source}, table [{'.'.join(tables)}]" if tables else source
    if kind == "extra_forbidden":
        known = sorted(_fields_of(tables))
        close = difflib.get_close_matches(key, known, n=1)
        remedy = f"Did you mean {close[0]!r}?" if close else f"Remove it; known here: {', '.join(known)}."
        return BadInputError("TASK_FILE", f"{where}: unknown key {key!r}.", remedy)
    if kind == "missing":
        what = "table" if key in TaskSettings.model_fields and not tables else "key"
        return BadInputError("TASK_FILE", f"{where}: {what} {key!r} is missing.", f"Add {key!r} there.")
    reason = text.removeprefix("Value error, ")
    subject = f"{where}: {key}: " if key else f"{where}: "
    return BadInputError("TASK_FILE", f"{subject}{reason[:1].lower()}{reason[1:]}.", "Correct the value.")


def _table_and_key(place: tuple[int | str, ...]) -> tuple[tuple[str, ...], str]:
    """Splits pydantic's location into the dotted table and the key in it; list positions join the key."""
    names = [str(part) for part in place]
    tables: list[str] = []
    while names and _fields_of((*tables, names[0])):
        tables.append(names.pop(0))
    return tuple(tables), ".".join(names)


def _fields_of(tables: tuple[str, ...]) -> tuple[str, ...]:
    """The keys that a table may have; empty when there is no such table."""
    known: dict[tuple[str, ...], type[Table]] = {
        (): TaskSettings,
        ("task",): About,
        ("data",): Data,
        ("model",): Model,
        ("training",): Training,
        ("training", "client_optimizer"): Optimizer,
        ("training", "server_optimizer"): Optimizer,
        ("aggregation",): Aggregation,
        ("privacy",): Privacy,
        ("privacy", "client_optimizer"): Optimizer,
        ("robustness",): Robustness,
        ("incentive",): Incentive,
        ("reputation",): Reputation,
        ("deadlines",): Deadlines,
    }
    if tables in known:
        return tuple(known[tables].model_fields)
    if tables == ("model", "kinds"):
        return ("kinds",)
    if tables[:2] == ("model", "kinds") and len(tables) == 3:
        return tuple(Kind.model_fields)
    return ()
