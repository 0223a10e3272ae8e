"""What is stored in the world state, as JSON that a person can read in an explorer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from fedledger_chaincode.messages import protocol1
from fedledger_chaincode.messages.base import (
    MICRO,
    Digest,
    Fraction,
    Identifier,
    MspId,
    Natural,
    Positive,
    Record,
    Text,
)
from fedledger_chaincode.messages.round import (
    AggregateShare,
    Attestation,
    DealingVotes,
    Disclosure,
    EvaluationReport,
    LateClaim,
    ModelReport,
    Pseudonym,
    RevealedReference,
    RoundNumber,
    SignedManifest,
    X25519Key,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.tokens import MintDecision, MintProposal

Seconds = Natural
"""Seconds since the epoch, from a transaction's timestamp."""
TaskState = Literal["proposed", "active", "completed", "stopped", "rejected"]
RoundState = Literal["open", "closed", "disputed", "settled", "finalised", "aborted"]
"""Rounds of protocol 1 alone are ever ``disputed``."""
ENDED: tuple[RoundState, ...] = ("finalised", "aborted")
Verdict = Literal[
    "accepted",
    "refused: equivocation",
    "refused: norm",
    "refused: dealing",
    "refused: inconsistent",
    "unreadable",
]
"""Of an update. ``norm``: it is not within the clip norm. ``inconsistent``: too few validators' values belong together,
and nobody is proven to be at fault. ``unreadable``: too few, or not all readers, hold a share of it. ``dealing``: in
protocol 1, its shares are proven not to belong together; in protocol 2 that is a dispute's ruling and no verdict."""


class TaskRecord(Record):
    """A task and its state; its specification changes by agreed amendments alone."""

    spec: TaskSpec
    spec_hash: Digest
    state: TaskState
    proposer: MspId
    proposed_at: Seconds
    amendments: Natural = 0
    """How often the specification was amended."""
    reason: Text = ""
    """Why it ended before its last round."""


class AmendmentRecord(Record):
    """A proposal to go on under another specification, and who said what to it."""

    number: Positive
    spec: TaskSpec
    spec_hash: Digest
    proposer: MspId
    state: Literal["open", "adopted", "rejected"]
    approved: tuple[MspId, ...]
    rejected: tuple[MspId, ...]
    """In the order of the task's organisations."""


class ConsentRecord(Record):
    """One organisation's word on a task."""

    msp: MspId
    spec_hash: Digest
    decision: Literal["approved", "rejected", "withdrawn"]
    last_round: Natural | None = None
    """After a withdrawal: the last round that the organisation still takes part in."""
    reason: Text = ""
    """Why it rejected the task, withdrew from it or asks to stop it."""
    suspended: bool = False
    """The other organisations have voted that it takes no part for now."""

    def covers(self, spec_hash: str) -> bool:
        """Whether it is a consent to exactly this specification, in force."""
        return self.decision == "approved" and self.spec_hash == spec_hash and not self.suspended

    @property
    def takes_part(self) -> bool:
        """Whether the organisation is neither withdrawn nor suspended."""
        return self.decision == "approved" and not self.suspended

    stop: bool = False
    """The organisation asks to stop the task."""


class SuspensionVote(Record):
    msp: MspId
    decision: Literal["suspend", "reinstate"]
    reason: Text


class SuspensionRecord(Record):
    """How the other organisations of a task voted about one of them, and what came of it."""

    msp: MspId
    suspended: bool
    votes: tuple[SuspensionVote, ...]
    """One for each organisation that has voted, its last one; in the order of the task's organisations."""


class HeadRecord(Record):
    """Where a task stands: its newest model and its newest round."""

    task: Identifier
    version: Natural
    model_digest: Digest
    model_size: Positive
    round: Natural
    """Number of the newest round; 0 before the first."""
    round_state: RoundState | None
    purposes: tuple[Identifier, ...] | None = None
    """What the newest model may be used for; None of the initial one: whatever the agreement allows."""
    called: Natural = 0
    """Number of the round that is being opened: until it is, membership does not change; 0 for none."""

    @property
    def idle(self) -> bool:
        """Whether no round is under way."""
        return self.round_state is None or self.round_state in ENDED


