"""A ledger in memory for the contract alone: certificates, a clock, and one transaction after another."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal, TypeAlias, TypeVar

from fedledger.identity.authority import CertificateAuthority, NodeRole, Validity, certificate_pem
from fedledger.identity.keys import KeyType, PrivateKey, generate_key, public_key_der, sign
from fedledger.identity.msp import serialize_identity
from fedledger_chaincode.contract import Contract
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER, Value
from fedledger_chaincode.messages.records import (
    DisputeRecord,
    DocketRecord,
    FixedSetRecord,
    LateRecord,
    RoundRecord,
    SettlementRecord,
)
from fedledger_chaincode.messages.round import (
    AggregateShare,
    Attestation,
    DealingOpening,
    DealingVote,
    DealingVotes,
    DisclosedShare,
    Disclosure,
    JoinRequest,
    LateClaim,
    Manifest,
    ModelReport,
    NormOpening,
    Opening,
    Phase,
    SealedShareReference,
    SignedManifest,
    UpdateFinding,
    ValidatorRegistration,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import MemberViews, RoundView, TaskView
from fedledger_chaincode.replay import ReplayStub
from fedledger_chaincode.rules.dealing import aggregate_bytes, plaintext_bytes, sealed_bytes
from fedledger_chaincode.rules.disputes import Vote
from fedledger_chaincode.rules.submission import agreed_privacy
from fedledger_chaincode.state import docket_key
from fedledger_chaincode.submitter import Submitter
from fedledger_chaincode.transactions.context import VOID

ViewT = TypeVar("ViewT", bound=Value)
Argument: TypeAlias = str | bytes | int | Value
MSPS = ("ClevelandMSP", "HungaryMSP", "LongBeachMSP", "SwitzerlandMSP")
CHANNEL = "fedledger"
START = 1_700_000_000
ZERO, ONE = ("0" * 16, "0" * 16), ("0" * 15 + "1", "0" * 16)
WITHIN_NORM = NormOpening(z=ZERO, p=ZERO, inner_product="0" * 16)
"""What every validator finds of an update of zeros."""
ONE_DEALING = DealingOpening(combination=ZERO)
"""The same in a task without proof."""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def task_spec(**changes: dict[str, Any] | Any) -> TaskSpec:
    """A task of four organisations; ``changes`` are merged into its tables."""
    return TaskSpec.model_validate_json(json.dumps(task_document(**changes)))


def seven_organisations(**changes: dict[str, Any] | Any) -> TaskSpec:
    """A task of seven organisations of which two may be faulty."""
    msps = [f"Site{number}MSP" for number in range(1, 8)]
    thresholds = {"validators": msps, "tolerated_faults": 2, "minimum_accepted": 4}
    aggregation = thresholds | changes.pop("aggregation", {})
    return task_spec(organisations=msps, aggregation=aggregation, **changes)


def task_document(**changes: dict[str, Any] | Any) -> dict[str, Any]:
    """The specification as JSON, right or wrong."""
    document: dict[str, Any] = {
        "schema": "fedledger/task/2",
        "task": "heart",
        "title": "Heart disease",
        "purpose": "Tests",
        "organisations": list(MSPS),
        "model": {
            "model_id": "logistic",
            "package_digest": digest("package"),
            "tensors": [{"name": "kernel", "shape": [3, 1]}, {"name": "bias", "shape": [1]}],
            "parameter_count": 4,
            "initial_weights_digest": digest("model 0"),
            "initial_weights_size": 100,
        },
        "training": {
            "algorithm": "fedavg",
            "proximal_mu": 0,
            "local_epochs": 1,
            "batch_size": 16,
            "client_optimizer": {"name": "sgd", "learning_rate": 100_000, "momentum": 0},
            "server_optimizer": {"name": "sgd", "learning_rate": 1_000_000, "momentum": 0},
            "rounds": 2,
        },
        "aggregation": {
            "validators": list(MSPS),
            "tolerated_faults": 1,
            "clip_norm": 1_000_000,
            "quantised_norm": 1 << 24,
            "max_examples": 10_000,
            "max_share": 400_000,
            "minimum_accepted": 3,
        },
        "privacy": {
            "mechanism": "dp-sgd",
            "noise_multiplier": 1_100_000,
            "record_clip_norm": 1_000_000,
            "sampling_rate": 100_000,
            "steps_per_round": 10,
            "delta_pico": 10_000_000,
            "epsilon_budget": 3_000_000,
            "epsilon_schedule": [1_000_000, 2_000_000, 3_000_000, 4_000_000],
        },
        "robustness": {"trust_weighting": "off"},
        "incentive": {
            "endowment": 1_000_000_000,
            "participant_stake": 100_000_000,
            "validator_stake": 100_000_000,
            "reward_per_round": 40_000_000,
            "validator_share": 250_000,
            "equal_share": 500_000,
            "slashing_equivocation": 500_000,
        },
        "reputation": {
            "initial": 500_000,
            "memory": 800_000,
            "agreement_weight": 0,
            "reliability_weight": 500_000,
            "honesty_weight": 500_000,
            "quarantine_threshold": 200_000,
            "quarantine_rounds": 3,
        },
        "deadlines": {"updates": 120, "attestations": 60, "aggregates": 60},
    }
    for table, change in changes.items():
        if isinstance(change, dict):
            document[table] = document.get(table, {}) | change
        else:
            document[table] = change
    return document


@dataclass(frozen=True)
class Actor:
    """A certificate with its key."""

    msp: str
    role: str
    key: PrivateKey
    creator: bytes

    @property
    def pseudonym(self) -> str:
        return Submitter.from_creator(self.creator).pseudonym

    @property
    def public_key(self) -> bytes:
        return public_key_der(self.key.public_key())


@dataclass(frozen=True)
class Sent:
    """A transaction that somebody has tried, and what came of it: the result, or the code of the refusal."""

    number: int
    actor: Actor
    function: str
    arguments: tuple[bytes, ...]
    outcome: bytes | str


@dataclass
class Ledger:
    """The world state and the time; ``submit`` applies a transaction, ``evaluate`` does not."""

    world: dict[str, bytes] = field(default_factory=dict)
    now: int = START
    events: list[str] = field(default_factory=list)
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Every event with its fields."""
    count: int = 0
    journal: list[Sent] = field(default_factory=list)
    """Every transaction that was submitted, refused or not."""
    authorities: dict[str, CertificateAuthority] = field(default_factory=dict)

    def actor(
        self,
        msp: str,
        role: str | None,
        *,
        name: str = "alice",
        key_type: KeyType = KeyType.P256,
        key: PrivateKey | None = None,
        days: int = 365,
    ) -> Actor:
        validity = Validity.starting(datetime.fromtimestamp(START, UTC), timedelta(days=days))
        if msp not in self.authorities:
            self.authorities[msp] = CertificateAuthority.self_signed(generate_key(), f"ca.{msp}", msp, validity)
        key = key or generate_key(key_type)
        attributes = None if role is None else {"fedledger.role": role}
        certificate = self.authorities[msp].issue(key.public_key(), name, [NodeRole.CLIENT], validity, attributes)
        return Actor(msp, role or "", key, serialize_identity(msp, certificate_pem(certificate)))

    def _run(self, actor: Actor, function: str, arguments: Sequence[Argument]) -> tuple[ReplayStub, bytes]:
        self.count += 1
        stub = ReplayStub(
            world=self.world,
            transaction_id=f"{self.count:064x}",
            channel_id=CHANNEL,
            function=function,
            arguments=[encoded(argument) for argument in arguments],
            creator=actor.creator,
            timestamp=self.now,
        )
        return stub, Contract().invoke(stub)

    def submit(self, actor: Actor, function: str, *arguments: Argument) -> bytes:
        sent = tuple(encoded(argument) for argument in arguments)
        try:
            stub, result = self._run(actor, function, sent)
        except ContractError as refusal:
            self.journal.append(Sent(self.count, actor, function, sent, refusal.code))
            raise
        self.journal.append(Sent(self.count, actor, function, sent, result))
        for key, value in stub.writes.items():
            if value is None:
                self.world.pop(key, None)
            else:
                self.world[key] = value
        if stub.event is not None:
            self.events.append(stub.event[0])
            self.said.append((stub.event[0], json.loads(stub.event[1])))
        return result

    def evaluate(self, actor: Actor, view: type[ViewT], function: str, *arguments: str | int) -> ViewT:
        stub, result = self._run(actor, function, arguments)
        assert not stub.writes
        return view.decode(result)


