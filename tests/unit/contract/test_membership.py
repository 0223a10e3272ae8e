"""Admission of many, suspension and reinstatement, votes about organisations, and what a new name is worth."""

from __future__ import annotations

import base64
from typing import Any, ClassVar

import pytest

from fedledger.identity.keys import KeyType, PrivateKey, generate_key, public_key_der, sign
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import MemberRecord, RosterRecord, StandingRecord, SuspensionRecord
from fedledger_chaincode.messages.round import Admission, JoinRequest, SignedAdmission
from fedledger_chaincode.messages.views import Members
from fedledger_chaincode.state import roster_key
from fedledger_chaincode.transactions.membership import MAXIMUM_ROSTER
from tests.unit.contract.ledger import CHANNEL, MSPS, START, Consortium, digest, task_spec
from tests.unit.contract.test_tasks import refused


def admission(key: PrivateKey, signer: PrivateKey | None = None, **changes: Any) -> SignedAdmission:
    fields = {"channel": CHANNEL, "task": "heart", "msp": MSPS[0], "public_key": public_key_der(key.public_key()).hex()}
    asked = Admission(**(fields | changes))
    signature = sign(signer or key, asked.canonical())
    return SignedAdmission(admission=asked, signature=base64.b64encode(signature).decode())


class TestAdmission:
    def test_many_join_in_one_transaction_and_take_part(self) -> None:
        consortium = Consortium.active()
        keys = [generate_key(kind) for kind in (KeyType.P256, KeyType.P384, KeyType.ED25519)]
        result = consortium.ledger.submit(
            consortium.governors[MSPS[0]], "AdmitParticipants", *[admission(key) for key in keys]
        )
        members = Members.decode(result).members
        assert [member.public_key for member in members] == [public_key_der(key.public_key()).hex() for key in keys]
        assert consortium.balances()[f"stake:heart:{members[2].participant}"] == 100_000_000
        assert consortium.balances()["org:ClevelandMSP"] == 500_000_000
        consortium.open(1)
        assert len(consortium.round(1).cohort.participants) == 7
        manifest = consortium.manifest(MSPS[0], 1, participant=members[1].participant)
        consortium.ledger.submit(
            consortium.participants[MSPS[0]], "SubmitUpdates", consortium.signed(MSPS[0], manifest, keys[1])
        )

    def test_admitting_again_changes_nothing(self) -> None:
        consortium = Consortium.active()
        asked = admission(generate_key())
        first = consortium.ledger.submit(consortium.governors[MSPS[0]], "AdmitParticipants", asked)
        before = dict(consortium.ledger.world)
        assert consortium.ledger.submit(consortium.governors[MSPS[0]], "AdmitParticipants", asked) == first
        assert consortium.ledger.world == before

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"msp": MSPS[1]}, "WRONG_CONTEXT"),
            ({"channel": "elsewhere"}, "WRONG_CONTEXT"),
            ({"public_key": "00"}, "BAD_SIGNATURE"),
            ({"signer": generate_key()}, "BAD_SIGNATURE"),
        ],
    )
    def test_what_was_not_meant_for_this_is_refused(self, changes: dict[str, Any], code: str) -> None:
        consortium = Consortium.active()
        with refused(code):
            consortium.ledger.submit(
                consortium.governors[MSPS[0]], "AdmitParticipants", admission(generate_key(), **changes)
            )

    def test_all_are_admitted_or_none(self) -> None:
        consortium = Consortium.active()
        before = dict(consortium.ledger.world)
        good, bad = admission(generate_key()), admission(generate_key(), msp=MSPS[1])
        for batch, code in (([good, bad], "WRONG_CONTEXT"), ([good, good], "TWICE_IN_BATCH")):
            with refused(code):
                consortium.ledger.submit(consortium.governors[MSPS[0]], "AdmitParticipants", *batch)
        with refused("WRONG_ROLE"):
            consortium.ledger.submit(consortium.participants[MSPS[0]], "AdmitParticipants", good)
        assert consortium.ledger.world == before

    def test_one_that_has_left_is_not_admitted_under_its_old_key(self) -> None:
        consortium = Consortium.active()
        consortium.ledger.submit(consortium.participants[MSPS[0]], "LeaveTask", "heart")
        with refused("HAS_LEFT"):
            consortium.ledger.submit(
                consortium.governors[MSPS[0]], "AdmitParticipants", admission(consortium.participants[MSPS[0]].key)
            )


