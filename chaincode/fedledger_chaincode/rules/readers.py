"""Whose shares a round sums: the n - t validators with which least is lost, and what is lost with them.

docs/protocol/secure-aggregation.md, section 10. Each organisation has one vote, whatever the number of its updates, so
that t validators with any participants keep at most t organisations' worth of honest updates out of a sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations


@dataclass(frozen=True)
class Ballot:
    """One update of the fixed set that has a part of its organisation's vote."""

    participant: str
    owner: str
    """Its organisation."""
    consistent: AbstractSet[int]
    """Validators that hold a share of its one dealing; empty where it is not accepted for whatever reason."""


@dataclass(frozen=True)
class Reading:
    """The choice, and what it costs."""

    readers: tuple[int, ...]
    """Evaluation points, ascending."""
    lost: Fraction
    """Votes of updates that are not accepted with all readers in S."""


def choose_readers(
    ballots: Collection[Ballot],
    validators: int,
    tolerated_faults: int,
    barred: AbstractSet[tuple[int, ...]] = frozenset(),
) -> Reading:
    """The n - t readers with which least is lost, then the lowest numbers.

    Args:
        ballots: of all updates that have votes: not those of quarantined participants, of weight zero, or refused for
            a proven fault.
        barred: sets that have had their round: it was aborted after they were chosen. When all are, none is.
    """
    votes = _votes(ballots)
    sets = list(combinations(range(1, validators + 1), validators - tolerated_faults))
    allowed = [readers for readers in sets if readers not in barred] or sets
    readers = min(allowed, key=lambda chosen: _lost(votes, chosen))
    return Reading(readers, _lost(votes, readers))


def _votes(ballots: Iterable[Ballot]) -> Mapping[frozenset[int], Fraction]:
    """Votes by the validators that hold the updates: many updates have the same ones."""
    ballots = list(ballots)
    count = Counter(ballot.owner for ballot in ballots)
    votes: dict[frozenset[int], Fraction] = {}
    for ballot in ballots:
        held_by = frozenset(ballot.consistent)
        votes[held_by] = votes.get(held_by, Fraction(0)) + Fraction(1, count[ballot.owner])
    return votes


def _lost(votes: Mapping[frozenset[int], Fraction], readers: Iterable[int]) -> Fraction:
    chosen = frozenset(readers)
    return sum((part for held_by, part in votes.items() if not chosen <= held_by), Fraction(0))
