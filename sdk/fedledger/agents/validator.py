"""The validator: checks and aggregates secret shares of updates and moves rounds on; it never holds an update.

It keeps one secret, its sealing key; what else it must not forget is what it has told others. All other things it finds
on the ledger and in the artifact stores. Whatever one step meets, a false artifact, a store that is gone or a refusal,
keeps it from no other step: other members' faults never end it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from traceback import format_exception

import structlog

from fedledger.agents.disputes import Disputes, cases, doubted, manifests_of
from fedledger.agents.duties import Duty, Own, duties, phase_of
from fedledger.agents.follow import LedgerBell, keep_stepping
from fedledger.agents.openings import OpeningMemory
from fedledger.agents.own_faults import OwnFaults
from fedledger.agents.reference import ReferenceMemory, ReferenceUpdate
from fedledger.agents.reference_duties import ReferenceDuties
from fedledger.agents.steps import Step
from fedledger.agents.stopwatch import Stopwatch
from fedledger.agents.stores import ValidatorStore, artifact_areas, find_model
from fedledger.errors import FedledgerError
from fedledger.gateway import GatewayError
from fedledger.identity.profile import DEFAULT_STORES
from fedledger.ledger import LedgerRefusal, TaskLedger
from fedledger.outcome import outcome, settled_sum
from fedledger.secure_aggregation import (
    Accumulator,
    AggregateError,
    OpenedShare,
    Parameters,
    SealingKey,
    Unreadable,
    WeightedSum,
    open_share,
    opening_of,
)
from fedledger.secure_aggregation.encoding import Integers
from fedledger.store import ArtifactStore, StoreError
from fedledger_chaincode.messages.records import SettlementRecord, ValidatorRecord
from fedledger_chaincode.messages.round import (
    AbortRequest,
    AggregateShare,
    Attestation,
    LateClaim,
    Manifest,
    ModelReport,
    UpdateFinding,
    ValidatorRegistration,
)
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.dealing import aggregate_bytes

_log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 1.0
"""How long each validator waits for the one before it in the row."""
_IDLE_SECONDS = 5.0
_MOST_ERASED = 100
"""Rounds whose shares are erased at one look: after a start there may be many, and others wait for this validator."""
_ERASE_PAUSE_SECONDS = 30.0
_NOT_YET = frozenset(
    (
        "TOO_EARLY",
        "TOO_LATE",
        "NOT_IN_PHASE",
        "NOT_CALLED",
        "NOT_OVER",
        "ROUND_OPENS",
        "ROUND_STATE",
        "ROUND_NUMBER",
        "TASK_STATE",
        "CAN_GO_ON",
    )
)
"""The contract's refusals that another validator's faster step, or a missing participant, explains."""
_OWN_FAULT = frozenset(("WRONG_ROLE", "NOT_A_VALIDATOR", "NOT_REGISTERED"))
"""Refusals of whatever this identity tries, which nobody else can cause and it cannot mend."""


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
    allowed: Collection[str] = DEFAULT_STORES
    """Protocols of other validators' stores that are opened: ``Profile.stores``."""
    now: Callable[[], float] = time.monotonic
    """Seconds since any moment, never set back: the stopwatch of all deadlines."""
    clock: Callable[[], float] = time.time
    """Seconds since the epoch, for the one end that is agreed on as a date: the agreement's."""
    reference_update: ReferenceUpdate | None = None
    """How this validator trains on the task's reference data; without it no reference from data is used."""
    memory: ReferenceMemory | None = None
    """Where a reference direction is kept until it is revealed; needed to give one."""
    openings: OpeningMemory = field(default_factory=OpeningMemory)
    """Where attestations are kept before they are sent."""
    initial_model: bytes | None = None
    """The file of model version 0, kept in the store so that participants find it."""
    on_step: Callable[[Duty], None] | None = None
    """Called after each step that this validator took."""
    _since: dict[Duty, float] = field(default_factory=dict, repr=False)
    _failed: set[Duty] = field(default_factory=set, repr=False)
    """Steps that were tried and could not be taken, until they are."""
    _seen_until: int = 0
    """The last round that was seen to be over."""
    _to_erase: set[int] = field(default_factory=set, repr=False)
    """Rounds that are over and whose sealed shares are not erased."""
    _erase_again_at: float = field(default=-math.inf, repr=False)

    def __post_init__(self) -> None:
        self._stopwatch = Stopwatch(self.now)
        self._references = ReferenceDuties(
            self.ledger, self.task, self.store.artifacts, self.reference_update, self.memory, self._areas
        )
        self._disputes = Disputes(
            self.ledger,
            self.task,
            self.msp,
            self.store,
            self.sealing_key,
            Stopwatch(self.now),
            self.patience,
            self._areas,
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
        """Do what is to do until the task has ended and nothing is disputed in it, or ``stop`` is set.

        Raises:
            LedgerRefusal: this identity is no registered validator of the task.
            GatewayError: the ledger does not accept this identity.
        """
        faults = OwnFaults(self.step, _OWN_FAULT)
        with LedgerBell(self.ledger, self.task) as bell:
            keep_stepping(faults.step, bell, stop, name=f"validator {self.msp}")
        faults.raise_found()

    def step(self) -> float | None:
        """Do what is possible now; returns the seconds to wait at most, None when there is nothing left to do."""
        view = self.ledger.task(self.task)
        head = view.head
        current = self.ledger.round(self.task, head.round) if head is not None and head.round else None
        waits = self._move_on(view, current)
        disputed = self._disputed(view, current)
        for round_view in disputed.values():
            waits += self._dispute(view, round_view)
        self._disputes.forget(disputed)
        self._erase_shares(view, disputed)
        if view.record.state in ("completed", "stopped", "rejected") and not disputed:
            return None
        return min(waits, default=_IDLE_SECONDS)

    def _areas(self, view: TaskView) -> list[ArtifactStore]:
        """Where artifacts are looked for, in the own store first."""
        return artifact_areas(view, self.store.artifacts, self.allowed)

    # --- one step after another

    def _move_on(self, view: TaskView, current: RoundView | None) -> list[float]:
        """What the newest round needs; returns when to look again, in seconds."""
        phase = phase_of(view, current)
        number = 0 if current is None else current.record.round
        self._stopwatch.keep((number, number + 1))
        ends_at = view.record.spec.agreement.ends_at
        own = Own(
            waited=0.0 if phase is None else self._stopwatch.waited(*phase),
            unable=frozenset(duty.step for duty in self._failed if duty.round == number),
            agreement_is_over=ends_at is not None and self.clock() >= ends_at,
            patience=self.patience,
        )
        todo = duties(view, current, self.msp, own)
        waits = [self._attempt(duty, partial(self._take, duty, view, current)) for duty in todo.possible]
        return waits if todo.look_again_in is None else [*waits, max(todo.look_again_in, 0.05)]

    def _dispute(self, view: TaskView, current: RoundView) -> list[float]:
        """What the accusations in a round need; the same."""
        number, waits = current.record.round, []
        if doubted(view, current, self.msp):
            waits.append(self._attempt(Duty(Step.DISCLOSE, number), partial(self._disputes.disclose, view, current)))
        if cases(view, current, self.msp):
            later: list[float] = []

            def judge() -> bool:
                voted, seconds = self._disputes.judge(view, current)
                later.append(seconds)
                return voted

            waits.append(self._attempt(Duty(Step.VOTE_DEALING, number), judge))
            waits += later
        return waits

    def _attempt(self, duty: Duty, take: Callable[[], object]) -> float:
        """Take a step when it is this validator's turn; returns the seconds until it is worth another look.

        ``take`` returns False when there was nothing to do.
        """
        if duty not in self._since:
            self._since = {known: since for known, since in self._since.items() if known.round >= duty.round - 1}
            self._since[duty] = self.now()
        left = self._since[duty] + duty.rank * self.patience - self.now()
        if left > 0:
            return left
        try:
            taken = take() is not False
        except GatewayError:
            raise
        except LedgerRefusal as refusal:
            if refusal.code in _OWN_FAULT:
                raise
            if refusal.code in _NOT_YET:
                _log.debug("not yet", step=duty.step, round=duty.round, reason=refusal.code)
                return self.patience
            return self._not_possible(duty, refusal)
        except Exception as reason:
            # Others' artifacts and answers are at the bottom of most steps: no fault in them stops the other steps.
            return self._not_possible(duty, reason)
        self._failed.discard(duty)
        if not taken:
            return _IDLE_SECONDS
        _log.info("step", step=duty.step, round=duty.round, msp=self.msp, task=self.task)
        if self.on_step is not None:
            self.on_step(duty)
        return 0.0

    def _not_possible(self, duty: Duty, reason: Exception) -> float:
        if duty not in self._failed:
            self._failed = {known for known in self._failed if known.round >= duty.round - 1} | {duty}
            told = str(reason) if isinstance(reason, FedledgerError) else "".join(format_exception(reason))
            _log.warning("step not possible", step=duty.step, round=duty.round, msp=self.msp, reason=told)
        return self.patience

    def _take(self, duty: Duty, view: TaskView, current: RoundView | None) -> None:
        number = duty.round
        match duty.step:
            case Step.CALL:
                self.ledger.call_round(self.task, number)
            case Step.OPEN:
                self.ledger.open_round(self.task, number)
            case Step.CONCLUDE:
                self.ledger.conclude_task(self.task)
            case Step.CLAIM_LATE if duty.phase is not None:
                self.ledger.claim_late(LateClaim(task=self.task, round=number, phase=duty.phase))
            case _ if current is not None:
                self._take_in_round(duty, view, current)
            case _:
                raise AssertionError(f"{duty.step} without a round")

    def _take_in_round(self, duty: Duty, view: TaskView, current: RoundView) -> None:
        number = duty.round
        match duty.step:
            case Step.COMMIT_REFERENCE:
                self._references.commit(view, current)
            case Step.REVEAL_REFERENCE:
                self._references.reveal(current)
            case Step.CLOSE:
                self.ledger.close_round(self.task, number)
            case Step.ATTEST:
                self._attest(view, current)
            case Step.SETTLE:
                self.ledger.settle_round(self.task, number)
            case Step.SHARE:
                self._share(view, current)
            case Step.REPORT:
                self._report(view, current)
            case Step.FINALISE:
                self.ledger.finalise_round(self.task, number)
            case Step.ABORT:
                missing = "attestations" if current.record.state == "closed" else "equal model reports"
                reason = f"too few {missing} had come when enough validators had waited long enough"
                self.ledger.abort_round(AbortRequest(task=self.task, round=number, reason=reason))
            case _:
                raise AssertionError(f"{duty.step} is no step of a round")

    # --- shares of updates

    def _attest(self, view: TaskView, current: RoundView) -> None:
        """Tell what was found of every update; whatever is told is remembered first, and never told otherwise."""
        attestation = self.openings.recall(self.task, current.record.round)
        if attestation is None:
            attestation = self._attestation(view, current)
            self.openings.keep(attestation)
        self.ledger.attest_updates(attestation)

    def _attestation(self, view: TaskView, current: RoundView) -> Attestation:
        if current.fixed is None:
            raise AssertionError("a closed round without a fixed set")
        manifests, number = manifests_of(current), current.record.round
        reference, said = self._references.agreed(view, current, patient=self._is_patient(view, number))
        return Attestation(
            task=self.task,
            round=number,
            findings=tuple(
                self._finding(view, manifests[update.participant], reference) for update in current.fixed.updates
            ),
            reference=said,
        )

    def _finding(self, view: TaskView, manifest: Manifest, reference: Integers | None) -> UpdateFinding:
        opened = self._open(view, manifest)
        if not isinstance(opened, OpenedShare):
            return UpdateFinding(participant=manifest.participant, readable=False, reason=opened)
        return UpdateFinding(participant=manifest.participant, readable=True, opening=opening_of(opened, reference))

    def _is_patient(self, view: TaskView, number: int) -> bool:
        """Whether there is time before an attestation is late to try again what cannot be had now."""
        return self._stopwatch.waited(number, "attestations") < view.record.spec.deadlines.attestations / 2

    def _point(self, view: TaskView) -> int:
        return view.record.spec.aggregation.validators.index(self.msp) + 1

    def _open(self, view: TaskView, manifest: Manifest) -> OpenedShare | str:
        """The share, or the code of the reason why it cannot be used."""
        point, parameters = self._point(view), Parameters.of_task(view.record.spec)
        shares = self.store.shares_of(self.ledger.channel, self.task, manifest.round)
        try:
            sealed: bytes | None = shares.get(manifest.shares[point - 1].digest, parameters.sealed_bytes)
        except StoreError as reason:
            # Whoever put it there may have put it so that it alone cannot be read: the others' updates do not wait.
            if reason.code == "STORE_UNAVAILABLE" and self._is_patient(view, manifest.round):
                raise
            sealed = None
        opened = open_share(sealed, manifest, parameters, point, self.sealing_key)
        return opened.reason.value if isinstance(opened, Unreadable) else opened

    # --- shares of the sum

    def _share(self, view: TaskView, current: RoundView) -> None:
        manifests = manifests_of(current)
        accumulator = Accumulator(Parameters.of_task(view.record.spec), self._point(view), self._wanted(current))
        # By participant: anybody may put another's root into its own manifest.
        for participant, _ in _settlement(current).weights():
            opened = self._open(view, manifests[participant])
            if not isinstance(opened, OpenedShare):
                raise AggregateError(
                    "SHARE_LOST",
                    f"The share of the accepted update of {participant[:16]} cannot be used: {opened}.",
                    "The other validators finish the round; check this validator's artifact store.",
                )
            accumulator.add(opened)
        content = accumulator.finish()
        digest = self.store.artifacts.put(content)
        share = AggregateShare(task=self.task, round=current.record.round, digest=digest, size=len(content))
        self.ledger.post_aggregate_share(share)

    def _wanted(self, current: RoundView) -> WeightedSum:
        roots = {participant: manifest.root for participant, manifest in manifests_of(current).items()}
        return settled_sum(self.task, current.record.round, _settlement(current), roots)

    # --- the next model

    def _report(self, view: TaskView, current: RoundView) -> None:
        spec, version = view.record.spec, current.record.base_version
        own_first = self._areas(view)
        shares = self._aggregates(view, current)
        base = find_model(self.ledger, self.task, own_first, version)
        momentum = spec.training.server_optimizer.momentum
        parent = find_model(self.ledger, self.task, own_first, version - 1) if momentum and version else None
        result = outcome(spec, self._wanted(current), shares, base, parent)
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

    def _aggregates(self, view: TaskView, current: RoundView) -> dict[str, bytes]:
        """Aggregate share files by MSP id, of those alone whose share of every update in the sum belongs to it."""
        size = aggregate_bytes(view.record.spec.model.parameter_count)
        stores = {validator.msp: validator.store for validator in view.validators}
        found = {}
        for record in current.aggregates:
            msp = record.validator
            if msp not in _settlement(current).summers:
                continue
            try:
                store = self.store if msp == self.msp else ValidatorStore(stores[msp], self.allowed)
                found[msp] = store.artifacts.get(record.share.digest, size)
            except StoreError as reason:
                _log.warning("aggregate share not to be had", validator=msp, reason=str(reason))
        return found

    # --- the end of a round

    def _disputed(self, view: TaskView, current: RoundView | None) -> dict[int, RoundView]:
        """Rounds with accusations on which nothing is ruled, oldest first."""
        found = {}
        for number in sorted({each.round for each in view.accusations}):
            known = current is not None and current.record.round == number
            found[number] = current if known and current is not None else self.ledger.round(self.task, number)
        return found

    def _erase_shares(self, view: TaskView, disputed: Mapping[int, RoundView]) -> None:
        """Erase the sealed shares of rounds that are over, but for those that may have to be shown; and what else was
        kept for these rounds. After a start that is done for all rounds."""
        head = view.head
        if head is None:
            return
        over = head.round if head.idle else head.round - 1
        self._to_erase |= {*range(self._seen_until + 1, over + 1)}
        self._seen_until = max(self._seen_until, over)
        held = {number for number, current in disputed.items() if doubted(view, current, self.msp)}
        due = sorted(self._to_erase - held) if self.now() >= self._erase_again_at else []
        for number in due[:_MOST_ERASED]:
            try:
                self.store.erase(self.ledger.channel, self.task, number)
            except StoreError as reason:
                _log.warning("sealed shares not erased", round=number, reason=str(reason))
                self._erase_again_at = self.now() + _ERASE_PAUSE_SECONDS
                return
            self._references.forget(number)
            self.openings.forget(self.task, number)
            self._to_erase.discard(number)


def _settlement(current: RoundView) -> SettlementRecord:
    if current.settlement is None:
        raise AssertionError("a settled round without a settlement")
    return current.settlement
