"""The token as holders use it: transfers, allowances, and what Fabric's token sample has no word for."""

from __future__ import annotations

import json

import pytest

from fedledger_chaincode.contract import TRANSACTIONS
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER
from fedledger_chaincode.messages.records import BalanceRecord, EarningsRecord
from fedledger_chaincode.messages.round import AbortRequest, JoinRequest
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.tokens import MintProposal
from fedledger_chaincode.messages.views import Wallet
from tests.unit.contract.ledger import MSPS, Actor, Consortium, task_spec

OWNER, SPENDER = f"org:{MSPS[0]}", f"org:{MSPS[1]}"
ENDOWMENT, STAKES, POOL = 1_000_000_000, 200_000_000, 80_000_000
BALANCE = ENDOWMENT - STAKES


@pytest.fixture
def consortium() -> Consortium:
    return Consortium.active()


def refused(code: str) -> pytest.RaisesExc[ContractError]:
    return pytest.raises(ContractError, check=lambda error: error.code == code)


def submit(consortium: Consortium, actor: Actor, function: str, *arguments: str | int) -> int:
    return int(json.loads(consortium.ledger.submit(actor, function, *arguments)))


def ask(consortium: Consortium, actor: Actor, function: str, *arguments: str | int) -> str:
    stub, result = consortium.ledger._run(actor, function, arguments)
    assert not stub.writes
    return result.decode()


def test_says_what_fabrics_sample_says(consortium: Consortium) -> None:
    governor = consortium.governors[MSPS[0]]
    answers = {name: ask(consortium, governor, name) for name in ("Name", "Symbol", "Decimals", "ClientAccountID")}
    assert answers == {"Name": "fedledger token", "Symbol": "FLT", "Decimals": "6", "ClientAccountID": OWNER}
    assert ask(consortium, governor, "ClientAccountBalance") == ask(consortium, governor, "BalanceOf", OWNER)
    assert ask(consortium, governor, "BalanceOf", "org:NobodyMSP") == "0"
    participant = consortium.participants[MSPS[0]]
    assert ask(consortium, participant, "ClientAccountID") == f"participant:{participant.pseudonym}"


@pytest.mark.parametrize("name", ["Mint", "Burn", "Initialize"])
def test_nobody_mints_or_burns_alone(consortium: Consortium, name: str) -> None:
    assert name not in TRANSACTIONS
    with refused("UNKNOWN_FUNCTION"):
        consortium.ledger.submit(consortium.governors[MSPS[0]], name, 1)


@pytest.mark.parametrize("role", ["validator", "auditor", None])
def test_validators_and_auditors_have_no_account(consortium: Consortium, role: str | None) -> None:
    with refused("WRONG_ROLE"):
        consortium.ledger.submit(consortium.ledger.actor(MSPS[0], role), "Transfer", SPENDER, 1)


