"""The task specification: the data-sharing agreement that organisations approve, whole and unchangeable."""

from __future__ import annotations

from math import comb
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fedledger_chaincode.messages.base import (
    MAXIMUM_INTEGER,
    MICRO,
    Digest,
    Fraction,
    Identifier,
    Line,
    MspId,
    Natural,
    Positive,
    Text,
    Value,
)
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.norm_bound import NormBound

MAXIMUM_DIMENSION = 1 << 27
"""Numbers in an update: a share of 1 GiB, the largest that AES-GCM seals in one piece, with room to spare."""
MAXIMUM_READERS = 30_000
"""Sets of n - t validators among which a settlement chooses: enough for (19, 6) and for (64, 2)."""
HELD_OUT = "held-out records"
"""Whose privacy is that of published evaluations; no MSP id has a space."""
EVALUATION_NORM = 1_414_214
"""L2 bound, in micro-units, of what one record adds to the sums of an evaluation: right or wrong, and its loss."""
LEAST_FLOOR = 250_000
"""Least ``equal_share`` where weights follow an estimate of contribution."""
LEAST_AGREEMENT_FACTOR = MICRO // 2
"""An organisation's own noise excuses so much missing agreement and no more: else noise alone would often pass."""


LEAST_NOISE = 300_000
"""Least noise multiplier, in micro-units: with less a single step tells nearly all of a record, and what a mechanism
costs takes more memory to compute the less noise it has."""
MAXIMUM_EPSILON = 100_000_000
"""Of a schedule, in micro-units: e to the hundredth power bounds nothing."""
MAXIMUM_DELTA = 10_000_000_000
"""In units of 1e-12: 0.01, the part of all records that may be told in the open."""
MAXIMUM_STEPS = 100_000
"""Noisy steps of one participant in a whole task: whoever approves it computes what they cost together."""
MAXIMUM_ENTRIES = 2_000
"""Of all epsilon schedules of a task together; each is recomputed."""


def largest_model(parameters: int, tensors: int) -> int:
    """Bytes that a model file may have at most: its numbers as float32, and what a file says of each tensor."""
    return 4 * parameters + 1_024 * tensors + 65_536


class TensorSpec(Value):
    """One trainable tensor of the model, in the order in which updates are flattened."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    shape: tuple[Positive, ...]


class ModelSpec(Value):
    """What is trained."""

    model_id: Identifier
    package_digest: Digest
    """SHA-256 of the task package (code and settings), computed by the SDK."""
    tensors: Annotated[tuple[TensorSpec, ...], Field(min_length=1)]
    parameter_count: Positive
    initial_weights_digest: Digest
    initial_weights_size: Positive

    @model_validator(mode="after")
    def _parameters_add_up(self) -> Self:
        total = 0
        for tensor in self.tensors:
            size = 1
            for dimension in tensor.shape:
                size *= dimension
            total += size
        if total != self.parameter_count:
            raise ValueError(f"the tensors hold {total} parameters, parameter_count says {self.parameter_count}")
        return self


class OptimizerSpec(Value):
    """An optimiser by name; rates in micro-units."""

    name: Literal["sgd"]
    learning_rate: Positive
    momentum: Fraction = 0


class TrainingSpec(Value):
    """Local work and server step."""

    algorithm: Literal["fedavg", "fedprox"]
    proximal_mu: Natural
    """FedProx's mu in micro-units; 0 for FedAvg."""
    local_epochs: Positive
    batch_size: Positive
    client_optimizer: OptimizerSpec
    server_optimizer: OptimizerSpec
    rounds: Annotated[int, Field(ge=1, le=100_000)]
    """Number of finalised rounds after which the task is completed."""
    seed: Natural = 0
    """Of initial weights, splits of records and order of batches; privacy noise never comes from it."""

    @model_validator(mode="after")
    def _mu_matches(self) -> Self:
        if (self.algorithm == "fedprox") != (self.proximal_mu > 0):
            raise ValueError("proximal_mu is positive for fedprox and 0 for fedavg")
        return self


