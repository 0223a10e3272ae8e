"""Nobody keeps a round's transactions in conflicts: they touch nothing that others can write at will meanwhile.

``TABLE`` says for each kind of key who writes it, and when. Histories of everything that the contract can do are played
and the keys of every transaction recorded; what is written is held against the table, and the table against what a
round's course reads and writes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cache

import pytest

from fedledger_chaincode.contract import TRANSACTIONS
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import HeadRecord, MemberRecord, TaskRecord
from fedledger_chaincode.messages.round import AbortRequest, EvaluationReport, ReferenceCommitment, RevealedReference
from fedledger_chaincode.messages.tokens import MintProposal
from fedledger_chaincode.replay import ReplayStub
from fedledger_chaincode.rules.commitments import reference_commitment
from fedledger_chaincode.state import gifts_key, head_key, task_key
from fedledger_chaincode.transactions.context import VOID
from tests.unit.contract.histories import ACTS, AMOUNTS, BEGINNINGS, Step, beginning, faulty_spec
from tests.unit.contract.ledger import (
    MSPS,
    Actor,
    Argument,
    Consortium,
    Ledger,
    digest,
    seven_organisations,
    task_spec,
)

COURSE = frozenset(
    {
        "CallRound",
        "OpenRound",
        "SubmitUpdates",
        "CloseRound",
        "CommitReference",
        "RevealReference",
        "AttestUpdates",
        "ClaimLate",
        "SettleRound",
        "PostAggregateShare",
        "ReportModel",
        "FinaliseRound",
        "AbortRound",
    }
)
"""What a round needs."""
END = frozenset({"StopTask", "ConcludeTask"})
"""Of a task; no round comes after it."""
STEPS = COURSE | END
RULINGS = frozenset({"DiscloseShares", "VoteDealing"})
"""Of disputes, for which no round waits."""
TOKENS = frozenset({"Transfer", "TransferFrom", "Approve", "IncreaseAllowance", "DecreaseAllowance"})
PAYMENTS = frozenset({"Transfer", "TransferFrom"})
STAKES = frozenset({"JoinTask", "AdmitParticipants", "RegisterValidator"})
HOME = frozenset({"LeaveTask", "ReclaimStakes"})
"""Stakes come back."""
VOTES = frozenset({"ProposeMint", "VoteMint"})


class Moment(Enum):
    BETWEEN = auto()
    """No round is under way."""
    CALLED = auto()
    """One is being opened."""
    UNDER_WAY = auto()
    LAST = auto()
    """With the model of the round that is under way the task is completed."""


class When(Enum):
    """How often somebody may write a kind of key, other than in a round's course or at a task's end."""

    AT_WILL = auto()
    UNLESS_CALLED = auto()
    """Again and again, but not while a round reads who takes part."""
    BEFORE_THE_LAST = auto()
    """The same, and not in a round that may end the task."""
    BETWEEN_ROUNDS = auto()
    ONCE = auto()
    """Each key."""
    BY_VOTE = auto()
    """When a majority of a task's organisations, or more than t of its validators, have decided something."""

    @property
    def moments(self) -> frozenset[Moment]:
        """In which it can be done at all."""
        return {
            When.UNLESS_CALLED: frozenset(Moment) - {Moment.CALLED},
            When.BEFORE_THE_LAST: frozenset({Moment.BETWEEN, Moment.UNDER_WAY}),
            When.BETWEEN_ROUNDS: frozenset({Moment.BETWEEN}),
        }.get(self, frozenset(Moment))

    @property
    def at_will(self) -> frozenset[Moment]:
        """The moments in which it can be done again and again."""
        return frozenset() if self in (When.ONCE, When.BY_VOTE) else self.moments


@dataclass(frozen=True)
class Kind:
    """Who writes a kind of key."""

    course: frozenset[str] = frozenset()
    """Transactions of a round's course and of a task's end."""
    others: Mapping[str, When] = field(default_factory=dict)


def by(when: When, *transactions: str) -> dict[str, When]:
    return dict.fromkeys(transactions, when)


