"""``fedledger.connect``: the ledger as Python values and pandas tables."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import fedledger
from fedledger.errors import BadInputError
from fedledger.ledger import LedgerRefusal
from tests.attacks.conftest import NAMES, ORGANISATIONS
from tests.end_to_end.commands import Played, play


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with play(tmp_path_factory.mktemp("notebook")) as opened:
        game = opened.game
        game.open()
        for organisation in ORGANISATIONS:
            game.send(organisation, game.honest(organisation))
        game.work(until=("finalised",))
        yield opened


@pytest.fixture
def channel(played: Played) -> Iterator[fedledger.notebook.Channel]:
    with fedledger.connect("hungary-auditor", played.profiles) as opened:
        yield opened


def test_tasks_and_their_records_become_tables(channel: fedledger.notebook.Channel) -> None:
    assert list(channel.tasks().to_pandas()["task"]) == ["heart"]
    heart = channel.task("heart")
    assert heart.agreement == heart.view().record.spec
    members = heart.members().to_pandas().set_index("member.msp")
    assert set(members.index) == set(NAMES.values())
    assert (members["standing.contributions"] == 1).all()
    settled = heart.settled(1).to_pandas()
    assert list(settled["verdict"]) == ["accepted"] * 4
    assert list(heart.models().to_pandas()["version"]) == [0, 1]
    assert {account.account for account in heart.wallet()} >= {"org:HungaryMSP", "pool:heart"}
    assert heart.uses().to_pandas().empty and heart.evaluations(1).to_pandas().empty


def test_a_reputation_is_explained(channel: fedledger.notebook.Channel) -> None:
    heart = channel.task("heart")
    for view in heart.members():
        explanation = heart.reputation(view.member.participant)
        assert explanation.differences == ()
        assert [each.after for each in explanation.rounds] == [view.standing.reputation]
    assert heart.mints().to_pandas().empty


def test_weights_of_any_version_are_those_of_the_ledger(channel: fedledger.notebook.Channel) -> None:
    heart = channel.task("heart")
    assert all(not array.any() for array in heart.weights(0))
    newest = heart.weights()
    assert [array.shape for array in newest] == [(3, 1), (1,)]
    assert np.linalg.norm(np.concatenate([array.ravel() for array in newest])) > 0


def test_the_audit_is_a_report(channel: fedledger.notebook.Channel) -> None:
    report = channel.audit()
    assert report.ok
    with pytest.raises(BadInputError) as another:
        channel.audit(genesis="0" * 64)
    assert another.value.code == "OTHER_GENESIS"


def test_what_is_not_there_is_named(channel: fedledger.notebook.Channel, played: Played) -> None:
    with pytest.raises(LedgerRefusal, match="nowhere"):
        channel.task("nowhere").members()
    with pytest.raises(BadInputError, match="nobody"):
        fedledger.connect("nobody", played.profiles)
