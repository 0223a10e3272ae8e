"""The page of the four terminals: its commands do what it says they do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from .terminals import Terminal, blocks

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "four-terminals.md"
pytestmark = pytest.mark.timeout(900)
SITES = ("cleveland", "hungary", "long_beach_va", "switzerland")


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> list[tuple[str, str]]:
    """What each block of the page printed, in the page's order."""
    folder = tmp_path_factory.mktemp("hospitals")
    terminals = {name: Terminal(folder) for name in (*SITES, "server")}
    seen: list[tuple[str, str]] = []
    try:
        for block in blocks(PAGE.read_text()):
            where = SITES if block.where == "all" else (block.where,)
            for name in where:
                terminals[name].type(block.commands)
            until = "Ctrl-C ends it" if block.where == "server" else "end-of-block"
            seen.append((block.commands, "".join(terminals[name].output(until) for name in where)))
    finally:
        for terminal in terminals.values():
            terminal.close()
        stop(folder)
    return seen


def stop(folder: Path) -> None:
    """End the node when the page did not get as far as ending it."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(json.loads((folder / "consortium" / "node.json").read_bytes())["pid"], signal.SIGTERM)


def output(printed: list[tuple[str, str]], command: str) -> str:
    found = [text for commands, text in printed if command in commands]
    assert found, f"the page has no {command}"
    return found[-1]


def test_every_command_of_the_page_succeeds(printed):
    assert len(printed) == len(list(blocks(PAGE.read_text())))


def test_all_four_approve_and_the_task_is_active(printed):
    assert output(printed, "task approve").count("is active") >= 2


def test_all_four_contribute_to_both_rounds(printed):
    text = output(printed, "participant run")
    for number in (1, 2):
        assert text.count(f"Round {number}: update on the ledger") == 4
    assert text.count("Task heart-disease is completed.") == 8, (
        "four participants and four validators end by themselves"
    )


def test_the_model_is_pulled_and_its_digest_is_the_ledgers(printed):
    assert "its digest is the ledger's" in output(printed, "model pull")


def test_the_audit_of_the_running_ledger_and_of_the_exported_file_agree(printed):
    text = output(printed, "audit export")
    assert text.count("is as it should be") == 2
    assert "FAILED" not in text


def test_a_ward_enrols_at_the_ca_and_reads_the_ledger(printed):
    text = output(printed, "identity enroll")
    assert "CN=ward-7" in text
    assert "completed" in text
    assert "Revoked 2 certificates" in output(printed, "identity revoke")
    refused = output(printed, "network revocations")
    assert "is revoked" in refused
    assert "exit code 2" in refused