TABLE: Mapping[str, Kind] = {
    # Tasks and rounds
    "task": Kind(course=STEPS, others=by(When.ONCE, "ProposeTask", "RejectTask") | by(When.BY_VOTE, "ApproveTask")),
    "head": Kind(course=STEPS, others=by(When.BY_VOTE, "ApproveTask")),
    "round": Kind(course=STEPS),
    "cohort": Kind(course=STEPS),
    "update": Kind(course=STEPS),
    "equivocation": Kind(course=STEPS),
    "revoked": Kind(others=by(When.ONCE, "SuspendParticipant") | by(When.BY_VOTE, "VoteSuspension")),
    "fixed": Kind(course=STEPS),
    "attestation": Kind(course=STEPS),
    "reference": Kind(course=STEPS),
    "reference-faults": Kind(course=STEPS),
    "late": Kind(course=STEPS),
    "barred": Kind(course=STEPS),
    "dispute": Kind(course=STEPS, others=by(When.BY_VOTE, *RULINGS)),
    "docket": Kind(course=STEPS, others=by(When.BY_VOTE, *RULINGS)),
    "disclosure": Kind(others=by(When.AT_WILL, "DiscloseShares")),
    "votes": Kind(others=by(When.AT_WILL, "VoteDealing")),
    "settlement": Kind(course=STEPS),
    "aggregate": Kind(course=STEPS),
    "report": Kind(course=STEPS),
    "standing": Kind(course=STEPS, others=by(When.ONCE, "JoinTask", "AdmitParticipants")),
    "model": Kind(course=STEPS, others=by(When.BY_VOTE, "ApproveTask") | by(When.ONCE, "DeprecateModel")),
    "evaluation": Kind(others=by(When.ONCE, "ReportEvaluation")),
    "use": Kind(others=by(When.ONCE, "UseModel")),
    # Members
    "consent": Kind(
        course=STEPS,
        others=by(When.UNLESS_CALLED, "ApproveTask", "RejectTask", "WithdrawConsent", "ContinueTask")
        | by(When.BY_VOTE, "VoteSuspension"),
    ),
    "amendment": Kind(
        course=STEPS,
        others=by(When.UNLESS_CALLED, "ProposeAmendment", "ApproveTask", "RejectTask", "WithdrawConsent"),
    ),
    "suspension": Kind(others=by(When.UNLESS_CALLED, "VoteSuspension")),
    "member": Kind(
        others=by(When.UNLESS_CALLED, "JoinTask", "LeaveTask", "SuspendParticipant", "ReinstateParticipant")
        | by(When.ONCE, "AdmitParticipants")
        | by(When.BETWEEN_ROUNDS, "ReclaimStakes")
    ),
    "roster": Kind(others=by(When.BEFORE_THE_LAST, "JoinTask", "AdmitParticipants") | by(When.BETWEEN_ROUNDS, *HOME)),
    "validator": Kind(others=by(When.UNLESS_CALLED, "RegisterValidator") | by(When.BETWEEN_ROUNDS, "ReclaimStakes")),
    # Tokens
    "pool": Kind(course=STEPS, others=by(When.BY_VOTE, "ApproveTask")),
    "stake": Kind(
        course=STEPS,
        others=by(When.ONCE, "JoinTask", "AdmitParticipants")
        | by(When.BETWEEN_ROUNDS, "RegisterValidator", *HOME)
        | by(When.BY_VOTE, *RULINGS),
    ),
    "insurance": Kind(course=STEPS, others=by(When.BY_VOTE, *RULINGS)),
    "gifts before": Kind(course=STEPS),
    "gifts": Kind(others=by(When.AT_WILL, *PAYMENTS) | by(When.BY_VOTE, *VOTES)),
    "earned": Kind(
        course=STEPS,
        others=by(When.ONCE, "JoinTask") | by(When.BY_VOTE, "ApproveTask", *RULINGS) | by(When.BETWEEN_ROUNDS, *HOME),
    ),
    "collected": Kind(others=by(When.AT_WILL, *PAYMENTS, *STAKES)),
    "earning-tasks": Kind(others=by(When.AT_WILL, "JoinTask") | by(When.BY_VOTE, "ApproveTask")),
    "balance": Kind(others=by(When.AT_WILL, *PAYMENTS, *STAKES)),
    "received": Kind(others=by(When.AT_WILL, *PAYMENTS, *STAKES) | by(When.BY_VOTE, *VOTES)),
    "allowance": Kind(others=by(When.AT_WILL, *TOKENS - {"Transfer"})),
    "mint": Kind(others=by(When.AT_WILL, *VOTES)),
    # An amendment with more rounds mints when the next round opens.
    "supply": Kind(course=frozenset({"OpenRound"}), others=by(When.BY_VOTE, *VOTES, "ApproveTask")),
    "burnt": Kind(course=STEPS, others=by(When.BY_VOTE, *VOTES, *RULINGS, "ApproveTask")),
}


