"""One audited ledger of a whole round for all tests of this folder; each test tampers with a copy."""

from __future__ import annotations

import copy

import pytest

from tests.unit.audit.members import TrainingConsortium, consortium


@pytest.fixture(scope="session")
def audited() -> TrainingConsortium:
    """Two rounds by four organisations; not to be changed."""
    return consortium(rounds=2)


@pytest.fixture
def members(audited: TrainingConsortium) -> TrainingConsortium:
    """The same history on a ledger of the test's own."""
    own = copy.copy(audited)
    own.ledger = audited.ledger.fork()
    own.artifacts, own.files = dict(audited.artifacts), list(audited.files)
    return own
