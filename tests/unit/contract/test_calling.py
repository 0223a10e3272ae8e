"""Calling a round freezes who takes part until it is opened; nobody's coming and going keeps it from opening."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fedledger.identity.keys import generate_key
from fedledger_chaincode.messages.records import HeadRecord
from fedledger_chaincode.messages.round import ValidatorRegistration
from fedledger_chaincode.state import head_key
from tests.unit.contract.ledger import MSPS, Consortium, digest, task_spec
from tests.unit.contract.test_membership import admission
from tests.unit.contract.test_tasks import refused


def head(consortium: Consortium) -> HeadRecord:
    return HeadRecord.decode(consortium.ledger.world[head_key("heart")])


def _join(consortium: Consortium) -> None:
    consortium.ledger.submit(
        consortium.ledger.actor(MSPS[0], "participant", name="new"),
        "JoinTask",
        b'{"schema":"fedledger/join/1","task":"heart"}',
    )


def _admit(consortium: Consortium) -> None:
    consortium.ledger.submit(consortium.governors[MSPS[0]], "AdmitParticipants", admission(generate_key()))


def _register(consortium: Consortium) -> None:
    registration = ValidatorRegistration(task="heart", sealing_key=digest("new key"), store="file:///elsewhere")
    consortium.ledger.submit(consortium.validators[MSPS[0]], "RegisterValidator", registration)


def _governor(function: str, *arguments: str) -> Callable[[Consortium], None]:
    def said(consortium: Consortium) -> None:
        consortium.ledger.submit(consortium.governors[MSPS[0]], function, "heart", *arguments)

    return said


def _about_a_participant(function: str) -> Callable[[Consortium], None]:
    def said(consortium: Consortium) -> None:
        _governor(function, consortium.pseudonym(MSPS[0]), "x")(consortium)

    return said


def _amend(consortium: Consortium) -> None:
    consortium.ledger.submit(consortium.governors[MSPS[0]], "ProposeAmendment", task_spec(title="Another title"))


CHANGES: dict[str, Callable[[Consortium], None]] = {
    "join": _join,
    "admit": _admit,
    "leave": lambda c: void(c.ledger.submit(c.participants[MSPS[0]], "LeaveTask", "heart")),
    "suspend": _about_a_participant("SuspendParticipant"),
    "reinstate": _about_a_participant("ReinstateParticipant"),
    "vote about an organisation": _governor("VoteSuspension", MSPS[1], "suspend", "x"),
    "withdraw": _governor("WithdrawConsent", "x"),
    "approve": lambda c: c.approve(MSPS[0]),
    "reject": _governor("RejectTask", "x"),
    "stop": _governor("StopTask", "x"),
    "go on": _governor("ContinueTask", "x"),
    "take stakes home": _governor("ReclaimStakes"),
    "conclude": _governor("ConcludeTask"),
    "register": _register,
    "amend": _amend,
}


def void(result: object) -> None:
    """Ignore a result."""


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_round_reads_when_it_opens_does_not_change_while_it_is_called(
    change: Callable[[Consortium], None],
) -> None:
    consortium = Consortium.active()
    consortium.call(1)
    before = dict(consortium.ledger.world)
    with refused("ROUND_OPENS"):
        change(consortium)
    assert consortium.ledger.world == before


def test_every_key_that_opening_reads_is_written_by_no_other_transaction_in_between() -> None:
    """Payments, votes and evaluations go on: they touch nothing that the opening reads."""
    consortium = Consortium.active(task_spec(training={"rounds": 5}))
    consortium.through(1)
    consortium.call(2)
    opening, _ = consortium.ledger._run(consortium.validators[MSPS[0]], "OpenRound", ("heart", 2))
    ledger = consortium.ledger
    written: set[str] = set()
    for actor, function, arguments in (
        (consortium.governors[MSPS[0]], "Transfer", (f"org:{MSPS[1]}", 1)),
        (consortium.governors[MSPS[0]], "Approve", (f"org:{MSPS[1]}", 1)),
        (consortium.participants[MSPS[0]], "UseModel", ("heart", 0, "research")),
        (consortium.governors[MSPS[0]], "DeprecateModel", ("heart", 0, "Old.")),
    ):
        stub, _ = ledger._run(actor, function, arguments)
        written |= set(stub.writes)
    assert written
    assert not written & opening.reads


def test_anybody_opens_what_another_has_called_and_died() -> None:
    consortium = Consortium.active()
    consortium.call(1, by=MSPS[0])
    opened = consortium.ledger.submit(consortium.validators[MSPS[2]], "OpenRound", "heart", 1)
    assert b'"opened_by":"LongBeachMSP"' in opened
    assert head(consortium).called == 0
    _join(consortium)


def test_a_round_that_was_not_called_does_not_open() -> None:
    consortium = Consortium.active()
    with refused("NOT_CALLED"):
        consortium.ledger.submit(consortium.validators[MSPS[0]], "OpenRound", "heart", 1)
    consortium.through(1)
    with refused("NOT_CALLED"):
        consortium.ledger.submit(consortium.validators[MSPS[0]], "OpenRound", "heart", 2)


def test_calling_twice_is_calling_once_and_a_call_while_a_round_is_under_way_is_refused() -> None:
    consortium = Consortium.active()
    consortium.call(1, by=MSPS[0])
    before = dict(consortium.ledger.world)
    consortium.call(1, by=MSPS[1])
    assert consortium.ledger.world == before
    with refused("ROUND_NUMBER"):
        consortium.call(2)
    consortium.open(1)
    with refused("ROUND_STATE"):
        consortium.call(2)
    for actor in (consortium.governors[MSPS[0]], consortium.participants[MSPS[0]]):
        with refused("WRONG_ROLE"):
            consortium.ledger.submit(actor, "CallRound", "heart", 2)


def test_a_call_that_finds_too_few_is_over_at_once_and_leaves_membership_free() -> None:
    consortium = Consortium.active()
    for msp in MSPS[:2]:
        consortium.ledger.submit(consortium.participants[msp], "LeaveTask", "heart")
    void_round = consortium.open(1)
    assert (void_round.state, void_round.void, void_round.round) == ("aborted", True, 1)
    assert head(consortium).idle and head(consortium).called == 0
    _join(consortium)
    with refused("ROUND_STATE"):
        consortium.submit(MSPS[2], 1)


def test_after_a_void_round_the_next_takes_t_plus_1_that_see_enough() -> None:
    """One validator alone cannot freeze membership again and again."""
    consortium = Consortium.active()
    leaver = consortium.participants[MSPS[0]]
    for msp in MSPS[:2]:
        consortium.ledger.submit(consortium.participants[msp], "LeaveTask", "heart")
    assert consortium.open(1).void
    with refused("TOO_EARLY"):
        consortium.call(2)
    for msp in MSPS[:2]:
        consortium.participants[msp] = consortium.ledger.actor(msp, "participant", name="new")
        consortium.join(msp)
    assert leaver != consortium.participants[MSPS[0]]
    consortium.claim(MSPS[0], 2, "idle")
    with refused("TOO_EARLY"):
        consortium.call(2)
    consortium.claim(MSPS[1], 2, "idle")
    assert consortium.open(2).state == "open"


def test_a_void_round_counts_nothing_and_blames_nobody() -> None:
    consortium = Consortium.active()
    for msp in MSPS[:2]:
        consortium.ledger.submit(consortium.participants[msp], "LeaveTask", "heart")
    before = consortium.members()
    consortium.open(1)
    assert consortium.members() == before
    assert consortium.round(1).settlement is None


def test_a_round_that_was_aborted_for_another_reason_is_followed_at_once() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    consortium.late(1, "updates", consortium.quorum)
    assert not consortium.close(1).void
    assert consortium.open(2).state == "open"


def test_the_outlook_says_whether_a_round_would_open() -> None:
    consortium = Consortium.active()
    assert consortium.view().outlook == "ready"
    consortium.open(1)
    assert consortium.view().outlook == ""
    consortium.late(1, "updates", consortium.quorum)
    consortium.close(1)
    for msp in MSPS[:2]:
        consortium.ledger.submit(consortium.participants[msp], "LeaveTask", "heart")
    assert consortium.view().outlook == "waits"


def test_a_round_without_most_of_very_many_validators_is_over_before_it_opens() -> None:
    """Otherwise whoever calls it keeps the others from registering for ever."""
    msps = sorted(f"{number:02d}{'x' * 45}" for number in range(64))
    spec = task_spec(organisations=msps, aggregation={"validators": msps, "minimum_accepted": 3})
    consortium = Consortium.founded(spec)
    consortium.propose()
    for msp in msps[: spec.majority]:
        consortium.approve(msp)
    consortium.register(msps[0])
    assert consortium.open(1).void
    consortium.register(msps[1])
