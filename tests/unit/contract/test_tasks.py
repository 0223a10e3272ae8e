"""Proposing and approving tasks, joining, leaving, withdrawing, stopping."""

from __future__ import annotations

import pytest

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import MemberRecord, TaskRecord
from fedledger_chaincode.messages.round import JoinRequest, ValidatorRegistration
from tests.unit.contract.ledger import MSPS, Consortium, digest, task_spec


def refused(code: str) -> pytest.RaisesExc[ContractError]:
    return pytest.raises(ContractError, check=lambda error: error.code == code)


def test_a_task_becomes_active_with_the_majority_and_mints_what_was_agreed() -> None:
    consortium = Consortium.founded()
    consortium.propose()
    for msp in MSPS[:2]:
        consortium.approve(msp)
    assert consortium.view().record.state == "proposed"
    assert consortium.supply() == 0
    consortium.approve(MSPS[2])
    assert consortium.view().record.state == "active"
    assert consortium.supply() == 4 * 1_000_000_000 + 2 * 40_000_000
    assert consortium.balances() == {f"org:{msp}": 1_000_000_000 for msp in MSPS} | {"pool:heart": 80_000_000}


def test_proposing_the_same_specification_again_changes_nothing() -> None:
    consortium = Consortium.founded()
    consortium.propose()
    before = dict(consortium.ledger.world)
    consortium.propose()
    assert consortium.ledger.world == before


def test_another_specification_under_the_same_name_is_refused() -> None:
    consortium = Consortium.founded()
    consortium.propose()
    consortium.spec = task_spec(title="Something else")
    with refused("TASK_EXISTS"):
        consortium.propose()


def test_approving_another_hash_than_the_one_on_the_ledger_is_refused() -> None:
    consortium = Consortium.founded()
    consortium.propose()
    with refused("SPEC_HASH"):
        consortium.ledger.submit(consortium.governors[MSPS[0]], "ApproveTask", "heart", digest("another"))


@pytest.mark.parametrize("role", ["participant", "validator", "auditor", None])
def test_only_a_governor_proposes(role: str | None) -> None:
    consortium = Consortium.founded()
    with refused("WRONG_ROLE"):
        consortium.ledger.submit(consortium.ledger.actor(MSPS[0], role), "ProposeTask", consortium.spec)


def test_a_stranger_cannot_approve() -> None:
    consortium = Consortium.founded()
    consortium.propose()
    stranger = consortium.ledger.actor("StrangerMSP", "governor")
    with refused("NOT_A_PARTY"):
        consortium.ledger.submit(stranger, "ApproveTask", "heart", consortium.spec.sha256())


def test_a_task_that_a_majority_cannot_approve_any_more_is_rejected_for_ever() -> None:
    consortium = Consortium.founded()
    consortium.propose()
    for msp in MSPS[:2]:
        consortium.ledger.submit(consortium.governors[msp], "RejectTask", "heart", "Not now.")
    assert consortium.view().record.state == "rejected"
    with refused("TASK_STATE"):
        consortium.approve(MSPS[2])


def test_an_organisation_that_has_not_approved_cannot_join() -> None:
    consortium = Consortium.founded()
    consortium.propose()
    for msp in MSPS[:3]:
        consortium.approve(msp)
    with refused("NO_CONSENT"):
        consortium.join(MSPS[3])


def test_joining_locks_the_stake_and_joining_again_changes_nothing() -> None:
    consortium = Consortium.active()
    account = f"stake:heart:{consortium.participants[MSPS[0]].pseudonym}"
    assert consortium.balances()[account] == 100_000_000
    before = dict(consortium.ledger.world)
    consortium.join(MSPS[0])
    assert consortium.ledger.world == before


def test_an_organisation_that_cannot_pay_the_stake_cannot_join() -> None:
    consortium = Consortium.founded(task_spec(incentive={"endowment": 150_000_000}))
    consortium.propose()
    for msp in MSPS:
        consortium.approve(msp)
    consortium.register(MSPS[0])
    with refused("INSUFFICIENT_FUNDS"):
        consortium.join(MSPS[0])


