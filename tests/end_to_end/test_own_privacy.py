"""A hospital with privacy of its own, whose budget is amended after everybody has started."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from fedledger.agents.participant import Contribution
from fedledger.audit.sources import verify_network
from fedledger.cli.main import run
from fedledger.errors import ExitCode
from tests.end_to_end.hospitals import TASK, Hospitals, hospitals, run_until_the_end

CAREFUL, MSP = "hungary", "HungaryMSP"
OWN = f"""
[own_privacy.{MSP}]
noise_multiplier = 3.0
epsilon_budget = 1.0
"""
"""Costs 0.92 after one round and 1.29 after two."""


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospitals]:
    with hospitals(tmp_path_factory.mktemp("hospitals"), training__rounds="2") as running:
        path = running.package / "task.toml"
        path.write_text(path.read_text() + OWN)
        running.agree()
        yield running


def command(together: Hospitals, capsys: pytest.CaptureFixture[str], profile: str, *arguments: str) -> str:
    capsys.readouterr()
    code = run([*arguments, "--config", str(together.network.profiles), "--profile", profile])
    told = capsys.readouterr()
    assert code == ExitCode.OK, told.err
    return told.out


def test_it_spends_by_its_own_schedule_and_its_agent_follows_an_amendment(
    together: Hospitals, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = command(together, capsys, "cleveland-auditor", "task", "show", TASK)
    assert re.search(rf"^\s*privacy of {MSP}: noise over the clip norm\s+3$", shown, re.MULTILINE)
    package, data = ("--package", str(together.package)), ("--data", CAREFUL)
    contributions: list[Contribution] = []
    with together.agents() as agents:
        agents[f"{CAREFUL}-participant"].on_contribution = contributions.append  # type: ignore[union-attr]
        amend = ("task", "amend", TASK, "--own-epsilon-budget", f"{MSP}=1.5", "--format", "json")
        amendment = json.loads(command(together, capsys, f"{CAREFUL}-governor", *amend))
        for organisation in together.organisations:
            approve = ("task", "approve", TASK, "--hash", amendment["spec_hash"], *package)
            command(together, capsys, f"{organisation.name}-governor", *approve)
        run_until_the_end(agents.values())

    spent = [each.result.cumulative_epsilon_micro for each in contributions if each.result]
    with together.acting("cleveland-auditor") as opened:
        spec = opened.ledger.task(TASK).record.spec
        members = {view.member.msp: view.standing for view in opened.ledger.members(TASK)}
        report = verify_network(opened.network)
    own = spec.privacy_of(MSP)
    assert tuple(spent) == own.epsilon_schedule
    assert 1_000_000 < members[MSP].epsilon == own.epsilon_schedule[1] <= own.epsilon_budget == 1_500_000
    assert members["ClevelandMSP"].epsilon == spec.privacy.epsilon_schedule[1]
    assert report.ok and report.check("privacy spent").count == 2

    attacked = ("report", "privacy", TASK, *package, *data, "--format", "json")
    privacy = json.loads(command(together, capsys, f"{CAREFUL}-participant", *attacked))["privacy"]
    assert (privacy["contributions"], privacy["epsilon"]) == (2, own.epsilon_schedule[1] / 1e6)
    assert 0 < privacy["bound"]["advantage"] < 1
    checked = json.loads(command(together, capsys, "cleveland-auditor", "privacy", "check", TASK, "--format", "json"))
    assert checked["covered"] and checked["own_privacy"][MSP]["covered"]
    schedule = ("privacy", "schedule", str(together.package), "--organisation", MSP, "--format", "json")
    assert run([*schedule]) == ExitCode.OK
    rows = json.loads(capsys.readouterr().out)["schedule"]
    assert [round(row["epsilon"] * 1e6) for row in rows] == list(own.epsilon_schedule)
