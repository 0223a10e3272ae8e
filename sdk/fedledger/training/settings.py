"""What task.toml may say, as strict frozen values; refuses unknown keys, wrong types and values out of range.

Rates and shares become integers of millionths on the ledger, so a number with more than six decimals is
refused here rather than rounded there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

MICRO = 1_000_000
PICO = 10**12


def to_micro(value: float) -> int:
    """An exact number of millionths."""
    return round(value * MICRO)


def _whole_micro(value: float) -> float:
    if value != to_micro(value) / MICRO:
        raise ValueError("has more than six decimals")
    return value


def _whole_pico(value: float) -> float:
    if value != round(value * PICO) / PICO:
        raise ValueError("has more than twelve decimals")
    return value


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Micro = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False), AfterValidator(_whole_micro)]
PositiveMicro = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False), AfterValidator(_whole_micro)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), AfterValidator(_whole_micro)]
PositiveShare = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), AfterValidator(_whole_micro)]
Delta = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), AfterValidator(_whole_pico)]
Count = Annotated[int, Field(ge=1, le=1 << 32)]
# TOML has lists only, so that tuples are taken leniently; what is in them stays strict.
Shape = Annotated[tuple[Count, ...], Field(strict=False)]
NamedTensor = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], Shape], Field(strict=False)]


class Table(BaseModel):
    """A table of task.toml."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class About(Table):
    """``[task]``: what the organisations agree on, in words."""

    name: Name
    title: Annotated[str, Field(min_length=1, max_length=200)]
    purpose: Annotated[str, Field(min_length=1, max_length=2_000)]
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    """Of initial weights, of the split into training and test rows, and of the order of batches; never of
    noise.
    """


class Data(Table):
    """``[data]``: what ``load`` in data.py returns."""

    input_shape: Annotated[Shape, Field(min_length=1)]
    """Of one record, without the batch axis."""
    classes: Annotated[int, Field(ge=2, le=100_000)]
    """2: labels 0 and 1, the model has one logit. k > 2: labels 0 .. k - 1, the model has k logits."""
    sites: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of the datasets that come with the package."""


class Kind(Table):
    """``[model.kinds.NAME]``: the trainable tensors of one model, in the order Keras creates them."""

    tensors: Annotated[tuple[NamedTensor, ...], Field(min_length=1, strict=False)]


class Model(Table):
    """``[model]``: which of the package's models is trained."""

    kind: str
    kinds: dict[Name, Kind]

    @model_validator(mode="after")
    def _kind_is_known(self) -> Self:
        if self.kind not in self.kinds:
            raise ValueError(f"kind {self.kind!r} has no table [model.kinds.{self.kind}]")
        return self


class Optimizer(Table):
    """A ``tff.learning.optimizers`` optimiser: ``w - learning_rate x (momentum x velocity + gradient)``."""

    name: Literal["sgd"]
    learning_rate: PositiveMicro
    momentum: Annotated[Share, Field(lt=1)] = 0.0


class Training(Table):
    """``[training]``: local work and server step."""

    rounds: Annotated[int, Field(ge=1, le=100_000)]
    algorithm: Literal["fedavg", "fedprox"]
    proximal_mu: PositiveMicro
    """FedProx's mu (Li et al. 2020); unused by fedavg."""
    local_epochs: Annotated[int, Field(ge=1, le=10_000)]
    batch_size: Count
    client_optimizer: Optimizer
    server_optimizer: Optimizer
    allow_single_class: bool = False
    """Whether a site whose training rows are all of one class may train; its update pulls towards that
    class.
    """

    @property
    def effective_mu(self) -> float:
        """mu for fedprox, 0 for fedavg."""
        return self.proximal_mu if self.algorithm == "fedprox" else 0.0


class Aggregation(Table):
    """``[aggregation]``: secure aggregation of the updates."""

    tolerated_faults: Annotated[int, Field(ge=1, le=20)]
    clip_norm: PositiveMicro
    """L2 bound of a whole update."""
    quantisation_bits: Annotated[int, Field(ge=8, le=29)]
    """The clip norm becomes 2 to this power in the field."""
    max_examples: Count
    max_share: PositiveShare
    minimum_accepted: Annotated[int, Field(ge=3)]
    """Updates, and organisations, that a sum is made of at least."""
    proof: Literal["none", "norm"] = "none"
    """norm: each update proves that it keeps the clip norm, and one that does not is refused."""

    @model_validator(mode="after")
    def _nobody_stays_alone(self) -> Self:
        if self.minimum_accepted < self.tolerated_faults + 2:
            raise ValueError(
                f"minimum_accepted is at least tolerated_faults + 2 = {self.tolerated_faults + 2}: so many colluding "
                "organisations can subtract their own updates from a sum"
            )
        return self


