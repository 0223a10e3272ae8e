"""What tests of tampering share: changes to a block, and how the audit has to take them."""

from __future__ import annotations

import json
from typing import Any

from fedledger.audit import AuditReport, CheckName, Outcome
from fedledger.audit.findings import BLOCK_CHECKS


def fails(report: AuditReport, check: CheckName, block: int) -> bool:
    """Whether that check alone fails, at that block, and all checks on blocks that come after it have stopped."""
    failed = [entry for entry in report.checks if entry.outcome is Outcome.FAILED]
    assert [(entry.name, entry.first_bad_block) for entry in failed] == [(check.value, block)], failed
    assert f"block {block}" in failed[0].detail
    later = report.checks[len(BLOCK_CHECKS) :]
    stopped = [entry for entry in report.checks if entry.name != check.value and entry not in later]
    assert all(entry.outcome is Outcome.STOPPED for entry in stopped)
    return not report.ok and report.first_bad_block == block and report.blocks == block


def set_metadata(block: Any, index: int, content: bytes) -> None:
    block.metadata.metadata[index] = content


def unchanged(action: Any, rwset: Any) -> None:
    """Endorse the same result again."""


def double_earnings(action: Any, rwset: Any) -> None:
    write = next(write for write in rwset.writes if write.key.startswith("earned/org:"))
    record = json.loads(write.value)
    write.value = json.dumps({"total": record["total"] * 2}, separators=(",", ":")).encode()
