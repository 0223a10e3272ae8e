"""What an audit found: one line per check. Holds results only; it decides nothing and prints nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Outcome(StrEnum):
    """How a check ended; only ``FAILED`` makes a report not ok."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """Something that the check needs is not there (an artifact, a package): nothing was found wrong."""
    LIMITED = "limited"
    """Nothing was found wrong, and the rules of the ledger's version do not give what the check is about."""
    STOPPED = "stopped"
    """Nothing was found wrong up to the block where another check failed; later blocks were not looked at."""


@dataclass(frozen=True)
class Check:
    """The result of one check.

    ``count`` says how many things were checked, ``detail`` what they were or what is wrong, ``first_bad_block``
    the number of the first block that fails; None unless the check failed at a block.
    """

    name: str
    outcome: Outcome
    count: int
    detail: str
    first_bad_block: int | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong. A skipped check is ok: look at ``outcome`` to tell them apart."""
        return self.outcome is not Outcome.FAILED

    def document(self) -> dict[str, object]:
        """The check as JSON values."""
        return {
            "name": self.name,
            "ok": self.ok,
            "outcome": self.outcome.value,
            "count": self.count,
            "detail": self.detail,
            "first_bad_block": self.first_bad_block,
        }


@dataclass(frozen=True)
class AuditReport:
    """All checks in the order in which a block has to pass them, then those over the whole ledger."""

    checks: tuple[Check, ...]
    channel: str
    blocks: int
    """How many blocks passed every check on blocks, counted from the genesis block."""

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(check.ok for check in self.checks)

    @property
    def complete(self) -> bool:
        """Whether every check was carried out over the whole ledger and shows what it is about."""
        return all(check.outcome is Outcome.PASSED for check in self.checks)

    @property
    def first_bad_block(self) -> int | None:
        """The number of the first block that fails a check."""
        return min((c.first_bad_block for c in self.checks if c.first_bad_block is not None), default=None)

    def check(self, name: str) -> Check:
        """The check of that name; raises KeyError."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def with_detail(self, name: str, detail: str) -> AuditReport:
        """The report with something more in one check's detail, unless it is empty."""
        if not detail:
            return self
        changed = (
            replace(each, detail=f"{each.detail}; {detail}") if each.name == name else each for each in self.checks
        )
        return replace(self, checks=tuple(changed))

    def document(self) -> dict[str, object]:
        """The report as JSON values."""
        return {
            "ok": self.ok,
            "complete": self.complete,
            "channel": self.channel,
            "blocks": self.blocks,
            "first_bad_block": self.first_bad_block,
            "checks": [check.document() for check in self.checks],
        }


def package(missing: ModuleNotFoundError) -> str:
    """The name of the package whose absence skipped a check."""
    return (missing.name or "").partition(".")[0]
