"""The contract on a world state in memory: organisations, names, and rounds in which everybody says what it likes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fedledger.identity.authority import CertificateAuthority, NodeRole, Validity, certificate_pem
from fedledger.identity.keys import PrivateKey, generate_key, sign
from fedledger.identity.msp import serialize_identity
from fedledger_chaincode.contract import Contract
from fedledger_chaincode.messages.base import Value
from fedledger_chaincode.messages.records import SettlementRecord
from fedledger_chaincode.messages.round import (
    AggregateShare,
    Attestation,
    JoinRequest,
    LateClaim,
    Manifest,
    ModelReport,
    NormOpening,
    Phase,
    ReferenceCommitment,
    RevealedReference,
    SealedShareReference,
    SignedManifest,
    UpdateFinding,
    ValidatorRegistration,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import MemberViews, RoundView, TaskView, Wallet
from fedledger_chaincode.replay import ReplayStub
from fedledger_chaincode.rules.commitments import reference_commitment
from fedledger_chaincode.rules.dealing import aggregate_bytes, sealed_bytes
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.submission import agreed_privacy
from fedledger_chaincode.submitter import Submitter

CHANNEL = "fedledger"
START = 1_700_000_000
_ZERO = ("0" * 16, "0" * 16)
_SALT = "5" * 32


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Actor:
    """A certificate with its key."""

    key: PrivateKey
    creator: bytes

    @property
    def pseudonym(self) -> str:
        return Submitter.from_creator(self.creator).pseudonym


@dataclass
class Consortium:
    """One task that all organisations have approved; participants join under names."""

    spec: TaskSpec
    world: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, tuple[str, Actor]] = field(default_factory=dict)
    """By name: organisation and certificate."""
    _count: int = 0

    def __post_init__(self) -> None:
        self._validity = Validity.starting(datetime.fromtimestamp(START, UTC), timedelta(days=3650))
        self._authorities = {
            msp: CertificateAuthority.self_signed(generate_key(), f"ca.{msp}", msp, self._validity)
            for msp in self.spec.organisations
        }
        self.governors = {msp: self._actor(msp, "governor") for msp in self.spec.organisations}
        self.validators = {msp: self._actor(msp, "validator") for msp in self.spec.organisations}
        self.submit(self.governors[self.spec.organisations[0]], "ProposeTask", self.spec)
        for msp in self.spec.organisations:
            self.submit(self.governors[msp], "ApproveTask", self.spec.task, self.spec.sha256())
        for msp in self.spec.aggregation.validators:
            registration = ValidatorRegistration(
                task=self.spec.task, sealing_key=digest(msp), store=f"file:///stores/{msp}"
            )
            self.submit(self.validators[msp], "RegisterValidator", registration)

    def _actor(self, msp: str, role: str) -> Actor:
        key = generate_key()
        certificate = self._authorities[msp].issue(
            key.public_key(), role, [NodeRole.CLIENT], self._validity, {"fedledger.role": role}
        )
        return Actor(key, serialize_identity(msp, certificate_pem(certificate)))

    def _run(self, actor: Actor, function: str, arguments: Sequence[str | int | Value]) -> tuple[ReplayStub, bytes]:
        self._count += 1
        stub = ReplayStub(
            world=self.world,
            transaction_id=f"{self._count:064x}",
            channel_id=CHANNEL,
            function=function,
            arguments=[each.canonical() if isinstance(each, Value) else str(each).encode() for each in arguments],
            creator=actor.creator,
            timestamp=START,
        )
        return stub, Contract().invoke(stub)

    def submit(self, actor: Actor, function: str, *arguments: str | int | Value) -> bytes:
        stub, result = self._run(actor, function, arguments)
        for key, value in stub.writes.items():
            if value is None:
                self.world.pop(key, None)
            else:
                self.world[key] = value
        return result

    def _ask(self, function: str, *arguments: str | int) -> bytes:
        return self._run(self.governors[self.spec.organisations[0]], function, arguments)[1]

    def join(self, name: str, msp: str) -> None:
        actor = self._actor(msp, "participant")
        self.submit(actor, "JoinTask", JoinRequest(task=self.spec.task))
        self.names[name] = (msp, actor)

    def view(self) -> TaskView:
        return TaskView.decode(self._ask("GetTask", self.spec.task))

    def round(self, number: int) -> RoundView:
        return RoundView.decode(self._ask("GetRound", self.spec.task, number))

    def members(self) -> MemberViews:
        return MemberViews.decode(self._ask("GetMembers", self.spec.task))

    def wealth(self, msp: str) -> int:
        """All that an organisation, its stakes and its participants hold, in micro-tokens."""
        accounts = Wallet.decode(self._ask("GetWallet", self.spec.task, msp)).accounts
        own = ("org:", "participant:", "stake:")
        return sum(each.balance for each in accounts if each.account.startswith(own))

    # --- a round

    def open(self, number: int) -> bool:
        """Whether it began; who takes part is in its cohort."""
        first = self.validators[self.spec.aggregation.validators[0]]
        if number > 1 and self.round(number - 1).record.void:
            self.late(number, "idle")
        self.submit(first, "CallRound", self.spec.task, number)
        self.submit(first, "OpenRound", self.spec.task, number)
        return not self.round(number).record.void

    def takes_part(self, name: str, number: int) -> bool:
        pseudonym = self.names[name][1].pseudonym
        return any(entry.participant == pseudonym for entry in self.round(number).cohort.participants)

    def give(self, name: str, number: int, examples: int) -> None:
        """An update is on the ledger."""
        msp, actor = self.names[name]
        size = sealed_bytes(self.spec.aggregation, self.spec.model.parameter_count)
        manifest = Manifest(
            channel=CHANNEL,
            task=self.spec.task,
            round=number,
            participant=actor.pseudonym,
            base_model=self.round(number).record.base_model,
            agreement=self.spec.sha256(),
            num_examples=examples,
            root=digest(f"root {name} {number}"),
            shares=tuple(
                SealedShareReference(digest=digest(f"share {name} {number} {other}"), size=size)
                for other in self.spec.aggregation.validators
            ),
            privacy=agreed_privacy(self.spec, msp),
        )
        signature = base64.b64encode(sign(actor.key, manifest.canonical())).decode()
        self.submit(actor, "SubmitUpdates", SignedManifest(manifest=manifest, signature=signature))

    def commit(self, msp: str, number: int) -> None:
        """A validator binds itself to the reference direction."""
        commitment = reference_commitment(bytes.fromhex(_SALT), digest(f"direction {number}"))
        message = ReferenceCommitment(task=self.spec.task, round=number, commitment=commitment)
        self.submit(self.validators[msp], "CommitReference", message)

    def reveal(self, msp: str, number: int) -> None:
        message = RevealedReference(
            task=self.spec.task,
            round=number,
            salt=_SALT,
            digest=digest(f"direction {number}"),
            size=8 * self.spec.model.parameter_count,
        )
        self.submit(self.validators[msp], "RevealReference", message)

    def late(self, number: int, phase: Phase, count: int | None = None) -> None:
        """So many validators, t + 1 by default, say so."""
        most = self.spec.aggregation.tolerated_faults + 1 if count is None else count
        for msp in self.spec.aggregation.validators[:most]:
            claim = LateClaim(task=self.spec.task, round=number, phase=phase)
            self.submit(self.validators[msp], "ClaimLate", claim)

    def close(self, number: int) -> None:
        self.submit(self.validators[self.spec.aggregation.validators[0]], "CloseRound", self.spec.task, number)

    def attest(self, msp: str, number: int, agreements: Mapping[str, float], *, rejects: bool = False) -> None:
        """Everything is as it should be; inner products are those of ``agreements``, by name, over C_q squared."""
        scale = self.spec.aggregation.quantised_norm**2
        products = {
            self.names[name][1].pseudonym: f"{round(value * scale) % MODULUS:016x}"
            for name, value in agreements.items()
        }
        fixed = self.round(number).fixed
        trusting = self.spec.robustness.trust_weighting != "off"
        reference: Any = "rejected" if rejects else "used" if trusting else "none"
        findings = tuple(
            UpdateFinding(
                participant=update.participant,
                readable=True,
                opening=NormOpening(
                    z=_ZERO,
                    p=_ZERO,
                    inner_product=products[update.participant] if reference == "used" else "0" * 16,
                ),
            )
            for update in (fixed.updates if fixed else ())
        )
        message = Attestation(task=self.spec.task, round=number, findings=findings, reference=reference)
        self.submit(self.validators[msp], "AttestUpdates", message)

    def sum_up(self, number: int) -> SettlementRecord | None:
        """Settle and finalise; None when the round was aborted."""
        task, validators = self.spec.task, self.spec.aggregation.validators
        first = self.validators[validators[0]]
        settlement = SettlementRecord.decode(self.submit(first, "SettleRound", task, number))
        if self.round(number).record.state == "aborted":
            return None
        size = aggregate_bytes(self.spec.model.parameter_count)
        for msp in validators:
            if msp in settlement.summers:
                share = AggregateShare(task=task, round=number, digest=digest(f"sum {msp} {number}"), size=size)
                self.submit(self.validators[msp], "PostAggregateShare", share)
        for msp in validators:
            report = ModelReport(
                task=task,
                round=number,
                aggregate_digest=digest(f"sum {number}"),
                model_digest=digest(f"model {number}"),
                model_size=self.spec.model.initial_weights_size,
                liars=(),
            )
            self.submit(self.validators[msp], "ReportModel", report)
        self.submit(first, "FinaliseRound", task, number)
        return settlement
