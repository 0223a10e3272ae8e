"""A ledger in memory for the contract alone: certificates, a clock, and one transaction after another."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeAlias, TypeVar

from fedledger.identity.authority import CertificateAuthority, NodeRole, Validity, certificate_pem
from fedledger.identity.keys import KeyType, PrivateKey, generate_key, public_key_der, sign
from fedledger.identity.msp import serialize_identity
from fedledger_chaincode.contract import Contract
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER, Value
from fedledger_chaincode.messages.records import FixedSetRecord, RoundRecord, SettlementRecord
from fedledger_chaincode.messages.round import (
    AggregateShare,
    Attestation,
    JoinRequest,
    Manifest,
    ModelReport,
    Opening,
    ProofCommitments,
    SealedShareReference,
    SignedManifest,
    UpdateFinding,
    ValidatorRegistration,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import MemberViews, RoundView, TaskView
from fedledger_chaincode.replay import ReplayStub
from fedledger_chaincode.rules.commitments import UpdateContext, proof_root_digest, root_digest
from fedledger_chaincode.rules.submission import agreed_privacy
from fedledger_chaincode.submitter import Submitter
from fedledger_chaincode.transactions.context import VOID

ViewT = TypeVar("ViewT", bound=Value)
Argument: TypeAlias = str | bytes | int | Value
MSPS = ("ClevelandMSP", "HungaryMSP", "LongBeachMSP", "SwitzerlandMSP")
CHANNEL = "fedledger"
START = 1_700_000_000
WITHIN_NORM = Opening(degree=("0" * 16, "0" * 16), zero=("0" * 16, "0" * 16), inner_product="0" * 16)
"""What every validator finds of an update of zeros."""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def task_spec(**changes: dict[str, Any] | Any) -> TaskSpec:
    """A task of four organisations; ``changes`` are merged into its tables."""
    document: dict[str, Any] = {
        "schema": "fedledger/task/1",
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
    return TaskSpec.model_validate_json(json.dumps(document))


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


@dataclass
class Ledger:
    """The world state and the time; ``submit`` applies a transaction, ``evaluate`` does not."""

    world: dict[str, bytes] = field(default_factory=dict)
    now: int = START
    events: list[str] = field(default_factory=list)
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Every event with its fields."""
    count: int = 0
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
        stub, result = self._run(actor, function, arguments)
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
def _founders() -> tuple[dict[str, Actor], ...]:
    ledger = Ledger()
    roles = ("governor", "validator", "participant")
    return tuple({msp: ledger.actor(msp, role, name=role) for msp in MSPS} for role in roles)


def encoded(argument: Argument) -> bytes:
    if isinstance(argument, Value):
        return argument.canonical()
    if isinstance(argument, bytes):
        return argument
    return str(argument).encode()