class TestTransfer:
    def test_moves_tokens_and_says_so_as_the_sample_does(self, consortium: Consortium) -> None:
        assert submit(consortium, consortium.governors[MSPS[0]], "Transfer", SPENDER, 5) == BALANCE - 5
        assert consortium.balances()[SPENDER] == BALANCE + 5
        assert consortium.ledger.said[-1] == ("Transfer", {"from": OWNER, "to": SPENDER, "value": 5})

    def test_beyond_the_balance_is_refused(self, consortium: Consortium) -> None:
        before = dict(consortium.ledger.world)
        for amount in (BALANCE + 1, MAXIMUM_INTEGER):
            with refused("INSUFFICIENT_FUNDS"):
                submit(consortium, consortium.governors[MSPS[0]], "Transfer", SPENDER, amount)
        assert consortium.ledger.world == before

    @pytest.mark.parametrize("amount", ["-1", "1.5", "01", "1e3", str(MAXIMUM_INTEGER + 1), "", "١"])
    def test_of_no_whole_number_is_refused(self, consortium: Consortium, amount: str) -> None:
        with refused("BAD_ARGUMENTS"):
            consortium.ledger.submit(consortium.governors[MSPS[0]], "Transfer", SPENDER, amount)

    def test_of_nothing_or_to_oneself_is_refused(self, consortium: Consortium) -> None:
        with refused("BAD_AMOUNT"):
            submit(consortium, consortium.governors[MSPS[0]], "Transfer", SPENDER, 0)
        with refused("BAD_ACCOUNT"):
            submit(consortium, consortium.governors[MSPS[0]], "Transfer", OWNER, 1)

    @pytest.mark.parametrize(
        "account", ["pool:heart", "stake:heart:ClevelandMSP", "0x0", "org:", "participant:abc", "alice", "insurance:"]
    )
    def test_into_accounts_of_the_contract_is_refused(self, consortium: Consortium, account: str) -> None:
        with refused("BAD_ACCOUNT"):
            submit(consortium, consortium.governors[MSPS[0]], "Transfer", account, 1)

    def test_into_the_insurance_of_a_task_under_way_is_a_gift(self, consortium: Consortium) -> None:
        submit(consortium, consortium.governors[MSPS[0]], "Transfer", "insurance:heart", 7)
        wallet = consortium.ledger.evaluate(consortium.governors[MSPS[0]], Wallet, "GetWallet", "heart", MSPS[0])
        assert {entry.account: entry.balance for entry in wallet.accounts}["insurance:heart"] == 7
        with refused("NOT_FOUND"):
            submit(consortium, consortium.governors[MSPS[0]], "Transfer", "insurance:nowhere", 7)
        for msp in MSPS[:3]:
            consortium.ledger.submit(consortium.governors[msp], "StopTask", "heart", "Because.")
        with refused("TASK_STATE"):
            submit(consortium, consortium.governors[MSPS[0]], "Transfer", "insurance:heart", 7)

    def test_between_two_pseudonyms_of_an_organisation_changes_balances_and_nothing_else(
        self, consortium: Consortium
    ) -> None:
        consortium.through(1)
        second = consortium.ledger.actor(MSPS[0], "participant", name="second")
        before = consortium.ledger.world.copy()
        submit(consortium, consortium.participants[MSPS[0]], "Transfer", f"participant:{second.pseudonym}", 5)
        changed = {key for key, value in consortium.ledger.world.items() if before.get(key) != value}
        first = consortium.participants[MSPS[0]].pseudonym
        assert changed == {
            f"balance/participant:{first}",
            f"collected/participant:{first}/heart",
            f"received/participant:{second.pseudonym}",
        }


