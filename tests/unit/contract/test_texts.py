"""Texts that people approve: what clients send holds no hidden character, and what is on a ledger stays readable."""

from __future__ import annotations

import unicodedata

import pytest
from pydantic import TypeAdapter

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import Line, Text, Value, canonical
from fedledger_chaincode.messages.records import TaskRecord
from fedledger_chaincode.messages.round import AbortRequest
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.texts import HIDDEN, check_text
from fedledger_chaincode.messages.tokens import MintProposal
from fedledger_chaincode.messages.views import TaskSummary
from tests.unit.contract.ledger import Consortium, task_spec

HOSTILE = [
    "\x00",
    "\x07",
    "\x08",
    "\t",
    "\r",
    "\x1b[2K\x1b[1A\x1b[8m hidden: commercial use",
    "\x7f",
    "\x85",
    "\x9b2J",
    "\u00ad",
    "\u061c",
    "\u200b",
    "\u200d",
    "\u200e",
    "\u2028",
    "\u2029",
    "\u202a",
    "\u202e",
    "\u2060",
    "\u2066",
    "\u2069",
    "\ufeff",
    "\U000e0041",
]
HONEST = [
    "",
    "research only",
    "first\nsecond\n\nthird",
    "étude für Ärzte: 心臓病",
    "a [red]b[/red] & <c> \\x1b",
    "🫀 heart",
]


class Message(Value):
    text: Text = ""
    line: Line = ""


def received(**fields: str) -> bytes:
    return canonical({"text": "", "line": ""} | fields)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_message_with_a_hidden_character_is_refused_and_the_character_named(hostile: str) -> None:
    for field in ("text", "line"):
        with pytest.raises(ContractError, match=rf"Message: {field}: .*U\+{ord(hostile[0]):04X} at place 4") as refusal:
            Message.decode(received(**{field: f"what{hostile}"}))
        assert (refusal.value.status, refusal.value.code) == (400, "BAD_MESSAGE")


@pytest.mark.parametrize("honest", HONEST)
def test_a_message_without_is_taken(honest: str) -> None:
    assert Message.decode(received(text=honest)).text == honest


def test_a_line_has_no_line_feed() -> None:
    with pytest.raises(ContractError, match=r"U\+000A"):
        Message.decode(received(line="first\nsecond"))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_text_that_is_no_message_is_checked_alike(hostile: str) -> None:
    with pytest.raises(ValueError, match=r"U\+"):
        check_text(f"what{hostile}")
    with pytest.raises(ValueError, match=r"U\+000A"):
        check_text("first\nsecond", one_line=True)
    assert check_text("first\nsecond") == "first\nsecond"


def test_all_controls_and_separators_are_hidden_and_no_letter_digit_or_mark_is() -> None:
    for code in range(0x110000):
        category = unicodedata.category(chr(code))
        if category in ("Cc", "Zl", "Zp", "Cs"):
            assert HIDDEN.match(chr(code)), hex(code)
        elif category[0] in "LNMPSZ":
            assert not HIDDEN.match(chr(code)), hex(code)


@pytest.mark.parametrize(
    "message",
    [
        TaskSpec.model_construct(**(dict(task_spec()) | {"title": "T\r\nprivacy   dp-sgd"})),
        TaskSpec.model_construct(**(dict(task_spec()) | {"purpose": "research only\x1b[2K"})),
        MintProposal.model_construct(task="heart", recipient="org:AMSP", amount=1, reason="\x1b[8m"),
        AbortRequest.model_construct(task="heart", round=1, reason="\u202e"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_others_read_and_approve_is_checked(message: Value) -> None:
    with pytest.raises(ContractError, match="BAD_MESSAGE"):
        type(message).decode(message.canonical())


def test_a_task_with_a_hidden_character_cannot_be_proposed() -> None:
    consortium = Consortium.founded(task_spec(title="T\x1b[8m"))
    with pytest.raises(ContractError, match="title"):
        consortium.propose()


def test_what_is_on_a_ledger_already_can_be_read() -> None:
    spec = task_spec(title="T\x1b[8m", purpose="\u202e")
    approved = Consortium.active().view().record
    record = approved.model_copy(update={"spec": spec, "reason": "\x1b[2J"})
    assert TaskRecord.decode(record.canonical()) == record
    summary = TaskSummary(task="heart", title=spec.title, state="active", spec_hash=spec.sha256(), round=0, version=0)
    assert TaskSummary.decode(summary.canonical()).title == spec.title


def test_a_hidden_character_in_what_was_checked_elsewhere_is_not_asked_for_again() -> None:
    assert TypeAdapter(Text).validate_python("\x1b") == "\x1b"
