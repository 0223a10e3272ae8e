"""One typed method per transaction of the contract, over the gateway client.

A submission that lost a race (MVCC or phantom conflict, peers at different heights, or a round that is being opened in
this moment) is sent again: it had no effect, so that repeating is safe even for a payment. Nothing else is retried.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Literal, TypeVar

import grpc

from fedledger.gateway import (
    ChaincodeEvent,
    CloseableIterator,
    CommitError,
    Contract,
    EndorseError,
    EvaluateError,
    GatewayError,
    Network,
)
from fedledger.ledger.errors import LedgerRefusal
from fedledger.ledger.events import LedgerEvent
from fedledger_chaincode.messages.base import Value
from fedledger_chaincode.messages.records import (
    AggregateShareRecord,
    AmendmentRecord,
    AttestationRecord,
    ConsentRecord,
    DisclosureRecord,
    EvaluationRecord,
    HeadRecord,
    LateRecord,
    MemberRecord,
    MintRecord,
    ModelRecord,
    ModelUseRecord,
    ReferenceRecord,
    ReportRecord,
    RoundRecord,
    SettlementRecord,
    SuspensionRecord,
    TaskRecord,
    ValidatorRecord,
    VotesRecord,
)
from fedledger_chaincode.messages.round import (
    AbortRequest,
    AggregateShare,
    Attestation,
    DealingVotes,
    Disclosure,
    EvaluationReport,
    JoinRequest,
    LateClaim,
    ModelReport,
    ReferenceCommitment,
    RevealedReference,
    SignedAdmission,
    SignedManifest,
    ValidatorRegistration,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.tokens import MintDecision, MintProposal
from fedledger_chaincode.messages.views import (
    EvaluationRecords,
    Members,
    MemberView,
    MemberViews,
    MintRecords,
    ModelRecords,
    ModelUseRecords,
    ReputationHistory,
    RoundView,
    SubmissionResult,
    SubmissionResults,
    TaskSummaries,
    TaskSummary,
    TaskView,
    Wallet,
)

ValueT = TypeVar("ValueT", bound=Value)
Argument = str | int | Value

ATTEMPTS = 8
"""How often a submission that loses races is sent before its error is raised."""
_FIRST_PAUSE = 0.02
_RACES = ("MVCC_READ_CONFLICT", "PHANTOM_READ_CONFLICT")
_DIFFERENT_HEIGHTS = "ProposalResponsePayloads do not match"
_ROUND_OPENS = "ROUND_OPENS"
"""The contract's refusal to change who takes part in the moment in which a round reads it."""
_NOT_ALL_ENDORSED = "failed to collect enough transaction endorsements"
"""What Fabric's gateway says when one peer has endorsed and another one refuses."""


