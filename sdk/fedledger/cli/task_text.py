"""A task in plain words, and as one document."""

from __future__ import annotations

from typing import Any

from fedledger.cli.agreement_warnings import warnings_of
from fedledger.cli.agreement_words import differences, meaning, rows, words_of
from fedledger.cli.output import safe
from fedledger_chaincode.messages.records import ConsentRecord
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import TaskView


def state_of(view: TaskView) -> str:
    return f"{view.record.state}: {view.record.reason}" if view.record.reason else view.record.state


def said(consent: ConsentRecord | None, spec_hash: str) -> str:
    if consent is None:
        return "nothing yet"
    told: str = consent.decision
    if told == "approved" and consent.spec_hash != spec_hash:
        told = "approved, but not as amended"
    words = f"{told}: {consent.reason}" if consent.reason else told
    return f"{words} (suspended by vote)" if consent.suspended else words


def open_amendment(view: TaskView, msp: str = "") -> list[str]:
    """What would change, every field in words, and what of it weakens protection."""
    amendment = next((each for each in view.amendments if each.state == "open"), None)
    if amendment is None:
        return []
    votes = f"{len(amendment.approved)} for it, {len(amendment.rejected)} against it"
    return [
        f"Amendment {amendment.number}, proposed by {amendment.proposer}, {votes}; hash {amendment.spec_hash}",
        *changes(view.record.spec, amendment.spec),
        *warnings(amendment.spec, msp, view.record.spec),
    ]


def changes(before: TaskSpec, after: TaskSpec) -> list[str]:
    """Fields in which the second differs from the first, a line each."""
    return [
        f"  {safe(each.name)}: {safe(each.before) or 'nothing'} -> {safe(each.after) or 'nothing'}"
        for each in differences(before, after)
    ]


def warnings(spec: TaskSpec, msp: str, known: TaskSpec | None = None) -> list[str]:
    """What weakens protection, a line each; what is new against a specification that is known is marked."""
    old = set() if known is None else {rule.path for rule in warnings_of(known, msp)}
    return [
        f"  WARNING{'' if known is None or rule.path in old else ' (new)'}: {words_of(rule.path).name}: {rule.reason}"
        for rule in warnings_of(spec, msp)
    ]


def to_be_read(view: TaskView, spec: TaskSpec, msp: str, package: TaskSpec | None) -> list[str]:
    """What an approver reads first: how the specification differs from the package at hand, and from the version
    before; what weakens protection; what it means for the organisation."""
    lines = []
    if package is None:
        lines.append("There is no package at hand to compare it with.")
    elif differs := changes(package, spec):
        lines += ["Other than the package at hand:", *differs]
    else:
        lines.append("Every field is as the package at hand has it.")
    if spec != view.record.spec:
        lines += ["Other than the version before:", *changes(view.record.spec, spec)]
    found = warnings(spec, msp, package)
    lines += ["What weakens protection:", *found] if found else ["No rule finds that it weakens protection."]
    return [*lines, f"What it means for {msp}:", *(f"  {safe(sentence)}" for sentence in meaning(spec, msp))]


def document_of(view: TaskView) -> dict[str, Any]:
    return {
        "task": view.record.spec.task,
        "state": view.record.state,
        "spec_hash": view.record.spec_hash,
        "spec": view.record.spec.model_dump(mode="json", by_alias=True),
        "reason": view.record.reason,
        "consents": {consent.msp: consent.decision for consent in view.consents},
        "amendments": [each.model_dump(mode="json", by_alias=True) for each in view.amendments],
        "suspensions": [each.model_dump(mode="json") for each in view.suspensions],
        "validators": [validator.msp for validator in view.validators],
        "version": view.head.version if view.head else None,
        "round": view.head.round if view.head else None,
        "round_state": view.head.round_state if view.head else None,
    }


def agreement_of(spec: TaskSpec) -> dict[str, object]:
    """Every field in words."""
    return {row.name: row.words for row in rows(spec)}
