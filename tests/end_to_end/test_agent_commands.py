"""``fedledger validator run`` and ``participant run`` as people type them: one at a time, and to the task's end."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedledger.agents.steps import Step
from fedledger.cli import participant, validator
from fedledger.cli.main import run

from .hospitals import TASK, Hospitals, hospitals

SITE = "cleveland"


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Hospitals]:
    with hospitals(tmp_path, training__rounds="1", robustness__trust_weighting='"reference-data"') as together:
        together.agree()
        yield together


def said(together: Hospitals, role: str, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    capsys.readouterr()
    arguments = [role, "run", TASK, "--package", str(together.package), "--format", "json"]
    arguments += ["--config", str(together.network.profiles), "--profile", f"{SITE}-{role}", *options]
    code = run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_agents_of_a_task_with_reference_data_run_alone_and_to_its_end(
    together: Hospitals, capsys: pytest.CaptureFixture[str]
) -> None:
    with validator.held(together.profile(f"{SITE}-validator"), TASK):
        code, _, told = said(together, "validator", capsys)
    assert code == 1
    assert "AGENT_RUNS" in told and str(os.getpid()) in told and TASK in told
    with together.acting(f"{SITE}-participant") as opened:
        agent = participant.build(opened, TASK, str(together.package), SITE)
        with agent.journal.held(TASK):
            code, _, told = said(together, "participant", capsys, "--data", SITE)
    assert code == 1
    assert "AGENT_RUNS" in told and str(os.getpid()) in told

    stop = threading.Event()
    with together.agents() as agents, together.acting(f"{SITE}-auditor") as watching:
        others = [agent for name, agent in agents.items() if name != f"{SITE}-validator"]
        working = [threading.Thread(target=agent.run, args=(stop,), daemon=True) for agent in others]

        def follow() -> None:
            """The others begin when the command has opened the round, so that a reference is its own to give."""
            for event in watching.ledger.decoded_events(start_block=0):
                if event.name == "RoundOpened":
                    break
            for thread in working:
                thread.start()

        following = threading.Thread(target=follow, daemon=True)
        following.start()
        code, out, told = said(together, "validator", capsys, "--patience", "0.01")
        stop.set()
        for thread in (following, *working):
            thread.join(60)
    assert code == 0, told
    document = json.loads(out)
    assert document["state"] == "completed"
    taken = {step["step"] for step in document["steps"]}
    assert {"open", "commit-reference", "reveal-reference", "attest", "share", "report"} <= taken
    assert all(f"Round 1: {Step(step).words}." in told for step in taken)
