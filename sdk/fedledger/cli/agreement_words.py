"""Every field of a specification in words, and what the whole means for one organisation.

``rows`` has a row for each field of ``TaskSpec``: one without words here is shown as it stands, and a test names it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fedledger.cli.output import MICRO, tokens
from fedledger.training.comparison import differing, fields_of
from fedledger_chaincode.messages.base import canonical
from fedledger_chaincode.messages.task import PrivacySpec, TaskSpec
from fedledger_chaincode.rules.rewards import floor_part, participants_part, validators_part

PICO = 10**12
_MANY = 6


@dataclass(frozen=True)
class Words:
    """What a field is called, and what its value says."""

    name: str
    say: Callable[[Any], str]


@dataclass(frozen=True)
class Row:
    path: str
    name: str
    words: str


@dataclass(frozen=True)
class Difference:
    """One field in two specifications; empty words where only the other has it."""

    path: str
    name: str
    before: str
    after: str


def _as_it_is(value: Any) -> str:
    return str(value)


def _listed(value: Sequence[Any]) -> str:
    return ", ".join(map(str, value))


def _micro(value: int) -> str:
    return f"{value / MICRO:.10g}"


def _percent(value: int) -> str:
    return f"{value / MICRO:.10g} ({100 * value / MICRO:.6g} %)"


def _tokens(value: int) -> str:
    return f"{tokens(value)} tokens" if value % 10_000 == 0 else f"{value / MICRO:,.6f} tokens"


def _seconds(value: int) -> str:
    return f"{value} s"


def _digest_of(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()[:16]


def _tensors(value: Sequence[Mapping[str, Any]]) -> str:
    named = [f"{each['name']} {'x'.join(map(str, each['shape']))}" for each in value[:_MANY]]
    more = f" and {len(value) - _MANY} more" if len(value) > _MANY else ""
    return f"{len(value)}: {', '.join(named)}{more}; list {_digest_of(value)}"


def _schedule(value: Sequence[int]) -> str:
    if not value:
        return "none"
    shown = f"{_micro(value[0])} after 1 round, {_micro(value[-1])} after {len(value)}"
    return f"{shown}; list {_digest_of(value)}"


def _time(value: int | None) -> str:
    if value is None:
        return "no date"
    try:
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{value} seconds after 1970"


_PRIVACY: Mapping[str, Words] = {
    "mechanism": Words("mechanism", _as_it_is),
    "noise_multiplier": Words("noise over the clip norm", _micro),
    "record_clip_norm": Words("clip norm of one record or device", _micro),
    "sampling_rate": Words("chance of each record or device to enter a step", _percent),
    "steps_per_round": Words("noisy steps in a round", _as_it_is),
    "delta_pico": Words("delta", lambda value: f"{value / PICO:.12g}"),
    "epsilon_budget": Words("epsilon that a participant may spend", _micro),
    "epsilon_schedule": Words("epsilon spent", _schedule),
}
_OPTIMIZER: Mapping[str, Words] = {
    "name": Words("optimiser", _as_it_is),
    "learning_rate": Words("learning rate", _micro),
    "momentum": Words("momentum", _micro),
}


def _group(path: str, of_what: str, table: Mapping[str, Words]) -> dict[str, Words]:
    return {f"{path}.{name}": Words(f"{of_what}: {words.name}", words.say) for name, words in table.items()}


WORDS: Mapping[str, Words] = {
    "schema": Words("form of the agreement", _as_it_is),
    "task": Words("task", _as_it_is),
    "title": Words("title", _as_it_is),
    "purpose": Words("purpose", _as_it_is),
    "organisations": Words("organisations", _listed),
    "agreement.purposes": Words("allowed uses of models", _listed),
    "agreement.minimum_examples": Words("fewest examples of an update", _as_it_is),
    "agreement.example_step": Words("numbers of examples are told in steps of", _as_it_is),
    "agreement.ends_at": Words("ends at the latest", _time),
    "agreement.evaluations.published": Words(
        "what is published of held-out records",
        lambda value: {
            "rounded": "rounded figures, without noise",
            "noisy": "figures with noise that is charged",
            "none": "nothing",
        }.get(value, str(value)),
    ),
    "agreement.evaluations.figure_step": Words("figures on held-out records are told in steps of", _micro),
    "agreement.evaluations.count_step": Words("numbers of held-out records are told in steps of", _as_it_is),
    "agreement.evaluations.every": Words("versions that are evaluated: multiples of", _as_it_is),
    "agreement.evaluations.noise_multiplier": Words(
        "noise of figures over the norm of one record's part", lambda value: _micro(value) if value else "none"
    ),
    "agreement.evaluations.epsilon_schedule": Words(
        "epsilon spent of a held-out record",
        lambda value: _schedule(value).replace("1 round", "1 evaluation"),
    ),
    **_group("privacy", "privacy", _PRIVACY),
    "aggregation.proof": Words(
        "proof of the clip norm",
        lambda value: "each update proves that it keeps it" if value == "norm" else f"{value}: of any size",
    ),
    "aggregation.clip_norm": Words("clip norm of an update", _micro),
    "aggregation.minimum_accepted": Words("fewest updates, and organisations, in a sum", _as_it_is),
    "aggregation.max_share": Words("most of a sum that one organisation may have", _percent),
    "aggregation.max_examples": Words("most examples that count of one participant", lambda value: f"{value:,}"),
    "aggregation.validators": Words("validators, in order", _listed),
    "aggregation.tolerated_faults": Words("validators that may be false or gone", _as_it_is),
    "aggregation.quantised_norm": Words("the clip norm as a whole number", lambda value: f"{value:,}"),
    "robustness.trust_weighting": Words(
        "trust weighting",
        lambda value: "off: every accepted update counts by its examples" if value == "off" else str(value),
    ),
    "robustness.no_trust": Words("agreement up to which an update counts nothing", _micro),
    "robustness.full_trust": Words("agreement from which it counts fully", _micro),
    "robustness.reference_digest": Words("reference data", lambda value: "none" if value is None else str(value)),
    "reputation.initial": Words("reputation at the beginning", _micro),
    "reputation.memory": Words("weight of the past in reputation", _micro),
    "reputation.agreement_weight": Words("weight of agreement in a score", _micro),
    "reputation.reliability_weight": Words("weight of being in time", _micro),
    "reputation.honesty_weight": Words("weight of no proven fault", _micro),
    "reputation.quarantine_threshold": Words("reputation below which an update weighs nothing", _micro),
    "reputation.quarantine_rounds": Words("rounds of quarantine at least", _as_it_is),
    "deadlines.updates": Words("time for updates", _seconds),
    "deadlines.attestations": Words("time for attestations", _seconds),
    "deadlines.aggregates": Words("time for the sum and the model", _seconds),
    "deadlines.disputes": Words("time for an accused validator's answer", _seconds),
    "incentive.endowment": Words("made for each organisation", _tokens),
    "incentive.participant_stake": Words("stake of a participant", _tokens),
    "incentive.validator_stake": Words("stake of a validator", _tokens),
    "incentive.reward_per_round": Words("reward of a round", _tokens),
    "incentive.validator_share": Words("of it for validators", _percent),
    "incentive.equal_share": Words("of the rest alike for all organisations, whatever sizes they claim", _percent),
    "incentive.slashing_equivocation": Words("of the stake lost for two different updates in a round", _percent),
    "incentive.slashing_norm": Words("of the stake lost for an update beyond the clip norm", _percent),
    "incentive.slashing_dealing": Words("of the stake lost for false shares", _percent),
    "incentive.slashing_validator": Words("of a validator's stake lost for a false value", _percent),
    "training.algorithm": Words("algorithm", _as_it_is),
    "training.proximal_mu": Words("FedProx's mu", _micro),
    "training.rounds": Words("model versions after which the task is complete", _as_it_is),
    "training.local_epochs": Words("passes over the records in a round, without privacy", _as_it_is),
    "training.batch_size": Words("records in a batch, without privacy", _as_it_is),
    **_group("training.client_optimizer", "local training", _OPTIMIZER),
    **_group("training.server_optimizer", "step of the shared model", _OPTIMIZER),
    "training.seed": Words("seed of weights, splits and batches", _as_it_is),
    "model.model_id": Words("model", _as_it_is),
    "model.package_digest": Words("code and settings of the task's package", _as_it_is),
    "model.parameter_count": Words("parameters", lambda value: f"{value:,}"),
    "model.tensors": Words("tensors", _tensors),
    "model.initial_weights_digest": Words("initial weights", _as_it_is),
    "model.initial_weights_size": Words("bytes of the initial weights", lambda value: f"{value:,}"),
}
"""By path, in the order in which they are shown. Those of ``own_privacy`` are ``_PRIVACY``'s for each organisation."""


