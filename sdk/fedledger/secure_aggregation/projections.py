"""Projections of an update on random sign vectors, all in one pass; the places that it writes to are public.

docs/protocol/secure-aggregation.md, section 5.4. A coordinate's byte c says its sign in four projections. It is added
to the bucket of that byte's value, and what a bucket counts for in each projection is known at the end.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fedledger.secure_aggregation.kernels import Elements, compiled
from fedledger.secure_aggregation.randomness import PublicStream
from fedledger_chaincode.rules.commitments import frame
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.norm_bound import CHECKS

Integers = npt.NDArray[np.int64]
Signs = npt.NDArray[np.uint8]

_PROJECTIONS = b"fedledger/projections/2"
_BYTES = CHECKS // 4
"""Signs of one coordinate."""
_CHUNK = 4096
"""Coordinates handled at a time: 110 kB of signs."""
_TOGETHER = 9
"""Bytes handled together: their buckets, 18 kB, stay in the first cache."""
assert _BYTES % _TOGETHER == 0, "bytes are handled in whole groups"

_EIGHT = np.uint64(8)
_CODES = np.arange(256)
_SIGNS: Integers = np.stack([(_CODES >> 2 * m & 1) + (_CODES >> 2 * m + 1 & 1) - 1 for m in range(4)], axis=1)
"""int64[256, 4]: the signs that a byte stands for: of two bits 00 is -1, 01 and 10 are 0, 11 is 1, lowest first."""
_HALF = 31
_LOW = np.uint64((1 << _HALF) - 1)


def project(elements: Elements, root: bytes) -> list[int]:
    """<u, r_k> for the K sign vectors that R_1 determines, as elements; for an update or a share of it.

    Args:
        elements: uint64[d].
    """
    buckets = np.zeros((_BYTES, 256), dtype=np.uint64)
    for start, signs in _signs(root, elements.shape[0]):
        _add_elements(elements[start : start + signs.shape[0]], signs, buckets)
    low, high = ((half.astype(np.int64) @ _SIGNS).reshape(-1).tolist() for half in (buckets & _LOW, buckets >> _HALF))
    return [(x + (y << _HALF)) % MODULUS for x, y in zip(low, high, strict=True)]


def project_integers(integers: Integers, root: bytes) -> list[int]:
    """<u, r_k> of an update itself, as integers.

    Args:
        integers: int64[d] whose magnitudes add up to less than 2^63.
    """
    buckets = np.zeros((_BYTES, 256), dtype=np.int64)
    for start, signs in _signs(root, integers.shape[0]):
        _add_integers(integers[start : start + signs.shape[0]], signs, buckets)
    projected: list[int] = (buckets @ _SIGNS).reshape(-1).tolist()
    return projected


def _signs(root: bytes, dimension: int) -> Iterator[tuple[int, Signs]]:
    """First coordinate and uint8[m, 27] of one run of coordinates after another."""
    stream = PublicStream(frame(_PROJECTIONS, root))
    for start in range(0, dimension, _CHUNK):
        count = min(_CHUNK, dimension - start)
        yield start, np.frombuffer(stream.read(count * _BYTES), dtype=np.uint8).reshape(count, _BYTES)


@compiled
def _add_elements(elements: Elements, signs: Signs, buckets: Elements) -> None:
    """buckets[c, signs[i, c]] += elements[i], mod q in any representation: what does not fit counts 2^64 = 8."""
    for first in range(0, _BYTES, _TOGETHER):
        for i in range(elements.shape[0]):
            value = elements[i]
            for c in range(first, first + _TOGETHER):
                total = buckets[c, signs[i, c]] + value
                buckets[c, signs[i, c]] = total + _EIGHT if total < value else total


@compiled
def _add_integers(integers: Integers, signs: Signs, buckets: Integers) -> None:
    """buckets[c, signs[i, c]] += integers[i]."""
    for first in range(0, _BYTES, _TOGETHER):
        for i in range(integers.shape[0]):
            value = integers[i]
            for c in range(first, first + _TOGETHER):
                buckets[c, signs[i, c]] += value