class MemberRecord(Record):
    """A participant that joined a task."""

    participant: Pseudonym
    msp: MspId
    public_key: Annotated[str, Field(pattern=r"^[0-9a-f]+$", max_length=2_000)]
    """Hex DER SubjectPublicKeyInfo of the joined key."""
    stake: Natural
    first_round: Positive
    last_round: Natural | None = None
    """After leaving: the last round it takes part in."""
    valid_until: Seconds | None = None
    """When the certificate with which it joined expires; None for one that its organisation admitted by its key."""
    suspended: Text = ""
    """Why its organisation's governor suspended it; empty while it takes part."""

    def takes_part(self, number: int, now: int) -> bool:
        """Whether it may contribute to a round that opens at that time."""
        there = self.first_round <= number and (self.last_round is None or self.last_round >= number)
        return there and not self.suspended and (self.valid_until is None or self.valid_until >= now)


class RosterRecord(Record):
    """The participants of one organisation in one task, in the order in which they joined.

    A new name does not wash off what is known of an organisation: its newcomers begin with the worst that those who
    left have left behind.
    """

    participants: tuple[Pseudonym, ...]
    left_reputation: Fraction = MICRO
    """The lowest with which a participant has left."""
    left_quarantine: Natural = 0
    """The last round of the longest quarantine that a participant has left in."""
    left_contributions: Natural = 0
    """The most with which a participant has left: the privacy budget is that of the organisation's data."""


class StandingRecord(Record):
    """A participant's history in a task."""

    contributions: Natural
    """Rounds whose fixed set held an update of it: what the privacy budget counts."""
    epsilon: Natural
    reputation: Fraction
    last_score: Fraction | None = None
    quarantined_until: Natural = 0
    """Last round of its quarantine; 0 for none."""


class ValidatorRecord(Record):
    """An organisation's validator in a task."""

    msp: MspId
    sealing_key: X25519Key
    store: str
    stake: Natural
    """What was locked; 0 once it has been taken home: then nothing is paid for its duty."""


class RoundRecord(Record):
    """The state of a round and what it started from."""

    task: Identifier
    round: RoundNumber
    state: RoundState
    base_version: Natural
    base_model: Digest
    opened_by: MspId
    opened_at: Seconds
    clock: Seconds = 0
    """Time that has passed for certain, by the validators' clocks of the newest settled round; it never decreases."""
    void: bool = False
    """It never opened: when it was called too few could take part."""
    reason: Text = ""
    """Why it was aborted."""


class LateRecord(Record):
    """A validator has said that a phase has lasted long enough."""

    validator: MspId
    claim: LateClaim


class CohortEntry(Record):
    """A participant that may contribute to the round."""

    participant: Pseudonym
    msp: MspId
    quarantined: bool
    reputation: Fraction
    """When the round opened."""


class CohortRecord(Record):
    """Who takes part in a round, fixed when it opens."""

    participants: tuple[CohortEntry, ...]
    validators: tuple[ValidatorRecord, ...]
    """In the order of their evaluation points 1..n."""


class UpdateRecord(Record):
    """An update that arrived in time."""

    signed: SignedManifest | protocol1.SignedManifest
    digest: Digest
    """Digest of the manifest."""
    submitted_at: Seconds


class EquivocationRecord(Record):
    """Proof of a fault: two different manifests of one round, both signed by the participant."""

    first: SignedManifest | protocol1.SignedManifest
    second: SignedManifest | protocol1.SignedManifest


class RevokedRecord(Record):
    """Somebody was suspended while a round was open: no update of theirs counts in it, arrived or not."""

    owner: Pseudonym | MspId
    """A participant, or a whole organisation."""
    reason: Text


