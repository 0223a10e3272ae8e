"""fedledger doctor on profiles: every gateway is asked for itself, and what is wrong has its mending beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedledger.cli.main import run
from fedledger.errors import ExitCode
from fedledger.identity.profile import FILE_NAME
from tests.attacks.conftest import everybody
from tests.embedded.clients import NAMES

WHO = f"{NAMES[0]}-auditor"


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("doctor")
    with everybody(folder, *NAMES):
        yield folder / FILE_NAME


@pytest.fixture
def findings(profiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """What is found of the profile with a line of its table replaced, by what was looked at."""

    def look(before: str, after: str) -> dict[str, Any]:
        text = profiles.read_text()
        start = text.index(f"[profiles.{WHO}]")
        assert before in text[start:]
        # Paths of profiles are relative to their file.
        changed = profiles.with_name(f"{tmp_path.name}.toml")
        changed.write_text(text[:start] + text[start:].replace(before, after, 1))
        capsys.readouterr()
        run(["doctor", "--config", str(changed), "--profile", WHO, "--format", "json"])
        return {each["what"]: each for each in json.loads(capsys.readouterr().out)["findings"]}

    return look


def test_each_further_gateway_is_asked_for_itself(findings: Callable[..., dict[str, Any]]) -> None:
    line = f"[profiles.{WHO}]"
    found = findings(line, f'{line}\nfurther_gateways = [{{ gateway = "127.0.0.1:9", tls_roots = "nothing.pem" }}]')
    assert found[f"{WHO}: gateway"]["ok"] and "answers in" in found[f"{WHO}: gateway"]["found"]
    assert not found[f"{WHO}: further gateway"]["ok"] and found[f"{WHO}: further gateway"]["mend"]
    assert found[f"{WHO}: certificate"]["ok"] and found[f"{WHO}: store"]["ok"]


def test_a_profile_that_cannot_be_used_is_named_with_what_to_do(
    findings: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = findings("certificate = ", "certificat = ")
    assert not found[WHO]["ok"] and found[WHO]["mend"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["doctor", "--config", str(tmp_path / "no.toml"), "--profile", "me", "--format", "json"])
    assert code == ExitCode.FAILED
    document = json.loads(capsys.readouterr().out)
    assert not document["ok"]
    assert f"no {tmp_path / 'no.toml'}" in [each["found"] for each in document["findings"]]
