"""Governors at work: admission, suspension, amendments, uses of models and the end of a task, from the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedledger.errors import ExitCode
from fedledger.identity.files import write_private
from fedledger.identity.keys import generate_key, private_key_pem
from tests.attacks.conftest import NAMES, ORGANISATIONS
from tests.end_to_end.commands import Played, Said, play, said

FIRST, *OTHERS = (f"{organisation}-governor" for organisation in ORGANISATIONS)


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    with play(tmp_path / "network", agreement={"purposes": ["research", "screening"], "example_step": 10}) as opened:
        yield opened


@pytest.fixture
def command(played: Played, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    return lambda profile, *arguments: said(played, capsys, profile, *arguments)


def whole_round(played: Played, *, without: tuple[str, ...] = ()) -> None:
    game = played.game
    game.open()
    for organisation in ORGANISATIONS:
        if organisation not in without:
            game.send(organisation, game.honest(organisation))
    game.work(until=("finalised",))


def test_an_amendment_from_its_proposal_to_the_round_in_which_it_counts(
    played: Played, command: Callable[..., Said]
) -> None:
    proposed = command(FIRST, "task", "amend", "heart", "--minimum-examples", "20", "--ends", "2035-01-31")
    assert "fewest examples of an update: 1 -> 20" in proposed.out
    assert "ends at the latest: no date -> 2035-01-31 00:00:00 UTC" in proposed.out
    shown = command(OTHERS[0], "task", "show", "heart")
    assert "Amendment 1, proposed by ClevelandMSP, 0 for it, 0 against it" in shown.out
    assert shown.out.index("Other than the version before:") < shown.out.index("What it means for HungaryMSP:")
    assert "fewest examples of an update: 1 -> 20" in shown.out
    spec_hash = played.game.ledger(ORGANISATIONS[0], "governor").task("heart").amendments[0].spec_hash
    assert spec_hash in shown.out
    for organisation in ORGANISATIONS[:3]:
        played.game.ledger(organisation, "governor").approve_task("heart", spec_hash)
    refused = command(OTHERS[2], "task", "reject", "heart", "--reason", "We have fewer / older records.")
    assert refused.code == ExitCode.OK
    played.game.open()
    view = played.game.view()
    assert {entry.msp for entry in view.cohort.participants} == {NAMES[each] for each in ORGANISATIONS[:3]}
    document = command(FIRST, "task", "show", "heart", "--format", "json").document
    assert document["spec"]["agreement"]["minimum_examples"] == 20
    assert [each["state"] for each in document["amendments"]] == ["adopted"]
    assert "approved, but not as amended" in command(FIRST, "task", "show", "heart").out


def test_what_cannot_be_amended_says_so(command: Callable[..., Said]) -> None:
    fewer = command(FIRST, "task", "amend", "heart", "--rounds", "1")
    assert fewer.code == ExitCode.FAILED and "NOT_AMENDABLE" in fewer.err
    nothing = command(FIRST, "task", "amend", "heart")
    assert nothing.code == ExitCode.FAILED and "NO_CHANGE" in nothing.err
    nonsense = command(FIRST, "task", "amend", "heart", "--allow", "Not A Name")
    assert nonsense.code == ExitCode.BAD_ARGUMENTS and "BAD_AMENDMENT" in nonsense.err


def test_devices_are_admitted_by_their_keys_in_one_transaction(
    played: Played, command: Callable[..., Said], tmp_path: Path
) -> None:
    requests = []
    for number in range(3):
        key = tmp_path / f"device-{number}.pem"
        write_private(key, private_key_pem(generate_key()))
        requests.append(str(tmp_path / f"device-{number}.json"))
        asked = command(FIRST, "participant", "request", "heart", requests[-1], "--key", str(key), "--format", "json")
        assert asked.code == ExitCode.OK
    admitted = command(FIRST, "participant", "admit", *requests, "--format", "json").document
    assert len({member["participant"] for member in admitted}) == 3
    played.game.open()
    assert len(played.game.view().cohort.participants) == 7
    Path(requests[0]).write_text("nonsense")
    damaged = command(FIRST, "participant", "admit", requests[0])
    assert damaged.code == ExitCode.BAD_ARGUMENTS and "BAD_REQUEST" in damaged.err
    foreign = command(OTHERS[0], "participant", "admit", requests[1])
    assert foreign.code == ExitCode.FAILED and "WRONG_CONTEXT" in foreign.err


def test_a_participant_is_suspended_and_reinstated_with_reasons(played: Played, command: Callable[..., Said]) -> None:
    pseudonym = played.game.pseudonym(ORGANISATIONS[0])
    told = command(FIRST, "participant", "suspend", "heart", pseudonym, "--reason", "Its key may be stolen.")
    assert "is suspended: Its key may be stolen." in told.out
    played.game.open()
    assert len(played.game.view().cohort.participants) == 3
    not_mine = command(OTHERS[0], "participant", "reinstate", "heart", pseudonym, "--reason", "We like it.")
    assert not_mine.code == ExitCode.CONNECTION and "WRONG_ORGANISATION" in not_mine.err
    beginning = command(FIRST, "participant", "reinstate", "heart", pseudonym[:10], "--reason", "It was not.")
    assert beginning.out == f"Participant {pseudonym[:16]} takes part\n"
    nobody = command(FIRST, "participant", "suspend", "heart", "xyz", "--reason", "Who?")
    assert nobody.code == ExitCode.BAD_ARGUMENTS and "BAD_PSEUDONYM" in nobody.err


def test_the_others_suspend_an_organisation_by_vote(played: Played, command: Callable[..., Said]) -> None:
    accused = NAMES[ORGANISATIONS[3]]
    vote = ("task", "suspend", "heart", accused, "--reason", "It sells the model.")
    for governor in (FIRST, OTHERS[0]):
        assert "takes part" in command(governor, *vote).out
    assert "is suspended" in command(OTHERS[1], *vote).out
    assert "(suspended by vote)" in command(FIRST, "task", "show", "heart").out
    silenced = command(OTHERS[2], "model", "deprecate", "heart", "0", "--reason", "Nobody shall have it.")
    assert silenced.code == ExitCode.CONNECTION and "ORGANISATION_SUSPENDED" in silenced.err
    asked = command(OTHERS[2], "task", "stop", "heart", "--reason", "Then let us end it.")
    assert asked.code == ExitCode.OK
    whole_round(played, without=(ORGANISATIONS[3],))
    told = command(FIRST, "task", "reinstate", "heart", accused, "--reason", "It has stopped.")
    assert f"{accused} takes part" in told.out


def test_uses_of_a_model_are_told_and_others_refused(command: Callable[..., Said]) -> None:
    told = command("hungary-participant", "model", "use", "heart", "0", "--for", "screening")
    assert told.out == "HungaryMSP uses version 0 of heart for screening.\n"
    refused = command("hungary-participant", "model", "use", "heart", "0", "--for", "marketing")
    assert refused.code == ExitCode.CONNECTION and "They allow: research, screening." in refused.err
    (use,) = command(FIRST, "model", "uses", "heart", "--format", "json").document
    assert (use["msp"], use["version"], use["purpose"]) == ("HungaryMSP", 0, "screening")


def test_a_task_that_can_go_on_is_stopped_by_vote_and_not_concluded(command: Callable[..., Said]) -> None:
    early = command(FIRST, "task", "conclude", "heart")
    assert early.code == ExitCode.FAILED and "NOT_OVER" in early.err
    for governor in (FIRST, *OTHERS[:2]):
        told = command(governor, "task", "stop", "heart", "--reason", "The model is good enough.")
    assert "task heart is stopped" in told.out
    assert "stopped: The model is good enough." in command(FIRST, "task", "show", "heart").out
