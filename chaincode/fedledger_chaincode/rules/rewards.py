"""How a round's reward is split, and how tokens move: integers that are conserved to the last unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MICRO
from fedledger_chaincode.messages.task import IncentiveSpec


@dataclass(frozen=True)
class Share:
    """One participant's claim on a round's reward."""

    account: str
    weight: int
    score: int


def split_reward(
    incentive: IncentiveSpec, shares: Sequence[Share], validators: Sequence[str], validator_count: int
) -> tuple[tuple[str, int], ...]:
    """Payments of one round as (account, amount); what rounding leaves, or nobody earned, stays in the pool.

    Participants: ``equal_share`` of their part is split by score alone, the rest by weight times score.
    Validators: their part is split into ``validator_count`` equal portions, paid to those who did their duty.
    """
    for_validators = incentive.reward_per_round * incentive.validator_share // MICRO
    for_participants = incentive.reward_per_round - for_validators
    by_score = for_participants * incentive.equal_share // MICRO
    by_weight = for_participants - by_score
    scores = sum(share.score for share in shares)
    products = sum(share.weight * share.score for share in shares)
    payments = []
    for share in shares:
        amount = by_score * share.score // scores if scores else 0
        amount += by_weight * share.weight * share.score // products if products else 0
        if amount:
            payments.append((share.account, amount))
    portion = for_validators // validator_count
    payments.extend((account, portion) for account in validators if portion)
    return tuple(payments)


def move(balances: Mapping[str, int], transfers: Sequence[tuple[str, str, int]]) -> dict[str, int]:
    """Balances after the transfers (from, to, amount), in order.

    Raises:
        ContractError: 409 ``INSUFFICIENT_FUNDS`` when an account would fall below zero; nothing is moved then.
    """
    after = dict(balances)
    for source, target, amount in transfers:
        if amount < 0:
            raise ContractError(400, "BAD_AMOUNT", f"The amount {amount} is negative.")
        if after[source] < amount:
            raise ContractError(
                409,
                "INSUFFICIENT_FUNDS",
                f"Account {source} holds {after[source]} micro-tokens, {amount} are needed.",
                "Transfer tokens to the account first.",
            )
        after[source] -= amount
        after[target] += amount
    return after


def proportion(amount: int, rate: int) -> int:
    """``rate`` micro-units of an amount, rounded down."""
    return amount * rate // MICRO