@dataclass
class Consortium:
    """Four organisations with a governor, a validator and a participant each, and one task."""

    ledger: Ledger
    spec: TaskSpec
    governors: dict[str, Actor]
    validators: dict[str, Actor]
    participants: dict[str, Actor]

    @classmethod
    def founded(cls, spec: TaskSpec | None = None, ledger: Ledger | None = None) -> Consortium:
        governors, validators, participants = (dict(actors) for actors in _founders())
        return cls(ledger or Ledger(), spec or task_spec(), governors, validators, participants)

    @classmethod
    def active(cls, spec: TaskSpec | None = None, ledger: Ledger | None = None) -> Consortium:
        """Approved by all, all validators registered, all participants joined."""
        consortium = cls.founded(spec, ledger)
        consortium.propose()
        for msp in MSPS:
            consortium.approve(msp)
        for msp in MSPS:
            consortium.register(msp)
            consortium.join(msp)
        return consortium

    @property
    def task(self) -> str:
        return self.spec.task

    def propose(self) -> None:
        self.ledger.submit(self.governors[MSPS[0]], "ProposeTask", self.spec)

    def approve(self, msp: str) -> None:
        self.ledger.submit(self.governors[msp], "ApproveTask", self.task, self.spec.sha256())

    def register(self, msp: str) -> None:
        registration = ValidatorRegistration(task=self.task, sealing_key=digest(msp), store=f"file:///stores/{msp}")
        self.ledger.submit(self.validators[msp], "RegisterValidator", registration)

    def join(self, msp: str) -> None:
        self.ledger.submit(self.participants[msp], "JoinTask", JoinRequest(task=self.task))

    def view(self) -> TaskView:
        return self.ledger.evaluate(self.governors[MSPS[0]], TaskView, "GetTask", self.task)

    def round(self, number: int) -> RoundView:
        return self.ledger.evaluate(self.governors[MSPS[0]], RoundView, "GetRound", self.task, number)

    def members(self) -> MemberViews:
        return self.ledger.evaluate(self.governors[MSPS[0]], MemberViews, "GetMembers", self.task)

    def open(self, number: int, by: str = MSPS[0]) -> RoundRecord:
        return RoundRecord.decode(self.ledger.submit(self.validators[by], "OpenRound", self.task, number))

    def manifest(self, msp: str, number: int, **changes: Any) -> Manifest:
        record = self.round(number).record
        fields: dict[str, Any] = {
            "channel": CHANNEL,
            "task": self.task,
            "round": number,
            "participant": self.participants[msp].pseudonym,
            "base_model": record.base_model,
            "agreement": self.spec.sha256(),
            "num_examples": 100,
            "root": digest(f"root {msp} {number}"),
            "leaves": tuple(digest(f"leaf {msp} {number} {other}") for other in MSPS),
            "shares": tuple(SealedShareReference(digest=digest(f"share {msp} {number} {o}"), size=99) for o in MSPS),
            "privacy": agreed_privacy(self.spec, msp),
        }
        manifest = Manifest(**(fields | changes))
        if "root" in changes:
            return manifest
        root = root_digest(UpdateContext.of(manifest), manifest.leaves)
        manifest = manifest.model_copy(update={"root": root})
        if self.spec.aggregation.proof == "none":
            return manifest
        leaves = tuple(digest(f"proof leaf {msp} {number} {other}") for other in MSPS)
        proof = ProofCommitments(root=proof_root_digest(root, leaves), leaves=leaves)
        return manifest.model_copy(update={"proof": proof})

    def signed(self, msp: str, manifest: Manifest, key: PrivateKey | None = None) -> SignedManifest:
        signature = sign(key or self.participants[msp].key, manifest.canonical())
        return SignedManifest(manifest=manifest, signature=base64.b64encode(signature).decode())

    def submit(self, msp: str, number: int, **changes: Any) -> bytes:
        signed = self.signed(msp, self.manifest(msp, number, **changes))
        return self.ledger.submit(self.participants[msp], "SubmitUpdates", signed)

    def close(self, number: int, by: str = MSPS[0]) -> RoundRecord:
        return RoundRecord.decode(self.ledger.submit(self.validators[by], "CloseRound", self.task, number))

    def attestation(
        self, number: int, unreadable: tuple[str, ...] = (), openings: Mapping[str, Opening] | None = None
    ) -> Attestation:
        """By default readable and, in a task with norm proofs, within the norm; ``openings`` says otherwise."""
        fixed = self.round(number).fixed or FixedSetRecord(updates=())
        proven = self.spec.aggregation.proof == "norm"
        return Attestation(
            task=self.task,
            round=number,
            findings=tuple(
                UpdateFinding(participant=u.participant, readable=False, reason="NOT_FOUND")
                if u.participant in unreadable
                else UpdateFinding(
                    participant=u.participant,
                    readable=True,
                    opening=(openings or {}).get(u.participant, WITHIN_NORM) if proven else None,
                )
                for u in fixed.updates
            ),
        )

    def attest(self, msp: str, number: int, unreadable: tuple[str, ...] = ()) -> None:
        self.ledger.submit(self.validators[msp], "AttestUpdates", self.attestation(number, unreadable))

    def settle(self, number: int, by: str = MSPS[0]) -> SettlementRecord:
        return SettlementRecord.decode(self.ledger.submit(self.validators[by], "SettleRound", self.task, number))

    def post_share(self, msp: str, number: int) -> None:
        share = AggregateShare(task=self.task, round=number, digest=digest(f"aggregate {msp} {number}"), size=50)
        self.ledger.submit(self.validators[msp], "PostAggregateShare", share)

    def report(self, msp: str, number: int, model: str = "", liars: tuple[str, ...] = ()) -> None:
        report = ModelReport(
            task=self.task,
            round=number,
            aggregate_digest=digest(f"sum {number} {model}"),
            model_digest=digest(f"model {number} {model}"),
            model_size=100,
            liars=liars,
        )
        self.ledger.submit(self.validators[msp], "ReportModel", report)

    def finalise(self, number: int, by: str = MSPS[0]) -> bytes:
        return self.ledger.submit(self.validators[by], "FinaliseRound", self.task, number)

    def through(self, number: int, *, submitting: tuple[str, ...] = MSPS) -> bytes:
        """A whole round in which ``submitting`` deliver and all validators do their duty."""
        self.open(number)
        for msp in submitting:
            self.submit(msp, number)
        if len(submitting) < len(MSPS):
            self.ledger.now += self.spec.deadlines.updates
        return self.conclude(number)

    def conclude(self, number: int) -> bytes:
        """From closing to the next model: all validators do their duty."""
        self.close(number)
        for msp in MSPS:
            self.attest(msp, number)
        self.settle(number)
        for msp in MSPS:
            self.post_share(msp, number)
            self.report(msp, number)
        return self.finalise(number)

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

    def supply(self) -> int:
        _, result = self.ledger._run(self.governors[MSPS[0]], "TotalSupply", ())
        return int(result)
