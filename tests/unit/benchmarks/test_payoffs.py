"""What strategies earn on the real contract: none that the ledger can tell pays more than honest work."""

from __future__ import annotations

from functools import cache

import pytest

from benchmarks.payoffs.__main__ import Earned, play, specification
from benchmarks.payoffs.strategies import BASELINE, STRATEGIES, Strategy

ROUNDS = 10
DETECTED = ("zeros", "noise", "zeros, own validator withholds the reference", "honest and reversed in turn")
"""With trust weighting they earn clearly less."""
HALF = 500_000


@cache
def earned(name: str, *, trust: bool, equal_share: int | None = None) -> Earned:
    strategy = next(each for each in STRATEGIES if each.name == name)
    return play(specification(ROUNDS, trust=trust, equal_share=equal_share), strategy, seed=1)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_without_trust_weighting_no_strategy_earns_more_than_honest_work(strategy: Strategy) -> None:
    basis = earned(BASELINE[strategy.records], trust=False)
    assert earned(strategy.name, trust=False).strategy <= basis.strategy


@pytest.mark.parametrize("name", DETECTED)
def test_with_trust_weighting_what_is_no_work_earns_clearly_less(name: str) -> None:
    assert earned(name, trust=True).strategy < 0.8 * earned(BASELINE[200], trust=True).strategy


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_with_trust_weighting_no_strategy_earns_a_tenth_more_than_honest_work(strategy: Strategy) -> None:
    basis = earned(BASELINE[strategy.records], trust=True)
    assert earned(strategy.name, trust=True).strategy <= 1.1 * basis.strategy


def test_where_claims_are_paid_a_false_one_is() -> None:
    """Why the tasks that are shipped pay none."""
    lie = earned("20 records, 10,000 claimed", trust=False, equal_share=HALF)
    truth = earned("honest, 20 records", trust=False, equal_share=HALF)
    assert lie.strategy > 1.5 * truth.strategy
