"""``fedledger network`` on the embedded engine: what cannot be changed there is refused with what to do instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedledger.cli.main import app
from fedledger.errors import BadInputError
from fedledger.identity.profile import load_profile, profile_names, update_profiles
from fedledger_network.consortium import Consortium
from fedledger_network.embedded.folder import NetworkFolder

NAMES = ("cleveland", "hungary", "long_beach", "switzerland")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> NetworkFolder:
    """A network on the embedded engine that does not run."""
    made = NetworkFolder.create(tmp_path_factory.mktemp("network"), Consortium.of_names(*NAMES))
    made.provision()
    return made


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (("add-organisation", "budapest"), "network up --consortium"),
        (("remove-organisation", "hungary"), "network up --consortium"),
        (("rotate-certificates", "hungary"), "identity reenroll"),
        (("replace", "peer.hungary"), "keep a copy"),
        (("upgrade", "2.0"), "network down"),
    ],
)
def test_changes_that_only_fabric_knows_are_refused(
    folder: NetworkFolder, words: tuple[str, ...], instead: str
) -> None:
    result = CliRunner().invoke(app, ["network", *words, "--dir", str(folder.path)])
    assert isinstance(result.exception, BadInputError)
    assert result.exception.code == "ONLY_ON_FABRIC"
    assert "embedded" in result.exception.message
    assert instead in result.exception.remedy


def test_a_folder_without_a_network_is_said_to_be_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["network", "upgrade", "--dir", str(tmp_path)])
    assert isinstance(result.exception, BadInputError)
    assert result.exception.code == "NOT_A_NETWORK"


def test_profiles_of_the_users_own_stay_when_the_network_is_brought_up_again(folder: NetworkFolder) -> None:
    participant = load_profile(folder.profiles, "hungary-participant")
    ward = replace(participant, name="ward-7")
    update_profiles(folder.profiles, [ward, replace(participant, data=Path("/srv/records.csv"))])
    folder.provision()
    assert load_profile(folder.profiles, "ward-7") == ward
    assert load_profile(folder.profiles, "hungary-participant").data == Path("/srv/records.csv")
    assert len(profile_names(folder.profiles)) == 4 * len(NAMES) + 1
