"""What the audit says of the norm bound: proven by protocol 2, by protocol 1 not, and nothing where none was asked."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from fedledger.audit import Outcome
from fedledger.audit.norm_bound import norm_bound_check, protocol_of
from fedledger.audit.world import World
from fedledger_chaincode.messages.records import SettledUpdate, SettlementRecord, TaskRecord, TaskState
from fedledger_chaincode.messages.task import TaskSpec
from tests.unit.contract.ledger import MSPS, digest, task_spec


def spec_of(protocol: int, task: str, proof: str = "norm") -> TaskSpec:
    spec = task_spec(task=task, aggregation={"proof": proof})
    return spec.model_copy(update={"schema_": f"fedledger/task/{protocol}"})


@dataclass(frozen=True)
class OneRound(World):
    """A world in which each task had one round, with so many accepted updates and values by so many validators."""

    specs: tuple[TaskSpec, ...] = ()
    state: TaskState = "active"
    accepted: int = 2
    openings_of: tuple[int, ...] = (4, 4)

    def tasks(self) -> tuple[TaskRecord, ...]:
        return tuple(
            TaskRecord.model_construct(spec=spec, spec_hash="", state=self.state, proposer=MSPS[0], proposed_at=1)
            for spec in self.specs
        )

    def settlements(self, task: str) -> tuple[tuple[int, SettlementRecord], ...]:
        updates = [
            SettledUpdate(participant=digest(str(each)), msp=MSPS[each], verdict=verdict, weight=1, score=1)
            for each, verdict in enumerate(["accepted"] * self.accepted + ["refused: norm"])
        ]
        return ((1, SettlementRecord.model_construct(updates=tuple(updates), weight_sum=1, attested=MSPS)),)

    def openings(self, task: str, number: int) -> dict[str, int]:  # type: ignore[override]
        return {digest(str(each)): count for each, count in enumerate(self.openings_of)}


def world_of(*specs: TaskSpec, **what: object) -> World:
    return OneRound({}, specs, **what)  # type: ignore[arg-type]


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_tasks_protocol_is_that_of_its_specifications_schema(protocol: int) -> None:
    assert protocol_of(spec_of(protocol, "heart")) == protocol


def test_by_protocol_2_it_is_proven() -> None:
    check = norm_bound_check(world_of(spec_of(2, "heart"), spec_of(2, "pumps")))
    assert (check.outcome, check.count) == (Outcome.PASSED, 4)
    assert check.detail == "4 accepted updates of 2 tasks are proven to be within the clip norm"


def test_by_protocol_1_it_is_not_whatever_else_is() -> None:
    check = norm_bound_check(world_of(spec_of(1, "heart"), spec_of(2, "pumps"), openings_of=(3, 4)))
    assert (check.outcome, check.count, check.ok) == (Outcome.LIMITED, 2, True)
    assert check.detail.startswith("NOT PROVEN in heart, which went by protocol 1: ")
    assert "2 accepted updates rest on it, 1 of them without the values of all validators; " in check.detail
    assert check.detail.endswith("2 accepted updates of 1 tasks are proven to be within the clip norm")


def test_a_task_without_proofs_claims_nothing() -> None:
    check = norm_bound_check(world_of(spec_of(1, "heart", "none")))
    assert check.outcome is Outcome.PASSED
    assert check.detail.endswith("; 1 tasks ask for no proof")


@pytest.mark.parametrize("state", ["proposed", "rejected"])
def test_a_task_on_which_nobody_agreed_does_not_count(state: TaskState) -> None:
    check = norm_bound_check(world_of(spec_of(1, "heart"), state=state))
    assert (check.outcome, check.count) == (Outcome.PASSED, 0)
