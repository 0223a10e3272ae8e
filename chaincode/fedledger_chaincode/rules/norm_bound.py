"""The numbers of the norm proof, derived from the quantised norm; refuses those under which it proves nothing.

docs/protocol/secure-aggregation.md, sections 3.2 and 12.2. The construction is PINE's (Rothblum, Omri, Chen, Talwar
2023, arXiv:2311.10237; draft-chen-cfrg-vdaf-pine), moved to Shamir shares.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedledger_chaincode.rules.field import MODULUS

CHECKS = 100
"""K: projections that must all lie in the window; an update whose norm wraps around passes each with at most 1/2."""
CHALLENGES = 2
"""Independent challenges; each misses a false statement with probability 1/q."""

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

    @property
    def bound(self) -> int:
        """B = C_q^2: the largest sum of squares."""
        return self.quantised_norm**2

    @property
    def norm_bits(self) -> int:
        """Bits of the squared norm N, and of B - N."""
        return self.bound.bit_length()

    @property
    def window(self) -> int:
        """W: each projection y lies in -W + 1 .. W. A power of two, so that bits alone bound it."""
        least = -(-_WINDOW_TENTHS * self.quantised_norm // 10) + 1
        return 1 << (least - 1).bit_length()

    @property
    def window_bits(self) -> int:
        """Bits of y + W - 1."""
        return (2 * self.window - 1).bit_length()

    @property
    def share_length(self) -> int:
        """Elements dealt before the projections are known: update, bits of N, bits of B - N."""
        return self.dimension + 2 * self.norm_bits

    @property
    def projection_bits(self) -> int:
        """Bits of all projections together."""
        return CHECKS * self.window_bits

    @property
    def proof_length(self) -> int:
        """Elements dealt afterwards: bits of the projections, masks, sharings of zero."""
        return self.projection_bits + 2 * CHALLENGES


LARGEST_NORM = ((1 << 28) - 1) * 10 // _WINDOW_TENTHS
"""The largest quantised norm with a proof, about 2^24.88."""