@dataclass(frozen=True)
class Played:
    """A transaction that the contract accepted, and the state that it found."""

    function: str
    actor: Actor
    reads: frozenset[str]
    writes: frozenset[str]
    world: Mapping[str, bytes]

    @property
    def moment(self) -> Moment:
        stored = self.world.get(head_key("heart"))
        if stored is None:
            return Moment.BETWEEN
        head = HeadRecord.decode(stored)
        if head.idle:
            return Moment.CALLED if head.called > head.round else Moment.BETWEEN
        rounds = TaskRecord.decode(self.world[task_key("heart")]).spec.training.rounds
        return Moment.LAST if head.version + 1 == rounds else Moment.UNDER_WAY

    def kind(self, key: str) -> str:
        kind, _, rest = key.partition("/")
        account = rest.partition("/")[0]
        match kind:
            case "balance" if account.startswith(("pool:", "stake:", "insurance:")):
                return account.partition(":")[0]
            case "earned" | "collected" | "earning-tasks" if account == VOID:
                return "burnt"
            case "gifts":
                newest = HeadRecord.decode(self.world[head_key(account)]).round
                return "gifts" if key == gifts_key(account, newest) else "gifts before"
        return kind

    def owns(self, key: str) -> bool:
        """Whether it is the word of the submitter's own organisation, which is in nobody else's way."""
        kind, last = key.partition("/")[0], key.rpartition("/")[2]
        if kind == "member":
            return key in self.world and MemberRecord.decode(self.world[key]).msp == self.actor.msp
        return kind in ("consent", "validator") and last == self.actor.msp


@dataclass
class RecordingLedger(Ledger):
    played: list[Played] = field(default_factory=list)

    def _run(self, actor: Actor, function: str, arguments: Sequence[Argument]) -> tuple[ReplayStub, bytes]:
        stub, result = super()._run(actor, function, arguments)
        if TRANSACTIONS[function].kind == "submit":
            reads, writes = frozenset(stub.reads), frozenset(stub.writes)
            self.played.append(Played(function, actor, reads, writes, dict(self.world)))
        return stub, result


@cache
def histories() -> tuple[tuple[Played, ...], ...]:
    scripted = (
        _with_tokens(),
        _with_a_reference(),
        _with_models(),
        _aborted(),
        _over(),
        _refused(),
        _suspended(),
        _stakes_come_home(),
    )
    return tuple(tuple(ledger.played) for ledger in (*_at_random(), *scripted))


def _at_random() -> Iterator[RecordingLedger]:
    dice = random.Random(12)
    for proof in (False, True):
        for start in sorted(BEGINNINGS):
            ledger = RecordingLedger()
            consortium = Consortium.active(faulty_spec(proof=proof), ledger)
            acts = dice.sample(sorted(ACTS), len(ACTS), counts=[25 if act == "go on" else 1 for act in sorted(ACTS)])
            steps = [Step(act, dice.choice(MSPS), dice.choice(MSPS), dice.choice(AMOUNTS)) for act in acts]
            for each in [*beginning(start), *steps]:
                try:
                    ACTS[each.name](consortium, each)
                except ContractError as refusal:
                    assert refusal.status < 500
            yield ledger


def _with_tokens() -> RecordingLedger:
    ledger = RecordingLedger()
    consortium = Consortium.active(task_spec(), ledger)
    owner, spender = (consortium.governors[msp] for msp in MSPS[:2])
    for function, amount in (("Approve", 3), ("IncreaseAllowance", 5), ("DecreaseAllowance", 2), ("Transfer", 7)):
        ledger.submit(owner, function, f"org:{MSPS[1]}", amount)
    ledger.submit(spender, "TransferFrom", f"org:{MSPS[0]}", "insurance:heart", 4)
    proposal = MintProposal(task="heart", recipient="insurance:heart", amount=9, reason="a bad year")
    ledger.submit(owner, "ProposeMint", proposal)
    for msp in MSPS[1:3]:
        ledger.submit(consortium.governors[msp], "VoteMint", "heart", proposal.sha256(), "approve")
    consortium.through(1)
    ledger.submit(consortium.participants[MSPS[0]], "Transfer", "insurance:heart", 1)
    consortium.through(2)
    return ledger


