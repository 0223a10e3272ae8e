"""Between a task's settings and its specification on the ledger; refuses a specification that is not the task's.

The ledger knows integers only: rates, norms and epsilon in micro-units, delta in units of 1e-12. All of them are
exact, because ``settings`` refuses numbers with more decimals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fedledger.errors import BadInputError
from fedledger.privacy.accountant import covers, epsilon_micro, epsilon_schedule
from fedledger.privacy.mechanism import PoissonSampledGaussian
from fedledger.training.settings import MICRO, PICO, Optimizer, TaskSettings, to_micro
from fedledger.training.task_file import validate_settings
from fedledger.training.thresholds import agreement_factor_of, ledger_thresholds
from fedledger.training.weights import save_weights
from fedledger_chaincode.messages.task import (
    AgreementSpec,
    EvaluationTerms,
    OptimizerSpec,
    PrivacySpec,
    RobustnessSpec,
    TaskSpec,
)

if TYPE_CHECKING:
    from fedledger.training.task import TaskDefinition


def specification(task: TaskDefinition, *, organisations: Sequence[str], validators: Sequence[str]) -> TaskSpec:
    """The specification that organisations approve: ``organisations`` are MSP ids in any order, ``validators``
    those that hold shares, in the order of their evaluation points.

    Raises BadInputError TASK_SPEC for what the ledger would refuse, for example too few validators.
    """
    try:
        return TaskSpec.model_validate(_document(task, organisations, validators))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise BadInputError(
            "TASK_SPEC",
            f"Task {task.name} cannot go on the ledger: {place}: {reason}.",
            "Correct the organisations, the validators or task.toml.",
        ) from None


def agreed_settings(task: TaskDefinition, spec: TaskSpec) -> TaskSettings:
    """The settings of ``task`` with the values that the organisations agreed on.

    Code and tensors must be those of the agreement, and so must the initial weights, which the seed decides.
    Raises BadInputError TASK_DIFFERS.
    """
    if task.package_digest() != spec.model.package_digest:
        raise _differs(
            f"Folder {task.folder} has the digest {task.package_digest()[:16]}..., the agreement on task {spec.task} "
            f"names {spec.model.package_digest[:16]}...",
            "Get the task's folder from the organisation that proposed it, and read what has changed.",
        )
    kind = next((name for name in task.settings.model.kinds if model_id(task.name, name) == spec.model.model_id), None)
    if kind is None:
        raise _differs(
            f"The agreement names the model {spec.model.model_id}, which {task.folder} does not have.",
            "Get the task's folder from the organisation that proposed it.",
        )
    document = task.settings.model_dump(exclude_none=True)
    document["model"]["kind"] = kind
    document["task"]["seed"] = spec.training.seed
    training, aggregation = spec.training, spec.aggregation
    document["training"] |= {
        "rounds": training.rounds,
        "algorithm": training.algorithm,
        "local_epochs": training.local_epochs,
        "batch_size": training.batch_size,
        "server_optimizer": _optimizer_document(training.server_optimizer),
    }
    if training.algorithm == "fedprox":
        document["training"]["proximal_mu"] = training.proximal_mu / MICRO
    document["aggregation"] |= {
        "tolerated_faults": aggregation.tolerated_faults,
        "clip_norm": aggregation.clip_norm / MICRO,
        "quantisation_bits": aggregation.quantised_norm.bit_length() - 1,
        "max_examples": aggregation.max_examples,
        "max_share": aggregation.max_share / MICRO,
        "minimum_accepted": aggregation.minimum_accepted,
        "proof": aggregation.proof,
    }
    ends_at, evaluations = spec.agreement.ends_at, spec.agreement.evaluations
    document["agreement"] = {
        "purposes": spec.agreement.purposes,
        "minimum_examples": spec.agreement.minimum_examples,
        "example_step": spec.agreement.example_step,
        "ends": None if ends_at is None else datetime.fromtimestamp(ends_at, UTC),
        "evaluations": evaluations.published,
        "evaluation_precision": evaluations.figure_step / MICRO,
        "evaluation_step": evaluations.count_step,
        "evaluate_every": evaluations.every,
        "evaluation_noise": evaluations.noise_multiplier / MICRO or None,
    }
    document["robustness"]["trust_weighting"] = spec.robustness.trust_weighting
    client_optimizer = _optimizer_document(training.client_optimizer)
    if spec.privacy.mechanism == "none":
        document["training"]["client_optimizer"] = client_optimizer
        document["privacy"]["mechanism"] = "none"
    else:
        document["privacy"].pop("target_epsilon", None)
        document["privacy"] |= _agreed_privacy(spec.privacy) | {"client_optimizer": client_optimizer}
    document["own_privacy"] = {own.msp: _agreed_privacy(own.privacy) for own in spec.own_privacy}
    return validate_settings(document, f"the agreement on task {spec.task}")


def _agreed_privacy(privacy: PrivacySpec) -> dict[str, Any]:
    if privacy.mechanism == "none":
        return {"mechanism": "none"}
    return {
        "mechanism": privacy.mechanism,
        "noise_multiplier": privacy.noise_multiplier / MICRO,
        "record_clip_norm": privacy.record_clip_norm / MICRO,
        "sampling_rate": privacy.sampling_rate / MICRO,
        "steps_per_round": privacy.steps_per_round,
        "delta": privacy.delta_pico / PICO,
        "epsilon_budget": privacy.epsilon_budget / MICRO,
    }


def check_agreement(task: TaskDefinition, spec: TaskSpec) -> None:
    """What an organisation checks before it approves or trains: model, initial weights, thresholds, price in epsilon.

    ``task`` has the agreed settings. Raises BadInputError TASK_DIFFERS, EPSILON_UNDERSTATED.
    """
    check_bounds(spec)
    digest = hashlib.sha256(initial_model(task)).hexdigest()
    if digest != spec.model.initial_weights_digest:
        raise _differs(
            f"With seed {task.seed} the initial weights have the digest {digest[:16]}..., the agreement on task "
            f"{spec.task} names {spec.model.initial_weights_digest[:16]}...",
            "Do not approve it: the proposer's initial weights are not those of the task's package.",
        )
    _check_robustness(task, spec)
    for owner, privacy in spec.mechanisms():
        claimed = privacy.epsilon_schedule
        _check_last(spec.task, owner, privacy)
        recomputed = recomputed_schedule(privacy)
        if not covers(claimed, recomputed):
            raise _understated(spec.task, owner, claimed, recomputed[-1])


def check_bounds(spec: TaskSpec) -> None:
    """Raise BadInputError PRIVACY_BOUNDS before anything is computed of a specification whose privacy costs whoever
    looks at it more memory or time than it is worth. The contract refuses such a one; this also holds of ledgers that
    an earlier contract, or another one, has written."""
    if reason := spec.privacy_beyond_bounds():
        raise _beyond_bounds(reason)


def _beyond_bounds(reason: str) -> BadInputError:
    return BadInputError(
        "PRIVACY_BOUNDS",
        f"What the agreement says of privacy is beyond all bounds: {reason}.",
        "Do not approve it; nothing of it was computed.",
    )


def _check_robustness(task: TaskDefinition, spec: TaskSpec) -> None:
    claimed, own = spec.robustness, RobustnessSpec.model_validate(_robustness_spec(task))
    if claimed.reference_digest != own.reference_digest:
        raise _differs(
            f"The reference data at hand are not those of the agreement on task {spec.task}.",
            "Get the reference data that the organisations agreed on.",
        )
    if claimed != own:
        raise _differs(
            f"On task {spec.task} updates are to count from {claimed.no_trust / MICRO:g} on and fully from "
            f"{claimed.full_trust / MICRO:g} on; from the package and the agreed noise follow "
            f"{own.no_trust / MICRO:g} and {own.full_trust / MICRO:g}.",
            "Do not approve it: thresholds are derived, not chosen by the proposer.",
        )
    for each in spec.own_privacy:
        factor = agreement_factor_of(task, each.msp)
        if each.agreement_factor != factor:
            raise _differs(
                f"On task {spec.task} the agreement of updates of {each.msp} is to be divided by "
                f"{each.agreement_factor / MICRO:g}; from the package and the agreed noise follows {factor / MICRO:g}.",
                "Do not approve it: it is derived, not chosen by the proposer.",
            )


def _check_last(task: str, owner: str, privacy: PrivacySpec) -> None:
    """The last entry first: where it is understated, nothing else is computed."""
    mechanism, claimed = agreed_mechanism(privacy), privacy.epsilon_schedule
    if mechanism is None:
        return
    cost = epsilon_micro(mechanism, len(claimed), privacy.delta_pico / PICO)
    if not covers(claimed[-1:], (cost,)):
        raise _understated(task, owner, claimed, cost)


def _understated(task: str, owner: str, claimed: Sequence[int], cost: int) -> BadInputError:
    return BadInputError(
        "EPSILON_UNDERSTATED",
        f"The agreement on task {task} claims epsilon {claimed[-1] / MICRO:.3f} after {len(claimed)} "
        f"rounds of {owner or 'the task'}; the mechanism costs {cost / MICRO:.3f}.",
        "Do not approve it; propose the task with the schedule that dp_accounting computes.",
    )


def recomputed_schedule(privacy: PrivacySpec) -> tuple[int, ...]:
    """Cumulative micro-epsilon after 1 .. rounds contributions by dp_accounting; empty without DP."""
    mechanism = agreed_mechanism(privacy)
    if mechanism is None:
        return ()
    return epsilon_schedule(mechanism, len(privacy.epsilon_schedule), privacy.delta_pico / PICO)


def agreed_mechanism(privacy: PrivacySpec) -> PoissonSampledGaussian | None:
    """The mechanism of one round as the ledger describes it; None without DP.

    Raises BadInputError PRIVACY_BOUNDS for one of which nobody should compute anything.
    """
    if privacy.mechanism == "none":
        return None
    if reason := privacy.beyond_bounds():
        raise _beyond_bounds(reason)
    return PoissonSampledGaussian(
        privacy.sampling_rate / MICRO, privacy.noise_multiplier / MICRO, privacy.steps_per_round
    )


def initial_model(task: TaskDefinition) -> bytes:
    """The model file of version 0."""
    return save_weights(task.initial_weights(), task.tensors)


def optimizer_spec(optimizer: Optimizer) -> OptimizerSpec:
    """An optimiser as the ledger describes it."""
    return OptimizerSpec(
        name=optimizer.name,
        learning_rate=to_micro(optimizer.learning_rate),
        momentum=to_micro(optimizer.momentum),
    )


def model_id(task_name: str, kind: str) -> str:
    """The ledger's name of a task's model: ``heart-disease-logistic``."""
    return f"{task_name}-{kind}"


def _document(task: TaskDefinition, organisations: Sequence[str], validators: Sequence[str]) -> dict[str, Any]:
    settings, training = task.settings, task.training
    model_file = initial_model(task)
    return {
        "task": task.name,
        "title": settings.task.title,
        "purpose": settings.task.purpose,
        "agreement": agreement_terms(task).model_dump(),
        "organisations": tuple(sorted(organisations)),
        "model": {
            "model_id": model_id(task.name, task.kind),
            "package_digest": task.package_digest(),
            "tensors": tuple({"name": tensor.name, "shape": tensor.shape} for tensor in task.tensors),
            "parameter_count": task.parameter_count,
            "initial_weights_digest": hashlib.sha256(model_file).hexdigest(),
            "initial_weights_size": len(model_file),
        },
        "training": {
            "algorithm": training.algorithm,
            "proximal_mu": to_micro(training.effective_mu),
            "local_epochs": training.local_epochs,
            "batch_size": training.batch_size,
            "client_optimizer": optimizer_spec(task.client_optimizer).model_dump(),
            "server_optimizer": optimizer_spec(training.server_optimizer).model_dump(),
            "rounds": training.rounds,
            "seed": task.seed,
        },
        "aggregation": {
            "validators": tuple(validators),
            "tolerated_faults": task.aggregation.tolerated_faults,
            "clip_norm": to_micro(task.aggregation.clip_norm),
            "quantised_norm": 1 << task.aggregation.quantisation_bits,
            "max_examples": task.aggregation.max_examples,
            "max_share": to_micro(task.aggregation.max_share),
            "minimum_accepted": task.aggregation.minimum_accepted,
            "proof": task.aggregation.proof,
        },
        "privacy": _privacy_spec(task),
        "own_privacy": tuple(
            {
                "msp": msp,
                "privacy": _privacy_spec(task.of_organisation(msp)),
                "agreement_factor": agreement_factor_of(task, msp),
            }
            for msp in sorted(settings.own_privacy)
        ),
        "robustness": _robustness_spec(task),
        "incentive": _in_micro(settings.incentive.model_dump()),
        "reputation": _in_micro(settings.reputation.model_dump()),
        "deadlines": settings.deadlines.model_dump(),
    }


def agreement_terms(task: TaskDefinition) -> AgreementSpec:
    """The terms as the ledger has them."""
    agreement = task.settings.agreement
    return AgreementSpec(
        purposes=tuple(sorted(set(agreement.purposes))),
        minimum_examples=agreement.minimum_examples,
        example_step=agreement.example_step,
        ends_at=None if agreement.ends is None else int(agreement.ends.timestamp()),
        evaluations=_evaluation_terms(task),
    )


def _evaluation_terms(task: TaskDefinition) -> EvaluationTerms:
    agreement = task.settings.agreement
    noise = agreement.evaluation_noise
    schedule: tuple[int, ...] = ()
    if noise is not None:
        deltas = [task.settings.privacy_of(msp).delta for msp in ("", *task.settings.own_privacy)]
        count = max(1, task.training.rounds // agreement.evaluate_every)
        schedule = epsilon_schedule(PoissonSampledGaussian(1.0, noise, 1), count, min(deltas))
    return EvaluationTerms(
        published=agreement.evaluations,
        figure_step=to_micro(agreement.evaluation_precision),
        count_step=agreement.evaluation_step,
        every=agreement.evaluate_every,
        noise_multiplier=to_micro(noise or 0.0),
        epsilon_schedule=schedule,
    )


def _robustness_spec(task: TaskDefinition) -> dict[str, Any]:
    trust_weighting = task.settings.robustness.trust_weighting
    document: dict[str, Any] = {"trust_weighting": trust_weighting}
    if trust_weighting != "off":
        document["no_trust"], document["full_trust"] = ledger_thresholds(task)
    if trust_weighting == "reference-data":
        document["reference_digest"] = task.reference_digest()
    return document


def _privacy_spec(task: TaskDefinition) -> dict[str, Any]:
    if task.mechanism is None:
        return {
            "mechanism": "none",
            "noise_multiplier": 0,
            "record_clip_norm": 0,
            "sampling_rate": 0,
            "steps_per_round": 0,
            "delta_pico": 0,
            "epsilon_budget": 0,
            "epsilon_schedule": (),
        }
    return {
        "mechanism": task.privacy.mechanism,
        "noise_multiplier": to_micro(task.mechanism.noise_multiplier),
        "record_clip_norm": to_micro(task.privacy.record_clip_norm),
        "sampling_rate": to_micro(task.mechanism.sampling_rate),
        "steps_per_round": task.mechanism.steps,
        "delta_pico": round(task.privacy.delta * PICO),
        "epsilon_budget": to_micro(task.privacy.epsilon_budget),
        "epsilon_schedule": task.epsilon_schedule,
    }


def _in_micro(table: dict[str, Any]) -> dict[str, int]:
    """Floats become micro-units, integers are counts and stay."""
    return {key: to_micro(value) if isinstance(value, float) else value for key, value in table.items()}


def _optimizer_document(optimizer: OptimizerSpec) -> dict[str, Any]:
    return {
        "name": optimizer.name,
        "learning_rate": optimizer.learning_rate / MICRO,
        "momentum": optimizer.momentum / MICRO,
    }


def _differs(message: str, remedy: str) -> BadInputError:
    return BadInputError("TASK_DIFFERS", message, remedy)
