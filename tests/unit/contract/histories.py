"""What may happen to a consortium, as steps that a property test puts in any order: honest work, every fault that the
contract knows, payments, votes, members who come and go."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fedledger.identity.keys import generate_key, public_key_der, sign
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER
from fedledger_chaincode.messages.records import HeadRecord, TaskRecord
from fedledger_chaincode.messages.round import (
    AbortRequest,
    Admission,
    JoinRequest,
    Opening,
    Phase,
    SignedAdmission,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.tokens import MintProposal
from fedledger_chaincode.messages.views import MintRecords
from fedledger_chaincode.rules.disputes import Vote
from fedledger_chaincode.state import head_key, task_key
from tests.unit.contract.ledger import CHANNEL, MSPS, ONE, WITHIN_NORM, Consortium, task_spec

BEYOND_NORM = WITHIN_NORM.model_copy(update={"p": ONE})
"""What every validator finds of an update that is too long."""
AMOUNTS = (0, 1, 12_345, 100_000_000, MAXIMUM_INTEGER)


@dataclass(frozen=True)
class Step:
    """Something that ``msp`` tries, perhaps with or to ``other``."""

    name: str
    msp: str
    other: str
    amount: int


def faulty_spec(*, proof: bool) -> TaskSpec:
    """A task in which every fault costs stake, rewards do not divide evenly and budgets last for four rounds."""
    return task_spec(
        training={"rounds": 3},
        aggregation={"proof": "norm"} if proof else {"proof": "none"},
        incentive={
            "reward_per_round": 40_000_007,
            "participant_stake": 99_999_989,
            "slashing_equivocation": 333_333,
            "slashing_norm": 500_000,
            "slashing_dealing": 1_000_000,
            "slashing_validator": 123_457,
        },
    )


def number_of(consortium: Consortium) -> int:
    """The newest round, 1 before the first."""
    return max(head_of(consortium).round, 1)


def head_of(consortium: Consortium) -> HeadRecord:
    """Where the task stands; read from the state, for histories ask often."""
    return HeadRecord.decode(consortium.ledger.world[head_key(consortium.task)])


def account(consortium: Consortium, step: Step, *, participant: bool) -> str:
    """The other's account: its participant's, or its organisation's."""
    if participant:
        return f"participant:{consortium.participants[step.other].pseudonym}"
    return f"org:{step.other}"


# --- rounds


def _open(consortium: Consortium, step: Step) -> None:
    consortium.open(head_of(consortium).round + 1, by=step.msp)


def _everybody(single: Callable[[Consortium, str, int], object]) -> Callable[[Consortium, Step], None]:
    def all_do(consortium: Consortium, step: Step) -> None:
        for msp in MSPS:
            single(consortium, msp, number_of(consortium))

    return all_do


def _attest_too_long(*, two: bool) -> Callable[[Consortium, Step], None]:
    def attested(consortium: Consortium, step: Step) -> None:
        guilty = (step.other, MSPS[3]) if two else (step.other,)
        openings = {consortium.pseudonym(msp): BEYOND_NORM for msp in guilty}
        for msp in MSPS:
            consortium.attest(msp, number_of(consortium), openings=openings)

    return attested


def _attest_with_a_lie(consortium: Consortium, step: Step) -> None:
    """The validator lies about all updates."""
    openings: Mapping[str, Opening] = {consortium.pseudonym(msp): consortium.contradiction for msp in MSPS}
    for msp in MSPS:
        consortium.attest(msp, number_of(consortium), openings=openings if msp == step.msp else None)


def _attest_unreadable(consortium: Consortium, step: Step) -> None:
    """Two updates, each unreadable to the validator of the other's organisation."""
    pair = {step.msp: consortium.pseudonym(step.other), step.other: consortium.pseudonym(step.msp)}
    for msp in MSPS:
        consortium.attest(msp, number_of(consortium), unreadable=(pair[msp],) if msp in pair else ())


def _disclose(consortium: Consortium, step: Step) -> None:
    """The validator discloses all for which it is accused."""
    owners = {consortium.pseudonym(msp): msp for msp in MSPS}
    for each in consortium.docket().pending:
        if each.validator == step.msp and each.participant in owners:
            consortium.disclose(step.msp, each.round, owners[each.participant])