@cache
def _founders(msps: tuple[str, ...]) -> tuple[dict[str, Actor], ...]:
    ledger = Ledger()
    roles = ("governor", "validator", "participant")
    return tuple({msp: ledger.actor(msp, role, name=role) for msp in msps} for role in roles)


def encoded(argument: Argument) -> bytes:
    if isinstance(argument, Value):
        return argument.canonical()
    if isinstance(argument, bytes):
        return argument
    return str(argument).encode()


@dataclass
class Consortium:
    """Organisations with a governor, a validator and a participant each, and one task."""

    ledger: Ledger
    spec: TaskSpec
    governors: dict[str, Actor]
    validators: dict[str, Actor]
    participants: dict[str, Actor]

    @classmethod
    def founded(cls, spec: TaskSpec | None = None, ledger: Ledger | None = None) -> Consortium:
        spec = spec or task_spec()
        governors, validators, participants = (dict(actors) for actors in _founders(spec.organisations))
        return cls(ledger or Ledger(), spec, governors, validators, participants)

    @classmethod
    def active(cls, spec: TaskSpec | None = None, ledger: Ledger | None = None) -> Consortium:
        """Approved by all, all validators registered, all participants joined."""
        consortium = cls.founded(spec, ledger)
        consortium.begin()
        return consortium

    def begin(self) -> None:
        """Propose the task; all approve it, all validators register, all participants join."""
        self.propose()
        for msp in self.msps:
            self.approve(msp)
        for msp in self.msps:
            self.register(msp)
            self.join(msp)

    @property
    def task(self) -> str:
        return self.spec.task

    @property
    def msps(self) -> tuple[str, ...]:
        return self.spec.organisations

    @property
    def most_faulty(self) -> int:
        """t."""
        return self.spec.aggregation.tolerated_faults

    @property
    def quorum(self) -> int:
        """n - t."""
        return self.spec.aggregation.quorum

    def pseudonym(self, msp: str) -> str:
        return self.participants[msp].pseudonym

    def propose(self) -> None:
        self.ledger.submit(self.governors[self.msps[0]], "ProposeTask", self.spec)

    def approve(self, msp: str) -> None:
        self.ledger.submit(self.governors[msp], "ApproveTask", self.task, self.spec.sha256())

    def register(self, msp: str) -> None:
        registration = ValidatorRegistration(task=self.task, sealing_key=digest(msp), store=f"file:///stores/{msp}")
        self.ledger.submit(self.validators[msp], "RegisterValidator", registration)

    def join(self, msp: str) -> None:
        self.ledger.submit(self.participants[msp], "JoinTask", JoinRequest(task=self.task))

    def view(self) -> TaskView:
        return self.ledger.evaluate(self.governors[self.msps[0]], TaskView, "GetTask", self.task)

    def round(self, number: int) -> RoundView:
        return self.ledger.evaluate(self.governors[self.msps[0]], RoundView, "GetRound", self.task, number)

    def members(self) -> MemberViews:
        return self.ledger.evaluate(self.governors[self.msps[0]], MemberViews, "GetMembers", self.task)

    # --- a round

    def call(self, number: int, by: str | None = None) -> None:
        self.ledger.submit(self.validators[by or self.msps[0]], "CallRound", self.task, number)

    def open(self, number: int, by: str | None = None) -> RoundRecord:
        """Call it and open it; void when too few can take part."""
        self.call(number, by)
        result = self.ledger.submit(self.validators[by or self.msps[0]], "OpenRound", self.task, number)
        return RoundRecord.decode(result)

    def opened(self, number: int) -> None:
        """A round to which everybody has submitted, and which is closed."""
        self.open(number)
        for msp in self.msps:
            self.submit(msp, number)
        self.close(number)

    def claim(self, msp: str, number: int, phase: Phase) -> LateRecord:
        """One validator says that a phase has lasted long enough."""
        claim = LateClaim(task=self.task, round=number, phase=phase)
        return LateRecord.decode(self.ledger.submit(self.validators[msp], "ClaimLate", claim))

    def late(self, number: int, phase: Phase, count: int | None = None) -> None:
        """So many say so, by default t + 1: the last ones, who are otherwise the least active in tests."""
        claiming = self.most_faulty + 1 if count is None else count
        for msp in self.spec.aggregation.validators[::-1][:claiming]:
            self.claim(msp, number, phase)

    def manifest(self, msp: str, number: int, **changes: Any) -> Manifest:
        record = self.round(number).record
        size = sealed_bytes(self.spec.aggregation, self.spec.model.parameter_count)
        fields: dict[str, Any] = {
            "channel": CHANNEL,
            "task": self.task,
            "round": number,
            "participant": self.participants[msp].pseudonym,
            "base_model": record.base_model,
            "agreement": self.spec.sha256(),
            "num_examples": 100,
            "root": digest(f"root {msp} {number}"),
            "shares": tuple(
                SealedShareReference(digest=digest(f"share {msp} {number} {other}"), size=size)
                for other in self.spec.aggregation.validators
            ),
            "privacy": agreed_privacy(self.spec, msp),
        }
        return Manifest(**(fields | changes))

    def signed(self, msp: str, manifest: Manifest, key: PrivateKey | None = None) -> SignedManifest:
        signature = sign(key or self.participants[msp].key, manifest.canonical())
        return SignedManifest(manifest=manifest, signature=base64.b64encode(signature).decode())

    def submit(self, msp: str, number: int, **changes: Any) -> bytes:
        signed = self.signed(msp, self.manifest(msp, number, **changes))
        return self.ledger.submit(self.participants[msp], "SubmitUpdates", signed)

    def close(self, number: int, by: str | None = None) -> RoundRecord:
        result = self.ledger.submit(self.validators[by or self.msps[0]], "CloseRound", self.task, number)
        return RoundRecord.decode(result)

    @property
    def honest_opening(self) -> Opening:
        """Of an update that is as it should be."""
        return WITHIN_NORM if self.spec.aggregation.proof == "norm" else ONE_DEALING

    @property
    def contradiction(self) -> Opening:
        """What a lying validator says of an update of zeros."""
        if self.spec.aggregation.proof == "norm":
            return WITHIN_NORM.model_copy(update={"z": ONE})
        return DealingOpening(combination=ONE)

    def attestation(
        self, number: int, unreadable: Collection[str] = (), openings: Mapping[str, Opening] | None = None
    ) -> Attestation:
        """By default readable and as it should be; ``openings``, by participant, say otherwise."""
        fixed = self.round(number).fixed or FixedSetRecord(updates=())
        return Attestation(
            task=self.task,
            round=number,
            findings=tuple(
                UpdateFinding(participant=u.participant, readable=False, reason="NOT_FOUND")
                if u.participant in unreadable
                else UpdateFinding(
                    participant=u.participant,
                    readable=True,
                    opening=(openings or {}).get(u.participant, self.honest_opening),
                )
                for u in fixed.updates
            ),
        )

    def attest(
        self,
        msp: str,
        number: int,
        unreadable: Collection[str] = (),
        openings: Mapping[str, Opening] | None = None,
        reference: Literal["none", "used", "rejected"] = "none",
    ) -> None:
        attestation = self.attestation(number, unreadable, openings).model_copy(update={"reference": reference})
        self.ledger.submit(self.validators[msp], "AttestUpdates", attestation)

    def settle(self, number: int, by: str | None = None) -> SettlementRecord:
        result = self.ledger.submit(self.validators[by or self.msps[0]], "SettleRound", self.task, number)
        return SettlementRecord.decode(result)

    def post_share(self, msp: str, number: int) -> None:
        size = aggregate_bytes(self.spec.model.parameter_count)
        share = AggregateShare(task=self.task, round=number, digest=digest(f"aggregate {msp} {number}"), size=size)
        self.ledger.submit(self.validators[msp], "PostAggregateShare", share)

    def report(self, msp: str, number: int, model: str = "", liars: tuple[str, ...] = ()) -> None:
        report = ModelReport(
            task=self.task,
            round=number,
            aggregate_digest=digest(f"sum {number} {model}"),
            model_digest=digest(f"model {number} {model}"),
            model_size=self.spec.model.initial_weights_size,
            liars=liars,
        )
        self.ledger.submit(self.validators[msp], "ReportModel", report)

    def finalise(self, number: int, by: str | None = None) -> bytes:
        return self.ledger.submit(self.validators[by or self.msps[0]], "FinaliseRound", self.task, number)

    def through(self, number: int, *, submitting: Collection[str] | None = None) -> bytes:
        """A whole round in which ``submitting`` deliver and all validators do their duty."""
        self.open(number)
        there = self.msps if submitting is None else submitting
        for msp in there:
            self.submit(msp, number)
        if len(there) < len(self.round(number).cohort.participants):
            self.late(number, "updates")
        return self.conclude(number)

    def conclude(self, number: int) -> bytes:
        """From closing to the next model: all validators do their duty."""
        self.close(number)
        for msp in self.msps:
            self.attest(msp, number)
        return self.sum_up(number)

    def sum_up(self, number: int) -> bytes:
        """From settling to the next model: all validators do what is theirs."""
        settlement = self.settle(number)
        for msp in self.msps:
            if msp in settlement.summers:
                self.post_share(msp, number)
            self.report(msp, number)
        return self.finalise(number)

    # --- disputes

    def disclose(self, msp: str, number: int, *accusers: str, content: str = "disclosed") -> None:
        """An accused validator names its shares of the updates of these organisations' participants."""
        size = plaintext_bytes(self.spec.aggregation, self.spec.model.parameter_count)
        shares = tuple(
            DisclosedShare(participant=self.pseudonym(each), digest=digest(f"{content} {msp} {each}"), size=size)
            for each in accusers
        )
        disclosure = Disclosure(task=self.task, round=number, shares=shares)
        self.ledger.submit(self.validators[msp], "DiscloseShares", disclosure)

    def vote(self, judge: str, number: int, vote: Vote, *accused: tuple[str, str]) -> None:
        """A validator's votes about (organisation of the participant, accused validator)."""
        votes = tuple(
            DealingVote(participant=self.pseudonym(owner), validator=validator, vote=vote)
            for owner, validator in accused
        )
        self.ledger.submit(
            self.validators[judge], "VoteDealing", DealingVotes(task=self.task, round=number, votes=votes)
        )

    def dispute(self, number: int) -> DisputeRecord | None:
        return self.round(number).dispute

    def docket(self) -> DocketRecord:
        stored = self.ledger.world.get(docket_key(self.task))
        return DocketRecord() if stored is None else DocketRecord.decode(stored)

    # --- tokens

    def balances(self) -> dict[str, int]:
        """What every account holds, added up from all keys that hold tokens; nobody holds what the void has earned."""
        held: dict[str, int] = {}
        for key, value in self.ledger.world.items():
            kind, account = [*key.split("/"), ""][:2]
            match kind:
                case "balance" | "received":
                    amount = json.loads(value)["balance"]
                case "gifts":
                    account, amount = f"insurance:{account}", json.loads(value)["balance"]
                case "earned":
                    amount = json.loads(value)["total"]
                case "collected":
                    amount = -json.loads(value)["total"]
                case _:
                    continue
            if account != VOID:
                held[account] = (held.get(account, 0) + amount) % (MAXIMUM_INTEGER + 1)
        return held

    def stake(self, owner: str) -> int:
        """What is locked of a participant's or a validator's stake."""
        return self.balances().get(f"stake:{self.task}:{owner}", 0)

    def supply(self) -> int:
        _, result = self.ledger._run(self.governors[self.msps[0]], "TotalSupply", ())
        return int(result)