def _with_a_reference() -> RecordingLedger:
    ledger = RecordingLedger()
    spec = task_spec(
        aggregation={"proof": "norm"},
        robustness={"trust_weighting": "reference-data", "reference_digest": digest("reference data")},
    )
    consortium = Consortium.active(spec, ledger)
    consortium.open(1)
    direction, salt = digest("a direction"), "5" * 32
    commitment = reference_commitment(bytes.fromhex(salt), direction)
    authors = [consortium.validators[msp] for msp in MSPS[:2]]
    for author in authors:
        ledger.submit(author, "CommitReference", ReferenceCommitment(task=spec.task, round=1, commitment=commitment))
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.close(1)
    revealed = RevealedReference(task=spec.task, round=1, salt=salt, digest=direction, size=32)
    ledger.submit(authors[0], "RevealReference", revealed)
    consortium.late(1, "reference")
    for msp in MSPS:
        consortium.attest(msp, 1)
    consortium.settle(1)
    return ledger


def _with_models() -> RecordingLedger:
    ledger = RecordingLedger()
    consortium = Consortium.active(task_spec(), ledger)
    consortium.through(1)
    evaluation = EvaluationReport(task=consortium.task, version=1, examples=10, auc=None, accuracy=0, loss=0)
    ledger.submit(consortium.participants[MSPS[0]], "ReportEvaluation", evaluation)
    ledger.submit(consortium.governors[MSPS[0]], "UseModel", consortium.task, 1, "research")
    ledger.submit(consortium.governors[MSPS[0]], "DeprecateModel", consortium.task, 1, "Worse than nothing.")
    consortium.through(2)
    return ledger


def _aborted() -> RecordingLedger:
    ledger = RecordingLedger()
    consortium = Consortium.active(task_spec(), ledger)
    ledger.submit(consortium.governors[MSPS[0]], "Transfer", "insurance:heart", 4_000_000)
    consortium.open(1)
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.close(1)
    for msp in MSPS:
        consortium.attest(msp, 1)
    consortium.settle(1)
    consortium.late(1, "aggregates", consortium.quorum)
    request = AbortRequest(task=consortium.task, round=1, reason="nobody reports")
    ledger.submit(consortium.validators[MSPS[0]], "AbortRound", request)
    return ledger


def _over() -> RecordingLedger:
    """Of five rounds budgets last for three."""
    ledger = RecordingLedger()
    consortium = Consortium.active(task_spec(training={"rounds": 5}), ledger)
    for number in (1, 2, 3):
        consortium.through(number)
    consortium.late(4, "agreement", consortium.quorum)
    ledger.submit(consortium.governors[MSPS[0]], "ConcludeTask", consortium.task)
    return ledger


def _suspended() -> RecordingLedger:
    """In an open round, by its organisation and by vote."""
    ledger = RecordingLedger()
    consortium = Consortium.active(seven_organisations(training={"rounds": 5}), ledger)
    first, second, *others = consortium.msps
    consortium.open(1)
    for msp in consortium.msps:
        consortium.submit(msp, 1)
    for function in ("SuspendParticipant", "ReinstateParticipant") * 2:
        ledger.submit(consortium.governors[first], function, consortium.task, consortium.pseudonym(first), "x")
    for msp in others[:4]:
        ledger.submit(consortium.governors[msp], "VoteSuspension", consortium.task, second, "suspend", "x")
    consortium.conclude(1)
    return ledger


def _stakes_come_home() -> RecordingLedger:
    ledger = RecordingLedger()
    consortium = Consortium.active(seven_organisations(training={"rounds": 5}), ledger)
    first = consortium.msps[0]
    for number in (1, 2):
        ledger.submit(consortium.governors[first], "WithdrawConsent", consortium.task, "x")
        ledger.submit(consortium.governors[first], "ReclaimStakes", consortium.task)
        consortium.through(number, submitting=consortium.msps[1:])
        consortium.approve(first)
        consortium.register(first)
    for function in ("StopTask", "ContinueTask"):
        ledger.submit(consortium.governors[first], function, consortium.task, "x")
    return ledger


