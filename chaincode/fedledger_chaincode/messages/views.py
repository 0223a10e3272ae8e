"""What queries answer: several records of the state put together for a reader. Never stored."""

from __future__ import annotations

from typing import Literal

from fedledger_chaincode.messages.base import Digest, Fraction, Identifier, MspId, Natural, Positive, Text, View
from fedledger_chaincode.messages.records import (
    AggregateShareRecord,
    AmendmentRecord,
    AttestationRecord,
    CohortRecord,
    ConsentRecord,
    DisclosureRecord,
    DisputeRecord,
    EquivocationRecord,
    EvaluationRecord,
    FixedSetRecord,
    HeadRecord,
    LateRecord,
    MemberRecord,
    MintRecord,
    ModelRecord,
    ModelUseRecord,
    OpenAccusation,
    ReferenceRecord,
    ReportRecord,
    RevokedRecord,
    RoundRecord,
    RoundState,
    SettledUpdate,
    SettlementRecord,
    StandingRecord,
    SuspensionRecord,
    TaskRecord,
    UpdateRecord,
    ValidatorRecord,
    VotesRecord,
)
from fedledger_chaincode.messages.round import Pseudonym
from fedledger_chaincode.messages.task import ReputationSpec


class SubmissionResult(View):
    """What became of one manifest of a ``SubmitUpdates`` transaction."""

    participant: Pseudonym | Literal[""]
    """Empty when the manifest could not be read."""
    manifest_digest: Digest | Literal[""]
    status: Literal["received", "refused"]
    code: str = ""
    message: Text = ""


class SubmissionResults(View):
    results: tuple[SubmissionResult, ...]


class TaskView(View):
    """A task, what each organisation said to it, and where it stands."""

    record: TaskRecord
    consents: tuple[ConsentRecord, ...]
    validators: tuple[ValidatorRecord, ...]
    head: HeadRecord | None
    amendments: tuple[AmendmentRecord, ...] = ()
    """All that were proposed."""
    suspensions: tuple[SuspensionRecord, ...] = ()
    """Organisations about which others have voted."""
    accusations: tuple[OpenAccusation, ...] = ()
    """On which nothing is ruled yet."""
    outlook: Literal["", "ready", "waits", "over"] = ""
    """Between two rounds of an active task: the next one can be called, for whatever becomes of it an amendment is
    decided; or it waits for participants or for validators to register; or for so many organisations no privacy budget
    is left that there can be none. That the agreement has ended is for each
    validator's clock to say. Empty while a round is under way."""
    late: tuple[LateRecord, ...] = ()
    """Between two rounds: what validators have said about the next one."""


class TaskSummary(View):
    task: Identifier
    title: Text
    state: str
    spec_hash: Digest
    version: Natural
    round: Natural


class TaskSummaries(View):
    tasks: tuple[TaskSummary, ...]


class Members(View):
    """What became of the participants of an ``AdmitParticipants`` transaction, in its order."""

    members: tuple[MemberRecord, ...]


class MemberView(View):
    member: MemberRecord
    standing: StandingRecord
    balance: Natural
    """Micro-tokens on the participant's account."""
    stake: Natural
    """Micro-tokens of its stake that are still locked."""


class MemberViews(View):
    members: tuple[MemberView, ...]


class RoundView(View):
    """Everything that the ledger holds about one round."""

    record: RoundRecord
    cohort: CohortRecord
    updates: tuple[UpdateRecord, ...]
    equivocations: tuple[EquivocationRecord, ...]
    revoked: tuple[RevokedRecord, ...] = ()
    """Who of the cohort was suspended while it was open."""
    fixed: FixedSetRecord | None
    attestations: tuple[AttestationRecord, ...]
    references: tuple[ReferenceRecord, ...] = ()
    """In the row of the round: the first that is revealed in time counts. When it is settled that one is the first."""
    late: tuple[LateRecord, ...] = ()
    dispute: DisputeRecord | None = None
    disclosures: tuple[DisclosureRecord, ...] = ()
    votes: tuple[VotesRecord, ...] = ()
    settlement: SettlementRecord | None
    aggregates: tuple[AggregateShareRecord, ...]
    reports: tuple[ReportRecord, ...]


class ModelRecords(View):
    models: tuple[ModelRecord, ...]


class EvaluationRecords(View):
    evaluations: tuple[EvaluationRecord, ...]


class AccountBalance(View):
    account: str
    balance: Natural


class ScoredRound(View):
    """What one settled round said of a participant in its cohort."""

    round: Positive
    state: RoundState
    reason: Text
    """Why it was aborted."""
    quarantined: bool
    """In this round its weight was 0."""
    reputation: Fraction
    """When the round opened."""
    num_examples: Natural
    """Of its update; 0 when none was in the fixed set."""
    update: SettledUpdate


class ReputationHistory(View):
    """Everything that a participant's reputation follows from."""

    member: MemberRecord
    standing: StandingRecord
    rules: ReputationSpec
    rounds: tuple[ScoredRound, ...]
    """Settled rounds in their order."""


class MintRecords(View):
    mints: tuple[MintRecord, ...]


class ModelUseRecords(View):
    uses: tuple[ModelUseRecord, ...]


class Wallet(View):
    """The accounts of one organisation in one task."""

    msp: MspId
    accounts: tuple[AccountBalance, ...]
