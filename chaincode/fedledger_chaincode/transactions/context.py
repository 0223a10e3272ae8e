"""What every transaction is given: the state, who submitted, when, and the one event it may set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import Value, canonical
from fedledger_chaincode.messages.records import (
    ConsentRecord,
    HeadRecord,
    MemberRecord,
    RoundRecord,
    TaskRecord,
    ValidatorRecord,
)
from fedledger_chaincode.rules.transitions import check_protocol
from fedledger_chaincode.state import (
    RecordT,
    WorldState,
    consent_key,
    head_key,
    member_key,
    round_key,
    task_key,
    validator_key,
)
from fedledger_chaincode.stub import Rehearsal, Stub
from fedledger_chaincode.submitter import Submitter

ROLE_ATTRIBUTE = "fedledger.role"
MAXIMUM_REASON = 2_000
ROLES = ("participant", "validator", "governor", "auditor")


def organisation_account(msp: str) -> str:
    return f"org:{msp}"


def participant_account(pseudonym: str) -> str:
    return f"participant:{pseudonym}"


def pool_account(task: str) -> str:
    return f"pool:{task}"


def stake_account(task: str, owner: str) -> str:
    return f"stake:{task}:{owner}"


def insurance_account(task: str) -> str:
    return f"insurance:{task}"


@dataclass(frozen=True)
class Movement:
    """Tokens that a transaction moved; ``VOID`` is where minted tokens come from and burnt ones go."""

    source: str
    target: str
    amount: int

    def fields(self) -> dict[str, object]:
        """As Fabric's token samples name them."""
        return {"from": self.source, "to": self.target, "value": self.amount}


VOID = "0x0"


@dataclass(frozen=True)
class Context:
    """One transaction."""

    stub: Stub
    state: WorldState
    submitter: Submitter
    moved: list[Movement] = field(default_factory=list)
    """Tokens that this transaction has moved so far."""

    def rehearsal(self) -> Context:
        """The same transaction with nothing written: what another one would do now."""
        stub = Rehearsal(self.stub)
        return Context(stub, WorldState(stub), self.submitter)

    @property
    def now(self) -> int:
        return self.stub.timestamp

    def require_role(self, *roles: str) -> None:
        """Raise 403 ``WRONG_ROLE`` unless the submitter's certificate carries one of the roles."""
        role = self.submitter.attributes.get(ROLE_ATTRIBUTE)
        if role not in roles:
            raise ContractError(
                403,
                "WRONG_ROLE",
                f"{self.submitter.common_name} of {self.submitter.msp_id} has the role {role or 'none'}; "
                f"{self.stub.function} is for a {' or '.join(roles)}.",
                f"Use a certificate whose attribute {ROLE_ATTRIBUTE} is {' or '.join(roles)}.",
            )

    def event(self, name: str, **fields: object) -> None:
        """Set the transaction's one event, last: tokens that it moved are added to it as ``transfers``."""
        if self.moved:
            fields["transfers"] = [movement.fields() for movement in self.moved]
        self.stub.set_event(name, canonical(fields))

    def token_event(self, name: str, source: str, target: str, value: int) -> None:
        """``Transfer`` or ``Approval`` as in Fabric's token samples."""
        self.stub.set_event(name, canonical({"from": source, "to": target, "value": value}))

    # --- records that many transactions read

    def task(self, task: str) -> TaskRecord:
        return self.state.get(TaskRecord, task_key(task), f"task {task}")

    def head(self, task: str) -> HeadRecord:
        return self.state.get(HeadRecord, head_key(task), f"active task {task}")

    def round(self, task: str, number: int) -> RoundRecord:
        return self.state.get(RoundRecord, round_key(task, number), f"round {number} of task {task}")

    def member(self, task: str, participant: str) -> MemberRecord:
        member = self.state.find_one(MemberRecord, member_key(task, participant))
        if member is None:
            raise ContractError(
                403,
                "NOT_JOINED",
                f"Participant {participant[:16]} has not joined task {task}.",
                "Join first: fedledger participant join.",
            )
        return member

    def consent(self, task: str, msp: str) -> ConsentRecord:
        """The organisation's consent; raises 403 ``NO_CONSENT`` when it has not approved the task."""
        consent = self.state.find_one(ConsentRecord, consent_key(task, msp))
        if consent is None or consent.decision == "rejected":
            raise ContractError(
                403,
                "NO_CONSENT",
                f"Organisation {msp} has not approved task {task} and takes no part in it.",
                "Its governor approves with: fedledger task approve.",
            )
        return consent

    def consents(self, task: str, msps: Sequence[str]) -> dict[str, ConsentRecord]:
        found = self.state.find(ConsentRecord, [consent_key(task, msp) for msp in msps])
        return {record.msp: record for record in found if record is not None}

    def party(self, record: TaskRecord) -> str:
        """The submitter's MSP id; raises 403 ``NOT_A_PARTY`` when it is not among the task's organisations."""
        msp = self.submitter.msp_id
        if msp not in record.spec.organisations:
            raise not_a_party(msp, record.spec.task)
        return msp

    def voice(self, record: TaskRecord) -> str:
        """The organisation for which a governor speaks; raises 403 ``NOT_A_PARTY``, ``ORGANISATION_SUSPENDED``."""
        msp = self.party(record)
        consent = self.state.find_one(ConsentRecord, consent_key(record.spec.task, msp))
        if consent is not None and consent.suspended:
            raise ContractError(
                403,
                "ORGANISATION_SUSPENDED",
                f"Organisation {msp} is suspended by vote of the others and decides nothing in task "
                f"{record.spec.task}.",
                "Who voted, and why, is in: fedledger task show.",
            )
        return msp

    def acting_validator(self, record: TaskRecord) -> str:
        """The submitter's MSP id when it is a registered validator of the task, whose rounds this contract runs."""
        self.require_role("validator")
        check_protocol(record.spec)
        msp = self.submitter.msp_id
        task = record.spec.task
        if msp not in record.spec.aggregation.validators:
            raise ContractError(403, "NOT_A_VALIDATOR", f"Organisation {msp} is no validator of task {task}.")
        if self.state.find_one(ValidatorRecord, validator_key(task, msp)) is None:
            raise ContractError(
                403,
                "NOT_REGISTERED",
                f"The validator of {msp} has not registered for task {task}.",
                "Register first: fedledger validator register.",
            )
        return msp


