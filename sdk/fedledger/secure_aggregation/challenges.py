"""What both sides of a norm proof derive from commitments: projections and challenges; holds no secret.

docs/protocol/secure-aggregation.md, section 5.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedledger.secure_aggregation import kernels
from fedledger.secure_aggregation.kernels import Elements
from fedledger.secure_aggregation.randomness import PublicStream
from fedledger_chaincode.rules.commitments import frame, integer
from fedledger_chaincode.rules.norm_bound import CHALLENGES, CHECKS, NormBound

_PROJECTIONS = b"fedledger/projections/1"
_CHALLENGE = b"fedledger/challenge/1"
_CHUNK = 1 << 14
"""Coordinates handled at a time: 400 kB of signs."""
_GROUP = 4


def project(update: Elements, root: str) -> Elements:
    """uint64[K]: <u, r_k> for the K sign vectors that the update's root determines, for an update or a share of it.

    Args:
        update: uint64[d].
    """
    totals = np.zeros(CHECKS, dtype=np.uint64)
    start = 0
    for signs in _signs(root, update.shape[0]):
        width = _GROUP * signs.shape[0]
        part = update[start : start + width]
        if part.shape[0] < width:
            part = np.concatenate([part, np.zeros(width - part.shape[0], dtype=np.uint64)])
        kernels.project_elements(part, signs, totals)
        start += width
    return totals


def _signs(root: str, dimension: int) -> Iterator[npt.NDArray[np.uint8]]:
    """uint8[g, K] for one run of coordinates after another, four to a row."""
    stream = PublicStream(frame(_PROJECTIONS, bytes.fromhex(root)))
    groups = -(-dimension // _GROUP)
    for start in range(0, groups, _CHUNK // _GROUP):
        rows = min(_CHUNK // _GROUP, groups - start)
        yield np.frombuffer(stream.read(rows * CHECKS), dtype=np.uint8).reshape(rows, CHECKS)


@dataclass(frozen=True, repr=False)
class Challenge:
    """The random coefficients of one challenge, in the order in which they are drawn."""

    projections: Elements
    """uint64[K], rho_k."""
    norm: int
    """rho_N."""
    complement: int
    """rho_B."""
    bits: Elements
    """uint64[2 norm_bits + projection_bits], rho_b."""
    degree: Iterator[Elements]
    """rho for every shared element in turn, chunk by chunk; to be read once."""


def challenges(proof_root: str, bound: NormBound) -> Iterator[Challenge]:
    """The challenges that the proof's root determines, first to last."""
    for index in range(CHALLENGES):
        stream = PublicStream(frame(_CHALLENGE, bytes.fromhex(proof_root), integer(index)))
        projections = stream.elements(CHECKS)
        norm, complement = (int(element) for element in stream.elements(2))
        yield Challenge(
            projections,
            norm,
            complement,
            stream.elements(2 * bound.norm_bits + bound.projection_bits),
            _chunks(stream, bound.share_length + bound.projection_bits),
        )


def _chunks(stream: PublicStream, count: int) -> Iterator[Elements]:
    for start in range(0, count, _CHUNK):
        yield stream.elements(min(_CHUNK, count - start))
