"""The numbers of the norm proof, derived from the quantised norm; refuses those under which it proves nothing.

docs/protocol/secure-aggregation.md, sections 3.2 and 12.2. The statement is PINE's (Rothblum, Omri, Chen, Talwar
2023, arXiv:2311.10237; draft-chen-cfrg-vdaf-pine), moved to Shamir shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from fedledger_chaincode.rules.field import MODULUS

CHECKS = 108
"""K: projections that must all lie in the window; an update whose norm wraps around passes each with at most 1/2. Four
of them take one byte of signs for a coordinate."""
ROWS = 32
"""l: into so many rows a vector is cut before it is folded into one."""
LONGEST_LAST = 256
"""L: a vector of at most this length is folded no further."""

_WINDOW_TENTHS = 87
"""An honest projection leaves a window of 8.7 C_q with probability at most 2 exp(-8.7^2) < 2^-108."""
_SPREAD = 30
"""q >= 30 W^2 makes a projection of an update with a squared norm of q or more miss the window half the time."""


@dataclass(frozen=True)
class NormBound:
    """The statement that a norm proof proves, and the lengths of its parts.

    Raises:
        ValueError: the norm is too large for the field, or the update too long, for the proof to be sound.
    """

    quantised_norm: int
    """C_q."""
    dimension: int
    """d."""

    def __post_init__(self) -> None:
        if self.quantised_norm < 1 or self.dimension < 1:
            raise ValueError("norm and dimension are positive")
        if 3 * self.bound + 2 >= MODULUS or _SPREAD * self.window**2 > MODULUS:
            raise ValueError(
                f"a quantised norm of {self.quantised_norm} is too large for a norm proof; at most {LARGEST_NORM}"
            )
        if (2 * self.dimension + 1) * self.window > MODULUS:
            raise ValueError(f"an update of {self.dimension} numbers is too long for a norm proof")

    @cached_property
    def bound(self) -> int:
        """B = C_q^2: the largest sum of squares."""
        return self.quantised_norm**2

    @cached_property
    def norm_bits(self) -> int:
        """Bits of the squared norm N, and of B - N."""
        return self.bound.bit_length()

    @cached_property
    def window(self) -> int:
        """W: each projection y lies in -W + 1 .. W. A power of two, so that bits alone bound it."""
        least = -(-_WINDOW_TENTHS * self.quantised_norm // 10) + 1
        return 1 << (least - 1).bit_length()

    @cached_property
    def window_bits(self) -> int:
        """Bits of y + W - 1."""
        return (2 * self.window - 1).bit_length()

    @property
    def projection_bits(self) -> int:
        """K b_W: bits of all projections together."""
        return CHECKS * self.window_bits

    @property
    def bits(self) -> int:
        """Bits that are proven to be bits: those of N, of B - N and of the projections."""
        return 2 * self.norm_bits + self.projection_bits

    @property
    def message_lengths(self) -> tuple[int, ...]:
        """Elements of every message of a proof: two of them, one for each fold, and the last (sections 5.2 to 5.7)."""
        lengths = [self.dimension + 2 * self.norm_bits + 2 * ROWS - 1, self.projection_bits]
        remaining = columns(self.dimension) + self.bits
        while remaining > LONGEST_LAST:
            lengths.append(2 * (2 * ROWS - 2))
            remaining = columns(remaining)
        return (*lengths, 2 * (2 * remaining + 1))


def columns(length: int) -> int:
    """M: the columns of a vector of that length that is cut into l rows."""
    return -(-length // ROWS)


LARGEST_NORM = ((1 << 28) - 1) * 10 // _WINDOW_TENTHS
"""The largest quantised norm with a proof, about 2^24.88."""