class FixedUpdate(Record):
    """One update of the fixed set."""

    participant: Pseudonym
    manifest_digest: Digest
    num_examples: Positive


class FixedSetRecord(Record):
    """The updates that a round decides about; fixed when it closes."""

    updates: tuple[FixedUpdate, ...]


class AttestationRecord(Record):
    validator: MspId
    attestation: Attestation | protocol1.Attestation
    at: Seconds = 0
    """The transaction's time: the validator's clock."""


class Accusation(Record):
    """A validator's values of an update contradict those of the others: it lied, or was dealt a false share."""

    participant: Pseudonym
    """Whose update."""
    validator: MspId


class AccusationRecord(Record):
    """An accusation and what became of it."""

    participant: Pseudonym
    validator: MspId
    ruling: Literal["confirms", "denies"] | None = None
    """``confirms``: the participant dealt a false share. ``denies``: the validator lied."""


class DisputeRecord(Record):
    """All accusations of a round."""

    accusations: tuple[AccusationRecord, ...]


class OpenAccusation(Record):
    """An accusation without a ruling: the stakes of both are held."""

    round: RoundNumber
    participant: Pseudonym
    validator: MspId


class DocketRecord(Record):
    """The accusations of a task on which nothing is ruled yet."""

    pending: tuple[OpenAccusation, ...] = ()

    def holds(self, owner: str) -> bool:
        """Whether the stake of a participant or a validator is held."""
        return any(owner in (each.participant, each.validator) for each in self.pending)


class DisclosureRecord(Record):
    validator: MspId
    disclosure: Disclosure


class VotesRecord(Record):
    judge: MspId
    votes: DealingVotes


class BarredReaders(Record):
    """Sets of readers, by evaluation points, whose round was aborted after they were chosen."""

    sets: tuple[tuple[Positive, ...], ...] = ()


class ReferenceRecord(Record):
    """A validator's reference direction: committed to while the round is open, revealed when it is closed."""

    commitment: Digest
    committed_by: MspId
    revealed: RevealedReference | None = None


class ReferenceFault(Record):
    msp: MspId
    count: Positive
    """How often it did not reveal what it had committed to, or more than t others rejected what it revealed."""


class ReferenceFaultsRecord(Record):
    """Who goes to the end of the row in which validators give reference directions."""

    faults: tuple[ReferenceFault, ...] = ()

    def count(self, msp: str) -> int:
        return next((fault.count for fault in self.faults if fault.msp == msp), 0)


class ReputationChange(Record):
    """What a settled round made of a participant's reputation."""

    before: Fraction
    after: Fraction
    quarantined_before: Natural
    """Last round of its quarantine as it was; 0 for none."""
    quarantined_until: Natural
    """The same afterwards."""


class SettledUpdate(Record):
    """What was decided about one member of the cohort."""

    participant: Pseudonym
    msp: MspId
    verdict: Verdict | Literal["absent"]
    weight: Natural
    """Integer weight in the sum."""
    score: Fraction
    trust: Annotated[int, Field(ge=0, le=15)] = 0
    """How much an accepted update agrees with the round's reference direction; from reputation where that says nothing,
    15 in a task without trust weighting."""
    agreement: Annotated[int, Field(ge=-MICRO, le=MICRO)] | None = None
    """With the reference direction, in micro-units; what is beyond the bounds is told as the bound. None where there is
    none: in a task or round without a direction, or when the update is not accepted."""
    by_reputation: bool = False
    """Nothing could be said of an accepted update's agreement: trust and score are its participant's reputation."""
    proven: bool = False
    """The verdict proves a fault of the participant, for which its stake is reduced."""
    dropped: bool = False
    """It would be accepted, had all readers a share of it."""
    reputation: ReputationChange | None = None
    """Of every update of a settlement on the ledger."""


