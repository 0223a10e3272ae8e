"""What both sides of a proof draw from the roots of its messages: challenges and points; holds no secret.

docs/protocol/secure-aggregation.md, sections 5.5, 5.6 and 5.8.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedledger.secure_aggregation import extension
from fedledger.secure_aggregation.extension import Extended
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.randomness import PublicStream
from fedledger_chaincode.rules.commitments import frame
from fedledger_chaincode.rules.norm_bound import CHECKS, NormBound, columns

_CHALLENGE = b"fedledger/challenge/2"
_POINT = b"fedledger/point/2"
_DEALING = b"fedledger/dealing-challenge/2"


@dataclass(frozen=True, repr=False)
class Challenge:
    """Coefficients in E of what R_2 commits to, in the order in which they are drawn (section 5.5)."""

    bits: Elements
    """uint64[2, bits], beta_b."""
    projections: Elements
    """uint64[2, K], rho_k."""
    norm: Extended
    """rho_N."""
    complement: Extended
    """rho_B."""
    point: Extended
    """r_1, from a stream of its own."""


def challenge_of(root: bytes, bound: NormBound) -> Challenge:
    """What follows from R_2."""
    stream = PublicStream(frame(_CHALLENGE, root))
    bits, projections, rest = (_extended(stream, count) for count in (bound.bits, CHECKS, 2))
    (norm, complement) = zip(*rest.tolist(), strict=True)
    return Challenge(bits, projections, norm, complement, point_of(root))


def point_of(root: bytes) -> Extended:
    """The point that a root determines."""
    return next_point(PublicStream(frame(_POINT, root)))


def next_point(stream: PublicStream) -> Extended:
    """An element of E that is not in F_q (section 2.5): at a node a proof would show what its mask hides."""
    while True:
        real, imaginary = stream.elements(2).tolist()
        if imaginary:
            return real, imaginary


def dealing_challenge(root: bytes, dimension: int) -> Elements:
    """uint64[2, M], sigma_b: what R says of an update without norm proof (section 5.8)."""
    return _extended(PublicStream(frame(_DEALING, root)), columns(dimension))


def _extended(stream: PublicStream, count: int) -> Elements:
    return extension.of_message(stream.elements(2 * count))
