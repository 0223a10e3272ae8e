"""Where an account's tokens lie and how they move, so that no payment stands in another transaction's way.

Each key is written from one side alone (docs/tokens.md, *Keys*): a balance by its holder's debits, or, of pools, stakes
and insurances, by their task's course; what others pay lies beside it; what a task's course pays is a counter for each
task, and a second one says how much of that the holder's debits have taken over.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedledger_chaincode.messages.records import (
    BalanceRecord,
    EarningsRecord,
    EarningTasksRecord,
    HeadRecord,
    SupplyRecord,
)
from fedledger_chaincode.rules.rewards import move, uncollected, with_earned
from fedledger_chaincode.state import (
    SUPPLY_KEY,
    balance_key,
    collected_key,
    earned_key,
    earning_tasks_key,
    gifts_key,
    head_key,
    received_key,
)
from fedledger_chaincode.transactions.context import VOID, Context, Movement, insurance_account

_HOLDERS = ("org:", "participant:")
_INSURANCE = insurance_account("")


def holdings(context: Context, accounts: Sequence[str]) -> dict[str, int]:
    """All that accounts hold, in micro-tokens, wherever it lies."""
    state = context.state
    holders = [account for account in accounts if account.startswith(_HOLDERS)]
    insured = [account.removeprefix(_INSURANCE) for account in accounts if account.startswith(_INSURANCE)]
    state.fetch(
        [
            *(balance_key(account) for account in accounts),
            *(received_key(account) for account in holders),
            *(earning_tasks_key(account) for account in holders),
            *(head_key(task) for task in insured),
        ]
    )
    held = balances(context, accounts)
    places = [(account, task) for account in holders for task in _earning_tasks(context, account)]
    _fetch_earnings(context, places)
    for account in holders:
        held[account] += _amount(context, received_key(account))
    for account, task in places:
        held[account] += _uncollected(context, account, task)
    for task in insured:
        held[insurance_account(task)] += _gifts(context, task)
    return held


def balances(context: Context, accounts: Sequence[str]) -> dict[str, int]:
    """What lies under the accounts' own keys: of pools and stakes all; of an insurance what it can pay."""
    context.state.fetch([balance_key(account) for account in accounts])
    return {account: _amount(context, balance_key(account)) for account in accounts}


def pay(context: Context, payer: str, payments: Sequence[tuple[str, int]]) -> None:
    """Payments (account, amount) of one holder: to others, into stakes, or as gifts to an insurance.

    All that the payer has earned is taken into its balance first; what others have paid it only when it is needed, so
    that whoever pays it cannot keep it from locking a stake.
    """
    held = balances(context, [payer])[payer] + collect(context, payer)
    received = received_key(payer)
    if sum(amount for _, amount in payments) > held and (more := _amount(context, received)):
        context.state.put(received, BalanceRecord(balance=0))
        held += more
    transfers = [(payer, account, amount) for account, amount in payments]
    left = move({payer: held} | dict.fromkeys((account for account, _ in payments), 0), transfers)[payer]
    context.state.put(balance_key(payer), BalanceRecord(balance=left))
    for account, amount in payments:
        receive(context, account, amount)
    context.moved.extend(Movement(*each) for each in transfers if each[2])


def receive(context: Context, account: str, amount: int) -> None:
    """Add a payment to an account: a holder's and an insurance's lie beside what their own debits write."""
    if account.startswith(_HOLDERS):
        key = received_key(account)
    elif account.startswith(_INSURANCE):
        task = account.removeprefix(_INSURANCE)
        key = gifts_key(task, context.head(task).round)
    else:
        key = balance_key(account)
    _add(context, key, amount)


def disburse(context: Context, task: str, transfers: Sequence[tuple[str, str, int]]) -> None:
    """Move tokens (from, to, amount) from a task's own accounts to one another, to holders, who earn them, or to the
    void. Reads and writes nothing that anybody can write by a payment."""
    accounts = list(dict.fromkeys(account for source, target, _ in transfers for account in (source, target)))
    earners = [account for account in accounts if account == VOID or account.startswith(_HOLDERS)]
    own = [account for account in accounts if account not in earners]
    context.state.fetch([*map(balance_key, own), *(earned_key(account, task) for account in earners)])
    before = balances(context, own) | dict.fromkeys(earners, 0)
    after = move(before, transfers)
    for account in own:
        if after[account] != before[account]:
            context.state.put(balance_key(account), BalanceRecord(balance=after[account]))
    for account in earners:
        if after[account]:
            earn(context, account, task, after[account])
    context.moved.extend(Movement(*each) for each in transfers if each[2])