class AggregationSpec(Value):
    """Secure aggregation on n validators of which at most t are faulty."""

    validators: Annotated[tuple[MspId, ...], Field(min_length=1, max_length=64)]
    """Organisations whose validators hold shares; validator j (evaluation point j) is the j-th, counting from 1."""
    tolerated_faults: Natural
    clip_norm: Positive
    """L2 bound C of a whole update, in micro-units."""
    quantised_norm: Annotated[int, Field(ge=1 << 8, le=1 << 29)]
    """The integer C_q that the clip norm is mapped to."""
    max_examples: Annotated[int, Field(ge=1, le=1 << 32)]
    """A participant's weight is capped at this many examples."""
    max_share: Annotated[int, Field(ge=1, le=MICRO)]
    """Largest part of the total weight that the participants of one organisation may have together."""
    minimum_accepted: Annotated[int, Field(ge=2)]
    """A round in which fewer updates have a weight is aborted: the sum would reveal too much."""
    proof: Literal["none", "norm"] = "none"
    """``norm``: every update proves that it is within the clip norm, and what fails the proof is refused."""

    @property
    def n(self) -> int:
        return len(self.validators)

    @property
    def quorum(self) -> int:
        """n - t: how many validators must agree."""
        return len(self.validators) - self.tolerated_faults

    @model_validator(mode="after")
    def _thresholds(self) -> Self:
        if len(set(self.validators)) != self.n:
            raise ValueError("a validator is named twice")
        if self.tolerated_faults < 1 or self.n < 3 * self.tolerated_faults + 1:
            raise ValueError(
                f"{self.n} validators with {self.tolerated_faults} tolerated faults: needs n >= 3t + 1, t >= 1"
            )
        if 3 * self.quantised_norm**2 + 2 >= MODULUS:
            raise ValueError("quantised_norm is too large for the field")
        return self


class PrivacySpec(Value):
    """Differential privacy of every local update, and what it costs by number of rounds.

    ``dp-sgd`` protects each record, ``dp-fedavg`` each device of an organisation with all of its records.
    """

    mechanism: Literal["none", "dp-sgd", "dp-fedavg"]
    noise_multiplier: Natural
    record_clip_norm: Natural
    """L2 bound, in micro-units, of one record's gradient, or with dp-fedavg of one device's update."""
    sampling_rate: Fraction
    """Probability with which each record or device enters a step (Poisson sampling), in micro-units."""
    steps_per_round: Natural
    delta_pico: Natural
    """The delta of (epsilon, delta)-DP in units of 1e-12."""
    epsilon_budget: Natural
    """Largest cumulative epsilon of one participant, in micro-units."""
    epsilon_schedule: tuple[Natural, ...]
    """Cumulative epsilon, in micro-units, after 1, 2, ... contributed rounds; empty without DP."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        numbers = (
            self.noise_multiplier,
            self.record_clip_norm,
            self.sampling_rate,
            self.steps_per_round,
            self.delta_pico,
        )
        if self.mechanism == "none":
            if any(numbers) or self.epsilon_budget or self.epsilon_schedule:
                raise ValueError("mechanism none has no parameters")
            return self
        if not all(numbers) or not self.epsilon_budget or not self.epsilon_schedule:
            raise ValueError(f"{self.mechanism} needs all of its parameters, a budget and a schedule")
        if any(
            later < earlier for earlier, later in zip(self.epsilon_schedule, self.epsilon_schedule[1:], strict=False)
        ):
            raise ValueError("epsilon_schedule decreases")
        return self

    def beyond_bounds(self) -> str:
        """Why nobody should begin to compute what this costs; empty where everybody can."""
        if self.mechanism == "none":
            return ""
        steps = self.steps_per_round * len(self.epsilon_schedule)
        if self.noise_multiplier < LEAST_NOISE:
            return f"noise_multiplier is {self.noise_multiplier} micro-units, at least {LEAST_NOISE} are needed"
        if steps > MAXIMUM_STEPS:
            return f"{steps} noisy steps in all rounds, at most {MAXIMUM_STEPS} can be accounted for"
        if self.delta_pico > MAXIMUM_DELTA:
            return f"delta_pico is {self.delta_pico}, at most {MAXIMUM_DELTA} is a bound worth the name"
        if self.epsilon_schedule[-1] > MAXIMUM_EPSILON:
            return f"epsilon_schedule goes up to {self.epsilon_schedule[-1]}, at most {MAXIMUM_EPSILON} is a bound"
        return ""

    def allowed_contributions(self) -> int | None:
        """How many rounds one participant may contribute to within its budget; None when unlimited."""
        if self.mechanism == "none":
            return None
        return sum(1 for epsilon in self.epsilon_schedule if epsilon <= self.epsilon_budget)

    def epsilon_after(self, contributions: int) -> int:
        """Cumulative micro-epsilon after that many contributions; 0 without DP."""
        if contributions == 0 or self.mechanism == "none":
            return 0
        return self.epsilon_schedule[contributions - 1]


class OwnPrivacy(Value):
    """What an organisation's participants apply in place of the task's privacy."""

    msp: MspId
    privacy: PrivacySpec
    agreement_factor: Annotated[int, Field(ge=LEAST_AGREEMENT_FACTOR, le=MAXIMUM_INTEGER)] = MICRO
    """Agreement to be expected of an honest update of theirs over that of one with the task's mechanism, in
    micro-units: with more noise it is smaller, and theirs is divided by this before it is judged."""


class RobustnessSpec(Value):
    """How strange updates are treated. Trust weighting compares each with a reference direction."""

    trust_weighting: Literal["off", "last-step", "reference-data"]
    """``last-step``: the direction from the model before the round's base model to that model. ``reference-data``: the
    step of a training on reference data, computed by the validator that opens the round and checked by the others."""
    no_trust: Fraction = 0
    """Agreement at or below which an update counts nothing, in micro-units; of the median: a round is silent."""
    full_trust: Annotated[int, Field(ge=1, le=MICRO)] = MICRO
    """Agreement from which on it counts fully; where the median of a round is below it, both thresholds shrink with the
    median. With privacy noise an honest update's agreement is smaller: the task has to say what is to be expected of
    its own mechanism."""
    reference_digest: Digest | None = None
    """SHA-256 of the reference data's features and labels, with ``reference-data``."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.no_trust >= self.full_trust:
            raise ValueError("no_trust has to be below full_trust")
        if (self.trust_weighting == "reference-data") != (self.reference_digest is not None):
            raise ValueError("reference_digest belongs to reference-data, and reference-data needs it")
        return self


