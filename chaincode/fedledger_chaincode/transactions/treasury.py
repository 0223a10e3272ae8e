"""Tokens that no one person moves: minting, stakes, slashing, rewards, compensation, and what is burnt at the end."""

from __future__ import annotations

from collections.abc import Sequence

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER
from fedledger_chaincode.messages.records import (
    BalanceRecord,
    DocketRecord,
    MemberRecord,
    Payment,
    RosterRecord,
    SettlementRecord,
    SupplyRecord,
    TaskRecord,
)
from fedledger_chaincode.rules.rewards import compensate, counted_shares, proportion, split_duty, split_reward
from fedledger_chaincode.state import SUPPLY_KEY, balance_key, docket_key, member_key, roster_key
from fedledger_chaincode.transactions.context import (
    VOID,
    Context,
    Movement,
    insurance_account,
    organisation_account,
    participant_account,
    pool_account,
    stake_account,
)


def supply(context: Context) -> int:
    """Micro-tokens that exist."""
    record = context.state.find_one(SupplyRecord, SUPPLY_KEY)
    return 0 if record is None else record.total


def mint(context: Context, payments: Sequence[tuple[str, int]]) -> None:
    """Make tokens on accounts.

    Raises:
        ContractError: 409 ``SUPPLY_LIMIT`` when more would exist than an integer of the ledger can tell.
    """
    total = check_supply(context, sum(amount for _, amount in payments))
    balances = context.balances([account for account, _ in payments])
    for account, amount in payments:
        balances[account] += amount
        context.state.put(balance_key(account), BalanceRecord(balance=balances[account]))
    context.state.put(SUPPLY_KEY, SupplyRecord(total=total))
    context.moved.extend(Movement(VOID, account, amount) for account, amount in payments if amount)


def check_supply(context: Context, more: int) -> int:
    """The supply with ``more`` micro-tokens; raises 409 ``SUPPLY_LIMIT`` where it would be too large."""
    total = supply(context) + more
    if total > MAXIMUM_INTEGER:
        raise ContractError(
            409,
            "SUPPLY_LIMIT",
            f"The supply would be {total} micro-tokens; at most {MAXIMUM_INTEGER} can exist on a channel.",
            "Mint less.",
        )
    return total


def fits_supply(context: Context, more: int) -> bool:
    """Whether so many more can exist."""
    return supply(context) + more <= MAXIMUM_INTEGER


def burn(context: Context, accounts: Sequence[str]) -> None:
    """Unmake all tokens on accounts; the supply is that much smaller."""
    held = {account: amount for account, amount in context.balances(accounts).items() if amount}
    if not held:
        return
    total = supply(context)
    for account in held:
        context.state.put(balance_key(account), BalanceRecord(balance=0))
    context.state.put(SUPPLY_KEY, SupplyRecord(total=total - sum(held.values())))
    context.moved.extend(Movement(account, VOID, amount) for account, amount in held.items())


def lock_stake(context: Context, task: str, owner: str, amount: int) -> None:
    """Move a stake from the account of the submitter's organisation."""
    if amount:
        context.transfer([(organisation_account(context.submitter.msp_id), stake_account(task, owner), amount)])


def slash(context: Context, record: TaskRecord, faults: Sequence[tuple[str, int]]) -> None:
    """Move a part (in micro-units) of the stake of each owner to the task's insurance."""
    task = record.spec.task
    accounts = {owner: stake_account(task, owner) for owner, rate in faults if rate}
    balances = context.balances(list(accounts.values()))
    context.transfer(
        [
            (accounts[owner], insurance_account(task), proportion(balances[accounts[owner]], rate))
            for owner, rate in faults
            if rate
        ]
    )


def pay_rewards(
    context: Context, record: TaskRecord, settlement: SettlementRecord, dutiful: tuple[str, ...]
) -> tuple[Payment, ...]:
    """Pay a round's reward from the task's pool."""
    incentive, task = record.spec.incentive, record.spec.task
    earned = _by_account(context, task, split_reward(incentive, counted_shares(settlement.updates)))
    for msp, amount in split_duty(incentive, dutiful, record.spec.aggregation.n):
        account = organisation_account(msp)
        earned[account] = earned.get(account, 0) + amount
    context.transfer([(pool_account(task), account, amount) for account, amount in earned.items()])
    return tuple(Payment(account=account, amount=amount) for account, amount in earned.items())


def pay_compensation(context: Context, record: TaskRecord, settlement: SettlementRecord) -> None:
    """Pay those whose updates counted in a round that was aborted, as far as the task's insurance reaches."""
    task, insurance = record.spec.task, insurance_account(record.spec.task)
    insured = context.balances([insurance])[insurance]
    payments = _by_account(context, task, compensate(record.spec.incentive, insured, settlement.updates))
    context.transfer([(insurance, account, amount) for account, amount in payments.items()])


def _by_account(context: Context, task: str, payments: Sequence[tuple[str, int]]) -> dict[str, int]:
    """Payments to participants, by account: a participant without a certificate could not use one of its own, so that
    its organisation, which admitted it, is paid."""
    members = context.state.find(MemberRecord, [member_key(task, participant) for participant, _ in payments])
    amounts: dict[str, int] = {}
    for (participant, amount), member in zip(payments, members, strict=True):
        if member is None:
            raise ContractError(500, "STATE", f"Participant {participant} is no member.")
        account = organisation_account(member.msp) if member.valid_until is None else participant_account(participant)
        amounts[account] = amounts.get(account, 0) + amount
    return amounts


def wind_up(context: Context, record: TaskRecord) -> None:
    """The end of a task: stakes go back to who locked them; what nobody earned of pool and insurance is burnt. Stakes
    of those who are accused are held until there is a ruling.

    Were the rest shared out, a majority could gain by stopping a task.
    """
    _return_stakes(context, record)
    burn(context, [pool_account(record.spec.task), insurance_account(record.spec.task)])


def _return_stakes(context: Context, record: TaskRecord) -> None:
    task = record.spec.task
    rosters = context.state.find(RosterRecord, [roster_key(task, msp) for msp in record.spec.organisations])
    owners = [
        (msp, participant)
        for msp, roster in zip(record.spec.organisations, rosters, strict=True)
        if roster is not None
        for participant in roster.participants
    ]
    owners += [(msp, msp) for msp in record.spec.aggregation.validators]
    docket = context.state.find_one(DocketRecord, docket_key(task)) or DocketRecord()
    _give_back(context, task, [(msp, owner) for msp, owner in owners if not docket.holds(owner)])


def release_stakes(context: Context, record: TaskRecord, owners: Sequence[str]) -> None:
    """In a task that has ended: give back what was held for an accusation, and burn what it has brought."""
    task = record.spec.task
    participants = [owner for owner in owners if owner not in record.spec.aggregation.validators]
    members = context.state.find(MemberRecord, [member_key(task, participant) for participant in participants])
    homes = [(member.msp, member.participant) for member in members if member is not None]
    homes += [(msp, msp) for msp in owners if msp in record.spec.aggregation.validators]
    _give_back(context, task, homes)
    burn(context, [insurance_account(task)])


def _give_back(context: Context, task: str, owners: Sequence[tuple[str, str]]) -> None:
    """Move stakes to organisations: (MSP id, owner of the stake)."""
    balances = context.balances([stake_account(task, owner) for _, owner in owners])
    context.transfer(
        [
            (stake_account(task, owner), organisation_account(msp), balances[stake_account(task, owner)])
            for msp, owner in owners
        ]
    )
