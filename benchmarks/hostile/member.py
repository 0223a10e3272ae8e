"""The hostile organisation: its certificates, keys and store, what it has seen, and a table of what it can do.

It has an agent of each kind that works as it should when a play says so: most harm is done by who mostly does its part.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

from fedledger.agents.disputes import manifests_of
from fedledger.agents.openings import OpeningMemory
from fedledger.agents.participant import pseudonym_of
from fedledger.agents.reference import ReferenceMemory, read_direction
from fedledger.agents.stores import ValidatorStore, artifact_areas, find_artifact
from fedledger.agents.validator import Validator
from fedledger.errors import FedledgerError
from fedledger.identity.keys import PrivateKey
from fedledger.secure_aggregation import (
    OpenedShare,
    Parameters,
    PreparedUpdate,
    SealingKey,
    UpdateContext,
    open_share,
    opening_of,
)
from fedledger.secure_aggregation.encoding import Integers
from fedledger_chaincode.messages.base import Value
from fedledger_chaincode.messages.round import Manifest, UpdateFinding, ValidatorRegistration
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.field import ELEMENT_BYTES
from fedledger_chaincode.rules.references import chosen

from .grammar import Words
from .ground import ORGANISATIONS, ROLES
from .kinds import DIRECTION, zero_model
from .stage import CHANNEL, PATIENCE, Stage
from .wire import Answer, Sent, Wire

Phase = Literal["idle", "called", "open", "closed", "settled"]
PHASES: tuple[Phase, ...] = ("idle", "called", "open", "closed", "settled")
_CLOCKS = (*[0] * 20, 280, -280, 295, -295, 330)
"""Seconds ahead of everybody; beyond 300 the contract's service refuses."""


class NotNow(Exception):
    """There is nothing that this could be done to."""


@dataclass
class Submitted:
    """An update that was sent, for the check that what is accepted of it is within the norm."""

    signed_manifest: Manifest
    sealed: tuple[bytes, ...]


