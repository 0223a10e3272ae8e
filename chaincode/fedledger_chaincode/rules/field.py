"""The prime field of secure aggregation, q = 2^61 - 1, on Python integers; no shares and no hashes here.

Signed integers x with |x| < q / 2 are represented by x mod q. docs/protocol/secure-aggregation.md, section 2.
"""

from __future__ import annotations

MODULUS = (1 << 61) - 1
"""The Mersenne prime q."""

ELEMENT_BYTES = 8
"""A field element on the wire: unsigned, little-endian."""


def inverse(element: int) -> int:
    """The multiplicative inverse mod q; ``ValueError`` for a multiple of q."""
    return pow(element, -1, MODULUS)


def centred(element: int) -> int:
    """The signed integer of least magnitude that a field element stands for."""
    return element - MODULUS if element > MODULUS // 2 else element


def is_element(value: int) -> bool:
    """Whether an integer is the canonical representative of a field element."""
    return 0 <= value < MODULUS
