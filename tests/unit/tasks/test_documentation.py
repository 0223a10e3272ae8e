"""docs/tasks.md: its smallest task runs as printed, and its table of keys is the one that is checked."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from fedledger.training import settings

PAGE = Path(__file__).parents[3] / "docs" / "tasks.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_smallest_task_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, model, session = blocks("python")
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "data.py").write_text(data)
    (folder / "model.py").write_text(model)
    (folder / "task.toml").write_text(blocks("toml")[0])
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(session, str(PAGE), "exec"), {})
    accuracy = [float(figure) for figure in re.findall(r"accuracy=([\d.]+)", printed.getvalue())]
    # Ten classes: a guess is right once in ten.
    assert len(accuracy) == 3
    assert min(accuracy) > 0.4


def test_every_key_of_task_toml_is_explained_and_no_other() -> None:
    table = PAGE.read_text().split("## task.toml")[1].split("## Training")[0]
    explained = set()
    for line in table.splitlines():
        if line.startswith("| `"):
            explained |= set(re.findall(r"`([\w.]+)`", line.split("|")[1]))
    fields = settings.TaskSettings.model_fields.items()
    tables = {name: field.annotation for name, field in fields if name not in ("model", "own_privacy", "variants")}
    known = {key for kind in tables.values() if kind is not None for key in kind.model_fields}
    assert explained == known | {"kind", "kinds.KIND.tensors", "MSP.KEY", "NAME.TABLE"}


def test_every_table_of_task_toml_has_its_heading() -> None:
    text = PAGE.read_text()
    assert re.findall(r"^\| \*\*\[(\w+)\]\*\*", text, re.MULTILINE) == list(settings.TaskSettings.model_fields)