def words_of(path: str) -> Words:
    """Of any field; one that is unknown here is shown by its path and value."""
    if path in WORDS:
        return WORDS[path]
    if path.startswith("own_privacy."):
        # MSP ids may hold dots, names of fields do not.
        owner, _, name = path.removeprefix("own_privacy.").rpartition(".")
        owner = owner.removesuffix(".privacy")
        if name == "agreement_factor":
            return Words(f"privacy of {owner}: agreement is divided by", _micro)
        if name in _PRIVACY:
            return Words(f"privacy of {owner}: {_PRIVACY[name].name}", _PRIVACY[name].say)
    return Words(path, _as_it_is)


def rows(spec: TaskSpec) -> list[Row]:
    """Every field in words."""
    fields = fields_of(spec)
    order = [path for path in WORDS if path in fields]
    order += [path for path in fields if path not in WORDS]
    return [_row(path, fields[path]) for path in order]


def _row(path: str, value: Any) -> Row:
    words = words_of(path)
    return Row(path, words.name, words.say(value))


def differences(before: TaskSpec, after: TaskSpec) -> list[Difference]:
    """Fields in which the second differs from the first, in words."""
    said = [{row.path: row for row in rows(spec)} for spec in (before, after)]
    found = []
    for path in differing(before, after):
        one, other = (each.get(path) for each in said)
        name = (other or one or Row(path, path, "")).name
        found.append(Difference(path, name, one.words if one else "", other.words if other else ""))
    return found


