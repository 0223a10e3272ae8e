"""What a validator has to do next, decided from the ledger and its own stopwatch; it touches nothing.

Steps that any validator may take go round: in round r validator (r mod n) takes them first, and each other one waits
one more patience, so that a missing validator delays a round and never stops it. No deadline is compared with the
ledger's time: a validator says that something is late when the task's seconds have passed on its own stopwatch and its
own part is done, and goes on when enough others say so too. docs/protocol/rounds.md, 4.2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fedledger.agents.steps import Step
from fedledger_chaincode.messages.records import LateRecord
from fedledger_chaincode.messages.round import Phase
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import RoundView, TaskView
from fedledger_chaincode.rules.amendments import is_decided
from fedledger_chaincode.rules.finalisation import agreed_report
from fedledger_chaincode.rules.transitions import PROTOCOL
from fedledger_chaincode.transactions.rounds import are_enough

FROM_DATA = "reference-data"
CLAIMS: Mapping[Phase, str] = {
    "updates": "updates are late",
    "reference": "reference directions are late",
    "attestations": "attestations are late",
    "aggregates": "the new model is late",
    "agreement": "the task is over",
    "idle": "enough may take part again",
}
"""What a validator says in each phase when it has waited long enough."""


@dataclass(frozen=True)
class Duty:
    """One step that is possible now."""

    step: Step
    round: int
    rank: int = 0
    """How many patiences to wait after the step became possible, in case another validator takes it."""
    phase: Phase | None = None
    """What is said to be late."""

    @property
    def words(self) -> str:
        """What has happened when it was taken, as the rest of a sentence about the round."""
        return self.step.words if self.phase is None else f"the others are told that {CLAIMS[self.phase]}"


@dataclass(frozen=True)
class Duties:
    """What is possible now, and when to look again although nothing is heard."""

    possible: tuple[Duty, ...]
    look_again_in: float | None = None
    """Seconds."""


@dataclass(frozen=True)
class Own:
    """What a validator knows that the ledger does not."""

    waited: float = 0.0
    """Seconds on its own stopwatch since it saw the present phase begin."""
    unable: Collection[Step] = ()
    """Steps of the round that it has tried and could not take: nobody waits for them."""
    agreement_is_over: bool = False
    """By its own clock: the one end that is agreed on as a date."""
    patience: float = 1.0
    """Seconds."""


NOTHING = Duties(())


def phase_of(task: TaskView, current: RoundView | None) -> tuple[int, Phase] | None:
    """The phase that a validator's stopwatch runs for, with the round that waits; None where nothing is waited for."""
    head = task.head
    if task.record.state != "active" or head is None:
        return None
    if head.idle or current is None:
        return (head.round + 1, "idle") if task.outlook == "ready" else None
    number = current.record.round
    match current.record.state:
        case "open":
            return number, "updates"
        case "closed":
            return number, "attestations" if _reference_is_settled(task.record.spec, current) else "reference"
        case "settled":
            return number, "aggregates"
        case _:
            return None


def duties(task: TaskView, current: RoundView | None, msp: str, own: Own) -> Duties:
    """What the validator of ``msp`` has to do in the newest round, or between two rounds.

    Args:
        current: the round that the task's head names; None before the first.
    """
    head, spec = task.head, task.record.spec
    stranger = msp not in spec.aggregation.validators
    if task.record.state != "active" or head is None or stranger or spec.protocol != PROTOCOL:
        return NOTHING
    if head.idle or current is None:
        return _between_rounds(task, current, head.round + 1, msp, own)
    match current.record.state:
        case "open":
            return _while_open(spec, current, msp, own)
        case "closed":
            return _while_closed(spec, current, msp, own)
        case "settled":
            return _while_settled(spec, current, msp, own)
        case _:
            return NOTHING


def _between_rounds(task: TaskView, last: RoundView | None, number: int, msp: str, own: Own) -> Duties:
    head, spec = task.head, task.record.spec
    aggregation, rank = spec.aggregation, _rank(spec, msp, number)
    if head is not None and head.called == number:
        return Duties((Duty(Step.OPEN, number, rank),))
    if (own.agreement_is_over or task.outlook == "over") and not _amendment_is_decided(task):
        said = _claiming(task.late, "agreement")
        if len(said) >= aggregation.quorum:
            return Duties((Duty(Step.CONCLUDE, number, rank),))
        return NOTHING if msp in said else Duties((Duty(Step.CLAIM_LATE, number, phase="agreement"),))
    if task.outlook != "ready":
        return NOTHING
    said = _claiming(task.late, "idle")
    if last is None or not last.record.void or len(said) > aggregation.tolerated_faults:
        return Duties((Duty(Step.CALL, number, rank),))
    return _claim(spec, number, "idle", said, msp, aggregation.tolerated_faults + 1, own.patience - own.waited)


def _amendment_is_decided(task: TaskView) -> bool:
    """The next round goes by it, whatever the agreement says until then."""
    suspended = frozenset(consent.msp for consent in task.consents if consent.suspended)
    return any(is_decided(amendment, suspended) for amendment in task.amendments)