class IncentiveSpec(Value):
    """Tokens, in micro-units, minted once when the task becomes active."""

    endowment: Natural
    """Minted to each organisation of the task, to pay stakes from."""
    participant_stake: Natural
    validator_stake: Natural
    reward_per_round: Natural
    """Paid from the task's pool, which is minted as reward_per_round times rounds."""
    validator_share: Fraction
    """Part of the reward that goes to validators."""
    equal_share: Fraction
    """Part of the participants' reward that is split between organisations by score alone, whatever their size: the
    fairness floor."""
    slashing_equivocation: Fraction
    """Part of the stake taken for two different manifests in one round."""
    slashing_norm: Fraction = 0
    """Part taken for an update that is proven to be beyond the clip norm, or no update at all."""
    slashing_dealing: Fraction = 0
    """Part taken for shares that are proven not to belong together."""
    slashing_validator: Fraction = 0
    """Part of a validator's stake taken for a value that is proven to be false."""


class ReputationSpec(Value):
    """Scores are in micro-units; reputation is their exponentially weighted mean."""

    initial: Fraction
    memory: Fraction
    """Weight of the past."""
    agreement_weight: Fraction
    reliability_weight: Fraction
    honesty_weight: Fraction
    quarantine_threshold: Fraction
    quarantine_rounds: Natural

    @model_validator(mode="after")
    def _weights_add_up(self) -> Self:
        if self.agreement_weight + self.reliability_weight + self.honesty_weight != MICRO:
            raise ValueError("the three weights must add up to 1000000")
        return self


