"""A task in plain words, and as one document."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fedledger.cli.output import MICRO, safe, tokens
from fedledger_chaincode.messages.records import ConsentRecord
from fedledger_chaincode.messages.task import OwnPrivacy, PrivacySpec, RobustnessSpec, TaskSpec
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


def open_amendment(view: TaskView) -> list[str]:
    """What would change, in plain words."""
    amendment = next((each for each in view.amendments if each.state == "open"), None)
    if amendment is None:
        return []
    before, after = agreement_of(view.record.spec), agreement_of(amendment.spec)
    changed = [
        f"  {name}: {safe(before[name])} -> {safe(after[name])}" for name in after if before[name] != after[name]
    ]
    votes = f"{len(amendment.approved)} for it, {len(amendment.rejected)} against it"
    return [
        f"Amendment {amendment.number}, proposed by {amendment.proposer}, {votes}; hash {amendment.spec_hash}",
        *changed,
    ]


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
    return {
        "task": spec.task,
        "title": spec.title,
        "purpose": spec.purpose,
        "allowed uses": ", ".join(spec.agreement.purposes),
        "examples": f"at least {spec.agreement.minimum_examples}, told in steps of {spec.agreement.example_step}",
        "ends": _end(spec),
        "model": f"{spec.model.model_id}, {spec.model.parameter_count} parameters",
        "training": f"{spec.training.algorithm}, {spec.training.rounds} rounds",
        "privacy": _privacy(spec.privacy),
        **{f"privacy of {own.msp}": _own_privacy(own) for own in spec.own_privacy},
        "aggregation": f"{spec.aggregation.n} validators of which {spec.aggregation.tolerated_faults} may be faulty; "
        f"clip norm {spec.aggregation.clip_norm / 1e6:g}",
        "trust weighting": _trust(spec.robustness),
        "incentive": f"{tokens(spec.incentive.reward_per_round)} tokens a round",
    }


def _privacy(privacy: PrivacySpec) -> str:
    if privacy.mechanism == "none":
        return "none"
    return (
        f"{privacy.mechanism}, noise multiplier {privacy.noise_multiplier / 1e6:g}, sampling "
        f"{privacy.sampling_rate / 1e6:g}, {privacy.steps_per_round} steps a round; epsilon budget "
        f"{privacy.epsilon_budget / 1e6:g} at delta {privacy.delta_pico / 1e12:g}"
    )


def _own_privacy(own: OwnPrivacy) -> str:
    judged = "" if own.agreement_factor == MICRO else f"; agreement divided by {own.agreement_factor / MICRO:g}"
    return _privacy(own.privacy) + judged


def _end(spec: TaskSpec) -> str:
    ends_at = spec.agreement.ends_at
    rounds = f"after {spec.training.rounds} rounds"
    return (
        rounds
        if ends_at is None
        else f"{rounds}, at the latest {datetime.fromtimestamp(ends_at, UTC):%Y-%m-%d %H:%M} UTC"
    )


def _trust(robustness: RobustnessSpec) -> str:
    if robustness.trust_weighting == "off":
        return "off: every accepted update counts by its examples"
    data = f", reference data {robustness.reference_digest[:16]}" if robustness.reference_digest else ""
    return (
        f"{robustness.trust_weighting}{data}; nothing up to an agreement of {robustness.no_trust / 1e6:g}, "
        f"fully from {robustness.full_trust / 1e6:g} on"
    )