class TaskLedger:
    """The contract on one channel, as one identity."""

    def __init__(self, network: Network, chaincode: str) -> None:
        self._network = network
        self._chaincode = chaincode
        self._contract: Contract = network.get_contract(chaincode)

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._network.name

    # --- tasks

    def propose_task(self, spec: TaskSpec) -> TaskRecord:
        return self._submit(TaskRecord, "ProposeTask", spec)

    def approve_task(self, task: str, spec_hash: str) -> TaskRecord:
        return self._submit(TaskRecord, "ApproveTask", task, spec_hash)

    def reject_task(self, task: str, reason: str) -> TaskRecord:
        return self._submit(TaskRecord, "RejectTask", task, reason)

    def stop_task(self, task: str, reason: str) -> TaskRecord:
        return self._submit(TaskRecord, "StopTask", task, reason)

    def continue_task(self, task: str, reason: str) -> TaskRecord:
        return self._submit(TaskRecord, "ContinueTask", task, reason)

    def withdraw_consent(self, task: str, reason: str) -> ConsentRecord:
        return self._submit(ConsentRecord, "WithdrawConsent", task, reason)

    def conclude_task(self, task: str) -> TaskRecord:
        return self._submit(TaskRecord, "ConcludeTask", task)

    def propose_amendment(self, spec: TaskSpec) -> AmendmentRecord:
        return self._submit(AmendmentRecord, "ProposeAmendment", spec)

    def vote_suspension(
        self, task: str, msp: str, decision: Literal["suspend", "reinstate"], reason: str
    ) -> SuspensionRecord:
        return self._submit(SuspensionRecord, "VoteSuspension", task, msp, decision, reason)

    def admit_participants(self, admissions: Sequence[SignedAdmission]) -> tuple[MemberRecord, ...]:
        return self._submit(Members, "AdmitParticipants", *admissions).members

    def suspend_participant(self, task: str, participant: str, reason: str) -> MemberRecord:
        return self._submit(MemberRecord, "SuspendParticipant", task, participant, reason)

    def reinstate_participant(self, task: str, participant: str, reason: str) -> MemberRecord:
        return self._submit(MemberRecord, "ReinstateParticipant", task, participant, reason)

    def reclaim_stakes(self, task: str) -> tuple[MemberRecord, ...]:
        return self._submit(Members, "ReclaimStakes", task).members

    def use_model(self, task: str, version: int, purpose: str) -> ModelUseRecord:
        return self._submit(ModelUseRecord, "UseModel", task, version, purpose)

    def join_task(self, task: str) -> MemberRecord:
        return self._submit(MemberRecord, "JoinTask", JoinRequest(task=task))

    def leave_task(self, task: str) -> MemberRecord:
        return self._submit(MemberRecord, "LeaveTask", task)

    def register_validator(self, registration: ValidatorRegistration) -> ValidatorRecord:
        return self._submit(ValidatorRecord, "RegisterValidator", registration)

    # --- rounds

    def call_round(self, task: str, number: int) -> HeadRecord:
        return self._submit(HeadRecord, "CallRound", task, number)

    def open_round(self, task: str, number: int) -> RoundRecord:
        return self._submit(RoundRecord, "OpenRound", task, number)

    def submit_updates(self, manifests: Sequence[SignedManifest]) -> tuple[SubmissionResult, ...]:
        """What became of each manifest; raises ``LedgerRefusal`` with the first one's reason when none counts."""
        return self._submit(SubmissionResults, "SubmitUpdates", *manifests).results

    def close_round(self, task: str, number: int) -> RoundRecord:
        return self._submit(RoundRecord, "CloseRound", task, number)

    def commit_reference(self, commitment: ReferenceCommitment) -> ReferenceRecord:
        return self._submit(ReferenceRecord, "CommitReference", commitment)

    def reveal_reference(self, revealed: RevealedReference) -> ReferenceRecord:
        return self._submit(ReferenceRecord, "RevealReference", revealed)

    def attest_updates(self, attestation: Attestation) -> AttestationRecord:
        return self._submit(AttestationRecord, "AttestUpdates", attestation)

    def claim_late(self, claim: LateClaim) -> LateRecord:
        return self._submit(LateRecord, "ClaimLate", claim)

    def settle_round(self, task: str, number: int) -> SettlementRecord:
        return self._submit(SettlementRecord, "SettleRound", task, number)

    def post_aggregate_share(self, share: AggregateShare) -> AggregateShareRecord:
        return self._submit(AggregateShareRecord, "PostAggregateShare", share)

    def report_model(self, report: ModelReport) -> ReportRecord:
        return self._submit(ReportRecord, "ReportModel", report)

    def finalise_round(self, task: str, number: int) -> ModelRecord:
        return self._submit(ModelRecord, "FinaliseRound", task, number)

    def abort_round(self, request: AbortRequest) -> RoundRecord:
        return self._submit(RoundRecord, "AbortRound", request)

    def disclose_shares(self, disclosure: Disclosure) -> DisclosureRecord:
        return self._submit(DisclosureRecord, "DiscloseShares", disclosure)

    def vote_dealing(self, votes: DealingVotes) -> VotesRecord:
        return self._submit(VotesRecord, "VoteDealing", votes)

    # --- registry and tokens

    def report_evaluation(self, report: EvaluationReport) -> EvaluationRecord:
        return self._submit(EvaluationRecord, "ReportEvaluation", report)

    def deprecate_model(self, task: str, version: int, reason: str) -> ModelRecord:
        return self._submit(ModelRecord, "DeprecateModel", task, version, reason)

    def transfer(self, recipient: str, amount: int) -> int:
        """Pay micro-tokens; returns the sender's new balance."""
        return int(json.loads(self._submit_raw("Transfer", recipient, amount)))

    def transfer_from(self, owner: str, recipient: str, amount: int) -> int:
        """Pay micro-tokens from another's account; returns what is left of the allowance."""
        return int(json.loads(self._submit_raw("TransferFrom", owner, recipient, amount)))

    def approve(self, spender: str, value: int) -> int:
        """Let a spender take up to so many micro-tokens; refused while another allowance stands."""
        return int(json.loads(self._submit_raw("Approve", spender, value)))

    def increase_allowance(self, spender: str, added: int) -> int:
        """Let a spender take so many micro-tokens more; returns the allowance."""
        return int(json.loads(self._submit_raw("IncreaseAllowance", spender, added)))

    def decrease_allowance(self, spender: str, subtracted: int) -> int:
        """Let a spender take so many micro-tokens less; returns the allowance."""
        return int(json.loads(self._submit_raw("DecreaseAllowance", spender, subtracted)))

    def allowance(self, owner: str, spender: str) -> int:
        """Micro-tokens that a spender may still take from an owner's account."""
        return int(json.loads(self._evaluate_raw("Allowance", owner, spender)))

    def balance_of(self, account: str) -> int:
        """Micro-tokens on an account."""
        return int(json.loads(self._evaluate_raw("BalanceOf", account)))

    def client_account_id(self) -> str:
        """The account of this identity: a participant's own, a governor's organisation's."""
        return self._evaluate_raw("ClientAccountID").decode()

    def total_supply(self) -> int:
        """Micro-tokens that exist."""
        return int(json.loads(self._evaluate_raw("TotalSupply")))

    def propose_mint(self, proposal: MintProposal) -> MintRecord:
        return self._submit(MintRecord, "ProposeMint", proposal)

    def vote_mint(self, task: str, proposal: str, decision: MintDecision) -> MintRecord:
        return self._submit(MintRecord, "VoteMint", task, proposal, decision)

    def mints(self, task: str) -> tuple[MintRecord, ...]:
        return self._evaluate(MintRecords, "ListMints", task).mints

    # --- queries

    def task(self, task: str) -> TaskView:
        return self._evaluate(TaskView, "GetTask", task)

    def tasks(self) -> tuple[TaskSummary, ...]:
        return self._evaluate(TaskSummaries, "ListTasks").tasks

    def round(self, task: str, number: int) -> RoundView:
        return self._evaluate(RoundView, "GetRound", task, number)

    def members(self, task: str) -> tuple[MemberView, ...]:
        return self._evaluate(MemberViews, "GetMembers", task).members

    def member(self, task: str, participant: str) -> MemberView:
        return self._evaluate(MemberView, "GetMember", task, participant)

    def reputation(self, task: str, participant: str) -> ReputationHistory:
        return self._evaluate(ReputationHistory, "GetReputation", task, participant)

    def model(self, task: str, version: int) -> ModelRecord:
        return self._evaluate(ModelRecord, "GetModel", task, version)

    def models(self, task: str) -> tuple[ModelRecord, ...]:
        return self._evaluate(ModelRecords, "ListModels", task).models

    def lineage(self, task: str, version: int) -> tuple[ModelRecord, ...]:
        """From the version back to the initial model."""
        return self._evaluate(ModelRecords, "ModelLineage", task, version).models

    def evaluations(self, task: str, version: int) -> tuple[EvaluationRecord, ...]:
        return self._evaluate(EvaluationRecords, "GetEvaluations", task, version).evaluations

    def model_uses(self, task: str) -> tuple[ModelUseRecord, ...]:
        return self._evaluate(ModelUseRecords, "ListModelUses", task).uses

    def wallet(self, task: str, msp: str) -> Wallet:
        return self._evaluate(Wallet, "GetWallet", task, msp)

    # --- events

    def events(self, start_block: int | None = None) -> CloseableIterator[ChaincodeEvent]:
        """The contract's events as they are committed, from ``start_block`` on; decode with ``LedgerEvent.decode``.

        A stream with a start goes on when its peer goes away, there or at another gateway, behind the last event that
        it gave: none is lost and none told twice. One without ends with ``EventsError``: nobody knows what it missed.
        """
        return self._network.chaincode_events(
            self._chaincode, start_block=start_block, reconnect=start_block is not None
        )

    def decoded_events(self, start_block: int) -> Iterator[LedgerEvent]:
        """The same, decoded."""
        with closing(self.events(start_block)) as events:
            for event in events:
                yield LedgerEvent.decode(event)

    # --- calling

    def _submit(self, result: type[ValueT], function: str, *arguments: Argument) -> ValueT:
        return result.decode(self._submit_raw(function, *arguments))

    def _evaluate(self, result: type[ValueT], function: str, *arguments: Argument) -> ValueT:
        return result.decode(self._evaluate_raw(function, *arguments))

    def _evaluate_raw(self, function: str, *arguments: Argument) -> bytes:
        try:
            return self._contract.evaluate_transaction(function, *_encoded(arguments))
        except EvaluateError as error:
            raise _refusal(error) from error

    def _submit_raw(self, function: str, *arguments: Argument) -> bytes:
        encoded = _encoded(arguments)
        for attempt in range(ATTEMPTS):
            try:
                return self._contract.submit_transaction(function, *encoded)
            except (EndorseError, CommitError) as error:
                if attempt + 1 == ATTEMPTS or not lost_a_race(error):
                    raise _refusal(error) from error
            # Rivals that wait equally long meet again: the pause is random, which no security rests on.
            time.sleep(_FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable")


def _encoded(arguments: Sequence[Argument]) -> list[bytes]:
    return [argument.canonical() if isinstance(argument, Value) else str(argument).encode() for argument in arguments]


def lost_a_race(error: GatewayError) -> bool:
    """Whether the same submission may well succeed when it is made again: nothing was wrong with it."""
    if isinstance(error, CommitError):
        return error.code in _RACES
    if error.contract_error is not None:
        if error.contract_error.code == _ROUND_OPENS:
            return True
        # The same contract gives another answer where the newest block has not arrived yet.
        return isinstance(error.__cause__, grpc.Call) and _NOT_ALL_ENDORSED in (error.__cause__.details() or "")
    return any(_DIFFERENT_HEIGHTS in detail.message for detail in error.details) or _DIFFERENT_HEIGHTS in str(error)


def _refusal(error: GatewayError) -> Exception:
    fault = error.contract_error
    return error if fault is None else LedgerRefusal(fault, error.transaction_id)