class EvaluationTerms(Value):
    """What participants may publish of how models do on their held-out records."""

    published: Literal["rounded", "noisy", "none"] = "rounded"
    """``noisy``: with noise for each record, or device, that is charged to the privacy budget; ``none``: nothing."""
    figure_step: Annotated[int, Field(ge=1, le=MICRO)] = 10_000
    """Figures are told in multiples of it, in micro-units; in coarser ones where a record's share is larger."""
    count_step: Positive = 10
    """Numbers of held-out records are told in multiples of it, rounded down; of fewer records nothing is told."""
    every: Positive = 1
    """Versions that are evaluated: the multiples of it."""
    noise_multiplier: Natural = 0
    """Of the sums that figures with noise are computed from, in micro-units."""
    epsilon_schedule: tuple[Natural, ...] = ()
    """Cumulative epsilon of a held-out record, in micro-units, after 1, 2, ... evaluations with noise."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        noisy = self.published == "noisy"
        if noisy != (self.noise_multiplier > 0) or noisy != bool(self.epsilon_schedule):
            raise ValueError("a noise_multiplier and an epsilon_schedule belong to noisy evaluations, which need both")
        if list(self.epsilon_schedule) != sorted(self.epsilon_schedule):
            raise ValueError("epsilon_schedule decreases")
        return self


class AgreementSpec(Value):
    """Terms of the data-sharing agreement that the contract enforces on every update and every use of a model."""

    purposes: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=64)] = ("research",)
    """What models of the task may be used for, as short names; ``purpose`` says in words what they mean."""
    minimum_examples: Positive = 1
    """An update that stands for fewer examples is refused: a model of few records tells too much about each."""
    example_step: Positive = 1
    """Numbers of examples are told in multiples of it, rounded down, so that they identify nobody."""
    ends_at: Natural | None = None
    """Seconds since the epoch from which on no update is accepted and no round opens; None without an end."""
    evaluations: EvaluationTerms = EvaluationTerms()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if tuple(sorted(set(self.purposes))) != self.purposes:
            raise ValueError("purposes must be sorted and distinct")
        return self


class DeadlineSpec(Value):
    """How many seconds each validator waits, by its own stopwatch, before it says that something is late."""

    updates: Positive
    attestations: Positive
    """For reveals of the reference direction, and again for attestations."""
    aggregates: Positive
    disputes: Positive = 60
    """For fetching what an accused validator disclosed, before it is denied."""


class TaskSpec(Value):
    """Everything that organisations agree on before anyone trains."""

    schema_: Literal["fedledger/task/1", "fedledger/task/2"] = Field(alias="schema", default="fedledger/task/2")
    """Names the protocol by which the task's rounds go."""
    task: Identifier
    title: Line
    purpose: Text
    """What the model may be used for: the purpose limitation of the data-sharing agreement, in words."""
    agreement: AgreementSpec = AgreementSpec()
    organisations: Annotated[tuple[MspId, ...], Field(min_length=1, max_length=256)]
    model: ModelSpec
    training: TrainingSpec
    aggregation: AggregationSpec
    privacy: PrivacySpec
    """Of every organisation that has none of its own."""
    own_privacy: tuple[OwnPrivacy, ...] = ()
    """By organisation, in the order of MSP ids."""
    robustness: RobustnessSpec
    incentive: IncentiveSpec
    reputation: ReputationSpec
    deadlines: DeadlineSpec

    @property
    def protocol(self) -> int:
        """The version of the round protocol: 2, or 1 for a task of an earlier release, which can be read and ended."""
        return int(self.schema_.rpartition("/")[2])

    @property
    def majority(self) -> int:
        """How many organisations make a majority."""
        return len(self.organisations) // 2 + 1

    def privacy_of(self, msp: str) -> PrivacySpec:
        """What the participants of an organisation apply, and what it may cost them."""
        return next((own.privacy for own in self.own_privacy if own.msp == msp), self.privacy)

    def mechanisms(self) -> tuple[tuple[str, PrivacySpec], ...]:
        """The task's privacy, under an empty name, that of each organisation with its own, under its MSP id, and that
        of evaluations with noise, under ``HELD_OUT``.
        """
        own = tuple((own.msp, own.privacy) for own in self.own_privacy)
        evaluations = self.evaluations_privacy()
        return (("", self.privacy), *own, *(() if evaluations is None else ((HELD_OUT, evaluations),)))

    def evaluations_privacy(self) -> PrivacySpec | None:
        """What evaluations with noise cost a held-out record, or device; None where there are none.

        One sum without sampling for each. Held-out records are not trained on, so that one record's cost is that of
        training or this, and both are held against the same budget. Delta is the least of all organisations.
        """
        terms = self.agreement.evaluations
        if terms.published != "noisy":
            return None
        private = [each for each in (self.privacy, *(own.privacy for own in self.own_privacy)) if each.delta_pico]
        return self.privacy.model_copy(
            update={
                "noise_multiplier": terms.noise_multiplier,
                "record_clip_norm": EVALUATION_NORM,
                "sampling_rate": MICRO,
                "steps_per_round": 1,
                "delta_pico": min(each.delta_pico for each in private),
                "epsilon_schedule": terms.epsilon_schedule,
            }
        )

    def privacy_beyond_bounds(self) -> str:
        """Why nobody should begin to compute what the privacy of this task costs; empty where everybody can."""
        mechanisms = self.mechanisms()
        reasons = ((owner, privacy.beyond_bounds()) for owner, privacy in mechanisms)
        entries = sum(len(schedule) for schedule in {privacy.epsilon_schedule for _, privacy in mechanisms})
        found = next((f"privacy of {owner or 'the task'}: {reason}" for owner, reason in reasons if reason), "")
        if not found and entries > MAXIMUM_ENTRIES:
            return f"{entries} entries of epsilon schedules, at most {MAXIMUM_ENTRIES} are recomputed"
        return found

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if tuple(sorted(set(self.organisations))) != self.organisations:
            raise ValueError("organisations must be sorted and distinct")
        owners = tuple(own.msp for own in self.own_privacy)
        if tuple(sorted({*owners} & {*self.organisations})) != owners:
            raise ValueError("own_privacy must be of organisations of the task, sorted and distinct")
        strangers = [msp for msp in self.aggregation.validators if msp not in self.organisations]
        if strangers:
            raise ValueError(f"validators {strangers} are not among the organisations")
        minted = (
            self.incentive.endowment * len(self.organisations) + self.incentive.reward_per_round * self.training.rounds
        )
        if minted > MAXIMUM_INTEGER:
            raise ValueError(f"endowments and rewards are {minted} micro-tokens; at most {MAXIMUM_INTEGER} can exist")
        if self.agreement.evaluations.published == "noisy" and self.privacy.mechanism == "none":
            raise ValueError("noisy evaluations need a privacy mechanism, to whose budget they are charged")
        if self.robustness.trust_weighting != "off" and self.aggregation.proof == "none":
            raise ValueError("trust weighting needs the norm proof: without it inner products prove nothing")
        if self.robustness.trust_weighting != "off" and self.incentive.equal_share < LEAST_FLOOR:
            raise ValueError(
                f"with trust weighting equal_share is at least {LEAST_FLOOR}: agreement is an estimate, and "
                "payments do not rest on it alone"
            )
        if self.aggregation.proof == "norm":
            NormBound(self.aggregation.quantised_norm, self.model.parameter_count)
        if self.protocol > 1:
            self._check_bounds()
        return self

    def _check_bounds(self) -> None:
        """What protocol 2 adds: enough organisations in every sum, and sizes that follow from the task."""
        aggregation, count = self.aggregation, self.model.parameter_count
        if reason := self.privacy_beyond_bounds():
            raise ValueError(reason)
        if aggregation.minimum_accepted < aggregation.tolerated_faults + 2:
            raise ValueError(
                f"minimum_accepted is at least t + 2 = {aggregation.tolerated_faults + 2}: t organisations subtract "
                "their own updates from a sum"
            )
        if aggregation.minimum_accepted > len(self.organisations):
            raise ValueError(
                f"minimum_accepted is {aggregation.minimum_accepted}, but the task has {len(self.organisations)} "
                "organisations: no round could ever end"
            )
        if comb(aggregation.n, aggregation.tolerated_faults) > MAXIMUM_READERS:
            raise ValueError(f"more than {MAXIMUM_READERS} sets of n - t of {aggregation.n} validators")
        if count > MAXIMUM_DIMENSION:
            raise ValueError(f"the model has {count} parameters, at most {MAXIMUM_DIMENSION} can be shared")
        if self.model.initial_weights_size > largest_model(count, len(self.model.tensors)):
            raise ValueError(f"the initial weights have {self.model.initial_weights_size} bytes for {count} parameters")
