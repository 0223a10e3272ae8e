"""What each service answers to right and wrong calls: on either engine what Fabric answers, but for what is listed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.embedded.clients import NAMES
from tests.scenarios.calls import Caller, calls, told
from tests.scenarios.engines import Engine
from tests.scenarios.members import certified

CONTRACT = "tests.embedded.shelf:Shelf"
FILE = Path(__file__).parent / "vectors" / "answers.json"
REWRITE = "FEDLEDGER_WRITE_VECTORS"
"""Set in the environment, what Fabric answers becomes the vectors."""
CALLS = calls()
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "embedded-node.md"
REASONS = "reasons for a refused identity"


def kept() -> dict[str, dict[str, str]]:
    """By call: what Fabric answers; where the embedded node answers something else, that and its row on the page."""
    return dict(json.loads(FILE.read_text())["answers"]) if FILE.exists() else {}


KEPT = kept()


@pytest.fixture(scope="module")
def caller(engine: Engine) -> Iterator[Caller]:
    with ExitStack() as opened:
        member = opened.enter_context(engine.member(NAMES[0]))
        expired = opened.enter_context(certified(engine, expired=True))
        orderer = opened.enter_context(engine.orderer(NAMES[0]))
        yield Caller(member, orderer, expired)


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, str]]:
    found: dict[str, str] = {}
    yield found
    if REWRITE in os.environ and len(found) == len(CALLS):
        document = {
            "fabric": "3.1.5",
            "how": "each call made at a network of four organisations with SmartBFT; see tests/scenarios/calls.py",
            "answers": {name: {**KEPT.get(name, {}), "fabric": answer} for name, answer in found.items()},
        }
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_answered_as_fabric_answers_it(
    engine: Engine, caller: Caller, answers: dict[str, str], name: str
) -> None:
    answer = told(lambda: CALLS[name](caller))
    if engine.name == "fabric":
        answers[name] = answer
        if REWRITE in os.environ:
            return
    expected = KEPT[name]
    assert answer == engine.expects(embedded=expected.get("embedded", expected["fabric"]), fabric=expected["fabric"])


def test_there_are_many_calls() -> None:
    assert len(CALLS) >= 240
    assert set(KEPT) == set(CALLS)


def test_what_is_answered_otherwise_stands_on_the_page() -> None:
    rows = {line.split("|")[1].strip() for line in PAGE.read_text().splitlines() if line.startswith("| ")}
    otherwise = {name: answers for name, answers in KEPT.items() if "embedded" in answers}
    assert {answers["why"] for answers in otherwise.values()} <= rows
    # Of these nothing differs but that the reason is told behind Fabric's own words.
    reasons = [answers for answers in otherwise.values() if answers["why"] == REASONS]
    assert all(answers["embedded"].startswith(answers["fabric"].split(" | ")[0]) for answers in reasons)
    assert len(otherwise) - len(reasons) <= 10
