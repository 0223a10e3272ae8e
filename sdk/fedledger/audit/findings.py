"""The names and the order of the checks, and the one exception by which a check says what it found.

``Finding`` never leaves this package: ``verify`` turns it into a failed check.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class CheckName(StrEnum):
    """Every check, in the order in which it is made; those up to ``CONSERVATION`` are made block by block."""

    FORMAT = "block format"
    LINKS = "hash links"
    DATA = "data hashes"
    ORDERERS = "orderer signatures"
    CONFIGURATION = "channel configuration"
    CREATORS = "transaction signatures"
    ENDORSEMENTS = "endorsements"
    CODES = "validation codes"
    COMMIT = "commit hashes"
    VERSION = "contract version"
    CONTRACT = "contract re-run"
    CONSERVATION = "token conservation"
    ROUNDS = "round decisions"
    NORM_BOUND = "norm bound"
    AGGREGATES = "aggregates"
    MODELS = "models"
    USES = "model uses"
    PRIVACY = "privacy spent"
    TIME = "ledger time"


BLOCK_CHECKS = tuple(CheckName)[: tuple(CheckName).index(CheckName.ROUNDS)]


class Finding(Exception):
    """Something is wrong; ``reason`` is a sentence that begins with what it is about."""

    def __init__(self, check: CheckName, reason: str) -> None:
        super().__init__(f"{check.value}: {reason}")
        self.check = check
        self.reason = reason


@dataclass
class Tally:
    """How much was checked, by check; ``notes`` counts what a check's line mentions besides, ``versions`` which version
    of the contract has run how many transactions again."""

    counts: Counter[CheckName] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)

    def add(self, check: CheckName, count: int = 1) -> None:
        self.counts[check] += count

    def note(self, what: str, count: int = 1) -> None:
        self.notes[what] += count