def meaning(spec: TaskSpec, msp: str) -> list[str]:
    """What the agreement means for one organisation, in sentences."""
    if msp not in spec.organisations:
        return [f"{msp} is no party to this agreement."]
    aggregation, incentive = spec.aggregation, spec.incentive
    n, t = aggregation.n, aggregation.tolerated_faults
    validates = msp in aggregation.validators
    stakes = incentive.participant_stake + (incentive.validator_stake if validates else 0)
    return [
        _protected(spec.privacy_of(msp)),
        f"Any {t + 1} of the validators {', '.join(aggregation.validators)} that collude can read its updates"
        + ("." if validates else f"; {msp} is none of them, holds no share and watches nobody."),
        f"A sum has updates of at least {aggregation.minimum_accepted} organisations: "
        f"{aggregation.minimum_accepted - 1} that collude can subtract theirs and know its own.",
        f"Its update has to arrive within {spec.deadlines.updates} s of a round's opening, and stands for at least "
        f"{spec.agreement.minimum_examples} example{'s' if spec.agreement.minimum_examples > 1 else ''}"
        + (f", told in steps of {spec.agreement.example_step}." if spec.agreement.example_step > 1 else "."),
        f"It is given {_tokens(incentive.endowment)}, locks {_tokens(stakes)} for a first participant"
        + (" and its validator" if validates else "")
        + f"; faults on which {n - t} of {n} validators agree cost part of it.",
        _paid(spec, validates=validates),
        f"Its share of a sum is at most {_percent(aggregation.max_share)}, under however many names.",
        f"Models that its records are in may be used for: {', '.join(spec.agreement.purposes)}.",
        _published(spec, msp),
        f"It ends after {spec.training.rounds} model versions, "
        + ("without a date. " if spec.agreement.ends_at is None else f"at the latest {_time(spec.agreement.ends_at)}. ")
        + f"{spec.majority} of {len(spec.organisations)} organisations can amend, suspend or stop.",
    ]


def _protected(privacy: PrivacySpec) -> str:
    if privacy.mechanism == "none":
        return "Its records have no differential privacy: what an update or a model tells of one record is not bounded."
    unit = "record" if privacy.mechanism == "dp-sgd" else "device with all its records"
    count = privacy.allowed_contributions() or 0
    epsilon = privacy.epsilon_after(count) / MICRO
    delta = privacy.delta_pico / PICO
    most = min(1.0, 1 / (1 + math.exp(-epsilon)) + delta)
    return (
        f"It can contribute to {count} rounds. Whoever sees all models and knows all else guesses right whether one "
        f"{unit} was among its own in at most {100 * most:.3g} % of cases (epsilon {epsilon:g}, delta {delta:g})."
    )


def _published(spec: TaskSpec, msp: str) -> str:
    terms, budget = spec.agreement.evaluations, spec.privacy_of(msp).epsilon_budget
    if terms.published == "none":
        return "Nothing is published of how models do on its held-out records."
    steps = f"in steps of {_micro(terms.figure_step)}, their number in steps of {terms.count_step}"
    if terms.published == "rounded":
        return (
            f"How models do on its held-out records is published {steps}, without noise: what that tells of one of "
            "them is not bounded."
        )
    spent = [epsilon for epsilon in terms.epsilon_schedule if epsilon <= budget]
    return (
        f"How models do on its held-out records is published {steps}, with noise, {len(spent)} times at most: epsilon "
        f"of one of them is then {_micro(spent[-1] if spent else 0)}."
    )


def _paid(spec: TaskSpec, *, validates: bool) -> str:
    incentive = spec.incentive
    by_claims = participants_part(incentive) - floor_part(incentive)
    parts = [f"about {_tokens(floor_part(incentive) // len(spec.organisations))} for an update that counts"]
    if by_claims:
        parts.append(f"a part by claimed examples of {_tokens(by_claims)}")
    if validates:
        parts.append(f"{_tokens(validators_part(incentive) // spec.aggregation.n)} for its validator's duty")
    return f"Of a round's {_tokens(incentive.reward_per_round)} it gets {', and '.join(parts)}."