class SettlementRecord(Record):
    """The decision of a round: verdicts, weights and scores of the whole cohort, in its order."""

    updates: tuple[SettledUpdate, ...]
    weight_sum: Natural
    attested: tuple[MspId, ...]
    convicted: tuple[MspId, ...] = ()
    """Validators proven to have attested false values."""
    readers: tuple[MspId, ...] = ()
    """The n - t validators with which least was lost; each has a share of every update in the sum."""
    summers: tuple[MspId, ...] = ()
    """Readers and all others that have: a share of the sum is taken from no one else."""
    accused: tuple[Accusation, ...] = ()
    """Who is at fault is for a dispute to say."""
    with_reference: bool = False
    """Agreement with a reference direction was counted."""
    reference_by: MspId | Literal[""] = ""
    """Whose direction from reference data was the first in the row, whether others used or rejected it; empty where
    nobody has shown one."""

    def weights(self) -> tuple[tuple[str, int], ...]:
        """(participant, weight) of each update in the sum, in the cohort's order."""
        return tuple((update.participant, update.weight) for update in self.updates if update.weight > 0)


class AggregateShareRecord(Record):
    validator: MspId
    share: AggregateShare


class ReportRecord(Record):
    validator: MspId
    report: ModelReport


class Contribution(Record):
    participant: Pseudonym
    msp: MspId
    weight: Positive
    epsilon: Natural
    """Cumulative privacy spent after this round, in micro-units."""


class AggregateReference(Record):
    validator: MspId
    digest: Digest
    size: Positive


class Payment(Record):
    account: str
    amount: Natural


class ModelRecord(Record):
    """A global model in the registry. Immutable but for being marked as deprecated."""

    task: Identifier
    version: Natural
    parent: Digest | None
    model_digest: Digest
    model_size: Positive
    round: Natural
    aggregate_digest: Digest | None
    weight_sum: Natural
    contributions: tuple[Contribution, ...]
    aggregate_shares: tuple[AggregateReference, ...]
    reported_by: tuple[MspId, ...]
    liars: tuple[MspId, ...]
    payments: tuple[Payment, ...]
    transaction_id: str
    deprecated: Text = ""
    """Reason, when a governor marked it as deprecated."""
    purposes: tuple[Identifier, ...] | None = None
    """What every agreement allowed under which it and its ancestors were trained; None of the initial model."""
    dutiful: tuple[MspId, ...] = ()
    """Validators that were paid for the round."""

    def allowed_uses(self, agreed: Sequence[str]) -> tuple[str, ...]:
        """What it may be used for now: what the agreement in force allows, and all under which it was trained did."""
        return tuple(use for use in agreed if self.purposes is None or use in self.purposes)


class EvaluationRecord(Record):
    participant: Pseudonym
    msp: MspId
    report: EvaluationReport


class SupplyRecord(Record):
    """Micro-tokens that exist: minted and not burnt."""

    total: Natural


class BalanceRecord(Record):
    balance: Natural


class EarningsRecord(Record):
    """What an account has earned in a task, ever; or how much of that has been taken into its balance.

    Modulo 2^53: however often it is paid the total can be told, and what is not collected is never that much.
    """

    total: Natural


class EarningTasksRecord(Record):
    """Tasks in which an account may earn, in the order in which it was said so."""

    tasks: tuple[Identifier, ...]


class AllowanceRecord(Record):
    """What a spender may still take from an owner's account."""

    value: Natural


class MintVote(Record):
    msp: MspId
    decision: MintDecision


class MintRecord(Record):
    """A proposal to mint tokens and how organisations voted on it."""

    proposal: MintProposal
    id: Digest
    """Digest of the proposal: who votes for it has read exactly this."""
    proposer: MspId
    state: Literal["open", "minted", "rejected"]
    votes: tuple[MintVote, ...]
    """One for each organisation that has voted, its last one; in the order of the task's organisations."""


class ModelUseRecord(Record):
    """Somebody says what it uses a model for; the contract refuses purposes that are not agreed on."""

    task: Identifier
    version: Natural
    msp: MspId
    purpose: Identifier
    at: Seconds
