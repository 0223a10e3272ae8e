"""Admission of many, suspension and reinstatement, votes about organisations, and what a new name is worth."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from fedledger.identity.keys import KeyType, PrivateKey, generate_key, public_key_der, sign
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.records import MemberRecord, SuspensionRecord
from fedledger_chaincode.messages.round import Admission, JoinRequest, SignedAdmission
from fedledger_chaincode.messages.views import Members
from tests.unit.contract.ledger import CHANNEL, MSPS, START, Consortium, task_spec
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
        consortium.ledger.world["round/heart/0000001"] = consortium.ledger.world["round/heart/0000001"].replace(
            b'"updates_due":', b'"updates_due":9'
        )
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

    def test_who_has_an_expired_one_is_not_in_the_next_cohort(self) -> None:
        consortium = Consortium.active()
        renewed = consortium.ledger.actor(MSPS[0], "participant", key=consortium.participants[MSPS[0]].key, days=800)
        consortium.ledger.submit(renewed, "JoinTask", JoinRequest(task="heart"))
        consortium.ledger.now += 366 * 86_400
        with refused("TOO_FEW_PARTICIPANTS"):
            consortium.open(1)


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
        consortium.ledger.now += 120
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

    def test_a_majority_of_the_others_suspends_an_organisation_and_lets_it_return(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        assert not self.vote(consortium, MSPS[0], MSPS[3]).suspended
        assert not self.vote(consortium, MSPS[0], MSPS[3]).suspended
        assert self.vote(consortium, MSPS[1], MSPS[3]).suspended
        with refused("ORGANISATION_SUSPENDED"):
            consortium.submit(MSPS[3], 1)
        for msp in MSPS[:3]:
            consortium.submit(msp, 1)
        consortium.ledger.now += 120
        consortium.conclude(1)
        consortium.open(2)
        assert {entry.msp for entry in consortium.round(2).cohort.participants} == set(MSPS[:3])
        self.vote(consortium, MSPS[0], MSPS[3], "reinstate")
        record = self.vote(consortium, MSPS[2], MSPS[3], "reinstate")
        assert not record.suspended
        assert [vote.reason for vote in record.votes] == ["It sells the model."] * 3
        assert consortium.view().suspensions == (record,)

    @pytest.mark.parametrize(
        "act",
        [
            ("StopTask", "heart", "x"),
            ("ApproveTask", "heart", task_spec().sha256()),
            ("VoteSuspension", "heart", MSPS[0], "suspend", "x"),
            ("RejectTask", "heart", "x"),
        ],
    )
    def test_a_suspended_organisation_decides_nothing(self, act: tuple[str, ...]) -> None:
        consortium = Consortium.active()
        self.vote(consortium, MSPS[0], MSPS[3])
        self.vote(consortium, MSPS[1], MSPS[3])
        with refused("ORGANISATION_SUSPENDED"):
            consortium.ledger.submit(consortium.governors[MSPS[3]], *act)

    def test_nobody_votes_about_itself_or_a_stranger(self) -> None:
        consortium = Consortium.active()
        for msp in (MSPS[0], "StrangerMSP"):
            with refused("BAD_ARGUMENTS"):
                self.vote(consortium, MSPS[0], msp)

    def test_withdrawing_and_consenting_again_does_not_lift_it(self) -> None:
        consortium = Consortium.active()
        self.vote(consortium, MSPS[0], MSPS[3])
        self.vote(consortium, MSPS[1], MSPS[3])
        consortium.ledger.submit(consortium.governors[MSPS[3]], "WithdrawConsent", "heart", "x")
        with refused("ORGANISATION_SUSPENDED"):
            consortium.approve(MSPS[3])


class TestANewName:
    def again(self, consortium: Consortium, msp: str) -> Any:
        """A participant leaves and another one of its organisation joins; the newcomer's standing."""
        consortium.ledger.submit(consortium.participants[msp], "LeaveTask", "heart")
        consortium.participants[msp] = consortium.ledger.actor(msp, "participant", name="somebody else")
        consortium.join(msp)
        pseudonym = consortium.participants[msp].pseudonym
        return next(view for view in consortium.members().members if view.member.participant == pseudonym).standing

    def test_does_not_wash_off_a_bad_reputation_nor_end_a_quarantine(self) -> None:
        spec = task_spec(reputation={"memory": 0, "quarantine_rounds": 9}, training={"rounds": 5})
        consortium = Consortium.active(spec)
        consortium.open(1)
        for msp in MSPS:
            consortium.submit(msp, 1)
        consortium.submit(MSPS[3], 1, num_examples=1)
        consortium.conclude(1)
        standing = self.again(consortium, MSPS[3])
        assert (standing.reputation, standing.quarantined_until) == (0, 10)

    def test_does_not_renew_the_privacy_budget(self) -> None:
        consortium = Consortium.active(task_spec(training={"rounds": 9}))
        for number in (1, 2, 3):
            consortium.through(number)
        standing = self.again(consortium, MSPS[3])
        assert (standing.contributions, standing.epsilon) == (3, 3_000_000)
        with pytest.raises(ContractError, match="privacy budget of 4 is spent"):
            consortium.open(4)

    def test_nor_when_it_is_taken_in_the_round_that_spends_it(self) -> None:
        consortium = Consortium.active(task_spec(privacy={"epsilon_budget": 1_000_000}))
        consortium.open(1)
        assert self.again(consortium, MSPS[3]).contributions == 1

    def test_is_worth_no_more_than_a_good_one(self) -> None:
        consortium = Consortium.active(task_spec(training={"rounds": 5}))
        consortium.through(1)
        assert consortium.members().members[0].standing.reputation > 500_000
        assert self.again(consortium, MSPS[3]).reputation == 500_000