def not_a_party(msp: str, task: str) -> ContractError:
    return ContractError(403, "NOT_A_PARTY", f"Organisation {msp} is not among the organisations of task {task}.")


def check_reason(reason: str) -> None:
    """Raise 400 ``BAD_REASON`` for a reason that is too long to be kept."""
    if len(reason) > MAXIMUM_REASON:
        raise ContractError(
            400, "BAD_REASON", f"The reason has {len(reason)} characters.", f"Give at most {MAXIMUM_REASON}."
        )


def check_size(what: str, told: int, expected: int) -> None:
    """Raise 400 ``WRONG_SIZE`` unless an artifact has the size that follows from the task."""
    if told != expected:
        raise ContractError(
            400, "WRONG_SIZE", f"{what} is said to have {told} bytes; it has {expected}.", "Use the task's parameters."
        )


def check_membership_is_open(head: HeadRecord) -> None:
    """Raise 409 ``ROUND_OPENS`` in the moment in which a round fixes who takes part."""
    if head.called > head.round:
        raise ContractError(
            409, "ROUND_OPENS", f"Round {head.called} of task {head.task} is being opened.", "Repeat it in a moment."
        )


def reply(value: Value | None) -> bytes:
    """A transaction's result: the record's canonical JSON."""
    return b"null" if value is None else value.canonical()


def is_repeated(context: Context, record: type[RecordT], key: str, mine: RecordT, what: str) -> bool:
    """Whether exactly this was recorded before; raises 409 ``ALREADY_RECORDED`` when something else was."""
    earlier = context.state.find_one(record, key)
    if earlier is None:
        return False
    if earlier != mine.carrying(earlier):
        raise already_recorded(what)
    return True


def already_recorded(what: str) -> ContractError:
    return ContractError(409, "ALREADY_RECORDED", f"Another {what} is recorded already.", "The first one stands.")
