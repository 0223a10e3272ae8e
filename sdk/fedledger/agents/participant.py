"""The participant: trains on its own records and lets nothing out but sealed shares of a clipped, private update.

Its records, its update and the shares in the clear stay in this process. When it has submitted, it has nothing more to
say in the round: no validator's word makes it show anything.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

import structlog

from fedledger.agents.follow import LedgerBell, keep_stepping
from fedledger.agents.journal import Journal, PendingUpdate
from fedledger.agents.own_faults import OwnFaults
from fedledger.agents.stores import ValidatorStore, artifact_areas, find_model
from fedledger.errors import BadInputError, FedledgerError
from fedledger.identity.keys import PrivateKey, public_key_der, sign
from fedledger.identity.profile import DEFAULT_STORES
from fedledger.ledger import LedgerRefusal, TaskLedger
from fedledger.secure_aggregation import Parameters, PreparedUpdate, UpdateContext, encode_update, prepare_update
from fedledger.store import StoreError
from fedledger.training import LocalResult, LocalTrainer, Metrics, evaluate
from fedledger.training.examples import Split
from fedledger.training.publication import report_of
from fedledger.training.task import TaskDefinition
from fedledger_chaincode import submitter
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import MemberRecord
from fedledger_chaincode.messages.round import EvaluationReport, Manifest, SignedManifest
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.evaluations import check_due
from fedledger_chaincode.rules.submission import agreed_privacy

_log = structlog.get_logger(__name__)
_MICRO = 1_000_000
_IDLE_SECONDS = 5.0
_NOT_THIS_ROUND = frozenset(
    (
        "ROUND_STATE",
        "NOT_IN_COHORT",
        "BASE_MODEL",
        "AGREEMENT_ENDED",
        "AGREEMENT_VERSION",
        "SUSPENDED",
        "TASK_STATE",
        "ORGANISATION_SUSPENDED",
        "JOURNAL_DAMAGED",
    )
)
"""Reasons to go on without an update; the next round may be another matter."""
_OWN_FAULT = frozenset(("EQUIVOCATION",))


@dataclass(frozen=True)
class Contribution:
    """What a participant did in one round, for its own eyes."""

    round: int
    transaction_status: str
    result: LocalResult | None
    """None when an update that was prepared before a restart was sent."""


@dataclass
class Participant:
    """One site of one task."""

    ledger: TaskLedger
    task: str
    channel: str
    definition: TaskDefinition
    """With the settings of the agreement: ``load_task(...).agree(spec)``."""
    data: Split = field(repr=False)
    key: PrivateKey = field(repr=False)
    """The private key that it joined with."""
    journal: Journal
    site: str
    reports: bool = True
    """Whether its evaluations go on the ledger, which takes them from certificates only."""
    allowed: Collection[str] = DEFAULT_STORES
    """Protocols of validators' stores that are opened: ``Profile.stores``."""
    clock: Callable[[], float] = time.time
    """Seconds since the epoch: nothing is given after the agreement's end."""
    on_contribution: Callable[[Contribution], None] | None = None
    on_evaluation: Callable[[int, Metrics], None] | None = None
    _evaluated: int = -1
    _agreed: str = ""
    """Digest of the specification by which it trains."""

    def __post_init__(self) -> None:
        self._trainer = LocalTrainer(self.definition, self.data.train, site=self.site)

    @property
    def pseudonym(self) -> str:
        """Its name on the ledger: hex SHA-256 of its DER SubjectPublicKeyInfo."""
        return pseudonym_of(self.key)

    def join(self) -> MemberRecord:
        """Join the task.

        Raises:
            BadInputError: ``TASK_DIFFERS`` or ``EPSILON_UNDERSTATED``, the task on the ledger is not the one at hand.
            LedgerRefusal: no consent, or the organisation cannot pay the stake.
        """
        self.definition.agree(self.ledger.task(self.task).record.spec)
        return self.ledger.join_task(self.task)

    def leave(self) -> MemberRecord:
        """Take no part from the next round on."""
        return self.ledger.leave_task(self.task)

    def run(self, stop: threading.Event) -> None:
        """Contribute to each round until the task has ended or ``stop`` is set.

        Raises:
            FedledgerError: ``EQUIVOCATION``, something else has signed another update of a round with this key.
            GatewayError: the ledger does not accept this identity.
        """
        faults = OwnFaults(self.step, _OWN_FAULT)
        with LedgerBell(self.ledger, self.task) as bell:
            keep_stepping(faults.step, bell, stop, name=f"participant {self.site}")
        faults.raise_found()

    def step(self) -> float | None:
        """Do what is to do now; returns the seconds to wait at most, None when the task has ended."""
        view = self.ledger.task(self.task)
        head = view.head
        if head is not None and self._evaluated < head.version:
            self._try_to_evaluate(view)
        if view.record.state in ("completed", "stopped", "rejected"):
            return None if head is None or self._evaluated >= head.version else _IDLE_SECONDS
        if head is None or head.round_state != "open" or self._is_over(view):
            return _IDLE_SECONDS
        current = self.ledger.round(self.task, head.round)
        if not self._is_wanted(current):
            return _IDLE_SECONDS
        try:
            self._contribute(view, current)
        except FedledgerError as error:
            if error.code not in _NOT_THIS_ROUND:
                raise
            _log.warning("the round goes on without this update", site=self.site, round=head.round, reason=str(error))
            return _IDLE_SECONDS
        return 0.0

    def _is_over(self, view: TaskView) -> bool:
        """Whether the agreement has ended by the own clock: a date is all that the organisations have agreed on."""
        ends_at = view.record.spec.agreement.ends_at
        return ends_at is not None and self.clock() >= ends_at

    def _is_wanted(self, current: RoundView) -> bool:
        me = self.pseudonym
        in_cohort = any(entry.participant == me for entry in current.cohort.participants)
        has_sent = any(update.signed.manifest.participant == me for update in current.updates)
        return current.record.state == "open" and in_cohort and not has_sent

    # --- contributing

    def _contribute(self, view: TaskView, current: RoundView) -> None:
        number = current.record.round
        self.journal.forget_before(self.task, number)
        pending = self.journal.read(self.task, number)
        result = None
        if pending is None:
            result = self._train(view, current)
            pending = self._prepare(view, current, result)
            self.journal.write(self.task, number, pending)
            if self._is_over(view) or not self._is_wanted(self.ledger.round(self.task, number)):
                _log.warning("the round goes on without this update", site=self.site, round=number)
                return
        self._deliver(view, current, pending)
        (outcome,) = self.ledger.submit_updates([pending.signed])
        if outcome.status == "refused":
            raise FedledgerError(
                outcome.code, outcome.message, "Find out what else signs with this participant's key and stop it."
            )
        _log.info("update submitted", site=self.site, round=number, manifest=outcome.manifest_digest)
        if self.on_contribution is not None:
            self.on_contribution(Contribution(number, outcome.status, result))

    def _deliver(self, view: TaskView, current: RoundView, pending: PendingUpdate) -> None:
        """Put each validator's share into its store; as many may be out of reach as validators may be faulty.

        Raises:
            StoreError: of the last store, when more of them cannot be used.
        """
        spare = view.record.spec.aggregation.tolerated_faults
        for validator, sealed in zip(current.cohort.validators, pending.sealed, strict=True):
            try:
                store = ValidatorStore(validator.store, self.allowed)
                store.shares_of(self.channel, self.task, current.record.round).put(sealed)
            except StoreError as reason:
                if not spare:
                    raise
                spare -= 1
                _log.warning("share not delivered", site=self.site, validator=validator.msp, reason=str(reason))

    def _train(self, view: TaskView, current: RoundView) -> LocalResult:
        record = current.record
        base = self._model(view, record.base_version)
        contributed = self.ledger.member(self.task, self.pseudonym).standing.contributions
        trainer = self.trainer(view.record.spec, self._organisation(current))
        return trainer.train(base, round_number=record.round, contributed=contributed)

    def trainer(self, spec: TaskSpec, msp: str) -> LocalTrainer:
        """Trains by the agreement in force, which may have been amended since the start.

        Raises:
            BadInputError: ``TASK_DIFFERS`` or ``EPSILON_UNDERSTATED``, as when joining.
        """
        if self._agreed != spec.sha256():
            self.definition = self.definition.agree(spec)
            task = self.definition.of_organisation(msp)
            self._trainer = LocalTrainer(task, self.data.train, site=self.site)
            self._agreed = spec.sha256()
        return self._trainer

    def _organisation(self, current: RoundView) -> str:
        return next(entry.msp for entry in current.cohort.participants if entry.participant == self.pseudonym)

    def _prepare(self, view: TaskView, current: RoundView, result: LocalResult) -> PendingUpdate:
        spec = view.record.spec
        context = UpdateContext(
            self.channel, self.task, current.record.round, current.record.base_model, self.pseudonym
        )
        keys = [validator.sealing_key for validator in current.cohort.validators]
        prepared = self._share(spec, context, result, keys)
        signed = signed_manifest(spec, self._organisation(current), context, prepared, result.num_examples, self.key)
        return PendingUpdate(signed, prepared.sealed)

    def _share(
        self, spec: TaskSpec, context: UpdateContext, result: LocalResult, keys: Sequence[str]
    ) -> PreparedUpdate:
        encoded = encode_update(result.update, spec.aggregation.clip_norm / _MICRO, spec.aggregation.quantised_norm)
        return prepare_update(encoded, Parameters.of_task(spec), context, keys)

    # --- judging

    def _try_to_evaluate(self, view: TaskView) -> None:
        """How the newest model does is told when it can be; no round waits for that."""
        try:
            self._evaluate(view)
        except (StoreError, LedgerRefusal, BadInputError) as reason:
            version = self._evaluated if view.head is None else view.head.version
            _log.warning("the model is not evaluated", site=self.site, version=version, reason=str(reason))
            if not isinstance(reason, StoreError):
                self._evaluated = version

    def _evaluate(self, view: TaskView) -> None:
        if view.head is None:
            return
        version = view.head.version
        model = cache(partial(self._model, view, version))
        report = self._evaluation(view.record.spec, version, model) if self.reports else None
        if report is not None:
            self.ledger.report_evaluation(report)
        if self.on_evaluation is not None and len(self.data.test):
            self.on_evaluation(version, evaluate(self.definition, model(), self.data.test))
        self._evaluated = version

    def _evaluation(self, spec: TaskSpec, version: int, model: Callable[[], bytes]) -> EvaluationReport | None:
        """What the agreement lets it tell of a version, the same after a restart: noise is drawn once. The model is
        fetched when something is to be told of it."""
        kept = self.journal.evaluation(self.task, version)
        if kept is not None:
            return kept.report
        member = self.ledger.member(self.task, self.pseudonym).member
        try:
            check_due(spec, member, self.ledger.model(self.task, version))
        except ContractError as reason:
            _log.debug("nothing is told of this version", site=self.site, version=version, reason=str(reason))
            return None
        report = report_of(self.definition.of_organisation(member.msp), spec, version, model(), self.data.test)
        self.journal.keep_evaluation(self.task, version, report)
        return report

    def _model(self, view: TaskView, version: int) -> bytes:
        return find_model(self.ledger, self.task, artifact_areas(view, allowed=self.allowed), version)