class Privacy(Table):
    """``[privacy]``: differential privacy of local training, of each record or of each device."""

    mechanism: Literal["none", "dp-sgd", "dp-fedavg"]
    delta: Delta
    record_clip_norm: PositiveMicro
    """L2 bound of a record's gradient; with dp-fedavg of a device's update."""
    sampling_rate: PositiveShare
    """Probability with which each record, or device, enters a step."""
    steps_per_round: Annotated[int, Field(ge=1, le=1_000_000)]
    target_epsilon: PositiveMicro | None = None
    """Of the whole run; the noise multiplier is computed from it."""
    noise_multiplier: PositiveMicro | None = None
    epsilon_budget: PositiveMicro
    """Largest cumulative epsilon of one participant."""
    client_optimizer: Optimizer | None = None
    """Local optimiser with DP on; that of [training] where it is left out."""

    @model_validator(mode="after")
    def _one_way_to_say_the_noise(self) -> Self:
        if (self.target_epsilon is None) == (self.noise_multiplier is None):
            raise ValueError("needs either target_epsilon or noise_multiplier, not both")
        if self.target_epsilon is not None and self.target_epsilon > self.epsilon_budget:
            raise ValueError("target_epsilon is above epsilon_budget")
        return self


class OwnPrivacy(Table):
    """``[own_privacy.MSP]``: what of ``[privacy]`` is otherwise for the participants of one organisation."""

    mechanism: Literal["none", "dp-sgd", "dp-fedavg"] | None = None
    delta: Delta | None = None
    record_clip_norm: PositiveMicro | None = None
    sampling_rate: PositiveShare | None = None
    steps_per_round: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    target_epsilon: PositiveMicro | None = None
    noise_multiplier: PositiveMicro | None = None
    epsilon_budget: PositiveMicro | None = None

    def within(self, privacy: Privacy) -> Privacy:
        """``privacy`` with these values; a way to say the noise takes the place of the other."""
        document = privacy.model_dump()
        if self.target_epsilon is not None or self.noise_multiplier is not None:
            del document["target_epsilon"], document["noise_multiplier"]
        return Privacy.model_validate(document | self.model_dump(exclude_none=True))


class Robustness(Table):
    """``[robustness]``: how strange updates are treated."""

    trust_weighting: Literal["off", "last-step", "reference-data"]
    """An update counts the more the better it agrees with a direction: that of the last accepted step of the model, or
    that of training on reference data, which the validators have and participants need not."""
    reference: str | None = None
    """With reference-data: what data.py loads them from, a file of the folder or a name."""
    no_trust: Share = 0.0
    """Agreement (a cosine, shortened where the update is shorter than the clip norm) up to which it counts nothing;
    for updates without noise: what goes on the ledger is derived from it and the task's mechanism."""
    full_trust: PositiveShare = 1.0
    """Agreement from which on it counts fully, without noise."""
    honest_norm: PositiveMicro | None = None
    """L2 norm of an honest update without noise; with privacy noise thresholds are derived from it."""
    honest_examples: Count | None = None
    """Training records of the site for which they are derived: noise is the larger the fewer a site has."""

    @model_validator(mode="after")
    def _thresholds(self) -> Self:
        if self.no_trust >= self.full_trust:
            raise ValueError("no_trust has to be below full_trust")
        if self.trust_weighting == "reference-data" and self.reference is None:
            raise ValueError("trust_weighting reference-data needs a reference")
        return self


class Incentive(Table):
    """``[incentive]``: tokens."""

    endowment: Micro
    participant_stake: Micro
    validator_stake: Micro
    reward_per_round: Micro
    validator_share: Share
    equal_share: Share
    slashing_equivocation: Share
    """Part of the stake taken for two different updates in one round."""
    slashing_norm: Share = 0.0
    """For an update that is proven to exceed the clip norm."""
    slashing_dealing: Share = 0.0
    """For shares that are proven not to belong together."""
    slashing_validator: Share = 0.0
    """Part of a validator's stake taken for a value that is proven to be false."""


class Reputation(Table):
    """``[reputation]``: scores of past rounds, and what follows from low ones."""

    initial: Share
    memory: Share
    agreement_weight: Share
    reliability_weight: Share
    honesty_weight: Share
    quarantine_threshold: Share
    quarantine_rounds: Annotated[int, Field(ge=0, le=100_000)]

    @model_validator(mode="after")
    def _weights_add_up(self) -> Self:
        weights = (self.agreement_weight, self.reliability_weight, self.honesty_weight)
        if sum(map(to_micro, weights)) != MICRO:
            raise ValueError("agreement_weight, reliability_weight and honesty_weight must add up to 1")
        return self


