"""Tokens are conserved: balances add up to the supply after every block."""

from __future__ import annotations

import pytest

from fedledger.audit.balances import Balances
from fedledger.audit.findings import CheckName, Finding
from fedledger.gateway.blocks import StateUpdate, Version


def _update(key: str, value: bytes | None) -> StateUpdate:
    return StateUpdate("fedledger", key.encode(), value, Version(1, 0))


def _minted() -> Balances:
    balances = Balances()
    assert balances.follow([_update("supply", b'{"total":7}'), _update("balance/org:A", b'{"balance":7}')])
    return balances


def test_what_moves_stays_the_same_in_sum() -> None:
    balances = _minted()
    assert balances.follow([_update("balance/org:A", b'{"balance":3}'), _update("balance/org:B", b'{"balance":4}')])
    assert (balances.accounts, balances.supply) == (2, 7)


def test_other_keys_are_not_about_tokens() -> None:
    assert not _minted().follow([_update("task/heart", b"{}"), _update("balances", b"{}")])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("balance/org:A", b'{"balance":8}'),
        ("balance/org:B", b'{"balance":1}'),
        ("balance/org:A", None),
        ("supply", b'{"total":8}'),
        ("balance/org:A", b'{"balance":-1}'),
        ("balance/org:A", b"7"),
    ],
)
def test_what_appears_or_vanishes_is_found(key: str, value: bytes | None) -> None:
    with pytest.raises(Finding) as finding:
        _minted().follow([_update(key, value)])
    assert finding.value.check is CheckName.CONSERVATION