def test_who_leaves_between_rounds_gets_the_stake_back_at_once() -> None:
    consortium = Consortium.active()
    leaver = consortium.participants[MSPS[3]]
    member = MemberRecord.decode(consortium.ledger.submit(leaver, "LeaveTask", "heart"))
    assert (member.last_round, member.stake) == (0, 0)
    assert consortium.balances()[f"stake:heart:{leaver.pseudonym}"] == 0
    with refused("HAS_LEFT"):
        consortium.join(MSPS[3])


def test_who_leaves_during_a_round_still_takes_part_in_it_and_gets_the_stake_back_when_the_task_ends() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    leaver = consortium.participants[MSPS[3]]
    consortium.ledger.submit(leaver, "LeaveTask", "heart")
    consortium.submit(MSPS[3], 1)
    for msp in MSPS[:3]:
        consortium.submit(msp, 1)
    consortium.conclude(1)
    assert consortium.balances()[f"stake:heart:{leaver.pseudonym}"] == 100_000_000
    consortium.open(2)
    assert len(consortium.round(2).cohort.participants) == 3
    for msp in MSPS[:3]:
        consortium.submit(msp, 2)
    consortium.conclude(2)
    assert consortium.view().record.state == "completed"
    assert consortium.balances()[f"stake:heart:{leaver.pseudonym}"] == 0


def test_an_organisation_that_withdraws_takes_no_part_from_the_next_round_on() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    consortium.ledger.submit(consortium.governors[MSPS[3]], "WithdrawConsent", "heart", "No more patients.")
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.conclude(1)
    consortium.open(2)
    assert {entry.msp for entry in consortium.round(2).cohort.participants} == set(MSPS[:3])


def test_the_majority_stops_a_task_and_every_stake_goes_back() -> None:
    consortium = Consortium.active()
    for msp in MSPS[:3]:
        consortium.ledger.submit(consortium.governors[msp], "StopTask", "heart", "It is good enough.")
    assert consortium.view().record.state == "stopped"
    balances = consortium.balances()
    assert all(balances[f"org:{msp}"] == 1_000_000_000 for msp in MSPS)
    with refused("TASK_STATE"):
        consortium.open(1)


def test_a_stopped_task_takes_no_further_update_of_the_round_under_way() -> None:
    consortium = Consortium.active()
    consortium.open(1)
    consortium.submit(MSPS[0], 1)
    for msp in MSPS[:3]:
        consortium.ledger.submit(consortium.governors[msp], "StopTask", "heart", "It is good enough.")
    with refused("TASK_STATE"):
        consortium.submit(MSPS[1], 1)


def test_a_validator_may_rotate_its_key_and_pays_its_stake_once() -> None:
    consortium = Consortium.active()
    registration = ValidatorRegistration(task="heart", sealing_key=digest("new key"), store="file:///elsewhere")
    consortium.ledger.submit(consortium.validators[MSPS[0]], "RegisterValidator", registration)
    assert consortium.view().validators[0].sealing_key == digest("new key")
    assert consortium.balances()["org:ClevelandMSP"] == 800_000_000


def test_a_task_that_does_not_exist_is_named_in_the_error() -> None:
    consortium = Consortium.founded()
    with pytest.raises(ContractError, match="There is no task nowhere"):
        consortium.ledger.submit(consortium.participants[MSPS[0]], "JoinTask", JoinRequest(task="nowhere"))


def test_the_task_record_is_what_was_proposed() -> None:
    consortium = Consortium.founded()
    record = TaskRecord.decode(consortium.ledger.submit(consortium.governors[MSPS[1]], "ProposeTask", consortium.spec))
    assert record.spec == consortium.spec
    assert record.proposer == MSPS[1]
