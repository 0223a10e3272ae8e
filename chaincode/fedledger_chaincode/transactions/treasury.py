"""Tokens that no one person moves: minting, stakes, slashing, rewards, compensation, and what is burnt at the end."""

from __future__ import annotations

from collections.abc import Sequence

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER
from fedledger_chaincode.messages.records import (
    DocketRecord,
    MemberRecord,
    Payment,
    RosterRecord,
    SettlementRecord,
    SupplyRecord,
    TaskRecord,
)
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.rewards import compensate, counted_shares, proportion, split_duty, split_reward
from fedledger_chaincode.state import SUPPLY_KEY, docket_key, member_key, roster_key
from fedledger_chaincode.transactions.accounts import (
    balances,
    collect,
    disburse,
    earn,
    expect_earnings,
    may_earn,
    not_collected,
    pay,
    receive,
    take_in_gifts,
)
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
    """Micro-tokens that exist: made, less those that the void has earned since tokens were made last."""
    return _made(context) - not_collected(context, VOID)


def _made(context: Context) -> int:
    record = context.state.find_one(SupplyRecord, SUPPLY_KEY)
    return 0 if record is None else record.total


def endow(context: Context, spec: TaskSpec) -> None:
    """Make what a majority agreed on when its task becomes active: endowments, the first that organisations earn in it,
    and the pool. From then on whatever ends in the void, too, is counted by task."""
    task, endowment = spec.task, spec.incentive.endowment
    pool = spec.incentive.reward_per_round * spec.training.rounds
    accounts = [organisation_account(msp) for msp in spec.organisations]
    expect_earnings(context, task, [VOID, *accounts])
    _make(context, endowment * len(accounts) + pool)
    receive(context, pool_account(task), pool)
    for account in accounts:
        earn(context, account, task, endowment)
    made = [*((account, endowment) for account in accounts), (pool_account(task), pool)]
    context.moved.extend(Movement(VOID, account, amount) for account, amount in made if amount)


def mint(context: Context, payments: Sequence[tuple[str, int]]) -> None:
    """Make tokens on accounts.

    Raises:
        ContractError: 409 ``SUPPLY_LIMIT`` when more would exist than an integer of the ledger can tell.
    """
    _make(context, sum(amount for _, amount in payments))
    for account, amount in payments:
        receive(context, account, amount)
    context.moved.extend(Movement(VOID, account, amount) for account, amount in payments if amount)


def _make(context: Context, amount: int) -> None:
    check_supply(context, amount)
    context.state.put(SUPPLY_KEY, SupplyRecord(total=_made(context) - collect(context, VOID) + amount))


def check_supply(context: Context, more: int) -> None:
    """Raise 409 ``SUPPLY_LIMIT`` where the supply would be too large with ``more`` micro-tokens."""
    total = supply(context) + more
    if total > MAXIMUM_INTEGER:
        raise ContractError(
            409,
            "SUPPLY_LIMIT",
            f"The supply would be {total} micro-tokens; at most {MAXIMUM_INTEGER} can exist on a channel.",
            "Mint less.",
        )


def fits_supply(context: Context, more: int) -> bool:
    """Whether so many more can exist."""
    return supply(context) + more <= MAXIMUM_INTEGER


def burn(context: Context, task: str, accounts: Sequence[str]) -> None:
    """Unmake all tokens on accounts of a task: the void earns them, and the supply is that much smaller."""
    disburse(context, task, [(account, VOID, held) for account, held in balances(context, accounts).items()])


def lock_stake(context: Context, task: str, owner: str, amount: int) -> None:
    """Move a stake from the account of the submitter's organisation."""
    if amount:
        pay(context, organisation_account(context.submitter.msp_id), [(stake_account(task, owner), amount)])


def slash(context: Context, record: TaskRecord, faults: Sequence[tuple[str, int]]) -> None:
    """Move a part (in micro-units) of the stake of each owner to the task's insurance."""
    task = record.spec.task
    accounts = {owner: stake_account(task, owner) for owner, rate in faults if rate}
    stakes = balances(context, list(accounts.values()))
    disburse(
        context,
        task,
        [
            (accounts[owner], insurance_account(task), proportion(stakes[accounts[owner]], rate))
            for owner, rate in faults
            if rate
        ],
    )