class TestCertificates:
    def test_an_expired_one_is_refused_at_once_whoever_submits(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        member = consortium.members().members[0].member
        assert member.valid_until is not None
        consortium.ledger.now = member.valid_until + 1
        with refused("CERTIFICATE_EXPIRED"):
            consortium.submit(MSPS[0], 1)

    def test_whoever_joins_again_with_a_longer_one_goes_on(self) -> None:
        consortium = Consortium.active()
        before = consortium.participants[MSPS[0]]
        renewed = consortium.ledger.actor(MSPS[0], "participant", key=before.key, days=800)
        result = MemberRecord.decode(consortium.ledger.submit(renewed, "JoinTask", JoinRequest(task="heart")))
        assert (result.participant, result.valid_until) == (before.pseudonym, START + 800 * 86_400)
        again = consortium.ledger.submit(before, "JoinTask", JoinRequest(task="heart"))
        assert MemberRecord.decode(again) == result

    def test_who_has_one_that_has_expired_for_certain_is_not_in_the_next_cohort(self) -> None:
        consortium = Consortium.active(task_spec(training={"rounds": 5}))
        for msp in MSPS[1:]:
            renewed = consortium.ledger.actor(msp, "participant", key=consortium.participants[msp].key, days=800)
            consortium.ledger.submit(renewed, "JoinTask", JoinRequest(task="heart"))
        consortium.ledger.now += 366 * 86_400
        consortium.through(1, submitting=MSPS[1:])
        consortium.ledger.now -= 366 * 86_400
        consortium.open(2)
        assert {entry.msp for entry in consortium.round(2).cohort.participants} == set(MSPS[1:])

    def test_nobody_s_clock_that_is_ahead_puts_anybody_out_of_a_cohort(self) -> None:
        consortium = Consortium.active()
        consortium.ledger.now += 366 * 86_400
        consortium.open(1)
        assert len(consortium.round(1).cohort.participants) == 4


class TestSuspension:
    def test_a_governor_takes_its_own_participant_out_at_once_and_lets_it_return(self) -> None:
        consortium = Consortium.active()
        governor, participant = consortium.governors[MSPS[0]], consortium.participants[MSPS[0]].pseudonym
        consortium.open(1)
        consortium.ledger.submit(governor, "SuspendParticipant", "heart", participant, "Its key may be stolen.")
        with pytest.raises(ContractError, match="Its key may be stolen"):
            consortium.submit(MSPS[0], 1)
        for msp in MSPS[1:]:
            consortium.submit(msp, 1)
        consortium.late(1, "updates")
        consortium.conclude(1)
        consortium.open(2)
        assert len(consortium.round(2).cohort.participants) == 3
        consortium.ledger.submit(governor, "ReinstateParticipant", "heart", participant, "It was not.")
        assert consortium.members().members[0].member.suspended == ""

    def test_another_organisations_participant_is_not_its_business(self) -> None:
        consortium = Consortium.active()
        participant = consortium.participants[MSPS[1]].pseudonym
        with refused("WRONG_ORGANISATION"):
            consortium.ledger.submit(consortium.governors[MSPS[0]], "SuspendParticipant", "heart", participant, "No.")

    def vote(self, consortium: Consortium, voter: str, msp: str, decision: str = "suspend") -> SuspensionRecord:
        arguments = ("heart", msp, decision, "It sells the model.")
        return SuspensionRecord.decode(
            consortium.ledger.submit(consortium.governors[voter], "VoteSuspension", *arguments)
        )

    def suspended(self, consortium: Consortium, msp: str) -> SuspensionRecord:
        """By all the others of four, who are the majority."""
        (*_, last) = [self.vote(consortium, voter, msp) for voter in MSPS if voter != msp]
        assert last.suspended
        return last

    def test_a_majority_of_all_organisations_suspends_one_while_it_says_so(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        assert not self.vote(consortium, MSPS[0], MSPS[3]).suspended
        assert not self.vote(consortium, MSPS[0], MSPS[3]).suspended
        assert not self.vote(consortium, MSPS[1], MSPS[3]).suspended
        assert self.vote(consortium, MSPS[2], MSPS[3]).suspended
        with refused("ORGANISATION_SUSPENDED"):
            consortium.submit(MSPS[3], 1)
        for msp in MSPS[:3]:
            consortium.submit(msp, 1)
        consortium.late(1, "updates")
        consortium.conclude(1)
        consortium.open(2)
        assert {entry.msp for entry in consortium.round(2).cohort.participants} == set(MSPS[:3])
        record = self.vote(consortium, MSPS[2], MSPS[3], "reinstate")
        assert not record.suspended
        assert [vote.reason for vote in record.votes] == ["It sells the model."] * 3
        assert consortium.view().suspensions == (record,)

    @pytest.mark.parametrize(
        "act",
        [
            ("ApproveTask", "heart", task_spec().sha256()),
            ("VoteSuspension", "heart", MSPS[0], "suspend", "x"),
        ],
    )
    def test_a_suspended_organisation_decides_nothing_but_that_all_shall_stop(self, act: tuple[str, ...]) -> None:
        consortium = Consortium.active()
        self.suspended(consortium, MSPS[3])
        with refused("ORGANISATION_SUSPENDED"):
            consortium.ledger.submit(consortium.governors[MSPS[3]], *act)

    def test_nobody_votes_about_itself_or_a_stranger(self) -> None:
        consortium = Consortium.active()
        for msp in (MSPS[0], "StrangerMSP"):
            with refused("BAD_ARGUMENTS"):
                self.vote(consortium, MSPS[0], msp)

    def test_withdrawing_and_consenting_again_does_not_lift_it(self) -> None:
        consortium = Consortium.active()
        self.suspended(consortium, MSPS[3])
        consortium.ledger.submit(consortium.governors[MSPS[3]], "WithdrawConsent", "heart", "x")
        with refused("ORGANISATION_SUSPENDED"):
            consortium.approve(MSPS[3])


class TestANewName:
    def joined(self, consortium: Consortium, msp: str, name: str = "somebody else") -> StandingRecord:
        """Another participant of the organisation joins; the newcomer's standing."""
        newcomer = consortium.ledger.actor(msp, "participant", name=name)
        consortium.ledger.submit(newcomer, "JoinTask", JoinRequest(task="heart"))
        (view,) = [view for view in consortium.members().members if view.member.participant == newcomer.pseudonym]
        return view.standing

    def again(self, consortium: Consortium, msp: str) -> StandingRecord:
        """A participant leaves and another one of its organisation joins; the newcomer's standing."""
        consortium.ledger.submit(consortium.participants[msp], "LeaveTask", "heart")
        return self.joined(consortium, msp)

    def disgraced(self, **incentive: int) -> Consortium:
        """After a round in which the last organisation's participant has given two updates."""
        spec = task_spec(reputation={"memory": 0, "quarantine_rounds": 9}, training={"rounds": 5}, incentive=incentive)
        consortium = Consortium.active(spec)
        consortium.open(1)
        for msp in MSPS:
            consortium.submit(msp, 1)
        consortium.submit(MSPS[3], 1, num_examples=1)
        consortium.conclude(1)
        return consortium

    def test_does_not_wash_off_a_bad_reputation_nor_end_a_quarantine(self) -> None:
        standing = self.again(self.disgraced(), MSPS[3])
        assert (standing.reputation, standing.quarantined_until) == (0, 10)

    def test_does_not_do_so_beside_the_old_one_either(self) -> None:
        standing = self.joined(self.disgraced(), MSPS[3])
        assert (standing.reputation, standing.quarantined_until, standing.contributions) == (0, 10, 1)

    def test_is_the_business_of_its_own_organisation_alone(self) -> None:
        assert self.joined(self.disgraced(), MSPS[2]).reputation == 500_000

    def test_does_not_renew_the_privacy_budget(self) -> None:
        consortium = Consortium.active(task_spec(training={"rounds": 9}))
        for number in (1, 2, 3):
            consortium.through(number)
        standing = self.again(consortium, MSPS[3])
        assert (standing.contributions, standing.epsilon) == (3, 3_000_000)
        assert "privacy budget of 4 is spent" in consortium.open(4).reason

    def test_nor_when_the_old_one_stays(self) -> None:
        consortium = Consortium.active(task_spec(training={"rounds": 9}))
        for number in (1, 2, 3):
            consortium.through(number)
        assert self.joined(consortium, MSPS[3]).contributions == 3

    def test_nor_when_it_is_taken_in_the_round_that_spends_it(self) -> None:
        consortium = Consortium.active(task_spec(privacy={"epsilon_budget": 1_000_000}))
        consortium.open(1)
        assert self.again(consortium, MSPS[3]).contributions == 1

    def test_nor_when_it_is_taken_in_that_round_and_the_old_one_stays(self) -> None:
        consortium = Consortium.active(task_spec(privacy={"epsilon_budget": 1_000_000}))
        consortium.open(1)
        assert self.joined(consortium, MSPS[3]).contributions == 1

    def test_is_worth_no_more_than_a_good_one(self) -> None:
        consortium = Consortium.active(task_spec(training={"rounds": 5}))
        consortium.through(1)
        assert consortium.members().members[0].standing.reputation > 500_000
        assert self.again(consortium, MSPS[3]).reputation == 500_000


class TestQuarantine:
    SPEC: ClassVar[dict[str, Any]] = {
        "reputation": {"memory": 500_000, "quarantine_threshold": 400_000, "quarantine_rounds": 2},
        "training": {"rounds": 20},
        "privacy": {"epsilon_budget": 9_000_000, "epsilon_schedule": [1_000_000 * count for count in range(1, 10)]},
    }

    def test_cannot_be_rested_out(self) -> None:
        consortium = Consortium.active(task_spec(**self.SPEC))
        consortium.open(1)
        for msp in MSPS:
            consortium.submit(msp, 1)
        consortium.submit(MSPS[3], 1, num_examples=1)
        consortium.conclude(1)
        governor, pseudonym = consortium.governors[MSPS[3]], consortium.pseudonym(MSPS[3])
        consortium.ledger.submit(governor, "SuspendParticipant", "heart", pseudonym, "It rests.")
        for number in (2, 3, 4):
            consortium.through(number, submitting=MSPS[:3])
        consortium.ledger.submit(governor, "ReinstateParticipant", "heart", pseudonym, "It has rested.")
        consortium.open(5)
        assert [entry.msp for entry in consortium.round(5).cohort.participants if entry.quarantined] == [MSPS[3]]

    def test_ends_with_rounds_that_make_a_reputation_again(self) -> None:
        consortium = Consortium.active(task_spec(**self.SPEC))
        consortium.open(1)
        for msp in MSPS:
            consortium.submit(msp, 1)
        consortium.submit(MSPS[3], 1, num_examples=1)
        consortium.conclude(1)
        for number in (2, 3):
            consortium.through(number)
            assert consortium.round(number).cohort.participants[3].quarantined
        consortium.open(4)
        assert not consortium.round(4).cohort.participants[3].quarantined


def test_an_organisation_has_a_bounded_roster_and_room_again_when_one_leaves() -> None:
    consortium = Consortium.active(task_spec(incentive={"participant_stake": 0}))
    key = roster_key("heart", MSPS[0])
    roster = RosterRecord.decode(consortium.ledger.world[key])
    fillers = tuple(digest(f"filler {index}") for index in range(MAXIMUM_ROSTER - 2))
    full = roster.model_copy(update={"participants": (*roster.participants, *fillers)})
    consortium.ledger.world[key] = full.canonical()
    governor = consortium.governors[MSPS[0]]
    with refused("ROSTER_FULL"):
        consortium.ledger.submit(governor, "AdmitParticipants", admission(generate_key()), admission(generate_key()))
    consortium.ledger.submit(governor, "AdmitParticipants", admission(generate_key()))
    newcomer = consortium.ledger.actor(MSPS[0], "participant", name="one more")
    with refused("ROSTER_FULL"):
        consortium.ledger.submit(newcomer, "JoinTask", JoinRequest(task="heart"))
    consortium.ledger.submit(consortium.participants[MSPS[0]], "LeaveTask", "heart")
    consortium.ledger.submit(newcomer, "JoinTask", JoinRequest(task="heart"))