def pseudonym_of(key: PrivateKey) -> str:
    """A participant's name on the ledger: hex SHA-256 of its DER SubjectPublicKeyInfo."""
    return submitter.pseudonym_of(public_key_der(key.public_key()))


def told_examples(spec: TaskSpec, number: int) -> int:
    """How many examples an update is said to stand for: rounded down as the agreement has it.

    Raises:
        BadInputError: ``TOO_FEW_EXAMPLES`` when the agreement asks for more.
    """
    terms = spec.agreement
    told = number - number % terms.example_step
    if told < max(terms.minimum_examples, 1):
        raise BadInputError(
            "TOO_FEW_EXAMPLES",
            f"This site has {number} examples, told as {told}; task {spec.task} asks for {terms.minimum_examples}.",
            "Take part when there are more; the organisations can amend the task.",
        )
    return told


def signed_manifest(
    spec: TaskSpec, msp: str, context: UpdateContext, prepared: PreparedUpdate, num_examples: int, key: PrivateKey
) -> SignedManifest:
    """The manifest of a prepared update of an organisation's participant, signed by the participant's key."""
    manifest = Manifest(
        channel=context.channel,
        task=context.task,
        round=context.round,
        participant=context.participant,
        base_model=context.base_model,
        agreement=spec.sha256(),
        num_examples=told_examples(spec, num_examples),
        root=prepared.root,
        shares=prepared.shares,
        privacy=agreed_privacy(spec, msp),
    )
    return SignedManifest(manifest=manifest, signature=base64.b64encode(sign(key, manifest.canonical())).decode())
