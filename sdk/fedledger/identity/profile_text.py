"""The text of ``fedledger.toml``: its tables, on which line something stands, and values as TOML writes them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from fedledger.errors import BadInputError


def read_text(path: Path) -> str:
    """The file's content; raises ``PROFILE_MISSING``, ``PROFILE_MALFORMED``."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise BadInputError(
            "PROFILE_MISSING",
            f"The profile file {path} cannot be read: {error.strerror}.",
            "Name it with --config, or make one with `fedledger network up`.",
        ) from error
    except UnicodeDecodeError as error:
        raise BadInputError(
            "PROFILE_MALFORMED", f"{path} is not UTF-8 at byte {error.start}.", "Save the file as UTF-8."
        ) from error


def tables_of(path: Path, text: str) -> Mapping[str, object]:
    """The profiles' tables by name; raises ``PROFILE_MALFORMED``, ``UNKNOWN_KEY``."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(
            "PROFILE_MALFORMED", f"{path} is not TOML: {error}.", "Correct the line that it names."
        ) from error
    for key in document:
        if key != "profiles":
            raise BadInputError(
                "UNKNOWN_KEY", f"{path} has an unknown table {key!r}.", "Write all profiles as [profiles.<name>]."
            )
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict):
        raise BadInputError("PROFILE_MALFORMED", f"In {path}, profiles is not a table.", "Write [profiles.<name>].")
    return profiles


def line_of(text: str, name: str, key: str | None) -> int | None:
    """Return the line of a profile's key, else of its header, counted from 1; None when written otherwise."""
    header = re.compile(rf"\s*\[\s*profiles\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]")
    entry = re.compile(rf"\s*[\"']?{re.escape(key or '')}[\"']?\s*[=.]")
    start = None
    for number, line in enumerate(text.splitlines(), 1):
        if start is None:
            start = number if header.match(line) else None
        elif line.lstrip().startswith("["):
            break
        elif key is not None and entry.match(line):
            return number
    return start


def toml_string(text: str) -> str:
    """A text as a TOML string."""
    # JSON's escapes are TOML's as well, but for the delete character, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
