"""What README and the pages say exists: links, pages, commands with their options, make's targets."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from fedledger.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
_FENCE = re.compile(r"^```(?:sh|console|bash)\b[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`((?:tests|benchmarks)/[^`\s]*)`")
_INLINE = re.compile(r"`(fedledger [^`]+)`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    broken = [target for target in _LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert broken == []


def test_the_index_leads_to_every_page():
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / target).resolve() for target in _LINK.findall(index.read_text())}
    missing = [
        name_of(page)
        for page in (ROOT / "docs").rglob("*.md")
        if page != index and page.resolve() not in linked and page.parent.resolve() not in linked
    ]
    assert missing == []


def commands(text: str) -> Iterator[list[str]]:
    """The ``fedledger`` commands in shell blocks and in running text."""
    lines = [line for block in _FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *_INLINE.findall(text)]:
        for part in re.split(r"&&|;|\|", line):
            words = shlex.split(part, comments=True) if part.count("'") % 2 == 0 and part.count('"') % 2 == 0 else []
            if words[:1] == ["fedledger"]:
                yield words[1:]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_of_the_project_that_a_page_names_is_there(page):
    """Above all the tests that the threat model names for its claims."""
    missing = [name for name in _FILE.findall(page.read_text()) if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_is_named_exists_with_its_options(page):
    unknown = [" ".join(words) for words in commands(page.read_text()) if not exists(words)]
    assert unknown == []


def exists(words: list[str]) -> bool:
    """Whether a command line's subcommands and options are known; values are not looked at."""
    command = get_command(app)
    options = {name for parameter in command.params for name in parameter.opts}
    rest = [word for word in words if word not in options]
    while rest and hasattr(command, "get_command"):
        found = command.get_command(None, rest[0])
        if found is None:
            return rest[0].startswith("-") or not re.fullmatch(r"[a-z-]+", rest[0])
        command, rest = found, rest[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return all(word.split("=")[0] in known | {"--help"} for word in rest if word.startswith("--"))


def test_make_has_the_targets_that_readme_names():
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", " ".join(_FENCE.findall((ROOT / "README.md").read_text()))))
    assert {"demo", "test"} <= named <= targets


def test_an_unknown_command_would_be_noticed():
    assert exists(["demo", "--rounds", "3"])
    assert not exists(["demo", "--round", "3"])
    assert not exists(["modell", "list"])
    assert not exists(["model", "lst"])
