"""The price of privacy from the command line: before approval, on the ledger, and beside an attack on the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from fedledger.cli.main import run
from fedledger.cli.report import allowed
from fedledger.errors import ExitCode
from fedledger_chaincode.messages.records import StandingRecord
from tests.end_to_end.commands import Said
from tests.end_to_end.hospitals import TASK, Hospitals, hospitals

ROUNDS = 2
GOVERNOR, PARTICIPANT = "cleveland-governor", "cleveland-participant"


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospitals]:
    with hospitals(tmp_path_factory.mktemp("hospitals"), training__rounds=str(ROUNDS)) as running:
        yield running


@pytest.fixture
def command(together: Hospitals, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def said(profile: str, *arguments: str) -> Said:
        capsys.readouterr()
        code = run([*arguments, "--config", str(together.network.profiles), "--profile", profile])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return said


@pytest.fixture(scope="module")
def understated(together: Hospitals) -> str:
    """Name of a proposed task whose schedule is two micro-epsilon below what it costs."""
    organisations = sorted(organisation.msp_id for organisation in together.organisations)
    spec = together.definition.to_spec(organisations=organisations)
    schedule = (*spec.privacy.epsilon_schedule[:-1], spec.privacy.epsilon_schedule[-1] - 2)
    privacy = spec.privacy.model_copy(update={"epsilon_schedule": schedule})
    with together.acting(GOVERNOR) as opened:
        opened.ledger.propose_task(spec.model_copy(update={"task": "cheaper", "privacy": privacy}))
    return "cheaper"


def test_a_schedule_is_shown_by_both_accountants_without_a_network(
    together: Hospitals, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["privacy", "schedule", str(together.package), "--format", "json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert [row["rounds"] for row in document["schedule"]] == [1, 2]
    for row in document["schedule"]:
        assert 0 < row["pld"] < row["rdp"]
        assert row["epsilon"] == row["pld"] and row["within_budget"]
    assert 0.5 < document["right_guesses"] < 1
    assert run(["privacy", "schedule", str(together.package)]) == ExitCode.OK
    text = capsys.readouterr().out
    assert "dp-sgd, protects each record" in text and "loss distributions" in text


def test_an_understated_schedule_is_shown_and_nobody_can_approve_it(
    together: Hospitals, command: Callable[..., Said], understated: str
) -> None:
    checked = command("hungary-governor", "privacy", "check", understated, "--format", "json")
    assert checked.code == ExitCode.BAD_ARGUMENTS and "EPSILON_UNDERSTATED" in checked.err
    assert not checked.document["covered"]
    last = checked.document["schedule"][-1]
    assert last["pld"] - last["epsilon"] == pytest.approx(2e-6, abs=1e-9)
    package = ("--package", str(together.package))
    unseen = command("hungary-governor", "task", "approve", understated, *package)
    assert unseen.code == ExitCode.BAD_ARGUMENTS and "NOT_SHOWN" in unseen.err
    assert "epsilon spent: " in command("hungary-governor", "task", "show", understated, *package).out
    refused = command("hungary-governor", "task", "approve", understated, *package)
    assert refused.code == ExitCode.BAD_ARGUMENTS and "EPSILON_UNDERSTATED" in refused.err
    with together.acting(GOVERNOR) as opened:
        consents = opened.ledger.task(understated).consents
    assert {consent.msp for consent in consents if consent.decision == "approved"} <= {"ClevelandMSP"}


def test_what_protects_less_than_the_package_is_approved_by_its_hash_alone(
    together: Hospitals, command: Callable[..., Said]
) -> None:
    package = ("--package", str(together.package))
    spec = together.definition.to_spec(organisations=sorted(each.msp_id for each in together.organisations))
    with together.acting(GOVERNOR) as opened:
        weak = spec.model_copy(
            update={"task": "weak", "deadlines": spec.deadlines.model_copy(update={"updates": 1, "disputes": 1})}
        )
        opened.ledger.propose_task(weak)
    shown = command("hungary-governor", "task", "show", "weak", *package).out
    assert "time for updates: 120 s -> 1 s" in shown
    assert shown.count("WARNING (new)") == 2
    assert shown.index("time for updates") < shown.index("WARNING") < shown.index("What it means for HungaryMSP")
    refused = command("hungary-governor", "task", "approve", "weak", *package)
    assert refused.code == ExitCode.BAD_ARGUMENTS and "WEAKENS" in refused.err and weak.sha256() in refused.err
    typed = command("hungary-governor", "task", "approve", "weak", "--hash", weak.sha256(), *package)
    assert typed.code == ExitCode.OK


def test_a_model_is_attacked_with_the_sites_own_records_beside_what_epsilon_allows(
    together: Hospitals, command: Callable[..., Said]
) -> None:
    together.agree()
    package = ("--package", str(together.package), "--data", "cleveland")
    report = command(PARTICIPANT, "report", "privacy", TASK, *package, "--format", "json")
    assert report.code == ExitCode.OK, report.err
    document = report.document
    assert (document["version"], document["unit"], document["members"], document["others"]) == (0, "record", 204, 84)
    assert [attack["attack"] for attack in document["attacks"]] == [
        "loss threshold",
        "entropy threshold",
        "logistic regression",
    ]
    # Nobody has trained yet: the initial model knows nobody, and epsilon 0 allows nothing.
    for attack in document["attacks"]:
        assert abs(attack["auc"] - 0.5) < 4 * attack["auc_standard_error"]
    assert document["privacy"]["epsilon"] == document["privacy"]["contributions"] == 0
    assert document["privacy"]["bound"]["advantage"] == 0
    text = command(PARTICIPANT, "report", "privacy", TASK, *package).out
    assert "any attack, at most" in text and "nobody has tried" in text


def test_what_is_allowed_grows_with_contributions_and_is_unbounded_without_privacy(together: Hospitals) -> None:
    organisations = sorted(organisation.msp_id for organisation in together.organisations)
    spec = together.definition.to_spec(organisations=organisations)

    def after(contributions: int) -> StandingRecord:
        epsilon = spec.privacy.epsilon_after(contributions)
        return StandingRecord(contributions=contributions, epsilon=epsilon, reputation=500_000)

    none, one, two = (allowed(spec.privacy, after(contributions)) for contributions in (0, 1, 2))
    assert none is not None and one is not None and two is not None
    assert none.advantage == 0 < one.advantage < two.advantage < 0.3
    assert 0.5 < one.auc < two.auc < 1
    public = together.definition.override(no_dp=True).to_spec(organisations=organisations)
    assert allowed(public.privacy, StandingRecord(contributions=2, epsilon=0, reputation=500_000)) is None
