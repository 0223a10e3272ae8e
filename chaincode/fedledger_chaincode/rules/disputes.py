"""Who is at fault when openings contradict each other, and what that does to the verdict; slashes nobody unproven.

docs/protocol/secure-aggregation.md, section 11. A disclosed share is judged by the validators, who vote; what more
than t of them say, an honest one says.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from fedledger_chaincode.messages.round import Opening
from fedledger_chaincode.rules.verdicts import Decision, decide

Ruling = Literal["confirms", "contradicts", "void"]
"""A disclosed share matches its leaves and yields the posted opening, or yields another, or does not match."""


@dataclass(frozen=True)
class Outcome:
    """The end of all disputes about one update."""

    decision: Decision
    convicted: tuple[int, ...] = ()
    """Validators at fault, ascending: they lied about this update."""
    participant_at_fault: bool = False
    """The participant dealt inconsistent shares, or an update that is not within its norm."""


def ruling_of(votes: Mapping[int, Ruling], tolerated_faults: int) -> Ruling | None:
    """What more than t judges agree on; None while there is no such ruling (section 11.2)."""
    for ruling in ("confirms", "contradicts", "void"):
        if sum(1 for vote in votes.values() if vote == ruling) > tolerated_faults:
            return ruling
    return None


def resolve(
    openings: Mapping[int, Opening | None],
    validators: int,
    tolerated_faults: int,
    justifications: Mapping[int, Ruling | None],
    rebuttals: Mapping[int, Ruling | None],
    with_products: AbstractSet[int] | None = None,
) -> Outcome:
    """Decide an update after the time for disputes is over (section 11.3).

    Args:
        openings: as for :func:`decide`.
        justifications: by accused validator: the ruling on the share that it disclosed itself; absent or None when
            it disclosed nothing.
        with_products: as for :func:`decide`.
        rebuttals: by validator that the participant named: the ruling on the share that the participant disclosed.
    """
    first = decide(openings, validators, tolerated_faults, with_products=with_products)
    convicted = {accused for accused in first.accused if justifications.get(accused) != "confirms"}
    if len(convicted) < len(first.accused):
        return Outcome(Decision("refused: inconsistent"), tuple(sorted(convicted)), participant_at_fault=True)
    if first.is_contested:
        convicted.update(named for named, ruling in rebuttals.items() if ruling == "contradicts")
    final = first
    if convicted:
        final = decide(openings, validators, tolerated_faults, convicted, with_products)
    return Outcome(
        final,
        tuple(sorted(convicted.union(final.liars))),
        participant_at_fault=final.verdict == "refused: norm",
    )