class Deadlines(Table):
    """``[deadlines]``: whole seconds after which a round goes on without those who are late."""

    updates: Count
    attestations: Count
    aggregates: Count
    disputes: Count = 60


Changes = dict[str, dict[str, Any]]
"""Values by table and key."""
_MAY_VARY: dict[str, frozenset[str]] = {
    "training": frozenset(Training.model_fields) - {"allow_single_class"},
    "aggregation": frozenset(Aggregation.model_fields),
    "privacy": frozenset(Privacy.model_fields),
    "robustness": frozenset({"trust_weighting"}),
    "incentive": frozenset(Incentive.model_fields),
    "reputation": frozenset(Reputation.model_fields),
    "deadlines": frozenset(Deadlines.model_fields),
}
"""What a variant may change: what the ledger holds, so that others take it from there."""


class Agreement(Table):
    """``[agreement]``: terms that the contract enforces on every update and every use of a model."""

    purposes: Annotated[tuple[Name, ...], Field(min_length=1, max_length=64, strict=False)] = ("research",)
    """What models may be used for, as short names; ``task.purpose`` says in words what they mean."""
    minimum_examples: Count = 1
    """A site with fewer takes no part."""
    example_step: Count = 1
    """Sites tell their numbers of examples in multiples of it, rounded down."""
    ends: AwareDatetime | None = None
    """From then on no update is accepted and no round opens."""
    evaluations: Literal["rounded", "noisy", "none"] = "rounded"
    """What is published of how models do on held-out records."""
    evaluation_precision: PositiveShare = 0.01
    """Figures are told in multiples of it; in coarser ones where a record's share is larger."""
    evaluation_step: Count = 10
    """Numbers of held-out records are told in multiples of it, rounded down; of fewer nothing is told."""
    evaluate_every: Count = 1
    """Versions that are evaluated: the multiples of it."""
    evaluation_noise: PositiveMicro | None = None
    """With noise: the noise multiplier of the sums that figures are computed from."""

    def told(self, number: int) -> int:
        """A number of examples as manifests tell it; of fewer than a step, which take no part, one step."""
        return max(number - number % self.example_step, self.example_step)

    @model_validator(mode="after")
    def _noise_of_evaluations(self) -> Self:
        if (self.evaluations == "noisy") != (self.evaluation_noise is not None):
            raise ValueError("evaluation_noise belongs to evaluations noisy, which need it")
        return self

    @field_validator("ends")
    @classmethod
    def _whole_seconds(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.microsecond:
            raise ValueError("is no whole second")
        return value


class TaskSettings(Table):
    """The whole of task.toml."""

    task: About
    data: Data
    model: Model
    training: Training
    aggregation: Aggregation
    privacy: Privacy
    robustness: Robustness
    incentive: Incentive
    reputation: Reputation
    deadlines: Deadlines
    agreement: Agreement = Agreement()
    own_privacy: dict[Annotated[str, Field(min_length=1, max_length=64)], OwnPrivacy] = {}
    """By MSP id of the organisation; the others go by ``privacy``."""
    variants: dict[Name, Changes] = {}
    """``[variants.NAME.TABLE]``: keys whose values differ when the task is proposed as this variant."""

    def privacy_of(self, msp: str) -> Privacy:
        """What the participants of an organisation apply."""
        own = self.own_privacy.get(msp)
        return self.privacy if own is None else own.within(self.privacy)

    @model_validator(mode="after")
    def _own_privacy_is_whole(self) -> Self:
        for msp in self.own_privacy:
            try:
                self.privacy_of(msp)
            except ValidationError as error:
                reason = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise ValueError(f"own_privacy.{msp}: {reason}") from None
        return self

    @model_validator(mode="after")
    def _noise_is_reckoned_with(self) -> Self:
        robustness = self.robustness
        mechanisms = {self.privacy.mechanism, *(self.privacy_of(msp).mechanism for msp in self.own_privacy)}
        is_noisy = mechanisms != {"none"} and robustness.trust_weighting != "off"
        if is_noisy and (robustness.honest_norm is None or robustness.honest_examples is None):
            raise ValueError("trust weighting with privacy noise needs honest_norm and honest_examples")
        return self

    @model_validator(mode="after")
    def _variants_change_what_the_ledger_holds(self) -> Self:
        for name, changes in self.variants.items():
            for table, values in changes.items():
                for key in values:
                    if key not in _MAY_VARY.get(table, ()):
                        raise ValueError(f"variant {name!r} changes {table}.{key}, which may not differ in a variant")
        return self
