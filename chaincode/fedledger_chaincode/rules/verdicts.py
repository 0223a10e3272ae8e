"""Verdicts on updates with a norm proof, from validators' openings alone; blames nobody without proof.

docs/protocol/secure-aggregation.md, section 8. With at most t of n >= 3t + 1 validators silent or lying, an update
that is accepted is within its norm, and one that is refused for its norm is not, whatever those t say.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from fedledger_chaincode.messages.round import Opening
from fedledger_chaincode.rules.field import centred
from fedledger_chaincode.rules.norm_bound import CHALLENGES
from fedledger_chaincode.rules.reed_solomon import decode_certain, is_consistent, value_at_zero

NormVerdict = Literal["accepted", "refused: norm", "refused: inconsistent", "unreadable"]


@dataclass(frozen=True)
class Decision:
    """What the openings of one update say."""

    verdict: NormVerdict
    inner_product: int | None = None
    """<u, g> as a signed integer, where the update is accepted; 0 without a reference direction."""
    accused: tuple[int, ...] = ()
    """Validators whose D contradicts all others: each must justify itself, for either it or the participant lied."""
    liars: tuple[int, ...] = ()
    """Validators whose inner product contradicts a dealing that is known to be consistent: proven."""

    @property
    def is_contested(self) -> bool:
        """Whether a dispute may still change the verdict (section 11)."""
        return self.verdict == "refused: inconsistent"


def decide(
    openings: Mapping[int, Opening | None],
    validators: int,
    tolerated_faults: int,
    convicted: AbstractSet[int] = frozenset(),
    with_products: AbstractSet[int] | None = None,
) -> Decision:
    """Decide one update (section 8.3).

    Args:
        openings: by validator j in 1..n that attested; None where it could not read its share.
        validators: n.
        tolerated_faults: t.
        convicted: validators proven to have lied about this update in a dispute; their values do not count.
        with_products: validators whose inner products count, all unless given; none in a round without a reference.
    """
    counted = {
        validator: opening
        for validator, opening in openings.items()
        if opening is not None and validator not in convicted
    }
    if len(counted) < validators - tolerated_faults:
        return Decision("unreadable")
    accused: set[int] = set()
    for index in range(CHALLENGES):
        values = {validator: int(opening.degree[index], 16) for validator, opening in counted.items()}
        decoding = decode_certain(values, tolerated_faults, tolerated_faults)
        if decoding is None:
            return Decision("refused: inconsistent")
        accused.update(decoding.errors)
    if accused:
        return Decision("refused: inconsistent", accused=tuple(sorted(accused)))
    is_zero = True
    for index in range(CHALLENGES):
        values = {validator: int(opening.zero[index], 16) for validator, opening in counted.items()}
        if not is_consistent(values, 2 * tolerated_faults):
            return Decision("refused: inconsistent")
        is_zero = is_zero and value_at_zero(values, 2 * tolerated_faults) == 0
    if not is_zero:
        return Decision("refused: norm")
    products = {
        validator: int(opening.inner_product, 16)
        for validator, opening in counted.items()
        if with_products is None or validator in with_products
    }
    if not products:
        return Decision("accepted")
    product = decode_certain(products, tolerated_faults, tolerated_faults)
    if product is None:
        return Decision("refused: inconsistent")
    return Decision("accepted", inner_product=centred(product.constant), liars=product.errors)
