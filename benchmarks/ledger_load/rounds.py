"""A task and its rounds with made-up updates, every step by whom it is due."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from fedledger.errors import FedledgerError
from fedledger.identity.keys import PrivateKey, public_key_der, sign
from fedledger_chaincode.messages.base import Value
from fedledger_chaincode.messages.records import FixedSetRecord
from fedledger_chaincode.messages.round import (
    Admission,
    AggregateShare,
    Attestation,
    DealingOpening,
    Manifest,
    ModelReport,
    PrivacyStatement,
    SealedShareReference,
    SignedAdmission,
    SignedManifest,
    UpdateFinding,
    ValidatorRegistration,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView
from fedledger_chaincode.rules.dealing import aggregate_bytes, sealed_bytes
from fedledger_chaincode.transactions.membership import MAXIMUM_ADMISSIONS
from ledger_load.engines import Engine, Member

NO_PRIVACY = PrivacyStatement(mechanism="none", noise_multiplier=0, record_clip_norm=0, sampling_rate=0, steps=0)
ALIKE = DealingOpening(combination=("0" * 16, "0" * 16))
"""All validators say the same of every update: they belong to one dealing."""
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Task:
    """A task on an engine, all of whose members are ready for rounds."""

    engine: Engine
    spec: TaskSpec

    @cached_property
    def spec_hash(self) -> str:
        """Digest of the specification, which every manifest names."""
        return self.spec.sha256()

    @classmethod
    def joined(cls, engine: Engine, msps: Sequence[str]) -> Task:
        """Propose and approve a task, register validators, and admit every participant."""
        task = cls(engine, task_spec(f"load-{secrets.token_hex(4)}", msps))
        governors, validators = engine.of("governor"), engine.of("validator")
        governors[msps[0]].submit("ProposeTask", task.spec)
        for governor in governors.values():
            governor.submit("ApproveTask", task.spec.task, task.spec_hash)
        for msp, validator in validators.items():
            store = f"file:///stores/{msp}"
            validator.submit(
                "RegisterValidator",
                ValidatorRegistration(task=task.spec.task, sealing_key=digest(msp), store=store),
            )

        def admit(msp: str) -> None:
            requests = [admission(each.key, msp, task.spec.task) for each in engine.members[msp, "participant"]]
            for first in range(0, len(requests), MAXIMUM_ADMISSIONS):
                governors[msp].submit("AdmitParticipants", *requests[first : first + MAXIMUM_ADMISSIONS])

        at_once([partial(admit, msp) for msp in msps])
        return task

    def open(self, number: int) -> RoundView:
        """Open a round and return it, as soon as every peer has it."""
        validators = list(self.engine.of("validator").values())
        validators[0].submit("CallRound", self.spec.task, number)
        patiently(lambda: validators[0].submit("OpenRound", self.spec.task, number))
        for validator in validators:
            patiently(partial(self.round, validator, number))
        return self.round(validators[0], number)

    def round(self, member: Member, number: int) -> RoundView:
        contract = member.gateway.get_network("fedledger").get_contract("fedledger")
        return RoundView.decode(contract.evaluate_transaction("GetRound", self.spec.task, str(number)))

    def manifests(self, members: Sequence[Member], view: RoundView) -> list[SignedManifest]:
        """Every participant's signed manifest of a made-up update."""
        return [self._manifest(member, view) for member in members]

    def finish(self, number: int) -> None:
        """Everything between the last update and the next model."""
        validators = list(self.engine.of("validator").values())
        patiently(lambda: validators[0].submit("CloseRound", self.spec.task, number))

        def attest(validator: Member) -> None:
            fixed = patiently(lambda: _fixed(self.round(validator, number)))
            findings = tuple(
                UpdateFinding(participant=update.participant, readable=True, opening=ALIKE) for update in fixed.updates
            )
            validator.submit("AttestUpdates", Attestation(task=self.spec.task, round=number, findings=findings))

        at_once([partial(attest, validator) for validator in validators])
        patiently(lambda: validators[0].submit("SettleRound", self.spec.task, number))

        def report(validator: Member) -> None:
            size = aggregate_bytes(self.spec.model.parameter_count)
            share = AggregateShare(task=self.spec.task, round=number, digest=digest(validator.msp), size=size)
            patiently(lambda: validator.submit("PostAggregateShare", share))

        at_once([partial(report, validator) for validator in validators])
        model = ModelReport(
            task=self.spec.task,
            round=number,
            aggregate_digest=digest(f"sum {number}"),
            model_digest=digest(f"model {number}"),
            model_size=self.spec.model.initial_weights_size,
            liars=(),
        )

        def report_model(validator: Member) -> None:
            patiently(lambda: validator.submit("ReportModel", model))

        at_once([partial(report_model, validator) for validator in validators])
        patiently(lambda: validators[0].submit("FinaliseRound", self.spec.task, number))

    def _manifest(self, member: Member, view: RoundView) -> SignedManifest:
        validators = self.spec.aggregation.validators
        unique = f"{member.pseudonym} {view.record.round}"
        size = sealed_bytes(self.spec.aggregation, self.spec.model.parameter_count)
        manifest = Manifest(
            channel="fedledger",
            task=self.spec.task,
            round=view.record.round,
            participant=member.pseudonym,
            base_model=view.record.base_model,
            agreement=self.spec_hash,
            num_examples=100,
            root=digest(unique),
            shares=tuple(
                SealedShareReference(digest=digest(f"share {unique} {validator}"), size=size)
                for validator in validators
            ),
            privacy=NO_PRIVACY,
        )
        return SignedManifest(manifest=manifest, signature=_signature(member.key, manifest))


def admission(key: PrivateKey, msp: str, task: str) -> SignedAdmission:
    """A participant's request to take part for an organisation, by its key."""
    asked = Admission(channel="fedledger", task=task, msp=msp, public_key=public_key_der(key.public_key()).hex())
    return SignedAdmission(admission=asked, signature=_signature(key, asked))


def _signature(key: PrivateKey, message: Value) -> str:
    return base64.b64encode(sign(key, message.canonical())).decode()


def _fixed(view: RoundView) -> FixedSetRecord:
    if view.fixed is None:
        raise LookupError("the peer does not have the closed round yet")
    return view.fixed


def task_spec(name: str, msps: Sequence[str]) -> TaskSpec:
    """A task without privacy accounting whose stakes are small enough for hundreds of participants."""
    document = json.loads(Path(__file__).with_name("task.json").read_text())
    document |= {"task": name, "organisations": sorted(msps)}
    document["aggregation"]["validators"] = sorted(msps)
    return TaskSpec.model_validate_json(json.dumps(document))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def at_once(steps: Sequence[Callable[[], ResultT]], workers: int | None = None) -> list[ResultT]:
    with ThreadPoolExecutor(workers or len(steps)) as pool:
        return list(pool.map(lambda step: step(), steps))


def patiently(step: Callable[[], ResultT], seconds: float = 30.0) -> ResultT:
    """Repeat what a peer refuses that does not have the latest block yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return step()
        except (FedledgerError, LookupError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.03)
