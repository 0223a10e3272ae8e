"""Commands are loaded when they are asked for, and what the list says of each is what it says of itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fedledger.cli.commands import COMMANDS, load
from fedledger.cli.main import app, run
from fedledger.errors import ExitCode


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    command = load(name)
    assert command.name == name
    assert command.help.splitlines()[0] == COMMANDS[name][1]
    told = CliRunner().invoke(app, [name, "--help"])
    assert told.exit_code == 0 and f"Usage: fedledger {name}" in told.output


def test_all_are_listed() -> None:
    told = CliRunner().invoke(app, ["--help"])
    assert told.exit_code == 0
    assert all(name in told.output for name in COMMANDS)


def test_what_does_not_exist_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tokn"]) == ExitCode.BAD_ARGUMENTS
    assert "Did you mean 'token'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "needless"),
    [
        ("['--help']", {"grpc", "pydantic", "numpy", "cryptography"}),
        ("['identity', 'show', '--help']", {"numba", "tensorflow", "dp_accounting", "fedledger.audit"}),
        ("['token', '--help']", {"numba", "tensorflow", "dp_accounting", "fedledger_network"}),
    ],
)
def test_a_command_does_not_wait_for_what_others_need(arguments: str, needless: set[str]) -> None:
    code = f"import sys; from fedledger.cli.main import run; run({arguments}); print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not needless & set(told.stdout.splitlines()[-1].split())