class TestEarnings:
    """What a round pays is spent like anything else, and no payment touches what a round or a stake needs."""

    def test_are_held_before_they_are_collected_and_spent_without_a_word(self, consortium: Consortium) -> None:
        consortium.through(1)
        winner = consortium.participants[MSPS[0]]
        held = consortium.balances()[f"participant:{winner.pseudonym}"]
        assert held == int(ask(consortium, winner, "ClientAccountBalance")) == 7_500_000
        assert submit(consortium, winner, "Transfer", SPENDER, 7_000_000) == 500_000
        with refused("INSUFFICIENT_FUNDS"):
            submit(consortium, winner, "Transfer", SPENDER, 500_001)
        assert submit(consortium, winner, "Transfer", SPENDER, 500_000) == 0

    def test_of_all_tasks_are_taken_over_by_one_payment(self, consortium: Consortium) -> None:
        governor = consortium.governors[MSPS[0]]
        Consortium.active(task_spec(task="second"), consortium.ledger)
        held = consortium.balances()[OWNER]
        assert held == 2 * ENDOWMENT - 2 * STAKES
        assert submit(consortium, governor, "Transfer", SPENDER, held) == 0

    def test_by_way_of_an_allowance_are_the_owners_all_the_same(self, consortium: Consortium) -> None:
        consortium.through(1)
        winner = consortium.participants[MSPS[0]]
        submit(consortium, winner, "Approve", SPENDER, 7_500_000)
        account = f"participant:{winner.pseudonym}"
        assert submit(consortium, consortium.governors[MSPS[1]], "TransferFrom", account, SPENDER, 7_500_000) == 0
        assert ask(consortium, winner, "BalanceOf", account) == "0"

    def test_pay_a_stake_before_what_others_have_paid_is_looked_at(self, consortium: Consortium) -> None:
        submit(consortium, consortium.governors[MSPS[1]], "Transfer", OWNER, 1)
        newcomer = consortium.ledger.actor(MSPS[0], "participant", name="newcomer")
        stub, _ = consortium.ledger._run(newcomer, "JoinTask", [JoinRequest(task="heart")])
        assert f"balance/{OWNER}" in stub.writes
        assert f"received/{OWNER}" not in stub.reads

    def test_and_balance_are_not_enough_for_a_stake_then_payments_are_taken(self, consortium: Consortium) -> None:
        submit(consortium, consortium.governors[MSPS[0]], "Transfer", SPENDER, BALANCE)
        newcomer = consortium.ledger.actor(MSPS[0], "participant", name="newcomer")
        with refused("INSUFFICIENT_FUNDS"):
            consortium.ledger.submit(newcomer, "JoinTask", JoinRequest(task="heart"))
        submit(consortium, consortium.governors[MSPS[1]], "Transfer", OWNER, 100_000_001)
        consortium.ledger.submit(newcomer, "JoinTask", JoinRequest(task="heart"))
        assert consortium.balances()[OWNER] == 1

    def test_can_be_counted_however_often_stakes_come_and_go(self, consortium: Consortium) -> None:
        counters = [f"{kind}/{OWNER}/heart" for kind in ("earned", "collected")]
        for key in counters:
            consortium.ledger.world[key] = EarningsRecord(total=MAXIMUM_INTEGER).canonical()
        consortium.through(1)
        assert EarningsRecord.decode(consortium.ledger.world[counters[0]]).total == 2_500_000 - 1
        assert consortium.balances()[OWNER] == BALANCE + 2_500_000
        assert submit(consortium, consortium.governors[MSPS[0]], "Transfer", SPENDER, 1) == BALANCE + 2_500_000 - 1

    def test_of_a_task_of_an_earlier_release_are_not_lost(self, consortium: Consortium) -> None:
        """Such a ledger has balances alone."""
        world, balances = consortium.ledger.world, consortium.balances()
        for key in [key for key in world if key.split("/")[0] in ("earned", "collected", "earning-tasks")]:
            del world[key]
        world |= {f"balance/{account}": BalanceRecord(balance=held).canonical() for account, held in balances.items()}
        for msp in MSPS[:3]:
            consortium.ledger.submit(consortium.governors[msp], "StopTask", "heart", "Because.")
        after = consortium.balances()
        assert {after[f"org:{msp}"] for msp in MSPS} == {ENDOWMENT + POOL // 4}
        assert sum(after.values()) == consortium.supply() == 4 * ENDOWMENT + POOL
        assert submit(consortium, consortium.governors[MSPS[0]], "Transfer", SPENDER, ENDOWMENT + POOL // 4) == 0


class TestGifts:
    """To a task's insurance: they count from the next round on, so that none can get into a round's way."""

    def test_insure_the_round_that_opens_next(self, consortium: Consortium) -> None:
        give(consortium, 4_000_000)
        settle(consortium, 1)
        give(consortium, 100_000_000)
        abort(consortium, 1)
        winner = f"participant:{consortium.participants[MSPS[0]].pseudonym}"
        assert consortium.balances()[winner] == 1_000_000
        assert consortium.balances()["insurance:heart"] == 100_000_000
        settle(consortium, 2)
        abort(consortium, 2)
        # The floor is 15 tokens.
        assert consortium.balances()[winner] == 1_000_000 + 3_750_000
        assert consortium.balances()["insurance:heart"] == 85_000_000

    def test_insure_later_rounds_if_the_next_one_needs_none(self) -> None:
        consortium = Consortium.active(task_spec(training={"rounds": 5}))
        give(consortium, 4_000_000)
        consortium.through(1)
        give(consortium, 4_000_000)
        consortium.through(2)
        settle(consortium, 3)
        abort(consortium, 3)
        assert consortium.balances()["insurance:heart"] == 0
        assert ask(consortium, consortium.governors[MSPS[0]], "BalanceOf", "insurance:heart") == "0"

    def test_are_burnt_with_the_insurance_unless_no_round_has_opened_since(self, consortium: Consortium) -> None:
        give(consortium, 7)
        consortium.open(1)
        give(consortium, 5)
        for msp in MSPS[:3]:
            consortium.ledger.submit(consortium.governors[msp], "StopTask", "heart", "Because.")
        assert consortium.balances()["insurance:heart"] == 5
        assert consortium.supply() == sum(consortium.balances().values()) == 4 * ENDOWMENT + POOL - 7

    def test_by_a_vote_are_gifts_as_well(self, consortium: Consortium) -> None:
        proposal = MintProposal(task="heart", recipient="insurance:heart", amount=9, reason="a bad year")
        for msp in MSPS[:3]:
            if msp == MSPS[0]:
                consortium.ledger.submit(consortium.governors[msp], "ProposeMint", proposal)
            else:
                consortium.ledger.submit(consortium.governors[msp], "VoteMint", "heart", proposal.sha256(), "approve")
        assert ask(consortium, consortium.governors[MSPS[0]], "BalanceOf", "insurance:heart") == "9"
        assert "balance/insurance:heart" not in consortium.ledger.world


def give(consortium: Consortium, amount: int) -> None:
    submit(consortium, consortium.governors[MSPS[0]], "Transfer", "insurance:heart", amount)


def settle(consortium: Consortium, number: int) -> None:
    consortium.open(number)
    for msp in MSPS:
        consortium.submit(msp, number)
    consortium.close(number)
    for msp in MSPS:
        consortium.attest(msp, number)
    consortium.settle(number)


def abort(consortium: Consortium, number: int) -> None:
    consortium.late(number, "aggregates", consortium.quorum)
    request = AbortRequest(task="heart", round=number, reason="nobody reports")
    consortium.ledger.submit(consortium.validators[MSPS[0]], "AbortRound", request)


class TestAllowance:
    def test_is_taken_in_parts_and_no_further(self, consortium: Consortium) -> None:
        owner, spender = consortium.governors[MSPS[0]], consortium.governors[MSPS[1]]
        recipient = f"participant:{consortium.participants[MSPS[2]].pseudonym}"
        assert submit(consortium, owner, "Approve", SPENDER, 10) == 10
        assert consortium.ledger.said[-1] == ("Approval", {"from": OWNER, "to": SPENDER, "value": 10})
        assert submit(consortium, spender, "TransferFrom", OWNER, recipient, 4) == 6
        assert consortium.ledger.said[-1] == ("Transfer", {"from": OWNER, "to": recipient, "value": 4})
        with refused("INSUFFICIENT_ALLOWANCE"):
            submit(consortium, spender, "TransferFrom", OWNER, recipient, 7)
        assert submit(consortium, spender, "TransferFrom", OWNER, SPENDER, 6) == 0
        assert ask(consortium, owner, "Allowance", OWNER, SPENDER) == "0"
        balances = consortium.balances()
        assert (balances[OWNER], balances[SPENDER], balances[recipient]) == (BALANCE - 10, BALANCE + 6, 4)

    def test_does_not_reach_further_than_the_owners_balance(self, consortium: Consortium) -> None:
        submit(consortium, consortium.governors[MSPS[0]], "Approve", SPENDER, MAXIMUM_INTEGER)
        with refused("INSUFFICIENT_FUNDS"):
            submit(consortium, consortium.governors[MSPS[1]], "TransferFrom", OWNER, SPENDER, BALANCE + 1)
        assert ask(consortium, consortium.governors[MSPS[0]], "Allowance", OWNER, SPENDER) == str(MAXIMUM_INTEGER)

    def test_cannot_be_overwritten_while_the_spender_may_be_taking_it(self, consortium: Consortium) -> None:
        owner = consortium.governors[MSPS[0]]
        submit(consortium, owner, "Approve", SPENDER, 10)
        with refused("ALLOWANCE_IN_USE"):
            submit(consortium, owner, "Approve", SPENDER, 3)
        assert submit(consortium, owner, "Approve", SPENDER, 10) == 10
        assert submit(consortium, owner, "Approve", SPENDER, 0) == 0
        assert submit(consortium, owner, "Approve", SPENDER, 3) == 3

    def test_is_raised_and_lowered_by_differences(self, consortium: Consortium) -> None:
        owner, spender = consortium.governors[MSPS[0]], consortium.governors[MSPS[1]]
        assert submit(consortium, owner, "IncreaseAllowance", SPENDER, 10) == 10
        submit(consortium, spender, "TransferFrom", OWNER, SPENDER, 8)
        with refused("INSUFFICIENT_ALLOWANCE"):
            submit(consortium, owner, "DecreaseAllowance", SPENDER, 5)
        assert submit(consortium, owner, "DecreaseAllowance", SPENDER, 2) == 0
        submit(consortium, owner, "Approve", SPENDER, MAXIMUM_INTEGER)
        with refused("ALLOWANCE_LIMIT"):
            submit(consortium, owner, "IncreaseAllowance", SPENDER, 1)

    @pytest.mark.parametrize("spender", [OWNER, "pool:heart", "insurance:heart", "stake:heart:ClevelandMSP", "0x0"])
    def test_is_for_other_holders(self, consortium: Consortium, spender: str) -> None:
        for function in ("Approve", "IncreaseAllowance", "DecreaseAllowance"):
            with refused("BAD_ACCOUNT"):
                submit(consortium, consortium.governors[MSPS[0]], function, spender, 1)

    def test_moves_nothing_into_accounts_of_the_contract_nor_in_a_circle(self, consortium: Consortium) -> None:
        submit(consortium, consortium.governors[MSPS[0]], "Approve", SPENDER, 10)
        for recipient in ("pool:heart", OWNER):
            with refused("BAD_ACCOUNT"):
                submit(consortium, consortium.governors[MSPS[1]], "TransferFrom", OWNER, recipient, 1)
        with refused("BAD_AMOUNT"):
            submit(consortium, consortium.governors[MSPS[1]], "TransferFrom", OWNER, SPENDER, 0)

    @pytest.mark.parametrize("account", ["pool:heart", "stake:heart:ClevelandMSP", f"org:{MSPS[2]}"])
    def test_is_needed_for_every_account(self, consortium: Consortium, account: str) -> None:
        with refused("INSUFFICIENT_ALLOWANCE"):
            submit(consortium, consortium.governors[MSPS[1]], "TransferFrom", account, SPENDER, 1)


class TestSupply:
    def test_of_a_task_that_would_pass_the_largest_integer_is_refused_when_proposed(self) -> None:
        with pytest.raises(ValueError, match="at most 9007199254740991 can exist"):
            task_spec(incentive={"endowment": MAXIMUM_INTEGER // 4, "reward_per_round": 2})

    def test_of_many_tasks_cannot_pass_it_either(self) -> None:
        consortium = Consortium.founded(huge("first"))
        for spec in (huge("first"), huge("second")):
            consortium.spec = spec
            consortium.propose()
            for msp in MSPS[:2]:
                consortium.approve(msp)
            if spec.task == "first":
                consortium.approve(MSPS[2])
        before = dict(consortium.ledger.world)
        with refused("SUPPLY_LIMIT"):
            consortium.approve(MSPS[2])
        assert consortium.ledger.world == before

    def test_has_room_again_for_what_was_burnt(self) -> None:
        large = {"endowment": MAXIMUM_INTEGER // 6, "participant_stake": 0, "validator_stake": 0, "reward_per_round": 0}
        first = Consortium.active(task_spec(task="first", incentive=large))
        with refused("SUPPLY_LIMIT"):
            Consortium.active(task_spec(task="second", incentive=large), first.ledger)
        for msp in MSPS:
            submit(first, first.governors[msp], "Transfer", "insurance:first", MAXIMUM_INTEGER // 6)
        first.open(1)
        for msp in MSPS[:3]:
            first.ledger.submit(first.governors[msp], "StopTask", "first", "Because.")
        assert first.supply() == 0
        Consortium.active(task_spec(task="third", incentive=large), first.ledger)
        assert first.supply() == sum(first.balances().values()) == 4 * (MAXIMUM_INTEGER // 6)

    def test_stays_when_a_pool_goes_back_in_equal_parts_to_those_for_whom_it_was_made(self) -> None:
        consortium = Consortium.active(task_spec(incentive={"reward_per_round": 40_000_001}))
        consortium.through(1)
        before, left = consortium.balances(), consortium.balances()["pool:heart"]
        for msp in MSPS[:3]:
            consortium.ledger.submit(consortium.governors[msp], "StopTask", "heart", "Because.")
        after, stakes = consortium.balances(), 2 * 100_000_000
        assert {after[f"org:{msp}"] - before[f"org:{msp}"] - stakes for msp in MSPS} == {left // 4}
        assert left % 4 and after["pool:heart"] == 0
        assert consortium.supply() == sum(after.values()) == 4 * ENDOWMENT + 80_000_002 - left % 4
        name, fields = consortium.ledger.said[-1]
        assert name == "TaskStopRequested"
        assert {"from": "pool:heart", "to": "0x0", "value": left % 4} in fields["transfers"]


def huge(name: str) -> TaskSpec:
    return task_spec(task=name, incentive={"endowment": MAXIMUM_INTEGER // 6, "reward_per_round": 0})


def test_a_round_of_a_stopped_task_pays_nobody(consortium: Consortium) -> None:
    consortium.open(1)
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.close(1)
    for msp in MSPS:
        consortium.attest(msp, 1)
    consortium.settle(1)
    for msp in MSPS:
        consortium.report(msp, 1)
    for msp in MSPS[:3]:
        consortium.ledger.submit(consortium.governors[msp], "StopTask", "heart", "Because.")
    with refused("TASK_STATE"):
        consortium.finalise(1)
    assert consortium.view().record.state == "stopped"
