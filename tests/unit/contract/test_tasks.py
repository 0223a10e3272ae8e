"""Proposing and approving tasks, joining, leaving, withdrawing, stopping."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import ConsentRecord, MemberRecord, TaskRecord
from fedledger_chaincode.messages.round import JoinRequest, ValidatorRegistration
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.state import consent_key, task_key
from tests.unit.contract.ledger import MSPS, Consortium, digest, task_document, task_spec


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
    assert all(balances[f"org:{msp}"] == 1_000_000_000 + 20_000_000 for msp in MSPS)
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


@pytest.mark.parametrize("store", ["file:///a\u202eb", "file:///a\nb", "s3://\x1b[2Jbucket", "file:///\ufeff"])
def test_a_store_whose_name_shows_other_than_it_is_is_refused(store: str) -> None:
    consortium = Consortium.active()
    registration = ValidatorRegistration.model_construct(
        schema_="fedledger/validator/1", task="heart", sealing_key=digest("key"), store=store
    )
    with refused("BAD_MESSAGE"):
        consortium.ledger.submit(consortium.validators[MSPS[0]], "RegisterValidator", registration)


def test_a_task_that_does_not_exist_is_named_in_the_error() -> None:
    consortium = Consortium.founded()
    with pytest.raises(ContractError, match="There is no task nowhere"):
        consortium.ledger.submit(consortium.participants[MSPS[0]], "JoinTask", JoinRequest(task="nowhere"))


def test_the_task_record_is_what_was_proposed() -> None:
    consortium = Consortium.founded()
    record = TaskRecord.decode(consortium.ledger.submit(consortium.governors[MSPS[1]], "ProposeTask", consortium.spec))
    assert record.spec == consortium.spec
    assert record.proposer == MSPS[1]


SMALL_ORDER = (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
)
"""Points of curve and twist whose order divides 8 and their other encodings, as cr.yp.to/ecdh.html lists them; the
highest bit is ignored."""


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_a_sealing_key_of_small_order_is_refused(key: str) -> None:
    """Nothing can be sealed to it: every participant of the task would fail."""
    consortium = Consortium.active()
    registration = ValidatorRegistration(task="heart", sealing_key=key, store="file:///elsewhere")
    with refused("SEALING_KEY"):
        consortium.ledger.submit(consortium.validators[MSPS[0]], "RegisterValidator", registration)
    assert consortium.view().validators[0].sealing_key == digest(MSPS[0])


class TestBounds:
    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"aggregation": {"minimum_accepted": 2}}, "at least t \\+ 2 = 3"),
            ({"aggregation": {"minimum_accepted": 5}}, "the task has 4 organisations: no round could ever end"),
            ({"aggregation": {"tolerated_faults": 2}}, "needs n >= 3t \\+ 1"),
            ({"model": {"initial_weights_size": 4 * 4 + 2 * 1_024 + 65_536 + 1}}, "initial weights have 67601 bytes"),
            (
                {"model": {"parameter_count": (1 << 27) + 1, "tensors": [{"name": "w", "shape": [(1 << 27) + 1]}]}},
                "at most 134217728 can be shared",
            ),
        ],
    )
    def test_a_task_beyond_them_is_refused(self, changes: dict[str, Any], named: str) -> None:
        with pytest.raises(ValueError, match=named):
            task_spec(**changes)
        consortium = Consortium.active()
        document = json.dumps(task_document(**changes), sort_keys=True, separators=(",", ":")).encode()
        with refused("BAD_MESSAGE"):
            consortium.ledger.submit(consortium.governors[MSPS[0]], "ProposeTask", document)

    def test_the_sets_of_readers_that_a_settlement_chooses_from_can_be_gone_through(self) -> None:
        def with_validators(count: int, faults: int) -> TaskSpec:
            msps = [f"Site{number:02d}MSP" for number in range(count)]
            aggregation = {"validators": msps, "tolerated_faults": faults, "minimum_accepted": faults + 2}
            return task_spec(organisations=msps, aggregation=aggregation)

        with_validators(19, 6)
        with_validators(64, 2)
        with pytest.raises(ValueError, match="more than 30000 sets of n - t of 22 validators"):
            with_validators(22, 7)

    def test_and_just_within_them_is_not(self) -> None:
        tensors = [{"name": "w", "shape": [1 << 27]}]
        task_spec(model={"parameter_count": 1 << 27, "tensors": tensors, "initial_weights_size": 1 << 29})
        task_spec(model={"initial_weights_size": 4 * 4 + 2 * 1_024 + 65_536})


class TestAnEarlierProtocol:
    """A task whose rounds went by protocol 1: its norm bound does not hold against t colluding validators."""

    def earlier(self) -> Consortium:
        """Active, as an earlier release has left it."""
        consortium = Consortium.active()
        key = task_key("heart")
        record = TaskRecord.decode(consortium.ledger.world[key])
        spec = record.spec.model_copy(update={"schema_": "fedledger/task/1"})
        before = record.model_copy(update={"spec": spec, "spec_hash": spec.sha256()})
        consortium.ledger.world[key] = before.canonical()
        for msp in MSPS:
            where = consent_key("heart", msp)
            consent = ConsentRecord.decode(consortium.ledger.world[where])
            agreed = consent.model_copy(update={"spec_hash": spec.sha256()})
            consortium.ledger.world[where] = agreed.canonical()
        consortium.spec = spec
        return consortium

    def test_is_not_proposed_any_more(self) -> None:
        consortium = Consortium.founded(task_spec(schema="fedledger/task/1", aggregation={"minimum_accepted": 2}))
        with refused("PROTOCOL_VERSION"):
            consortium.propose()

    def test_is_read_and_opens_no_round(self) -> None:
        consortium = self.earlier()
        assert consortium.view().record.spec.protocol == 1
        with refused("PROTOCOL_VERSION"):
            consortium.call(1)

    def test_is_not_amended_into_a_later_one(self) -> None:
        consortium = self.earlier()
        for spec in (task_spec(), task_spec(schema="fedledger/task/1", title="Another title")):
            with pytest.raises(ContractError) as refusal:
                consortium.ledger.submit(consortium.governors[MSPS[0]], "ProposeAmendment", spec)
            assert refusal.value.code in ("NOT_AMENDABLE", "PROTOCOL_VERSION")

    def test_is_stopped_and_gives_the_stakes_back(self) -> None:
        consortium = self.earlier()
        for msp in MSPS[:3]:
            consortium.ledger.submit(consortium.governors[msp], "StopTask", "heart", "Its proof is unsound.")
        assert consortium.view().record.state == "stopped"
        assert {consortium.balances()[f"org:{msp}"] for msp in MSPS} == {1_000_000_000 + 20_000_000}