@dataclass
class HostileMember:
    """One organisation that does anything."""

    stage: Stage
    rng: Random = field(default_factory=lambda: Random(0))
    words: Words = field(default_factory=Words)
    wires: dict[str, Wire] = field(default_factory=dict)
    """By role."""
    keys: dict[str, SealingKey] = field(default_factory=dict)
    """Every sealing key that it has registered, by its public key."""
    names: list[PrivateKey] = field(default_factory=list)
    """Keys of its participants, the certificate's first."""
    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often an act was answered so."""
    submitted: dict[str, Submitted] = field(default_factory=dict)
    """By the manifest's root."""
    uploads: list[Path] = field(default_factory=list)
    """Files that it has put into others' stores."""
    act: str = ""
    """What it is doing."""
    view: TaskView = field(init=False)
    current: RoundView | None = field(init=False, default=None)

    @classmethod
    def of(cls, stage: Stage) -> HostileMember:
        """The organisation with its validator registered, as it should be, so that rounds can open at all."""
        me = cls(stage)
        me.wires = {role: Wire(stage.ground.member(stage.hostile, role)) for role in ROLES}
        me.names = [stage.ground.member(stage.hostile, "participant").profile.credentials().key]
        key = SealingKey.generate()
        me.keys[key.public_key] = key
        member = stage.ground.member(stage.hostile, "validator")
        me.helper = Validator(
            member.ledger,
            stage.task,
            stage.hostile_msp,
            me.store,
            key,
            patience=PATIENCE,
            now=stage.hands,
            initial_model=zero_model(),
            reference_update=lambda _base, _round: DIRECTION,
            memory=ReferenceMemory(stage.folder / "hostile" / "references"),
            openings=OpeningMemory(stage.folder / "hostile" / "openings"),
        )
        # An earlier play may have left anything there.
        remove(Path(me.store.url))
        me.helper.register()
        me.learn_names()
        return me

    helper: Validator = field(init=False)
    """Its validator agent."""

    @property
    def store(self) -> ValidatorStore:
        """Its own."""
        return ValidatorStore(self.stage.ground.member(self.stage.hostile, "validator").profile.store)

    @property
    def msp(self) -> str:
        return self.stage.hostile_msp

    @property
    def point(self) -> int:
        """Its validator's evaluation point."""
        return self.stage.spec.aggregation.validators.index(self.msp) + 1

    @property
    def pseudonyms(self) -> list[str]:
        return [pseudonym_of(key) for key in self.names]

    @property
    def parameters(self) -> Parameters:
        return Parameters.of_task(self.stage.spec)

    @property
    def phase(self) -> Phase:
        """What the task waits for."""
        head = self.view.head
        if head is None or head.round_state is None or head.idle:
            return "called" if head is not None and head.called > head.round else "idle"
        return head.round_state  # type: ignore[return-value]

    @property
    def number(self) -> int:
        """The newest round; 0 before the first."""
        return 0 if self.current is None else self.current.record.round

    # --- seeing

    def look(self) -> None:
        """Read the ledger, as everybody can."""
        ledger = self.wires["auditor"].member.ledger
        self.view = ledger.task(self.stage.task)
        head = self.view.head
        self.current = ledger.round(self.stage.task, head.round) if head is not None and head.round else None
        self._learn()

    def learn_names(self) -> None:
        """Names that never change."""
        msps = list(self.stage.ground.names.values())
        pseudonyms = [self.stage.pseudonym(organisation) for organisation in ORGANISATIONS]
        accounts = [f"org:{msp}" for msp in msps] + [f"participant:{each}" for each in pseudonyms]
        accounts += [f"{kind}:{self.stage.task}" for kind in ("pool", "insurance")]
        accounts += [f"stake:{self.stage.task}:{owner}" for owner in (*msps, *pseudonyms)]
        words = ("suspend", "reinstate", "approve", "reject", "research", "tests", "Because.")
        self.words.see(names=[self.stage.task, *msps, *accounts, *words], digests=pseudonyms)

    def _learn(self) -> None:
        self.words.see(digests=[self.view.record.spec_hash], numbers=[self.number, self.number + 1, 100])
        self.words.see_message("ProposeTask", self.view.record.spec.model_dump(mode="json", by_alias=True))
        self.words.see_message("ProposeAmendment", self.view.record.spec.model_dump(mode="json", by_alias=True))
        if self.current is None:
            return
        seen = self.current
        signed = [update.signed for update in seen.updates]
        shares = [share.digest for each in signed for share in each.manifest.shares]
        self.words.see([seen.record.base_model, *(each.manifest.root for each in signed), *shares])
        seen_messages: Mapping[str, Sequence[Value]] = {
            "SubmitUpdates": signed,
            "AttestUpdates": [record.attestation for record in seen.attestations],
            "ClaimLate": [record.claim for record in seen.late],
            "DiscloseShares": [record.disclosure for record in seen.disclosures],
            "VoteDealing": [record.votes for record in seen.votes],
            "PostAggregateShare": [record.share for record in seen.aggregates],
            "ReportModel": [record.report for record in seen.reports],
            "RevealReference": [each.revealed for each in seen.references if each.revealed is not None],
        }
        for function, messages in seen_messages.items():
            for message in messages[-4:]:
                self.words.see_message(function, message.model_dump(mode="json", by_alias=True))

    # --- saying

    def say(self, role: str, function: str, *arguments: Sent) -> Answer:
        """Send a transaction by a clock of its own choice, and keep account of the answer."""
        wire = self.wires[role]
        wire.ahead = self.rng.choice(_CLOCKS)
        hold = self.rng.random() < 0.04
        answer = wire.hold(function, *arguments) if hold else wire.send(function, *arguments)
        self.account(answer, function)
        return answer

    def account(self, answer: Answer, function: str = "") -> None:
        """Count an answer; that the contract breaks is a finding."""
        self.told[self.act, answer.code] += 1
        if answer.status >= 500:
            self.stage.find("the contract never breaks", f"{function} by {self.act}: {answer.code}")

    def failed(self, reason: Exception) -> None:
        """Count what could not even be tried."""
        self.told[self.act, f"({type(reason).__name__})"] += 1

    # --- what is true, to lie about

    def context(self, pseudonym: str) -> UpdateContext:
        """Of an update in the newest round."""
        if self.current is None:
            raise NotNow
        return UpdateContext(CHANNEL, self.stage.task, self.number, self.current.record.base_model, pseudonym)

    def sealing_keys(self) -> list[str]:
        """Of the round's validators."""
        return [] if self.current is None else [each.sealing_key for each in self.current.cohort.validators]

    def sealing_key(self) -> SealingKey:
        """The one to which shares of the newest round are sealed."""
        public = next((key for key in self.sealing_keys() if key in self.keys), next(iter(self.keys)))
        return self.keys[public]

    def opened(self, manifest: Manifest) -> OpenedShare | None:
        """Its share of an update, where it has one."""
        area = self.store.shares_of(CHANNEL, self.stage.task, manifest.round)
        with suppress(FedledgerError):
            sealed = area.get(manifest.shares[self.point - 1].digest, self.parameters.sealed_bytes)
            found = open_share(sealed, manifest, self.parameters, self.point, self.sealing_key())
            return found if isinstance(found, OpenedShare) else None
        return None

    def truth(self, participant: str, reference: Integers | None) -> UpdateFinding:
        """What an honest validator would say of an update."""
        if self.current is None:
            raise NotNow
        opened = self.opened(manifests_of(self.current)[participant])
        if opened is None:
            return UpdateFinding(participant=participant, readable=False, reason="SHARE_MISSING")
        return UpdateFinding(participant=participant, readable=True, opening=opening_of(opened, reference))

    def reference(self) -> Integers | None:
        """The direction that counts in the newest round, as others see it."""
        if self.current is None or (used := chosen(self.current.references)) is None or used.revealed is None:
            return None
        spec = self.stage.spec
        size = ELEMENT_BYTES * spec.model.parameter_count
        with suppress(FedledgerError):
            content = find_artifact(artifact_areas(self.view, self.store.artifacts), used.revealed.digest, size)
            return read_direction(content, spec.model.parameter_count, spec.aggregation.quantised_norm)
        return None

    def stores(self) -> list[ValidatorStore]:
        """Of the round's validators, as they are registered."""
        if self.current is None:
            return []
        return [ValidatorStore(each.store) for each in self.current.cohort.validators]

    def is_mine(self, store: ValidatorStore) -> bool:
        return store.url == self.store.url

    def remember(self, manifest: Manifest, prepared: PreparedUpdate) -> None:
        self.submitted[manifest.root] = Submitted(manifest, prepared.sealed)

    def register(self, key: SealingKey, store: str) -> Answer:
        """Its validator under another key or store; its agent goes on with the key."""
        self.keys[key.public_key] = key
        registration = ValidatorRegistration(task=self.stage.task, sealing_key=key.public_key, store=store)
        answer = self.say("validator", "RegisterValidator", registration)
        if answer.taken:
            self.helper.sealing_key = key
        return answer


def remove(place: Path) -> None:
    """Whatever is there, without following a link."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


Act = Callable[[HostileMember], None]


@dataclass(frozen=True)
class Described:
    """Something that the hostile organisation can do."""

    act: Act
    phases: frozenset[Phase]
    """In which it makes most sense."""


ACTS: dict[str, Described] = {}


def act(name: str, *phases: Phase) -> Callable[[Act], Act]:
    """Put a function into the table of acts."""

    def put(function: Act) -> Act:
        ACTS[name] = Described(function, frozenset(phases or PHASES))
        return function

    return put


def apt(phase: Phase, acts: Mapping[str, Described] = ACTS) -> list[str]:
    """What makes sense in a phase."""
    return [name for name, described in acts.items() if phase in described.phases]