def _judge(vote: Vote) -> Callable[[Consortium, Step], None]:
    """All but the accused vote alike on everything that is pending."""

    def judged(consortium: Consortium, step: Step) -> None:
        owners = {consortium.pseudonym(msp): msp for msp in MSPS}
        for each in consortium.docket().pending:
            for msp in MSPS:
                if msp != each.validator and each.participant in owners:
                    consortium.vote(msp, each.round, vote, (owners[each.participant], each.validator))

    return judged


def _claim(consortium: Consortium, step: Step) -> None:
    consortium.claim(step.msp, *phase_of(consortium))


def _all_claim(consortium: Consortium, step: Step) -> None:
    for msp in MSPS:
        consortium.claim(msp, *phase_of(consortium))


def phase_of(consortium: Consortium) -> tuple[int, Phase]:
    """The round that waits and what it waits for."""
    head = head_of(consortium)
    match head.round_state:
        case "open":
            return head.round, "updates"
        case "closed":
            return head.round, "attestations"
        case "settled":
            return head.round, "aggregates"
        case _:
            return head.round + 1, "idle"


def _report(liars: bool) -> Callable[[Consortium, Step], None]:
    def reported(consortium: Consortium, step: Step) -> None:
        number = number_of(consortium)
        settlement = consortium.round(number).settlement
        for msp in MSPS:
            if settlement is not None and msp in settlement.summers:
                consortium.post_share(msp, number)
            consortium.report(msp, number, liars=(step.other,) if liars else ())

    return reported


def _abort(consortium: Consortium, step: Step) -> None:
    request = AbortRequest(task=consortium.task, round=number_of(consortium), reason="no quorum")
    consortium.ledger.submit(consortium.validators[step.msp], "AbortRound", request)


def _go_on(consortium: Consortium, step: Step) -> None:
    """The honest next thing, whatever the state."""
    state = head_of(consortium).round_state
    match state:
        case "open":
            _all_claim(consortium, step)
            consortium.close(number_of(consortium), by=step.msp)
        case "closed":
            number = number_of(consortium)
            attested = {attestation.validator for attestation in consortium.round(number).attestations}
            for msp in MSPS:
                if msp not in attested:
                    consortium.attest(msp, number)
            consortium.settle(number, by=step.msp)
        case "settled":
            _report(liars=False)(consortium, step)
            consortium.finalise(number_of(consortium), by=step.msp)
        case _:
            if head_of(consortium).round:
                _all_claim(consortium, step)
            _open(consortium, step)
            _everybody(lambda c, msp, number: c.submit(msp, number))(consortium, step)


def _wait(consortium: Consortium, step: Step) -> None:
    consortium.ledger.now += 130


# --- tokens


def _pay(function: str, role: str, *, to: str | None = None) -> Callable[[Consortium, Step], None]:
    """``Transfer``, ``Approve``, ...: to an account of the other, or to ``to``."""

    def paid(consortium: Consortium, step: Step) -> None:
        actor = (consortium.governors if role == "governor" else consortium.participants)[step.msp]
        recipient = to or account(consortium, step, participant=step.amount % 2 == 1)
        consortium.ledger.submit(actor, function, recipient, step.amount)

    return paid


def _transfer_from(consortium: Consortium, step: Step) -> None:
    owner = account(consortium, step, participant=False)
    recipient = f"participant:{consortium.participants[MSPS[0]].pseudonym}"
    consortium.ledger.submit(consortium.governors[step.msp], "TransferFrom", owner, recipient, step.amount)


def _allow_and_take(consortium: Consortium, step: Step) -> None:
    consortium.ledger.submit(consortium.governors[step.other], "Approve", f"org:{step.msp}", 0)
    consortium.ledger.submit(consortium.governors[step.other], "Approve", f"org:{step.msp}", 123_456)
    _transfer_from(consortium, step)


def _propose_mint(consortium: Consortium, step: Step) -> None:
    recipient = f"org:{step.other}" if step.amount % 2 else f"insurance:{consortium.task}"
    proposal = MintProposal(task=consortium.task, recipient=recipient, amount=max(step.amount, 7), reason="more work")
    consortium.ledger.submit(consortium.governors[step.msp], "ProposeMint", proposal)


