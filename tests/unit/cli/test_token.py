"""Amounts as people write and read them."""

from __future__ import annotations

import pytest

from fedledger.cli.token import exactly, parse_tokens
from fedledger.errors import BadInputError


@pytest.mark.parametrize(
    ("text", "micro"),
    [("1", 1_000_000), ("12.5", 12_500_000), ("0.000001", 1), ("1e3", 1_000_000_000), (" 2 ", 2_000_000)],
)
def test_decimal_numbers_are_amounts(text: str, micro: int) -> None:
    assert parse_tokens(text) == micro


@pytest.mark.parametrize("text", ["", "one", "-1", "0.0000001", "1,5", "inf", "NaN", "0"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="BAD_AMOUNT"):
        parse_tokens(text)


def test_nothing_is_an_amount_where_an_allowance_is_taken_back() -> None:
    assert parse_tokens("0", zero=True) == 0
    with pytest.raises(BadInputError):
        parse_tokens("-0.1", zero=True)


@pytest.mark.parametrize(
    ("micro", "text"),
    [(0, "0.00"), (12_500_000, "12.50"), (1, "0.000001"), (1_234_567_890_001, "1,234,567.890001"), (10_000, "0.01")],
)
def test_amounts_are_printed_exactly(micro: int, text: str) -> None:
    assert exactly(micro) == text
