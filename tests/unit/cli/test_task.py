"""``fedledger task propose`` says who validates."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from fedledger.cli.main import app
from fedledger.errors import BadInputError

ORGANISATIONS = ("AMSP", "BMSP", "CMSP", "DMSP", "EMSP")


@pytest.mark.parametrize(
    ("validators", "refusal"),
    [
        (("AMSP", "BMSP", "CMSP", "XMSP"), r"\['XMSP'\] are not among the organisations"),
        (("AMSP", "BMSP", "CMSP", "EMSP"), "PROFILE_MISSING"),
    ],
)
def test_validators_are_those_that_are_named(validators: tuple[str, ...], refusal: str) -> None:
    words = ["task", "propose", "heart-disease", "--profile", "nobody", "--config", "nowhere.toml"]
    words += [word for name in ORGANISATIONS for word in ("--organisation", name)]
    words += [word for name in validators for word in ("--validator", name)]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, BadInputError)
    with pytest.raises(BadInputError, match=refusal):
        raise result.exception
