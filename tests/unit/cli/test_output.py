"""Logs go to where stderr is now."""

from __future__ import annotations

import io
import sys

import pytest
import structlog

from fedledger.cli.output import configure_logging


def test_a_log_line_goes_to_the_stderr_of_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = structlog.get_config()
    first, second = io.StringIO(), io.StringIO()
    try:
        monkeypatch.setattr(sys, "stderr", first)
        configure_logging(verbose=False, quiet=False)
        log = structlog.get_logger("test")
        monkeypatch.setattr(sys, "stderr", second)
        first.close()
        log.warning("said")
    finally:
        structlog.configure(**before)
    assert "said" in second.getvalue()
