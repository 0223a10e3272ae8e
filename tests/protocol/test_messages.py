"""Every message that the contract takes: one encoding each, and nothing else is taken."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fedledger.secure_aggregation import Parameters
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages import round, task, tokens
from fedledger_chaincode.messages.base import Value
from fedledger_chaincode.messages.round import (
    AbortRequest,
    Admission,
    AggregateShare,
    Attestation,
    DealingOpening,
    DealingVote,
    DealingVotes,
    DisclosedShare,
    Disclosure,
    EvaluationReport,
    JoinRequest,
    LateClaim,
    Manifest,
    ModelReport,
    NormOpening,
    ReferenceCommitment,
    RevealedReference,
    SignedAdmission,
    SignedManifest,
    UpdateFinding,
    ValidatorRegistration,
)
from fedledger_chaincode.messages.tokens import MintProposal
from fedledger_chaincode.rules.field import MODULUS
from tests.protocol.parties import Validators, context_of, manifest_of
from tests.unit.contract.ledger import task_spec

ELEMENT = f"{5:016x}"
OPENING = NormOpening(z=(ELEMENT, ELEMENT), p=(ELEMENT, ELEMENT), inner_product=ELEMENT)
VOTE = DealingVote(participant=f"{1:064x}", validator="AMSP", vote="denies")
SHOWN = DisclosedShare(participant=f"{1:064x}", digest="ab" * 32, size=32)


def manifest_with_proof() -> Manifest:
    validators, context = Validators.of(Parameters(4, 1, 3, 1000, proof="norm")), context_of()
    return manifest_of(validators.prepare(np.array([1, 2, 3]), context), context)


MANIFEST = manifest_with_proof()
ADMISSION = Admission(channel="fedledger", task="heart-disease", msp="AMSP", public_key="30")
MESSAGES: list[Value] = [
    MANIFEST,
    SignedManifest(manifest=MANIFEST, signature="AAAA"),
    Attestation(
        task="heart-disease",
        round=1,
        findings=(
            UpdateFinding(participant=f"{1:064x}", readable=True, opening=OPENING),
            UpdateFinding(participant=f"{2:064x}", readable=False, reason="LEAF_MISMATCH"),
            UpdateFinding(
                participant=f"{3:064x}", readable=True, opening=DealingOpening(combination=(ELEMENT, ELEMENT))
            ),
        ),
    ),
    AggregateShare(task="heart-disease", round=1, digest="ab" * 32, size=80),
    task_spec(robustness={"trust_weighting": "last-step"}, aggregation={"proof": "norm"}),
    JoinRequest(task="heart-disease"),
    ADMISSION,
    SignedAdmission(admission=ADMISSION, signature="AAAA"),
    ValidatorRegistration(task="heart-disease", sealing_key="0b" * 32, store="file:///store"),
    ReferenceCommitment(task="heart-disease", round=1, commitment="ab" * 32),
    RevealedReference(task="heart-disease", round=1, salt="0c" * 16, digest="ab" * 32, size=32),
    LateClaim(task="heart-disease", round=1, phase="attestations"),
    Disclosure(task="heart-disease", round=1, shares=(SHOWN,)),
    DealingVotes(task="heart-disease", round=1, votes=(VOTE, VOTE.model_copy(update={"validator": "BMSP"}))),
    ModelReport(
        task="heart-disease",
        round=1,
        aggregate_digest="ab" * 32,
        model_digest="cd" * 32,
        model_size=100,
        liars=("AMSP",),
    ),
    EvaluationReport(task="heart-disease", version=1, examples=10, auc=None, accuracy=900_000, loss=1),
    AbortRequest(task="heart-disease", round=1, reason="It is stuck."),
    MintProposal(task="heart-disease", recipient="org:AMSP", amount=5, reason="more work"),
]


def test_every_message_that_the_contract_takes_is_here() -> None:
    kinds = {kind for module in (round, task, tokens) for kind in vars(module).values() if isinstance(kind, type)}
    received = {kind for kind in kinds if issubclass(kind, Value) and "schema_" in kind.model_fields}
    assert {type(message) for message in MESSAGES} == received


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_decoded_from_its_own_encoding(message: Value) -> None:
    assert type(message).decode(message.canonical()) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
@given(data=st.data())
@settings(max_examples=150)
def test_altered_bytes_are_refused_or_are_another_message(message: Value, data: st.DataObject) -> None:
    received = bytearray(message.canonical())
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(received) - 1))
        width = data.draw(st.integers(0, 3))
        received[position : position + width] = data.draw(st.binary(max_size=4))
    if bytes(received) != message.canonical():
        expect_refusal_or_other(type(message), bytes(received), message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
@given(data=st.data())
@settings(max_examples=100)
def test_any_value_in_any_field_is_refused_or_is_another_message(message: Value, data: st.DataObject) -> None:
    document = json.loads(message.canonical())
    holder: Any = document
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = data.draw(st.sampled_from(keys))
        if not holder[key] or not isinstance(holder[key], dict | list) or data.draw(st.booleans()):
            break
        holder = holder[key]
    holder[key] = data.draw(json_values)
    received = json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    encoded = received.encode("utf-8", "surrogatepass")
    if encoded != message.canonical():
        expect_refusal_or_other(type(message), encoded, message)


@given(st.binary(max_size=100))
def test_other_bytes_are_no_message(received: bytes) -> None:
    for message in MESSAGES:
        with pytest.raises(ContractError, match="BAD_MESSAGE"):
            type(message).decode(received)


def expect_refusal_or_other(kind: type[Value], received: bytes, original: Value) -> None:
    """The decoder raises its one error, or the bytes are the only encoding of some other message."""
    try:
        decoded = kind.decode(received)
    except ContractError as error:
        assert (error.status, error.code in ("BAD_MESSAGE", "NOT_CANONICAL")) == (400, True)
    else:
        assert decoded != original
        assert decoded.canonical() == received


@pytest.mark.parametrize("value", [MODULUS, (1 << 64) - 1])
def test_a_value_from_the_modulus_on_is_no_element(value: int) -> None:
    with pytest.raises(ValidationError, match="not below the field's modulus"):
        NormOpening(z=(f"{value:016x}", ELEMENT), p=(ELEMENT, ELEMENT), inner_product=ELEMENT)
    with pytest.raises(ValidationError, match="not below the field's modulus"):
        DealingOpening(combination=(ELEMENT, f"{value:016x}"))


@pytest.mark.parametrize("text", ["5", f"{5:015x}", f"{5:017x}", "F" * 16, "0" * 15 + "g", "０" * 16])
def test_an_element_is_sixteen_lower_case_hex_digits(text: str) -> None:
    with pytest.raises(ValidationError, match="String should match"):
        OPENING.model_validate(OPENING.model_dump() | {"inner_product": text})


def test_a_readable_update_has_an_opening_and_an_unreadable_one_has_none() -> None:
    for readable, reason, opening in ((False, "NOT_OPENED", OPENING), (True, "", None)):
        with pytest.raises(ValidationError, match="a readable update needs an opening, an unreadable one has none"):
            UpdateFinding(participant=f"{1:064x}", readable=readable, reason=reason, opening=opening)


def test_an_unreadable_update_has_a_reason_and_a_readable_one_has_none() -> None:
    for readable, reason in ((False, ""), (True, "NOT_OPENED")):
        with pytest.raises(ValidationError, match="an unreadable update needs a reason"):
            UpdateFinding(participant=f"{1:064x}", readable=readable, reason=reason, opening=OPENING)


@pytest.mark.parametrize("opening", [OPENING, DealingOpening(combination=(ELEMENT, ELEMENT))])
def test_an_opening_keeps_its_kind(opening: NormOpening | DealingOpening) -> None:
    finding = UpdateFinding(participant=f"{1:064x}", readable=True, opening=opening)
    assert UpdateFinding.decode(finding.canonical()).opening == opening


def test_an_accusation_is_voted_on_and_a_share_is_shown_once_in_a_message() -> None:
    with pytest.raises(ValidationError, match="two votes on one accusation"):
        DealingVotes(task="heart-disease", round=1, votes=(VOTE, VOTE.model_copy(update={"vote": "confirms"})))
    with pytest.raises(ValidationError, match="disclosed twice"):
        Disclosure(task="heart-disease", round=1, shares=(SHOWN, SHOWN.model_copy(update={"size": 33})))
