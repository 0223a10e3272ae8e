"""The order in which records are seen, from the task's seed; refuses any role in privacy.

It decides nothing but batches of training without differential privacy, and within one device. Which records or
devices enter a private step is drawn by ``privacy.noise``, from no seed.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

_TAG = b"fedledger/batch-order/1"


def own_order(
    features: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int32],
    epochs: int,
    *,
    seed: int,
    site: str,
    round_number: int,
) -> npt.NDArray[np.int64]:
    """As :func:`batch_order` for one device: from its own records in place of a number or a place in a list, both of
    which may change when another device is taken out.
    """
    records = hashlib.sha256(features.astype("<f4").tobytes() + labels.astype("<i4").tobytes()).hexdigest()
    return batch_order(len(labels), epochs, seed=seed, site=f"{site}/{records}", round_number=round_number)


def batch_order(records: int, epochs: int, *, seed: int, site: str, round_number: int) -> npt.NDArray[np.int64]:
    """Row numbers in the order of training, int64[records x epochs]: every epoch is a permutation of all rows.

    Rows are ranked by 64-bit words of SHAKE-256 over seed, site, round and epoch, so that the order is the same
    with every version of every library.
    """
    orders = [np.empty(0, dtype=np.int64)]
    for epoch in range(epochs):
        key = b"".join(value.to_bytes(8, "big") for value in (seed, round_number, epoch))
        stream = hashlib.shake_256(_TAG + key + site.encode()).digest(8 * records)
        orders.append(np.argsort(np.frombuffer(stream, dtype="<u8"), kind="stable"))
    return np.concatenate(orders)
