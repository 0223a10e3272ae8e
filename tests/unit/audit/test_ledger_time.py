"""Times that run backwards are told, in figures, and are no failure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fedledger.audit import Outcome, verify
from fedledger.audit.ledger_time import ALLOWED_SKEW, LedgerTime
from fedledger_chaincode.service.execution import MAXIMUM_CLOCK_SKEW
from tests.unit.audit.members import TrainingConsortium
from tests.unit.contract.ledger import MSPS

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def told(*seconds: float) -> str:
    """What is said of transactions at these seconds after noon, one in each block from 1 on."""
    times = LedgerTime()
    for block, second in enumerate(seconds, start=1):
        times.follow(block, NOON + timedelta(seconds=second))
    check = times.check()
    assert (check.outcome, check.count) == (Outcome.PASSED, len(seconds))
    return check.detail


def test_what_is_allowed_is_what_the_contracts_service_allows() -> None:
    assert timedelta(seconds=MAXIMUM_CLOCK_SKEW) == ALLOWED_SKEW


def test_times_that_never_run_backwards() -> None:
    assert told() == "0 of 0 transactions are over 300 seconds earlier than one before them"
    assert told(0, 5, 5, 900) == "0 of 4 transactions are over 300 seconds earlier than one before them"


def test_a_step_back_within_what_is_allowed_is_told_as_the_largest() -> None:
    assert told(0, 300, 299.5, 0) == (
        "0 of 4 transactions are over 300 seconds earlier than one before them; the largest step back is "
        "300.000 seconds, in block 4"
    )


def test_each_time_is_compared_with_the_newest_before_it() -> None:
    assert told(600, 0, 1, 299, 301) == (
        "3 of 5 transactions are over 300 seconds earlier than one before them; the largest step back is "
        "600.000 seconds, in block 2"
    )


def test_of_a_ledger_it_is_a_line_and_no_failure(members: TrainingConsortium) -> None:
    ledger = members.ledger
    for shift in (290, -580, 290):
        ledger.now += shift
        ledger.submit(members.governors[MSPS[0]], "Transfer", f"org:{MSPS[1]}", 5)
    report = verify(ledger.blocks, members.artifacts.get)
    assert report.complete
    assert report.check("ledger time").detail == (
        f"1 of {len(ledger.blocks) - 1} transactions are over 300 seconds earlier than one before them; the largest "
        f"step back is 580.000 seconds, in block {len(ledger.blocks) - 2}"
    )


def test_of_a_ledger_whose_later_blocks_are_bad_it_stops_there(members: TrainingConsortium) -> None:
    number = members.ledger.block_of("SettleRound")
    del members.ledger.blocks[number]
    check = verify(members.ledger.blocks).check("ledger time")
    assert check.outcome is Outcome.STOPPED and check.detail.endswith(f"up to block {number - 1}")
