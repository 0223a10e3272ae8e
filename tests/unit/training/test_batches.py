"""The order of batches is a permutation per epoch and depends on seed, site, round and epoch."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from fedledger.training.batches import batch_order


@given(st.integers(0, 200), st.integers(1, 4), st.integers(0, 2**63 - 1), st.text(max_size=5), st.integers(1, 2**40))
def test_every_epoch_sees_every_record_once(records: int, epochs: int, seed: int, site: str, number: int) -> None:
    order = batch_order(records, epochs, seed=seed, site=site, round_number=number)
    for epoch in order.reshape(epochs, records):
        assert sorted(epoch) == list(range(records))


def test_seed_site_round_and_epoch_all_change_the_order() -> None:
    orders = [
        batch_order(50, 1, seed=1, site="a", round_number=1),
        batch_order(50, 1, seed=2, site="a", round_number=1),
        batch_order(50, 1, seed=1, site="b", round_number=1),
        batch_order(50, 1, seed=1, site="a", round_number=2),
        batch_order(50, 2, seed=1, site="a", round_number=1)[50:],
    ]
    assert len({order.tobytes() for order in orders}) == len(orders)


def test_the_order_never_changes() -> None:
    order = batch_order(100, 2, seed=1, site="cleveland", round_number=3).astype("<i8")
    digest = hashlib.sha256(order.tobytes()).hexdigest()
    assert digest == "1aed4df17e0fd3c9cddd090e71440e51f56c05e3a5783edde03cddb1930aeced"
