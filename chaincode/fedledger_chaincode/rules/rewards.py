"""How a round's reward is split, and how tokens move: integers that are conserved to the last unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import MAXIMUM_INTEGER, MICRO
from fedledger_chaincode.messages.records import SettledUpdate
from fedledger_chaincode.messages.task import IncentiveSpec

_COUNTER = MAXIMUM_INTEGER + 1


@dataclass(frozen=True)
class Share:
    """One participant's claim on a round's reward."""

    participant: str
    msp: str
    weight: int
    score: int


def counted_shares(updates: Sequence[SettledUpdate]) -> tuple[Share, ...]:
    """The claims of a settled round: of every update that counted in the sum."""
    return tuple(
        Share(update.participant, update.msp, update.weight, update.score) for update in updates if update.weight > 0
    )


def split_reward(incentive: IncentiveSpec, shares: Sequence[Share]) -> tuple[tuple[str, int], ...]:
    """What each participant is paid for a round; what rounding leaves stays in the pool.

    ``equal_share`` of the participants' part is the fairness floor: it is split between organisations by the mean
    score of their participants, of which no more counts than the middle organisation has, and within an organisation
    by score: neither is a small site starved, nor does an organisation gain by several pseudonyms, or by an update that
    agrees with a known direction better than work does. The rest is split by weight times score.
    """
    by_weight = participants_part(incentive) - floor_part(incentive)
    floors = _split_floor(floor_part(incentive), shares, sum(_mean_scores(shares).values()))
    products = sum(share.weight * share.score for share in shares)
    payments = []
    for share, floor in zip(shares, floors, strict=True):
        amount = floor + (by_weight * share.weight * share.score // products if products else 0)
        if amount:
            payments.append((share.participant, amount))
    return tuple(payments)


def _split_floor(amount: int, shares: Sequence[Share], whole: int) -> tuple[int, ...]:
    """Each organisation's portion is its mean score over ``whole``; in the order of the shares."""
    if not whole:
        return tuple(0 for _ in shares)
    means = _mean_scores(shares)
    sums = {msp: sum(share.score for share in shares if share.msp == msp) for msp in means}
    return tuple(
        amount * means[share.msp] // whole * share.score // sums[share.msp] if sums[share.msp] else 0
        for share in shares
    )


def _mean_scores(shares: Sequence[Share]) -> dict[str, int]:
    """By organisation, rounded down, and none above the median, of an even number the lower of the middle two."""
    scores: dict[str, list[int]] = {}
    for share in shares:
        scores.setdefault(share.msp, []).append(share.score)
    means = {msp: sum(each) // len(each) for msp, each in scores.items()}
    middle = sorted(means.values())[(len(means) - 1) // 2] if means else 0
    return {msp: min(mean, middle) for msp, mean in means.items()}


def split_duty(incentive: IncentiveSpec, dutiful: Sequence[str], validators: int) -> tuple[tuple[str, int], ...]:
    """What each organisation is paid for its validator: equal portions, those of the others stay in the pool.

    Args:
        dutiful: MSP ids of the validators that did their duty.
        validators: how many the task has.
    """
    portion = validators_part(incentive) // validators
    return tuple((msp, portion) for msp in dutiful if portion)


def compensate(incentive: IncentiveSpec, insured: int, updates: Sequence[SettledUpdate]) -> tuple[tuple[str, int], ...]:
    """What the insurance pays after a round that was settled and then aborted, by participant.

    The floor is insured: each organisation of the cohort has an equal portion of it, or of what there is, and is paid
    the part that its mean score is of 1; the rest, and portions of those whose updates did not count, stay in the
    insurance. Nobody's portion grows when others fail, and nobody is paid more than if the round had been finalised.
    """
    shares = counted_shares(updates)
    organisations = len({update.msp for update in updates})
    amounts = _split_floor(min(insured, floor_part(incentive)), shares, organisations * MICRO)
    return tuple((share.participant, amount) for share, amount in zip(shares, amounts, strict=True) if amount)


def guaranteed_reward(incentive: IncentiveSpec, lowest_score: int, organisations: int) -> int:
    """The fairness floor: what an organisation is paid at least for a round in which one update of it counts.

    Args:
        lowest_score: the lowest score of an update that counts, in micro-units: 1e6 less the weight of agreement.
        organisations: how many have an update that counts.
    """
    floor = floor_part(incentive)
    return floor * lowest_score // (lowest_score + (organisations - 1) * MICRO) if lowest_score else 0


def validators_part(incentive: IncentiveSpec) -> int:
    """Of a round's reward, in micro-tokens."""
    return incentive.reward_per_round * incentive.validator_share // MICRO


def participants_part(incentive: IncentiveSpec) -> int:
    """Of a round's reward, in micro-tokens."""
    return incentive.reward_per_round - validators_part(incentive)


def floor_part(incentive: IncentiveSpec) -> int:
    """Of the participants' part, in micro-tokens: what is split whatever the sizes."""
    return participants_part(incentive) * incentive.equal_share // MICRO


def move(balances: Mapping[str, int], transfers: Sequence[tuple[str, str, int]]) -> dict[str, int]:
    """Balances after the transfers (from, to, amount), in order.

    Raises:
        ContractError: 409 ``INSUFFICIENT_FUNDS`` when an account would fall below zero, 409 ``BALANCE_LIMIT`` when one
            would pass the largest integer of the ledger; nothing is moved then.
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
        if after[target] > MAXIMUM_INTEGER:
            raise ContractError(
                409,
                "BALANCE_LIMIT",
                f"Account {target} would hold {after[target]} micro-tokens, the largest balance is {MAXIMUM_INTEGER}.",
                "Transfer less.",
            )
    return after


def with_earned(total: int, amount: int) -> int:
    """A counter of earnings after ``amount`` more."""
    return (total + amount) % _COUNTER


def uncollected(earned: int, collected: int) -> int:
    """What two counters of earnings are apart; less than all tokens that can exist."""
    return (earned - collected) % _COUNTER


def proportion(amount: int, rate: int) -> int:
    """``rate`` micro-units of an amount, rounded down."""
    return amount * rate // MICRO
