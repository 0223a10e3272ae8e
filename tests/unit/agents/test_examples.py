"""How many examples a participant says its update stands for."""

from __future__ import annotations

import pytest

from fedledger.agents.participant import told_examples
from fedledger.errors import BadInputError
from tests.unit.contract.ledger import task_spec


@pytest.mark.parametrize(("number", "told"), [(10, 10), (19, 10), (20, 20), (1_234_567, 1_234_560)])
def test_numbers_are_rounded_down_to_the_agreed_step(number: int, told: int) -> None:
    assert told_examples(task_spec(agreement={"example_step": 10}), number) == told


@pytest.mark.parametrize(
    ("terms", "number"),
    [({"minimum_examples": 20}, 19), ({"example_step": 10}, 9), ({"minimum_examples": 15, "example_step": 10}, 19)],
)
def test_too_few_take_no_part(terms: dict[str, int], number: int) -> None:
    with pytest.raises(BadInputError, match="TOO_FEW_EXAMPLES"):
        told_examples(task_spec(agreement=terms), number)