def take_back_duty(context: Context, record: TaskRecord, msps: Sequence[str]) -> None:
    """Move what validators were paid for a round from what is left of their stakes to the task's insurance."""
    task, accounts = record.spec.task, [stake_account(record.spec.task, msp) for msp in msps]
    stakes = balances(context, accounts)
    portions = dict(split_duty(record.spec.incentive, msps, record.spec.aggregation.n))
    disburse(
        context,
        task,
        [
            (account, insurance_account(task), min(stakes[account], portions.get(msp, 0)))
            for msp, account in zip(msps, accounts, strict=True)
        ],
    )


def pay_rewards(
    context: Context, record: TaskRecord, settlement: SettlementRecord, dutiful: tuple[str, ...]
) -> tuple[Payment, ...]:
    """Pay a round's reward from the task's pool."""
    incentive, task = record.spec.incentive, record.spec.task
    earned = _by_account(context, task, settlement, split_reward(incentive, counted_shares(settlement.updates)))
    for msp, amount in split_duty(incentive, dutiful, record.spec.aggregation.n):
        account = organisation_account(msp)
        earned[account] = earned.get(account, 0) + amount
    disburse(context, task, [(pool_account(task), account, amount) for account, amount in earned.items()])
    return tuple(Payment(account=account, amount=amount) for account, amount in earned.items())


def pay_compensation(context: Context, record: TaskRecord, settlement: SettlementRecord) -> None:
    """Pay those whose updates counted in a round that was aborted, as far as the task's insurance reaches."""
    task, insurance = record.spec.task, insurance_account(record.spec.task)
    take_in_gifts(context, task, context.head(task).round - 1)
    insured = balances(context, [insurance])[insurance]
    payments = _by_account(context, task, settlement, compensate(record.spec.incentive, insured, settlement.updates))
    disburse(context, task, [(insurance, account, amount) for account, amount in payments.items()])


def _by_account(
    context: Context, task: str, settlement: SettlementRecord, payments: Sequence[tuple[str, int]]
) -> dict[str, int]:
    """Payments to participants, by account: a participant without a certificate could not use one of its own, so that
    its organisation, which admitted it, is paid. What a governor may say of a member at any time is not read."""
    msps = {update.participant: update.msp for update in settlement.updates}
    own = [participant_account(participant) for participant, _ in payments]
    amounts: dict[str, int] = {}
    for (participant, amount), mine, earns in zip(payments, own, may_earn(context, task, own), strict=True):
        account = mine if earns else organisation_account(msps[participant])
        amounts[account] = amounts.get(account, 0) + amount
    return amounts


def wind_up(context: Context, record: TaskRecord) -> None:
    """The end of a task: stakes go back to who locked them; what nobody earned of the pool goes back in equal parts to
    all organisations of the task, for whom it was made in equal parts; the insurance is burnt. Stakes of those who are
    accused are held until there is a ruling.
    """
    task, organisations = record.spec.task, record.spec.organisations
    rosters = context.state.find(RosterRecord, [roster_key(task, msp) for msp in organisations])
    owners = [
        (msp, participant)
        for msp, roster in zip(organisations, rosters, strict=True)
        if roster is not None
        for participant in roster.participants
    ]
    owners += [(msp, msp) for msp in record.spec.aggregation.validators]
    docket = context.state.find_one(DocketRecord, docket_key(task)) or DocketRecord()
    return_stakes(context, task, [(msp, owner) for msp, owner in owners if not docket.holds(owner)])
    take_in_gifts(context, task, context.head(task).round - 1)
    pool = pool_account(task)
    part = balances(context, [pool])[pool] // len(organisations)
    disburse(context, task, [(pool, organisation_account(msp), part) for msp in organisations])
    burn(context, task, [pool, insurance_account(task)])


def release_stakes(context: Context, record: TaskRecord, owners: Sequence[str]) -> None:
    """In a task that has ended: give back what was held for an accusation, and burn what it has brought."""
    task = record.spec.task
    participants = [owner for owner in owners if owner not in record.spec.aggregation.validators]
    members = context.state.find(MemberRecord, [member_key(task, participant) for participant in participants])
    homes = [(member.msp, member.participant) for member in members if member is not None]
    homes += [(msp, msp) for msp in owners if msp in record.spec.aggregation.validators]
    return_stakes(context, task, homes)
    burn(context, task, [insurance_account(task)])


def return_stakes(context: Context, task: str, owners: Sequence[tuple[str, str]]) -> None:
    """Give what is left of stakes back to the organisations that locked them; ``owners`` are (MSP id, owner)."""
    accounts = [stake_account(task, owner) for _, owner in owners]
    stakes = balances(context, accounts)
    disburse(
        context,
        task,
        [
            (account, organisation_account(msp), stakes[account])
            for account, (msp, _) in zip(accounts, owners, strict=True)
        ],
    )
