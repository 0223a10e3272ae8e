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


def _earning() -> Balances:
    """A has 7 and B has earned 5, of which it has taken 2; the void has earned 3."""
    balances = _minted()
    assert balances.follow(
        [
            _update("supply", b'{"total":15}'),
            _update("earned/org:B/heart", b'{"total":5}'),
            _update("collected/org:B/heart", b'{"total":2}'),
            _update("balance/org:B", b'{"balance":2}'),
            _update("earned/0x0/heart", b'{"total":3}'),
        ]
    )
    return balances


def test_what_is_earned_is_held_until_it_is_collected_and_what_the_void_earns_is_burnt() -> None:
    balances = _earning()
    assert (balances.accounts, balances.supply) == (2, 12)
    assert balances.follow(
        [_update("collected/org:B/heart", b'{"total":5}'), _update("balance/org:B", b'{"balance":5}')]
    )
    assert balances.follow([_update("collected/0x0/heart", b'{"total":3}'), _update("supply", b'{"total":12}')])
    assert (balances.accounts, balances.supply) == (2, 12)


def test_counters_of_earnings_go_on_from_0_beyond_the_largest_integer() -> None:
    balances = _earning()
    assert balances.follow(
        [
            _update("earned/org:B/heart", b'{"total":1}'),
            _update("collected/org:B/heart", b'{"total":9007199254740990}'),
        ]
    )
    assert (balances.accounts, balances.supply) == (2, 12)


def test_payments_and_gifts_are_held_where_they_lie() -> None:
    balances = _minted()
    assert balances.follow(
        [
            _update("balance/org:A", b'{"balance":1}'),
            _update("received/participant:P", b'{"balance":4}'),
            _update("gifts/heart/0000003", b'{"balance":2}'),
        ]
    )
    assert (balances.accounts, balances.supply) == (3, 7)


def test_other_keys_are_not_about_tokens() -> None:
    assert not _minted().follow([_update("task/heart", b"{}"), _update("balances", b"{}"), _update("balance", b"{}")])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("balance/org:A", b'{"balance":8}'),
        ("balance/org:B", b'{"balance":1}'),
        ("balance/org:A", None),
        ("supply", b'{"total":8}'),
        ("balance/org:A", b'{"balance":-1}'),
        ("balance/org:A", b"7"),
        ("received/org:A", b'{"balance":1}'),
        ("gifts/heart/0000000", b'{"balance":1}'),
        ("earned/org:A/heart", b'{"total":1}'),
        ("earned/0x0/heart", b'{"total":1}'),
        ("collected/org:A/heart", b'{"total":1}'),
        ("earned/org:A/heart", b'{"balance":0}'),
    ],
)
def test_what_appears_or_vanishes_is_found(key: str, value: bytes | None) -> None:
    with pytest.raises(Finding) as finding:
        _minted().follow([_update(key, value)])
    assert finding.value.check is CheckName.CONSERVATION
