"""The token, with the functions and events of Fabric's token-erc-20 sample; amounts are integers in micro-tokens.

Unlike the sample's: nobody mints or burns alone (``transactions/mints.py``, ``transactions/treasury.py``), an allowance
that is not spent cannot be overwritten by ``Approve``, an unknown account holds 0, and amounts of 0 are refused.
"""

from __future__ import annotations

import re

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER, canonical
from fedledger_chaincode.messages.records import AllowanceRecord
from fedledger_chaincode.state import allowance_key
from fedledger_chaincode.transactions.accounts import holdings, pay
from fedledger_chaincode.transactions.context import (
    ROLE_ATTRIBUTE,
    Context,
    organisation_account,
    participant_account,
)
from fedledger_chaincode.transactions.treasury import supply

NAME = "fedledger token"
SYMBOL = "FLT"
DECIMALS = 6

_HOLDER = re.compile(r"org:[A-Za-z0-9][A-Za-z0-9._-]{0,62}|participant:[0-9a-f]{64}")
_INSURANCE = re.compile(r"insurance:(?P<task>[a-z0-9][a-z0-9_-]{0,62})")


def own_account(context: Context) -> str:
    """A participant's own account, a governor's organisation's account."""
    context.require_role("participant", "governor")
    if context.submitter.attributes[ROLE_ATTRIBUTE] == "governor":
        return organisation_account(context.submitter.msp_id)
    return participant_account(context.submitter.pseudonym)


def name(context: Context) -> bytes:
    """``Name()`` of the token."""
    return NAME.encode()


def symbol(context: Context) -> bytes:
    """``Symbol()`` of the token."""
    return SYMBOL.encode()


def decimals(context: Context) -> bytes:
    """``Decimals()``: a token is 10^6 micro-tokens; every amount of the contract is in micro-tokens."""
    return canonical(DECIMALS)


def total_supply(context: Context) -> bytes:
    """``TotalSupply()``: micro-tokens minted and not burnt; the sum of all balances, stakes, pools and insurances."""
    return canonical(supply(context))


def balance_of(context: Context, account: str) -> bytes:
    """``BalanceOf(account)``: micro-tokens, collected or not; 0 for an account that was never paid."""
    return canonical(holdings(context, [account])[account])


def client_account_id(context: Context) -> bytes:
    """``ClientAccountID()``: the submitter's account."""
    return own_account(context).encode()


def client_account_balance(context: Context) -> bytes:
    """``ClientAccountBalance()``: micro-tokens on the submitter's account."""
    return balance_of(context, own_account(context))


def transfer(context: Context, recipient: str, amount: int) -> bytes:
    """``Transfer(recipient, amount)`` from the submitter's account; the result is the submitter's new balance."""
    source = own_account(context)
    _pay(context, source, recipient, amount)
    return balance_of(context, source)


def approve(context: Context, spender: str, value: int) -> bytes:
    """``Approve(spender, value)``: the spender may take up to ``value`` from the submitter's account.

    Refused with 409 ``ALLOWANCE_IN_USE`` while another allowance that is not 0 stands: the spender could take the old
    one just before it is replaced and then the new one. ``IncreaseAllowance`` and ``DecreaseAllowance`` have no such
    race; ``Approve(spender, 0)`` is always possible. The result is the allowance.
    """
    owner = own_account(context)
    standing = _allowance(context, owner, _spender(owner, spender))
    if standing and value not in (0, standing):
        raise ContractError(
            409,
            "ALLOWANCE_IN_USE",
            f"{spender} may still take {standing} micro-tokens from {owner}; what it may take cannot be overwritten.",
            "Use IncreaseAllowance or DecreaseAllowance, or approve 0 first and look at what was taken.",
        )
    return _allow(context, owner, spender, value)


def increase_allowance(context: Context, spender: str, added: int) -> bytes:
    """``IncreaseAllowance(spender, added)``: the spender may take that much more; the result is the allowance."""
    owner = own_account(context)
    return _allow(context, owner, spender, _allowance(context, owner, _spender(owner, spender)) + _positive(added))


