"""Operators of many pumps each: every device is protected, from its update to the report on the model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedledger.audit.sources import verify_network
from fedledger.cli.main import run
from fedledger.errors import ExitCode
from fedledger.training import load_task
from tests.end_to_end.hospitals import hospitals, run_until_the_end

TASK = "bearing-wear"


def test_a_round_of_devices_is_counted_charged_audited_and_attacked_by_devices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = load_task(TASK).sites
    with hospitals(tmp_path, TASK, names, training__rounds="1") as together:
        together.agree()
        with together.agents() as agents:
            run_until_the_end(agents.values())
        with together.acting("harbour-auditor") as opened:
            view = opened.ledger.round(TASK, 1)
            members = opened.ledger.members(TASK)
            spec = opened.ledger.task(TASK).record.spec
            report = verify_network(opened.network)
        assert report.ok
        told = {update.signed.manifest.num_examples for update in view.updates}
        assert told == {len({*together.definition.load_data(name).train.devices}) for name in names}
        assert {update.signed.manifest.privacy.mechanism for update in view.updates} == {"dp-fedavg"}
        assert {member.standing.epsilon for member in members} == {spec.privacy.epsilon_schedule[0]}

        capsys.readouterr()
        place = ["--config", str(together.network.profiles), "--profile", "harbour-participant"]
        attack = ["report", "privacy", TASK, "--package", str(together.package), "--data", "harbour"]
        assert run([*attack, *place, "--format", "json"]) == ExitCode.OK
        document = json.loads(capsys.readouterr().out)
        assert (document["unit"], document["version"], document["privacy"]["contributions"]) == ("device", 1, 1)
        assert document["privacy"]["epsilon"] == spec.privacy.epsilon_schedule[0] / 1e6
