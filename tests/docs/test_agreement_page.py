"""The page of what an approver is shown has what the commands show."""

from __future__ import annotations

from pathlib import Path

from benchmarks.agreement_shown import hostile, read_first, shipped, side_by_side

PAGE = (Path(__file__).parents[2] / "docs" / "agreement.md").read_text()


def test_has_the_shipped_task_and_the_hostile_one_side_by_side():
    assert side_by_side() in PAGE
    assert read_first(shipped()) in PAGE
    assert read_first(hostile()) in PAGE


def test_warns_of_the_hostile_one_alone():
    assert "WARNING" not in read_first(shipped())
    assert read_first(hostile()).count("WARNING") >= 15
