"""Tokens on either engine: payments, allowances and votes over the SDK, two takers of one allowance, and the audit."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator

import pytest

from fedledger.audit import CheckName, Outcome, verify_network
from fedledger.audit.findings import BLOCK_CHECKS
from fedledger.ledger import LedgerRefusal, TaskLedger
from fedledger_chaincode.messages.records import MintRecord
from fedledger_chaincode.messages.tokens import MintProposal
from fedledger_chaincode.messages.views import Wallet
from fedledger_chaincode.transactions.context import VOID
from tests.embedded.clients import CHAINCODE, MSPS, NAMES, Client
from tests.fabric.ledger import consortium, failures
from tests.scenarios.engines import Engine
from tests.unit.contract.ledger import task_spec

TASK = f"task-{secrets.token_hex(4)}"
OWNER, SPENDER = f"org:{MSPS[0]}", f"org:{MSPS[1]}"
VALID, MVCC_READ_CONFLICT = 0, 11


@pytest.fixture(scope="module")
def governors(engine: Engine) -> Iterator[tuple[Client, Client, Client]]:
    """Of the first three organisations, whose task is active."""
    with consortium(engine.profiles, task_spec(task=TASK)) as members:
        members.propose()
        for msp in MSPS:
            members.approve(msp)
    with (
        engine.member(NAMES[0], "governor") as first,
        engine.member(NAMES[1], "governor") as second,
        engine.member(NAMES[2], "governor") as third,
    ):
        yield first, second, third


def ledger(client: Client) -> TaskLedger:
    client.settle()
    return TaskLedger(client.network, CHAINCODE)


def test_an_allowance_is_given_taken_and_changed_by_differences(governors: tuple[Client, Client, Client]) -> None:
    owner, spender, _ = governors
    before = ledger(owner).balance_of(OWNER)
    assert ledger(owner).approve(SPENDER, 10) == 10
    assert ledger(spender).transfer_from(OWNER, SPENDER, 4) == 6
    with pytest.raises(LedgerRefusal, match="ALLOWANCE_IN_USE"):
        ledger(owner).approve(SPENDER, 5)
    assert ledger(owner).increase_allowance(SPENDER, 3) == 9
    assert ledger(owner).decrease_allowance(SPENDER, 9) == 0
    with pytest.raises(LedgerRefusal, match="INSUFFICIENT_ALLOWANCE"):
        ledger(spender).transfer_from(OWNER, SPENDER, 1)
    assert ledger(owner).balance_of(OWNER) == before - 4


def test_an_allowance_that_is_taken_twice_at_once_is_taken_once(governors: tuple[Client, Client, Client]) -> None:
    owner, spender, _ = governors
    ledger(owner).approve(SPENDER, 10)
    before = ledger(owner).balance_of(OWNER)
    takings = [spender.endorsed("TransferFrom", OWNER, SPENDER, "10") for _ in range(2)]
    for prepared in takings:
        spender.hand_over(prepared)
    codes = [int(spender.status(prepared.transaction_id).code) for prepared in takings]
    assert sorted(codes) == [VALID, MVCC_READ_CONFLICT]
    assert ledger(owner).balance_of(OWNER) == before - 10
    assert ledger(owner).allowance(OWNER, SPENDER) == 0


def test_an_approval_that_crosses_a_taking_has_no_effect(governors: tuple[Client, Client, Client]) -> None:
    owner, spender, _ = governors
    ledger(owner).approve(SPENDER, 10)
    lowered = owner.endorsed("DecreaseAllowance", SPENDER, "5")
    assert ledger(spender).transfer_from(OWNER, SPENDER, 8) == 2
    assert int(owner.submit_raw(lowered).code) == MVCC_READ_CONFLICT
    assert ledger(owner).approve(SPENDER, 0) == 0


def test_two_votes_at_once_do_not_mint_twice(governors: tuple[Client, Client, Client]) -> None:
    first, second, third = governors
    supply = ledger(first).total_supply()
    proposal = MintProposal(task=TASK, recipient=OWNER, amount=77, reason="a test")
    mint = ledger(first).propose_mint(proposal)
    votes = [client.endorsed("VoteMint", TASK, mint.id, "approve") for client in (second, third)]
    for client, prepared in zip((second, third), votes, strict=True):
        client.hand_over(prepared)
    codes = [
        int(client.status(prepared.transaction_id).code)
        for client, prepared in zip((second, third), votes, strict=True)
    ]
    assert sorted(codes) == [VALID, MVCC_READ_CONFLICT]
    late = (second, third)[codes.index(MVCC_READ_CONFLICT)]
    decided: MintRecord = ledger(late).vote_mint(TASK, mint.id, "approve")
    assert decided.state == "minted"
    assert ledger(first).total_supply() == supply + 77


def test_events_alone_give_all_balances(governors: tuple[Client, Client, Client]) -> None:
    first, second, _ = governors
    marked = ledger(first).transfer(SPENDER, 123_457)
    balances: Counter[str] = Counter()
    for event in ledger(first).decoded_events(0):
        for moved in [event.fields] if event.name == "Transfer" else event.fields.get("transfers", []):
            balances[moved["from"]] -= moved["value"]
            balances[moved["to"]] += moved["value"]
        if event.name == "Transfer" and event.fields["value"] == 123_457:
            break
    assert balances[OWNER] == marked
    assert balances[SPENDER] == ledger(second).balance_of(SPENDER)
    assert -balances[VOID] == ledger(first).total_supply() == sum(balances.values()) - balances[VOID]
    wallet: Wallet = ledger(first).wallet(TASK, MSPS[0])
    assert all(balances[entry.account] == entry.balance for entry in wallet.accounts)


def test_the_audit_accepts_what_happened(engine: Engine, governors: tuple[Client, Client, Client]) -> None:
    with engine.member(NAMES[3], "auditor") as auditor:
        report = verify_network(auditor.network)
    outcomes = {check.name: check.outcome for check in report.checks}
    assert {outcomes[name] for name in (*BLOCK_CHECKS, CheckName.CONSERVATION)} == {Outcome.PASSED}, failures(report)