def _while_open(spec: TaskSpec, current: RoundView, msp: str, own: Own) -> Duties:
    number, faults = current.record.round, spec.aggregation.tolerated_faults
    here = {update.signed.manifest.participant for update in current.updates}
    revoked = {record.owner for record in current.revoked}
    awaited = [entry for entry in current.cohort.participants if not {entry.participant, entry.msp} & revoked]
    arrived = [entry for entry in awaited if entry.participant in here]
    from_data = spec.robustness.trust_weighting == FROM_DATA
    committed = {reference.committed_by for reference in current.references}
    mine = [Duty(Step.COMMIT_REFERENCE, number)] if from_data and msp not in committed else []
    complete = len(arrived) == len(awaited) and not (from_data and len(committed) <= faults)
    needed = faults + 1 if are_enough(spec, arrived) else spec.aggregation.quorum
    said = _claiming(current.late, "updates")
    if complete or len(said) >= needed:
        return Duties((*mine, Duty(Step.CLOSE, number, _rank(spec, msp, number))))
    return _waiting(spec, current, "updates", msp, needed, mine, own, spec.deadlines.updates)


def _while_closed(spec: TaskSpec, current: RoundView, msp: str, own: Own) -> Duties:
    aggregation, number = spec.aggregation, current.record.round
    faults, seconds = aggregation.tolerated_faults, spec.deadlines.attestations
    if not _reference_is_settled(spec, current):
        hidden = {reference.committed_by for reference in current.references if reference.revealed is None}
        mine = [Duty(Step.REVEAL_REFERENCE, number)] if msp in hidden else []
        return _waiting(spec, current, "reference", msp, faults + 1, mine, own, seconds)
    attested = {record.validator for record in current.attestations}
    mine = [] if msp in attested else [Duty(Step.ATTEST, number)]
    enough = len(attested) >= aggregation.quorum
    needed = faults + 1 if enough else aggregation.quorum
    said = _claiming(current.late, "attestations")
    if len(attested) == aggregation.n or len(said) >= needed:
        step = Step.SETTLE if enough else Step.ABORT
        return Duties((*mine, Duty(step, number, _rank(spec, msp, number))))
    return _waiting(spec, current, "attestations", msp, needed, mine, own, seconds)


def _while_settled(spec: TaskSpec, current: RoundView, msp: str, own: Own) -> Duties:
    aggregation, number = spec.aggregation, current.record.round
    summers = current.settlement.summers if current.settlement is not None else ()
    posted = {record.validator for record in current.aggregates}
    reports = {record.validator: record.report for record in current.reports}
    rank = _rank(spec, msp, number)
    mine = [Duty(Step.SHARE, number)] if msp in summers and msp not in posted else []
    has_shared = not mine or Step.SHARE in own.unable
    if has_shared and msp not in reports and len(posted) >= aggregation.quorum:
        mine.append(Duty(Step.REPORT, number, 0 if len(posted) == len(summers) else 1))
    if agreed_report(aggregation, reports) is not None:
        # Validators that are a little slow still earn their part while the first in the row waits for them.
        patience = 0 if len(reports) == aggregation.n else 1
        return Duties((*mine, Duty(Step.FINALISE, number, rank + patience)))
    if len(_claiming(current.late, "aggregates")) >= aggregation.quorum:
        return Duties((*mine, Duty(Step.ABORT, number, rank + 1)))
    return _waiting(spec, current, "aggregates", msp, aggregation.quorum, mine, own, spec.deadlines.aggregates)


def _waiting(
    spec: TaskSpec,
    current: RoundView,
    phase: Phase,
    msp: str,
    needed: int,
    mine: list[Duty],
    own: Own,
    seconds: int,
) -> Duties:
    """The own part of a phase; and the claim that it is late, once nothing of the own part can be done any more."""
    if any(duty.step not in own.unable for duty in mine):
        return Duties(tuple(mine))
    claim = _claim(spec, current.record.round, phase, _claiming(current.late, phase), msp, needed, seconds - own.waited)
    return Duties((*mine, *claim.possible), claim.look_again_in)


def _claim(
    spec: TaskSpec, number: int, phase: Phase, said: Collection[str], msp: str, needed: int, left: float
) -> Duties:
    """To say that a phase is late, as soon as nothing is left of its time. As many as are needed say so at once; the
    others wait for them."""
    if msp in said:
        return NOTHING
    if left > 0:
        return Duties((), look_again_in=left)
    rank = max(0, _rank(spec, msp, number) - needed + 1)
    return Duties((Duty(Step.CLAIM_LATE, number, rank, phase),))


def _rank(spec: TaskSpec, msp: str, number: int) -> int:
    validators = spec.aggregation.validators
    return (validators.index(msp) - number) % len(validators)


def _claiming(late: Collection[LateRecord], phase: Phase) -> set[str]:
    """The validators that have said so."""
    return {record.validator for record in late if record.claim.phase == phase}


def _reference_is_settled(spec: TaskSpec, current: RoundView) -> bool:
    """Whether it is known which direction counts in a closed round, as the contract decides it."""
    if spec.robustness.trust_weighting != FROM_DATA:
        return True
    hidden = any(reference.revealed is None for reference in current.references)
    return not hidden or len(_claiming(current.late, "reference")) > spec.aggregation.tolerated_faults
