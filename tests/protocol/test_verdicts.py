"""The ledger decides each named attack as its vector says, and anything at all as a search over polynomials does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedledger_chaincode.messages.round import DealingOpening, NormOpening, Opening
from fedledger_chaincode.rules.verdicts import Decision, decide
from tests.reference.make_verdicts import VERDICTS, Q, Values, at, decision, through, verdicts, written

CASES = json.loads(VERDICTS.read_text())["cases"]


def opening(said: dict[str, Any] | None) -> Opening | None:
    if said is None:
        return None
    shape = DealingOpening if "combination" in said else NormOpening
    return shape.model_validate_json(json.dumps(said))


def told(found: Decision) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "consistent": sorted(found.consistent),
        "accused": list(found.accused),
        "liars": list(found.liars),
        "inner_product": found.inner_product,
    }


def test_the_file_is_what_the_reference_computes() -> None:
    assert verdicts() == json.loads(VERDICTS.read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_decision_on_a_named_attack(case: dict[str, Any]) -> None:
    openings = {int(validator): opening(said) for validator, said in case["openings"].items()}
    assert told(decide(openings, case["n"], case["t"], frozenset(case["with_products"]))) == case["decision"]


@st.composite
def attested(draw: st.DrawFn) -> tuple[dict[int, Values | None], int, int, frozenset[int]]:
    """Values on two polynomials that share a point, and others, however mixed."""
    n, t = draw(st.sampled_from([(4, 1), (5, 1), (7, 2)]))
    parts = draw(st.sampled_from([("z0", "z1", "p0", "p1", "c"), ("s0", "s1")]))
    slopes = [draw(st.integers(0, 3)) for _ in range(t)]
    secrets = {"z0": 1, "z1": 2, "p0": Q - 3, "p1": draw(st.sampled_from([4, 4, 5])), "c": 6, "s0": 7, "s1": 8}
    polynomials = {part: [secrets[part], *slopes] for part in parts}
    shared = draw(st.integers(1, n))
    openings: dict[int, Values | None] = {}
    for j in range(1, n + 1):
        if draw(st.integers(0, 9)) == 0:
            continue
        if draw(st.integers(0, 9)) == 0:
            openings[j] = None
            continue
        values = {part: at(polynomials[part], j) for part in parts}
        for part in parts:
            change = draw(st.integers(0, 12))
            if change == 0:
                values[part] = draw(st.integers(0, Q - 1))
            elif change == 1:
                values[part] = through({0: 9, shared: at(polynomials[part], shared)}, j)
        openings[j] = values
    users = draw(st.frozensets(st.integers(1, n)) | st.just(frozenset(range(1, n + 1))))
    return openings, n, t, users & frozenset(openings)


@settings(max_examples=300)
@given(attested())
def test_the_decision_on_anything(case: tuple[dict[int, Values | None], int, int, frozenset[int]]) -> None:
    openings, n, t, users = case
    said = {j: opening(written(values)) for j, values in openings.items()}
    verdict, consistent, accused, liars, inner_product = decision(openings, n, t, users)
    assert told(decide(said, n, t, users)) == {
        "verdict": verdict,
        "consistent": sorted(consistent),
        "accused": sorted(accused),
        "liars": sorted(liars),
        "inner_product": inner_product,
    }
