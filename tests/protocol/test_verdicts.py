"""The ledger decides each named attack as its vector says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedledger_chaincode.messages.round import Opening
from fedledger_chaincode.rules.verdicts import decide
from tests.reference.make_verdicts import VERDICTS, verdicts

CASES = json.loads(VERDICTS.read_text())["cases"]


def test_the_file_is_what_the_reference_computes() -> None:
    assert verdicts() == json.loads(VERDICTS.read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_decision_on_a_named_attack(case: dict[str, Any]) -> None:
    openings = {
        int(validator): None if said is None else Opening.model_validate_json(json.dumps(said))
        for validator, said in case["openings"].items()
    }
    decision = decide(openings, case["n"], case["t"], frozenset(case["convicted"]))
    assert {
        "verdict": decision.verdict,
        "inner_product": decision.inner_product,
        "accused": list(decision.accused),
        "liars": list(decision.liars),
    } == case["decision"]