def earn(context: Context, account: str, task: str, amount: int) -> None:
    """Add to what an account has earned in a task."""
    key = earned_key(account, task)
    earned = context.state.find_one(EarningsRecord, key)
    if earned is not None:
        context.state.put(key, EarningsRecord(total=with_earned(earned.total, amount)))
    # The task is of a release before earnings: nothing would find them.
    elif account == VOID:
        made = context.state.get(SupplyRecord, SUPPLY_KEY, "supply").total
        context.state.put(SUPPLY_KEY, SupplyRecord(total=made - amount))
    else:
        receive(context, account, amount)


def expect_earnings(context: Context, task: str, accounts: Sequence[str]) -> None:
    """Note that accounts may earn in a task from now on. It is not for a round's course: other tasks write it, too."""
    for account in accounts:
        tasks = _earning_tasks(context, account)
        if task not in tasks:
            context.state.put(earning_tasks_key(account), EarningTasksRecord(tasks=(*tasks, task)))
            context.state.put(earned_key(account, task), EarningsRecord(total=0))


def may_earn(context: Context, task: str, accounts: Sequence[str]) -> list[bool]:
    """Whether each account was expected to earn in the task."""
    found = context.state.find(EarningsRecord, [earned_key(account, task) for account in accounts])
    return [record is not None for record in found]


def collect(context: Context, account: str) -> int:
    """Mark all that an account has earned as taken over; its amount, which the caller adds to the balance."""
    places = [(account, task) for task in _earning_tasks(context, account)]
    _fetch_earnings(context, places)
    total = 0
    for _, task in places:
        if amount := _uncollected(context, account, task):
            total += amount
            context.state.put(collected_key(account, task), _counter(context, earned_key(account, task)))
    return total


def not_collected(context: Context, account: str) -> int:
    """What ``collect`` would take over."""
    places = [(account, task) for task in _earning_tasks(context, account)]
    _fetch_earnings(context, places)
    return sum(_uncollected(context, *place) for place in places)


def take_in_gifts(context: Context, task: str, number: int) -> None:
    """Add to a task's insurance what was given while round ``number`` was the newest.

    Only of a round that is not the newest any more: a gift reads the head, so that nobody can add to those.
    """
    key = gifts_key(task, number)
    if number >= 0 and (given := _amount(context, key)):
        context.state.put(key, BalanceRecord(balance=0))
        _add(context, balance_key(insurance_account(task)), given)


def _gifts(context: Context, task: str) -> int:
    """Those that are not taken in: older ones are when a round opens."""
    head = context.state.find_one(HeadRecord, head_key(task))
    if head is None:
        return 0
    return sum(_amount(context, gifts_key(task, number)) for number in (head.round - 1, head.round) if number >= 0)


def _earning_tasks(context: Context, account: str) -> tuple[str, ...]:
    record = context.state.find_one(EarningTasksRecord, earning_tasks_key(account))
    return () if record is None else record.tasks


def _fetch_earnings(context: Context, places: Sequence[tuple[str, str]]) -> None:
    context.state.fetch([key(*place) for place in places for key in (earned_key, collected_key)])


def _uncollected(context: Context, account: str, task: str) -> int:
    earned, collected = (_counter(context, key(account, task)) for key in (earned_key, collected_key))
    return uncollected(earned.total, collected.total)


def _counter(context: Context, key: str) -> EarningsRecord:
    return context.state.find_one(EarningsRecord, key) or EarningsRecord(total=0)


def _amount(context: Context, key: str) -> int:
    record = context.state.find_one(BalanceRecord, key)
    return 0 if record is None else record.balance


def _add(context: Context, key: str, amount: int) -> None:
    if amount:
        context.state.put(key, BalanceRecord(balance=_amount(context, key) + amount))