def decrease_allowance(context: Context, spender: str, subtracted: int) -> bytes:
    """``DecreaseAllowance(spender, subtracted)``: refused when the spender has already taken too much of it."""
    owner = own_account(context)
    standing = _allowance(context, owner, _spender(owner, spender))
    _check_allowance(owner, spender, standing, _positive(subtracted))
    return _allow(context, owner, spender, standing - subtracted)


def allowance(context: Context, owner: str, spender: str) -> bytes:
    """``Allowance(owner, spender)``: micro-tokens that the spender may still take from the owner's account."""
    return canonical(_allowance(context, owner, spender))


def transfer_from(context: Context, owner: str, recipient: str, amount: int) -> bytes:
    """``TransferFrom(from, to, value)`` by a spender within its allowance; the result is what is left of it."""
    spender = own_account(context)
    standing = _allowance(context, owner, spender)
    _check_allowance(owner, spender, standing, _positive(amount))
    _pay(context, owner, recipient, amount)
    context.state.put(allowance_key(owner, spender), AllowanceRecord(value=standing - amount))
    return canonical(standing - amount)


def _pay(context: Context, source: str, recipient: str, amount: int) -> None:
    _check_payable(context, recipient)
    if recipient == source:
        raise ContractError(400, "BAD_ACCOUNT", "Sender and recipient are the same account.", "Name another recipient.")
    pay(context, source, [(recipient, _positive(amount))])
    context.token_event("Transfer", source, recipient, amount)


def _check_payable(context: Context, recipient: str) -> None:
    """Holders' accounts, and as a gift the insurance of a task that is under way. Pools and stakes are the contract's:
    a stake is what its owner risks, and a pool holds exactly what the agreement promises."""
    insurance = _INSURANCE.fullmatch(recipient)
    if insurance is not None:
        state = context.task(insurance["task"]).state
        if state != "active":
            raise ContractError(
                409,
                "TASK_STATE",
                f"Task {insurance['task']} is {state}; its insurance takes no payments.",
                "Keep them.",
            )
    elif not _HOLDER.fullmatch(recipient):
        raise ContractError(
            400,
            "BAD_ACCOUNT",
            f"{recipient!r} is no account that can be paid.",
            "Accounts are org:<MSP id>, participant:<pseudonym> and insurance:<task>.",
        )


def _spender(owner: str, spender: str) -> str:
    if not _HOLDER.fullmatch(spender) or spender == owner:
        raise ContractError(
            400,
            "BAD_ACCOUNT",
            f"{spender!r} is no other holder's account.",
            "A spender is org:<MSP id> or participant:<pseudonym>, and not the owner.",
        )
    return spender


def _positive(amount: int) -> int:
    if amount == 0:
        raise ContractError(400, "BAD_AMOUNT", "The amount is 0.", "Give a positive number of micro-tokens.")
    return amount


def _allowance(context: Context, owner: str, spender: str) -> int:
    record = context.state.find_one(AllowanceRecord, allowance_key(owner, spender))
    return 0 if record is None else record.value


def _allow(context: Context, owner: str, spender: str, value: int) -> bytes:
    if value > MAXIMUM_INTEGER:
        raise ContractError(
            409, "ALLOWANCE_LIMIT", f"The allowance would be {value}, the largest is {MAXIMUM_INTEGER}.", "Allow less."
        )
    context.state.put(allowance_key(owner, spender), AllowanceRecord(value=value))
    context.token_event("Approval", owner, spender, value)
    return canonical(value)


def _check_allowance(owner: str, spender: str, standing: int, amount: int) -> None:
    if standing < amount:
        raise ContractError(
            409,
            "INSUFFICIENT_ALLOWANCE",
            f"{spender} may take {standing} micro-tokens from {owner}, not {amount}.",
            "The owner allows more with: fedledger token approve.",
        )
