"""Verdicts on updates from validators' openings alone; blames nobody without proof.

docs/protocol/secure-aggregation.md, section 8. With at most t of n >= 3t + 1 validators corrupt, whoever else is late
or cannot read, an update that is accepted is within its norm, and one that is refused for its norm is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal

from fedledger_chaincode.messages.round import DealingOpening, NormOpening, Opening
from fedledger_chaincode.rules.field import MODULUS, centred
from fedledger_chaincode.rules.reed_solomon import decode_certain

NormVerdict = Literal["accepted", "refused: norm", "refused: inconsistent", "unreadable"]


@dataclass(frozen=True)
class Decision:
    """What the openings of one update say."""

    verdict: NormVerdict
    consistent: frozenset[int] = frozenset()
    """S: validators whose values all lie on the decoded polynomials; their shares belong to one dealing."""
    accused: tuple[int, ...] = ()
    """Validators that could read and are not in S: each lied, or was dealt a false share."""
    inner_product: int | None = None
    """<u, g> as a signed integer, of an accepted update in a round with a reference direction."""
    liars: tuple[int, ...] = ()
    """Validators in S whose inner product contradicts the others': proven."""


def decide(
    openings: Mapping[int, Opening | None],
    validators: int,
    tolerated_faults: int,
    with_products: AbstractSet[int] = frozenset(),
) -> Decision:
    """Decide one update (section 8.3).

    Args:
        openings: by validator j in 1..n that attested; None where it could not read its share.
        validators: n.
        tolerated_faults: t.
        with_products: validators that attested with the round's reference direction; empty in a round without one.
    """
    quorum = validators - tolerated_faults
    counted = {validator: opening for validator, opening in openings.items() if opening is not None}
    if len(counted) < quorum:
        return Decision("unreadable")
    said = {validator: _values(opening) for validator, opening in counted.items()}
    consistent, decoded = set(counted), []
    for values in zip(*said.values(), strict=True):
        decoding = decode_certain(dict(zip(said, values, strict=True)), tolerated_faults, tolerated_faults)
        if decoding is None:
            return Decision("refused: inconsistent")
        consistent.difference_update(decoding.errors)
        decoded.append(decoding.constant)
    if len(consistent) < quorum:
        return Decision("refused: inconsistent")
    found = Decision("accepted", frozenset(consistent), tuple(sorted(set(counted) - consistent)))
    if len(decoded) == 2:
        return found
    if not _is_square(*decoded):
        return replace(found, verdict="refused: norm")
    if not with_products:
        return found
    return _with_product(found, counted, tolerated_faults, with_products)


def _with_product(
    found: Decision, counted: Mapping[int, Opening], tolerated_faults: int, with_products: AbstractSet[int]
) -> Decision:
    products = {
        validator: int(opening.inner_product, 16)
        for validator, opening in counted.items()
        if validator in found.consistent and validator in with_products and isinstance(opening, NormOpening)
    }
    decoding = decode_certain(products, tolerated_faults, tolerated_faults)
    if decoding is None:
        return replace(found, verdict="refused: inconsistent")
    return replace(found, inner_product=centred(decoding.constant), liars=decoding.errors)


def _values(opening: Opening) -> tuple[int, ...]:
    """The elements that are decoded for S: of Z and P, or of the random combination."""
    if isinstance(opening, DealingOpening):
        return tuple(int(part, 16) for part in opening.combination)
    return tuple(int(part, 16) for part in (*opening.z, *opening.p))


def _is_square(z_real: int, z_imaginary: int, p_real: int, p_imaginary: int) -> bool:
    """Whether P = Z^2 in F_q(i)."""
    real = z_real * z_real - z_imaginary * z_imaginary - p_real
    imaginary = 2 * z_real * z_imaginary - p_imaginary
    return real % MODULUS == 0 and imaginary % MODULUS == 0
