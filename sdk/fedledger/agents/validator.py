"""The validator: checks and aggregates secret shares of updates and moves rounds on; it never holds an update.

It keeps one secret, its sealing key; everything else it finds on the ledger and in the artifact stores.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from fedledger.agents.duties import Duty, accusations, duties, unjudged
from fedledger.agents.follow import LedgerBell, keep_stepping
from fedledger.agents.reference import ReferenceMemory, ReferenceUpdate
from fedledger.agents.reference_duties import ReferenceDuties
from fedledger.agents.stores import ValidatorStore, artifact_areas, find_artifact, find_model, validator_stores
from fedledger.ledger import LedgerRefusal, TaskLedger
from fedledger.outcome import outcome, settled_sum
from fedledger.secure_aggregation import (
    Accumulator,
    AggregateError,
    OpenedShare,
    Parameters,
    SealingKey,
    Unreadable,
    UpdateContext,
    WeightedSum,
    open_share,
    opening_of,
)
from fedledger.secure_aggregation.encoding import Integers
from fedledger.secure_aggregation.judgement import judge_disclosure
from fedledger.secure_aggregation.publication import sealing_info
from fedledger.store import StoreError
from fedledger_chaincode.messages.records import ValidatorRecord
from fedledger_chaincode.messages.round import (
    AbortRequest,
    AggregateShare,
    Attestation,
    Manifest,
    ModelReport,
    Opening,
    RevealedShare,
    RevealJudgement,
    UpdateFinding,
    ValidatorRegistration,
)
from fedledger_chaincode.messages.views import RoundView, TaskView

_log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 1.0
"""How long each validator waits for the one before it in the row."""
_IDLE_SECONDS = 5.0
_MAY_BE_OVER = frozenset(("TOO_FEW_PARTICIPANTS", "AGREEMENT_ENDED"))
"""Refusals to open a round after which the task may have come to its end."""
_NOT_YET = frozenset(
    (
        "TOO_EARLY",
        "TOO_LATE",
        "TOO_FEW_PARTICIPANTS",
        "ROUND_STATE",
        "ROUND_NUMBER",
        "TASK_STATE",
        "CAN_GO_ON",
        "CONTESTED",
        "NOT_CONTESTED",
    )
)
"""The contract's refusals that another validator's faster step, or a missing participant, explains."""


@dataclass
class Validator:
    """One organisation's validator of one task."""

    ledger: TaskLedger
    task: str
    msp: str
    store: ValidatorStore
    sealing_key: SealingKey = field(repr=False)
    patience: float = PATIENCE_SECONDS
    """Seconds; see ``duties``."""
    clock: Callable[[], float] = time.time
    """Seconds since the epoch, as the ledger's deadlines are."""
    reference_update: ReferenceUpdate | None = None
    """How this validator trains on the task's reference data; without it a reference from data is never used."""
    memory: ReferenceMemory | None = None
    """Where a reference direction is kept until it is revealed; needed to give one."""
    initial_model: bytes | None = None
    """The file of model version 0, kept in the store so that participants find it."""
    on_step: Callable[[Duty], None] | None = None
    """Called after each step that this validator took."""
    _since: dict[tuple[str, int], float] = field(default_factory=dict, repr=False)
    _warned: set[tuple[str, int]] = field(default_factory=set, repr=False)
    _over: list[str] = field(default_factory=list, repr=False)
    _erased_round: int = 0

    def __post_init__(self) -> None:
        self._references = ReferenceDuties(
            self.ledger, self.task, self.store.artifacts, self.reference_update, self.memory
        )

    def register(self) -> ValidatorRecord:
        """Offer sealing key and store on the ledger; again after either has changed.

        Raises:
            LedgerRefusal: the organisation has not approved the task, or cannot pay the stake.
        """
        if self.initial_model is not None:
            self.store.artifacts.put(self.initial_model)
        return self.ledger.register_validator(
            ValidatorRegistration(task=self.task, sealing_key=self.sealing_key.public_key, store=self.store.url)
        )

    def run(self, stop: threading.Event) -> None:
        """Do what is to do until the task has ended or ``stop`` is set."""
        with LedgerBell(self.ledger, self.task) as bell:
            keep_stepping(self.step, bell, stop, name=f"validator {self.msp}")

    def step(self) -> float | None:
        """Do what is possible now; returns the seconds to wait at most, None when the task has ended."""
        view = self.ledger.task(self.task)
        head = view.head
        current = self.ledger.round(self.task, head.round) if head is not None and head.round else None
        if current is not None and current.record.state in ("finalised", "aborted"):
            self._erase_shares(view, current)
        if view.record.state in ("completed", "stopped", "rejected"):
            return None
        now = self.clock()
        todo = duties(view, current, self.msp, int(now))
        waits = [self._attempt(duty, view, current) for duty in todo.possible]
        if todo.look_again_at is not None:
            waits.append(max(todo.look_again_at - now, 0.05))
        return min(waits, default=_IDLE_SECONDS)

    def _attempt(self, duty: Duty, view: TaskView, current: RoundView | None) -> float:
        """Seconds until it is this validator's turn; 0.0 after the step was taken."""
        key = (duty.step, duty.round)
        if key not in self._since:
            self._since = {known: since for known, since in self._since.items() if known[1] >= duty.round - 1}
            self._since[key] = time.monotonic()
        left = self._since[key] + duty.rank * self.patience - time.monotonic()
        if left > 0:
            return left
        try:
            self._take(duty, view, current)
        except LedgerRefusal as refusal:
            if refusal.code not in _NOT_YET:
                raise
            _log.debug("not yet", step=duty.step, round=duty.round, reason=refusal.code)
            return self.patience
        except (AggregateError, StoreError) as reason:
            if key not in self._warned:
                self._warned.add(key)
                _log.warning("step not possible", step=duty.step, round=duty.round, msp=self.msp, reason=str(reason))
            return self.patience
        _log.info("step", step=duty.step, round=duty.round, msp=self.msp, task=self.task)
        if self.on_step is not None:
            self.on_step(duty)
        return 0.0

    def _open_round(self, number: int) -> None:
        """Open a round, or end the task when it can have no further one."""
        try:
            self.ledger.open_round(self.task, number)
        except LedgerRefusal as refusal:
            if refusal.code not in _MAY_BE_OVER:
                raise
            try:
                self.ledger.conclude_task(self.task)
            except LedgerRefusal as other:
                raise (refusal if other.code == "NOT_OVER" else other) from None

    def _take(self, duty: Duty, view: TaskView, current: RoundView | None) -> None:
        number = duty.round
        if duty.step == "open":
            self._open_round(number)
            return
        if current is None:
            raise AssertionError(f"{duty.step} without a round")
        match duty.step:
            case "commit-reference":
                self._references.commit(view, current)
            case "reveal-reference":
                self._references.reveal(current)
            case "close":
                self.ledger.close_round(self.task, number)
            case "attest":
                self.ledger.attest_updates(self._attestation(view, current))
            case "dispute":
                self.ledger.dispute_round(self.task, number)
            case "reveal":
                for participant in accusations(current, self.msp):
                    self._reveal(view, current, participant)
            case "judge":
                for share in unjudged(current, self.msp):
                    self._judge(view, current, share)
            case "settle":
                self.ledger.settle_round(self.task, number)
            case "share":
                self._share(view, current)
            case "report":
                self._report(view, current)
            case "finalise":
                self.ledger.finalise_round(self.task, number)
            case "abort":
                reason = f"no quorum of validators before the deadline of the {current.record.state} round"
                self.ledger.abort_round(AbortRequest(task=self.task, round=number, reason=reason))

    # --- shares of updates

    def _attestation(self, view: TaskView, current: RoundView) -> Attestation:
        if current.fixed is None:
            raise AssertionError("a closed round without a fixed set")
        manifests = _manifests(current)
        reference, said = self._references.agreed(view, current)
        return Attestation(
            task=self.task,
            round=current.record.round,
            findings=tuple(
                self._finding(view, manifests[update.participant], reference) for update in current.fixed.updates
            ),
            reference=said,
        )

    def _finding(self, view: TaskView, manifest: Manifest, reference: Integers | None) -> UpdateFinding:
        opened = self._open(view, manifest)
        if not isinstance(opened, OpenedShare):
            return UpdateFinding(participant=manifest.participant, readable=False, reason=opened)
        proves = view.record.spec.aggregation.proof == "norm"
        opening = opening_of(opened, reference) if proves else None
        return UpdateFinding(participant=manifest.participant, readable=True, opening=opening)

    def _point(self, view: TaskView) -> int:
        return view.record.spec.aggregation.validators.index(self.msp) + 1

    def _open(self, view: TaskView, manifest: Manifest) -> OpenedShare | str:
        """The share, or the code of the reason why it cannot be used."""
        point = self._point(view)
        reference = manifest.shares[point - 1]
        try:
            sealed: bytes | None = self.store.shares.get(reference.digest, reference.size)
        except StoreError as reason:
            if reason.code == "STORE_UNAVAILABLE":
                raise
            sealed = None
        opened = open_share(sealed, manifest, Parameters.of_task(view.record.spec), point, self.sealing_key)
        return opened.reason.value if isinstance(opened, Unreadable) else opened

    # --- disputes

    def _reveal(self, view: TaskView, current: RoundView, participant: str) -> None:
        """Make the own share of a contested update public: it shows who is at fault."""
        manifest = _manifests(current)[participant]
        point = self._point(view)
        reference = manifest.shares[point - 1]
        plaintext = self.sealing_key.open(
            self.store.shares.get(reference.digest, reference.size), sealing_info(UpdateContext.of(manifest), point)
        )
        if plaintext is None:
            raise AggregateError(
                "SHARE_LOST",
                f"The share of the contested update {manifest.root[:16]} no longer opens.",
                "Restore the validator's sealing key.",
            )
        self.ledger.reveal_share(
            RevealedShare(
                task=self.task,
                round=current.record.round,
                participant=participant,
                validator=self.msp,
                digest=self.store.artifacts.put(plaintext),
                size=len(plaintext),
            )
        )

    def _judge(self, view: TaskView, current: RoundView, share: RevealedShare) -> None:
        spec = view.record.spec
        stores = artifact_areas(view, self.store.artifacts)
        plaintext = find_artifact(stores, share.digest, share.size)
        reference = None
        if has_used_reference(current, share.validator):
            reference = self._references.public(view, current)
        posted = posted_opening(current, share.participant, share.validator)
        if posted is None:
            raise AssertionError("a revealed share without an attested opening")
        point = spec.aggregation.validators.index(share.validator) + 1
        ruling = judge_disclosure(
            plaintext, posted, _manifests(current)[share.participant], Parameters.of_task(spec), point, reference
        )
        self.ledger.judge_reveal(
            RevealJudgement(
                task=self.task,
                round=current.record.round,
                participant=share.participant,
                validator=share.validator,
                ruling=ruling,
            )
        )

    # --- shares of the sum

    def _share(self, view: TaskView, current: RoundView) -> None:
        wanted = self._wanted(current)
        manifests = {manifest.root: manifest for manifest in _manifests(current).values()}
        accumulator = Accumulator(Parameters.of_task(view.record.spec), self._point(view), wanted)
        self._over = self.store.shares.digests()
        for root, _ in wanted.weights:
            opened = self._open(view, manifests[root])
            if not isinstance(opened, OpenedShare):
                raise AggregateError(
                    "SHARE_LOST",
                    f"The share of the accepted update {root[:16]} cannot be used: {opened}.",
                    "The other validators finish the round; check this validator's artifact store.",
                )
            accumulator.add(opened)
        content = accumulator.finish()
        digest = self.store.artifacts.put(content)
        share = AggregateShare(task=self.task, round=current.record.round, digest=digest, size=len(content))
        self.ledger.post_aggregate_share(share)

    def _wanted(self, current: RoundView) -> WeightedSum:
        if current.settlement is None:
            raise AssertionError("a settled round without a settlement")
        roots = {participant: manifest.root for participant, manifest in _manifests(current).items()}
        return settled_sum(self.task, current.record.round, current.settlement, roots)

    # --- the next model

    def _report(self, view: TaskView, current: RoundView) -> None:
        stores = validator_stores(view)
        by_url = {store.url: store for store in stores}
        urls = {validator.msp: validator.store.rstrip("/") for validator in view.validators}
        shares = {}
        for record in current.aggregates:
            try:
                shares[record.validator] = by_url[urls[record.validator]].artifacts.get(
                    record.share.digest, record.share.size
                )
            except StoreError as reason:
                _log.warning("aggregate share not to be had", validator=record.validator, reason=str(reason))
        own_first = artifact_areas(view, self.store.artifacts)
        version = current.record.base_version
        base = find_model(self.ledger, self.task, own_first, version)
        momentum = view.record.spec.training.server_optimizer.momentum
        parent = find_model(self.ledger, self.task, own_first, version - 1) if momentum and version else None
        result = outcome(view.record.spec, self._wanted(current), shares, base, parent)
        self.store.artifacts.put(result.model)
        self.ledger.report_model(
            ModelReport(
                task=self.task,
                round=current.record.round,
                aggregate_digest=result.aggregate_digest,
                model_digest=result.model_digest,
                model_size=len(result.model),
                liars=result.liars,
            )
        )

    def _erase_shares(self, view: TaskView, current: RoundView) -> None:
        """Erase the sealed shares of a round that is over: what was there when it was settled, and what it names."""
        number = current.record.round
        if number <= self._erased_round:
            return
        point = self._point(view)
        named = [update.signed.manifest for update in current.updates]
        named += [proof.second.manifest for proof in current.equivocations]
        for digest in {*self._over, *(manifest.shares[point - 1].digest for manifest in named)}:
            self.store.shares.delete(digest)
        self._references.forget(number)
        self._over = []
        self._erased_round = number


def _manifests(current: RoundView) -> dict[str, Manifest]:
    return {update.signed.manifest.participant: update.signed.manifest for update in current.updates}


def posted_opening(current: RoundView, participant: str, msp: str) -> Opening | None:
    """What the validator of ``msp`` attested of an update; None when it attested nothing."""
    for record in current.attestations:
        if record.validator == msp:
            for finding in record.attestation.findings:
                if finding.participant == participant:
                    return finding.opening
    return None


def has_used_reference(current: RoundView, msp: str) -> bool:
    """Whether the validator of ``msp`` attested inner products with the round's reference direction."""
    return any(r.validator == msp and r.attestation.reference == "used" for r in current.attestations)
