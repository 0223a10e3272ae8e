"""Shamir sharing of vectors: one polynomial of degree t per element; shares are evaluated, never stored together.

Shamir 1979, "How to share a secret". docs/protocol/secure-aggregation.md, section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedledger.secure_aggregation import kernels
from fedledger.secure_aggregation.kernels import Elements


@dataclass(frozen=True, repr=False)
class Dealing:
    """Polynomials f_1 .. f_m with f_i(0) = secret_i; at least degree + 1 shares are needed to learn anything."""

    secret: Elements
    """uint64[m]."""
    coefficients: Elements
    """uint64[degree, m], those of x, x^2, ...; uniform and used once."""

    def share(self, validator: int) -> Elements:
        """uint64[m], the values at the validator's point."""
        out = np.empty_like(self.secret)
        self.share_into(validator, out)
        return out

    def share_into(self, validator: int, out: Elements) -> None:
        """:meth:`share`, written to uint64[m]."""
        kernels.evaluate(self.secret, self.coefficients, validator, out)