def _vote_mints(decision: str) -> Callable[[Consortium, Step], None]:
    def voted(consortium: Consortium, step: Step) -> None:
        governor = consortium.governors[step.msp]
        for mint in consortium.ledger.evaluate(governor, MintRecords, "ListMints", consortium.task).mints:
            consortium.ledger.submit(governor, "VoteMint", consortium.task, mint.id, decision)

    return voted


# --- members


def _governor(function: str) -> Callable[[Consortium, Step], None]:
    def done(consortium: Consortium, step: Step) -> None:
        consortium.ledger.submit(consortium.governors[step.msp], function, consortium.task, "Because.")

    return done


def _leave(consortium: Consortium, step: Step) -> None:
    consortium.ledger.submit(consortium.participants[step.msp], "LeaveTask", consortium.task)


def _admit(consortium: Consortium, step: Step) -> None:
    key = generate_key()
    asked = Admission(
        channel=CHANNEL,
        task=consortium.task,
        msp=step.msp,
        public_key=public_key_der(key.public_key()).hex(),
    )
    signature = base64.b64encode(sign(key, asked.canonical())).decode()
    signed = SignedAdmission(admission=asked, signature=signature)
    consortium.ledger.submit(consortium.governors[step.msp], "AdmitParticipants", signed)


def _about_participant(function: str) -> Callable[[Consortium, Step], None]:
    def said(consortium: Consortium, step: Step) -> None:
        pseudonym = consortium.participants[step.msp].pseudonym
        consortium.ledger.submit(consortium.governors[step.msp], function, consortium.task, pseudonym, "Because.")

    return said


def _vote_suspension(decision: str) -> Callable[[Consortium, Step], None]:
    def voted(consortium: Consortium, step: Step) -> None:
        for msp in MSPS:
            if msp != step.other:
                governor = consortium.governors[msp]
                consortium.ledger.submit(governor, "VoteSuspension", consortium.task, step.other, decision, "Because.")

    return voted


def _amend(consortium: Consortium, step: Step) -> None:
    """One more round, approved by three organisations; it is adopted when the next round opens."""
    agreed = TaskRecord.decode(consortium.ledger.world[task_key(consortium.task)]).spec
    training = agreed.training.model_copy(update={"rounds": agreed.training.rounds + 1})
    amended = agreed.model_copy(update={"training": training})
    consortium.ledger.submit(consortium.governors[step.msp], "ProposeAmendment", amended)
    for msp in MSPS[:3]:
        consortium.ledger.submit(consortium.governors[msp], "ApproveTask", consortium.task, amended.sha256())


def _approve_newest(consortium: Consortium, step: Step) -> None:
    newest = TaskRecord.decode(consortium.ledger.world[task_key(consortium.task)])
    consortium.spec = newest.spec
    consortium.approve(step.msp)


def _conclude(consortium: Consortium, step: Step) -> None:
    consortium.ledger.submit(consortium.governors[step.msp], "ConcludeTask", consortium.task)


def _join_again(consortium: Consortium, step: Step) -> None:
    actor = consortium.ledger.actor(step.msp, "participant", name="another")
    consortium.ledger.submit(actor, "JoinTask", JoinRequest(task=consortium.task))
    consortium.participants[step.msp] = actor


def _stop(consortium: Consortium, step: Step) -> None:
    for msp in MSPS[:3]:
        consortium.ledger.submit(consortium.governors[msp], "StopTask", consortium.task, "Because.")


