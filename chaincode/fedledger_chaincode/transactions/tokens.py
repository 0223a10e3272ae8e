"""Tokens, by the conventions of Fabric's token samples (account-based): amounts are integers in micro-tokens."""

from __future__ import annotations

import re

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import canonical
from fedledger_chaincode.messages.records import SupplyRecord
from fedledger_chaincode.state import SUPPLY_KEY
from fedledger_chaincode.transactions.context import (
    ROLE_ATTRIBUTE,
    Context,
    organisation_account,
    participant_account,
)

_RECIPIENT = re.compile(r"org:[A-Za-z0-9][A-Za-z0-9._-]{0,62}|participant:[0-9a-f]{64}")


def own_account(context: Context) -> str:
    """A participant's own account, a governor's organisation's account."""
    context.require_role("participant", "governor")
    if context.submitter.attributes[ROLE_ATTRIBUTE] == "governor":
        return organisation_account(context.submitter.msp_id)
    return participant_account(context.submitter.pseudonym)


def client_account_id(context: Context) -> bytes:
    """``ClientAccountID()``: the submitter's account."""
    return own_account(context).encode()


def transfer(context: Context, recipient: str, amount: int) -> bytes:
    """``Transfer(recipient, amount)`` from the submitter's account; the result is the submitter's new balance."""
    source = own_account(context)
    if not _RECIPIENT.fullmatch(recipient):
        raise ContractError(
            400,
            "BAD_ACCOUNT",
            f"{recipient!r} is no account that can be paid.",
            "Accounts are org:<MSP id> and participant:<pseudonym>.",
        )
    if recipient == source:
        raise ContractError(400, "BAD_ACCOUNT", "Sender and recipient are the same account.")
    if amount == 0:
        raise ContractError(400, "BAD_AMOUNT", "The amount is 0.")
    context.transfer([(source, recipient, amount)])
    context.event("Transfer", **{"from": source, "to": recipient, "value": amount})
    return canonical(context.balances([source])[source])


def balance_of(context: Context, account: str) -> bytes:
    """``BalanceOf(account)``: micro-tokens."""
    return canonical(context.balances([account])[account])


def total_supply(context: Context) -> bytes:
    """``TotalSupply()``: micro-tokens minted so far; the sum of all balances, stakes and pools."""
    supply = context.state.find_one(SupplyRecord, SUPPLY_KEY)
    return canonical(0 if supply is None else supply.total)
