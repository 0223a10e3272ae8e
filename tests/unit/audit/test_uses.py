"""What the audit says of the uses of models: inherited, never widened, and told uses are allowed ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fedledger.audit.report import Outcome
from fedledger.audit.uses import uses_check
from fedledger.audit.world import World
from fedledger_chaincode.messages.records import ModelRecord, ModelUseRecord
from fedledger_chaincode.state import model_key, use_key
from tests.unit.contract.ledger import MSPS, Consortium, task_spec
from tests.unit.contract.test_agreements import amended, approve


@pytest.fixture(scope="module")
def consortium() -> Consortium:
    """Two versions, the second under an agreement that allows more; the first is used for research."""
    consortium = Consortium.active(task_spec(training={"rounds": 5}))
    consortium.through(1)
    consortium.ledger.submit(consortium.governors[MSPS[0]], "UseModel", "heart", 1, "research")
    spec = amended(consortium, training={"rounds": 5}, agreement={"purposes": ["advertising", "research"]})
    approve(consortium, spec, *MSPS)
    consortium.spec = spec
    consortium.through(2)
    return consortium


def test_the_line_says_what_the_newest_version_may_be_used_for(consortium: Consortium) -> None:
    check = uses_check(World(consortium.ledger.world))
    assert (check.outcome, check.count) == (Outcome.PASSED, 3)
    assert check.detail == "version 2 of heart may be used for research"


@pytest.mark.parametrize("purposes", [("advertising",), ("advertising", "research")])
def test_a_version_that_is_open_to_more_than_its_parent_fails(consortium: Consortium, purposes: Sequence[str]) -> None:
    world = dict(consortium.ledger.world)
    key = model_key("heart", 2)
    world[key] = ModelRecord.decode(world[key]).model_copy(update={"purposes": tuple(purposes)}).canonical()
    check = uses_check(World(world))
    assert check.outcome is Outcome.FAILED
    assert "version 2 is open to advertising" in check.detail


def test_a_use_that_the_version_does_not_allow_fails(consortium: Consortium) -> None:
    world = dict(consortium.ledger.world)
    use = ModelUseRecord(task="heart", version=1, msp=MSPS[1], purpose="advertising", at=1)
    world[use_key("heart", 1, MSPS[1], "advertising")] = use.canonical()
    check = uses_check(World(world))
    assert check.outcome is Outcome.FAILED
    assert f"{MSPS[1]} uses version 1 for advertising" in check.detail