ACTS: Mapping[str, Callable[[Consortium, Step], None]] = {
    "call": lambda consortium, step: consortium.call(head_of(consortium).round + 1, by=step.msp),
    "open": _open,
    "submit": lambda consortium, step: void(consortium.submit(step.msp, number_of(consortium))),
    "all submit": _everybody(lambda consortium, msp, number: consortium.submit(msp, number)),
    "equivocate": lambda consortium, step: void(consortium.submit(step.msp, number_of(consortium), num_examples=77)),
    "close": lambda consortium, step: void(consortium.close(number_of(consortium), by=step.msp)),
    "attest": lambda consortium, step: consortium.attest(step.msp, number_of(consortium)),
    "all attest": _everybody(lambda consortium, msp, number: consortium.attest(msp, number)),
    "all attest that one is too long": _attest_too_long(two=False),
    "all attest that two are too long": _attest_too_long(two=True),
    "all attest and one lies": _attest_with_a_lie,
    "all attest and two cannot read": _attest_unreadable,
    "disclose": _disclose,
    "judge that it lied": _judge("denies"),
    "judge that it did not": _judge("confirms"),
    "claim": _claim,
    "all claim": _all_claim,
    "settle": lambda consortium, step: void(consortium.settle(number_of(consortium), by=step.msp)),
    "all report": _report(liars=False),
    "all report a liar": _report(liars=True),
    "finalise": lambda consortium, step: void(consortium.finalise(number_of(consortium), by=step.msp)),
    "abort": _abort,
    "wait": _wait,
    "go on": _go_on,
    "organisation pays": _pay("Transfer", "governor"),
    "participant pays": _pay("Transfer", "participant"),
    "pay the insurance": _pay("Transfer", "governor", to="insurance:heart"),
    "pay the pool": _pay("Transfer", "governor", to="pool:heart"),
    "pay a stake": _pay("Transfer", "governor", to=f"stake:heart:{MSPS[0]}"),
    "pay nobody": _pay("Transfer", "governor", to="0x0"),
    "approve": _pay("Approve", "governor"),
    "allow more": _pay("IncreaseAllowance", "governor"),
    "allow less": _pay("DecreaseAllowance", "governor"),
    "take": _transfer_from,
    "allow and take": _allow_and_take,
    "propose mint": _propose_mint,
    "vote for mints": _vote_mints("approve"),
    "vote against mints": _vote_mints("reject"),
    "withdraw": _governor("WithdrawConsent"),
    "consent again": _approve_newest,
    "admit a device": _admit,
    "suspend a participant": _about_participant("SuspendParticipant"),
    "reinstate a participant": _about_participant("ReinstateParticipant"),
    "suspend an organisation": _vote_suspension("suspend"),
    "reinstate an organisation": _vote_suspension("reinstate"),
    "amend": _amend,
    "conclude": _conclude,
    "leave": _leave,
    "join again": _join_again,
    "ask to stop": _governor("StopTask"),
    "ask to go on": _governor("ContinueTask"),
    "take stakes home": lambda consortium, step: void(
        consortium.ledger.submit(consortium.governors[step.msp], "ReclaimStakes", consortium.task)
    ),
    "stop": _stop,
}


def void(result: object) -> None:
    """Ignore a result."""


BEGINNINGS: Mapping[str, tuple[tuple[str, int, int], ...]] = {
    "nothing": (),
    "submitted": (("open", 0, 0), ("all submit", 0, 0)),
    "settled": (("open", 0, 0), ("all submit", 0, 0), ("close", 0, 0), ("all attest", 0, 0), ("settle", 0, 0)),
    "faulty": (
        ("open", 0, 0),
        ("all submit", 0, 0),
        ("equivocate", 1, 1),
        ("close", 0, 0),
        ("all attest that one is too long", 0, 2),
        ("settle", 0, 0),
    ),
    "aborted": (
        ("open", 0, 0),
        ("all submit", 0, 0),
        ("close", 0, 0),
        ("all attest that two are too long", 0, 0),
        ("settle", 0, 0),
    ),
    "accused": (
        ("open", 0, 0),
        ("all submit", 0, 0),
        ("close", 0, 0),
        ("all attest and one lies", 1, 2),
        ("settle", 0, 0),
    ),
    "ruled": (
        ("open", 0, 0),
        ("all submit", 0, 0),
        ("close", 0, 0),
        ("all attest and one lies", 1, 2),
        ("settle", 0, 0),
        ("all report", 0, 0),
        ("finalise", 0, 0),
        ("disclose", 1, 2),
        ("judge that it lied", 1, 2),
    ),
}
"""Histories begin well into a round, where most can happen; by organisation and other."""


def beginning(name: str) -> list[Step]:
    return [Step(act, MSPS[msp], MSPS[other], 0) for act, msp, other in BEGINNINGS[name]]