def _refused() -> RecordingLedger:
    ledger = RecordingLedger()
    consortium = Consortium.founded(None, ledger)
    consortium.propose()
    for msp in MSPS[:2]:
        ledger.submit(consortium.governors[msp], "RejectTask", consortium.task, "No.")
    return ledger


def test_histories_hold_every_transaction_and_every_kind_of_key() -> None:
    played = [each for history in histories() for each in history]
    assert {each.function for each in played} == {
        name for name, transaction in TRANSACTIONS.items() if transaction.kind == "submit"
    }
    assert {each.kind(key) for each in played for key in each.writes} == set(TABLE)


def test_every_key_is_written_by_whom_and_when_the_table_says() -> None:
    for history in histories():
        written: Counter[tuple[str, str]] = Counter()
        for each in history:
            written.update((each.function, key) for key in each.writes)
            for kind, key in ((each.kind(key), key) for key in each.writes):
                if each.function in STEPS:
                    own_word = each.function in END and each.owns(key)
                    assert each.function in TABLE[kind].course or own_word, f"{each.function} writes {key}"
                    continue
                when = TABLE[kind].others.get(each.function)
                assert when is not None, f"{each.function} writes {key}"
                assert when is not When.ONCE or written[each.function, key] == 1, f"{each.function} writes {key} again"
                assert each.moment in when.moments, f"{each.function} writes {key}"


def test_no_round_needs_what_others_write_at_will_meanwhile() -> None:
    found = {
        (each.function, each.kind(key))
        for history in histories()
        for each in history
        if each.function in COURSE
        for key in each.reads | each.writes
        if not each.owns(key) and any(each.moment in when.at_will for when in TABLE[each.kind(key)].others.values())
    }
    assert found == set()


def test_no_round_needs_a_kind_of_key_that_a_payment_or_an_allowance_writes() -> None:
    played = [each for history in histories() for each in history]
    needed = {each.kind(key) for each in played if each.function in STEPS for key in each.reads | each.writes}
    written = {each.kind(key) for each in played if each.function in TOKENS for key in each.writes}
    assert written == {kind for kind, rule in TABLE.items() if TOKENS & {*rule.others}}
    assert not needed & written


@pytest.mark.parametrize("to_whom", ["organisations", "participants", "the insurance"])
def test_a_payment_that_comes_first_leaves_every_step_of_a_round_valid(to_whom: str) -> None:
    """Both endorsed on the same state, as somebody would try who wants the step to fail."""
    paid: Counter[str] = Counter()
    for history in histories():
        for each in _some_of_each(history):
            members = [key.split("/")[2] for key in each.world if key.startswith("member/heart/")]
            accounts = {
                "organisations": [f"org:{msp}" for msp in MSPS],
                "participants": [f"participant:{member}" for member in members],
                "the insurance": ["insurance:heart"],
            }[to_whom]
            for account in accounts:
                if payment := _payment(each.world, account):
                    assert not payment.writes.keys() & each.reads, f"{each.function} after a payment to {account}"
                    paid[each.function] += 1
    assert paid.keys() == STEPS


def _some_of_each(history: Sequence[Played], most: int = 3) -> Iterator[Played]:
    """A history's steps, so many with each function at most, evenly."""
    for function in STEPS:
        steps = [each for each in history if each.function == function]
        yield from steps[:: max(1, len(steps) // most)][:most]


def _payment(world: Mapping[str, bytes], account: str) -> ReplayStub | None:
    """A payment by whoever can pay, on this state."""
    ledger = Ledger(world=dict(world))
    for governor in Consortium.founded().governors.values():
        try:
            return ledger._run(governor, "Transfer", [account, 1])[0]
        except ContractError as refusal:
            assert refusal.code in ("INSUFFICIENT_FUNDS", "BAD_ACCOUNT", "TASK_STATE")
    return None


def test_a_gift_fails_when_a_round_has_gone_on_since_it_was_endorsed() -> None:
    """So nobody adds to the gifts of a round that is not the newest any more, which a round's course reads."""
    gifts = [
        each for history in histories() for each in history if any(each.kind(key) == "gifts" for key in each.writes)
    ]
    assert {each.function for each in gifts} == PAYMENTS | {"VoteMint"}
    assert all(head_key("heart") in each.reads for each in gifts)
