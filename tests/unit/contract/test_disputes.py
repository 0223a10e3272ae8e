"""Disputes about dealing decide of stakes alone: who is found at fault, when, once, and what is held until then."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fedledger_chaincode.messages.records import ModelRecord
from fedledger_chaincode.messages.round import DisclosedShare, Disclosure, Opening
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.rules.dealing import plaintext_bytes, sealed_bytes
from fedledger_chaincode.rules.disputes import ruling_of
from tests.unit.contract.histories import BEYOND_NORM
from tests.unit.contract.ledger import MSPS, Consortium, digest, seven_organisations, task_spec
from tests.unit.contract.test_conservation import check_tokens
from tests.unit.contract.test_tasks import refused

STAKE = 100_000_000
RATES = {"slashing_dealing": 300_000, "slashing_validator": 200_000, "slashing_norm": 500_000}
FOUR = task_spec(incentive=RATES, training={"rounds": 5})
SEVEN = seven_organisations(incentive=RATES, training={"rounds": 5})
PROVEN = task_spec(incentive=RATES, training={"rounds": 5}, aggregation={"proof": "norm"})
DUTY = 2_500_000
"""What a validator of four is paid for a round, in micro-tokens."""
EVERY = pytest.mark.parametrize("spec", [FOUR, PROVEN, SEVEN], ids=["4-1", "4-1, norm", "7-2"])


def accused(spec: TaskSpec, *accusations: tuple[str, str], finalised: bool = True, number: int = 1) -> Consortium:
    """A round in which validators contradict the others: (organisation of the update, validator)."""
    consortium = Consortium.active(spec)
    again(consortium, number, *accusations, finalised=finalised)
    return consortium


def again(consortium: Consortium, number: int, *accusations: tuple[str, str], finalised: bool = True) -> None:
    consortium.opened(number)
    for msp in consortium.msps:
        said: dict[str, Opening] = {
            consortium.pseudonym(owner): consortium.contradiction for owner, liar in accusations if liar == msp
        }
        consortium.attest(msp, number, openings=said)
    if finalised:
        consortium.sum_up(number)
    else:
        consortium.settle(number)


def rulings(consortium: Consortium, number: int = 1) -> list[str | None]:
    dispute = consortium.dispute(number)
    return [] if dispute is None else [each.ruling for each in dispute.accusations]


def others(consortium: Consortium, *accused_ones: str) -> Sequence[str]:
    return [msp for msp in consortium.msps if msp not in accused_ones]


def stop(consortium: Consortium) -> None:
    for msp in consortium.msps[: consortium.spec.majority]:
        consortium.ledger.submit(consortium.governors[msp], "StopTask", "heart", "Because.")


@EVERY
def test_no_round_waits_for_a_dispute(spec: TaskSpec) -> None:
    owner, liar = spec.organisations[2], spec.organisations[1]
    consortium = accused(spec, (owner, liar))
    assert consortium.round(1).record.state == "finalised"
    assert rulings(consortium) == [None]
    (pending,) = consortium.view().accusations
    assert (pending.round, pending.participant, pending.validator) == (1, consortium.pseudonym(owner), liar)


def test_a_round_without_contradictions_opens_none() -> None:
    consortium = Consortium.active()
    consortium.through(1)
    assert consortium.dispute(1) is None
    with refused("NOT_FOUND"):
        consortium.disclose(MSPS[0], 1, MSPS[1])


class TestRulings:
    @EVERY
    def test_t_plus_1_confirmations_find_the_participant_at_fault(self, spec: TaskSpec) -> None:
        owner, validator = spec.organisations[2], spec.organisations[1]
        consortium = accused(spec, (owner, validator))
        pseudonym = consortium.pseudonym(owner)
        consortium.disclose(validator, 1, owner)
        judges = others(consortium, validator)
        for judge in judges[: spec.aggregation.tolerated_faults]:
            assert rulings(consortium) == [None]
            assert consortium.stake(pseudonym) == STAKE
            consortium.vote(judge, 1, "confirms", (owner, validator))
        assert rulings(consortium) == ["confirms"]
        assert consortium.stake(pseudonym) == STAKE * 7 // 10
        assert consortium.stake(validator) == STAKE
        assert consortium.view().accusations == ()
        check_tokens(consortium)

    @EVERY
    def test_n_minus_t_denials_convict_the_validator(self, spec: TaskSpec) -> None:
        owner, validator = spec.organisations[2], spec.organisations[1]
        consortium = accused(spec, (owner, validator))
        for judge in others(consortium, validator)[: consortium.quorum]:
            assert rulings(consortium) == [None]
            assert consortium.stake(validator) == STAKE
            consortium.vote(judge, 1, "denies", (owner, validator))
        assert rulings(consortium) == ["denies"]
        paid = 4 * DUTY // len(consortium.msps)
        assert consortium.stake(validator) == STAKE * 8 // 10 - paid
        assert consortium.stake(consortium.pseudonym(owner)) == STAKE
        assert consortium.balances()["insurance:heart"] == STAKE * 2 // 10 + paid
        check_tokens(consortium)

    @EVERY
    def test_a_liar_with_t_confirmations_its_own_included_is_convicted_all_the_same(self, spec: TaskSpec) -> None:
        owner, liar = spec.organisations[2], spec.organisations[1]
        consortium = accused(spec, (owner, liar))
        faults = spec.aggregation.tolerated_faults
        consortium.disclose(liar, 1, owner)
        judges = others(consortium, liar)
        for helper in judges[: faults - 1]:
            consortium.vote(helper, 1, "confirms", (owner, liar))
        assert rulings(consortium) == [None]
        for judge in judges[faults - 1 :]:
            consortium.vote(judge, 1, "denies", (owner, liar))
        assert rulings(consortium) == ["denies"]

    @EVERY
    def test_t_that_deny_with_some_who_could_not_fetch_convict_nobody(self, spec: TaskSpec) -> None:
        """It takes t + 1 honest judges that could not fetch in their time."""
        owner, validator = spec.organisations[2], spec.organisations[1]
        consortium = accused(spec, (owner, validator))
        consortium.disclose(validator, 1, owner)
        faults = spec.aggregation.tolerated_faults
        judges = others(consortium, validator)
        for judge in judges[: 2 * faults]:
            consortium.vote(judge, 1, "denies", (owner, validator))
        assert rulings(consortium) == [None]
        for judge in judges[2 * faults :]:
            consortium.vote(judge, 1, "confirms", (owner, validator))
        assert rulings(consortium) == ["confirms"]

    def test_a_denial_is_replaced_by_a_confirmation_and_never_the_other_way(self) -> None:
        owner, validator = SEVEN.organisations[2], SEVEN.organisations[1]
        consortium = accused(SEVEN, (owner, validator))
        consortium.disclose(validator, 1, owner)
        first, second, *rest = others(consortium, validator)
        consortium.vote(first, 1, "denies", (owner, validator))
        consortium.vote(first, 1, "confirms", (owner, validator))
        before = dict(consortium.ledger.world)
        consortium.vote(first, 1, "denies", (owner, validator))
        assert consortium.ledger.world == before
        for judge in rest[:3]:
            consortium.vote(judge, 1, "denies", (owner, validator))
        assert rulings(consortium) == [None]
        consortium.vote(second, 1, "confirms", (owner, validator))
        assert rulings(consortium) == ["confirms"]

    def test_there_is_no_other_ending(self) -> None:
        for confirming in range(5):
            for denying in range(5 - confirming):
                said = {f"{index}": "confirms" for index in range(confirming)}
                said |= {f"-{index}": "denies" for index in range(denying)}
                expected = "confirms" if confirming >= 2 else "denies" if denying >= 3 else None
                assert ruling_of(said, 3, 1) == expected  # type: ignore[arg-type]


class TestOnce:
    def test_a_liar_that_is_convicted_about_several_updates_of_a_round_is_slashed_once(self) -> None:
        pairs = [(MSPS[0], MSPS[1]), (MSPS[2], MSPS[1]), (MSPS[3], MSPS[1])]
        consortium = accused(FOUR, *pairs)
        judges = others(consortium, MSPS[1])
        for judge in judges:
            consortium.vote(judge, 1, "denies", *pairs[:2])
        assert rulings(consortium) == ["denies", "denies", None]
        assert consortium.stake(MSPS[1]) == STAKE * 8 // 10 - DUTY
        for judge in judges:
            consortium.vote(judge, 1, "denies", pairs[2])
        assert rulings(consortium) == ["denies"] * 3
        assert consortium.stake(MSPS[1]) == STAKE * 8 // 10 - DUTY
        check_tokens(consortium)

    def test_a_participant_that_dealt_badly_to_several_is_slashed_once(self) -> None:
        sites = SEVEN.organisations
        pairs = [(sites[0], sites[1]), (sites[0], sites[2])]
        consortium = accused(SEVEN, *pairs)
        for accused_one in (sites[1], sites[2]):
            consortium.disclose(accused_one, 1, sites[0])
        for judge in sites[3:]:
            consortium.vote(judge, 1, "confirms", *pairs)
        assert rulings(consortium) == ["confirms", "confirms"]
        assert consortium.stake(consortium.pseudonym(sites[0])) == STAKE * 7 // 10
        check_tokens(consortium)

    @pytest.mark.parametrize("ruled_first", [False, True])
    def test_a_liar_that_lies_in_the_sum_as_well_is_slashed_once(self, ruled_first: bool) -> None:
        pair = (MSPS[2], MSPS[1])
        consortium = accused(FOUR, pair, finalised=False)

        def convict() -> None:
            for judge in others(consortium, MSPS[1]):
                consortium.vote(judge, 1, "denies", pair)

        def publish() -> None:
            for msp in consortium.round(1).settlement.summers:
                consortium.post_share(msp, 1)
            for msp in others(consortium, MSPS[1]):
                consortium.report(msp, 1, liars=(MSPS[1],))
            model = ModelRecord.decode(consortium.finalise(1))
            assert model.liars == (MSPS[1],)

        for act in (convict, publish) if ruled_first else (publish, convict):
            act()
        assert rulings(consortium) == ["denies"]
        assert consortium.stake(MSPS[1]) == STAKE * 8 // 10
        check_tokens(consortium)

    def test_a_participant_beyond_the_norm_that_dealt_badly_as_well_is_slashed_once(self) -> None:
        sites = SEVEN.organisations
        spec = seven_organisations(incentive=RATES, training={"rounds": 5}, aggregation={"proof": "norm"})
        consortium = Consortium.active(spec)
        consortium.opened(1)
        cheat = consortium.pseudonym(sites[0])
        for msp in sites:
            said = consortium.contradiction if msp == sites[1] else BEYOND_NORM
            consortium.attest(msp, 1, openings={cheat: said})
        consortium.sum_up(1)
        assert consortium.stake(cheat) == STAKE * 5 // 10
        consortium.disclose(sites[1], 1, sites[0])
        for judge in sites[2:]:
            consortium.vote(judge, 1, "confirms", (sites[0], sites[1]))
        assert rulings(consortium) == ["confirms"]
        assert consortium.stake(cheat) == STAKE * 5 // 10
        check_tokens(consortium)

    def test_votes_after_the_ruling_change_nothing_but_themselves(self) -> None:
        consortium = accused(FOUR, (MSPS[2], MSPS[1]))
        for judge in others(consortium, MSPS[1]):
            consortium.vote(judge, 1, "denies", (MSPS[2], MSPS[1]))
        balances = consortium.balances()
        consortium.disclose(MSPS[1], 1, MSPS[2])
        consortium.vote(MSPS[0], 1, "confirms", (MSPS[2], MSPS[1]))
        assert rulings(consortium) == ["denies"]
        assert consortium.balances() == balances

    def test_in_two_rounds_a_liar_is_slashed_for_each(self) -> None:
        consortium = accused(FOUR, (MSPS[2], MSPS[1]))
        again(consortium, 2, (MSPS[2], MSPS[1]))
        for number in (2, 1):
            for judge in others(consortium, MSPS[1]):
                consortium.vote(judge, number, "denies", (MSPS[2], MSPS[1]))
        assert consortium.stake(MSPS[1]) == (STAKE * 8 // 10 - DUTY) * 8 // 10 - DUTY

    def test_several_liars_are_accused_together_and_each_is_ruled_upon_for_itself(self) -> None:
        sites = SEVEN.organisations
        pairs = [(sites[0], sites[5]), (sites[0], sites[6])]
        consortium = accused(SEVEN, *pairs)
        for judge in sites[:5]:
            consortium.vote(judge, 1, "denies", *pairs)
        assert rulings(consortium) == ["denies", "denies"]
        assert [consortium.stake(msp) for msp in sites[5:]] == [STAKE * 8 // 10 - 4 * DUTY // 7] * 2


class TestWords:
    def test_only_the_accused_disclose_and_only_what_they_are_accused_of(self) -> None:
        """A share is one of the secrets that protect an update."""
        consortium = accused(FOUR, (MSPS[2], MSPS[1]))
        with refused("NOT_ACCUSED"):
            consortium.disclose(MSPS[0], 1, MSPS[2])
        with refused("NOT_ACCUSED"):
            consortium.disclose(MSPS[1], 1, MSPS[2], MSPS[3])
        for actor in (consortium.governors[MSPS[1]], consortium.participants[MSPS[1]]):
            consortium.validators[MSPS[1]] = actor
            with refused("WRONG_ROLE"):
                consortium.disclose(MSPS[1], 1, MSPS[2])

    def test_the_first_share_that_is_disclosed_stands_and_others_may_follow(self) -> None:
        consortium = accused(FOUR, (MSPS[2], MSPS[1]), (MSPS[3], MSPS[1]))
        consortium.disclose(MSPS[1], 1, MSPS[2])
        with refused("ALREADY_RECORDED"):
            consortium.disclose(MSPS[1], 1, MSPS[2], content="something else")
        consortium.disclose(MSPS[1], 1, MSPS[3])
        before = dict(consortium.ledger.world)
        consortium.disclose(MSPS[1], 1, MSPS[2], MSPS[3])
        assert consortium.ledger.world == before
        assert len(consortium.round(1).disclosures[0].disclosure.shares) == 2

    @pytest.mark.parametrize("spec", [FOUR, PROVEN], ids=["none", "norm"])
    def test_a_disclosed_share_has_the_size_that_follows_from_the_task(self, spec: TaskSpec) -> None:
        consortium = accused(spec, (MSPS[2], MSPS[1]))
        expected = plaintext_bytes(spec.aggregation, 4)
        assert expected < sealed_bytes(spec.aggregation, 4)
        for size in (expected - 1, expected + 1, 1 << 52):
            share = DisclosedShare(participant=consortium.pseudonym(MSPS[2]), digest=digest("share"), size=size)
            message = Disclosure(task="heart", round=1, shares=(share,))
            with refused("WRONG_SIZE"):
                consortium.ledger.submit(consortium.validators[MSPS[1]], "DiscloseShares", message)

    def test_nobody_votes_on_itself_nor_on_who_is_not_accused(self) -> None:
        consortium = accused(FOUR, (MSPS[2], MSPS[1]))
        with refused("OWN_SHARE"):
            consortium.vote(MSPS[1], 1, "confirms", (MSPS[2], MSPS[1]))
        with refused("NOT_FOUND"):
            consortium.vote(MSPS[0], 1, "denies", (MSPS[2], MSPS[3]))
        with refused("NOT_FOUND"):
            consortium.vote(MSPS[0], 1, "denies", (MSPS[2], MSPS[1]), (MSPS[3], MSPS[1]))
        assert consortium.round(1).votes == ()

    def test_votes_of_different_judges_write_keys_of_their_own_until_there_is_a_ruling(self) -> None:
        consortium = accused(SEVEN, (SEVEN.organisations[2], SEVEN.organisations[1]))
        before = set(consortium.ledger.world)
        judges = others(consortium, SEVEN.organisations[1])
        for judge in judges[:2]:
            consortium.vote(judge, 1, "denies", (SEVEN.organisations[2], SEVEN.organisations[1]))
        new = set(consortium.ledger.world) - before
        assert new == {f"votes/heart/0000001/{judge}" for judge in judges[:2]}


class TestStakes:
    def test_are_held_when_the_task_ends_and_go_back_with_the_ruling(self) -> None:
        consortium = accused(FOUR, (MSPS[2], MSPS[1]))
        pseudonym = consortium.pseudonym(MSPS[2])
        stop(consortium)
        check_tokens(consortium)
        assert (consortium.stake(pseudonym), consortium.stake(MSPS[1])) == (STAKE, STAKE)
        assert consortium.stake(MSPS[0]) == consortium.stake(consortium.pseudonym(MSPS[0])) == 0
        before = consortium.balances()
        for judge in others(consortium, MSPS[1]):
            consortium.vote(judge, 1, "denies", (MSPS[2], MSPS[1]))
        after = consortium.balances()
        assert (consortium.stake(pseudonym), consortium.stake(MSPS[1])) == (0, 0)
        assert after[f"org:{MSPS[2]}"] - before[f"org:{MSPS[2]}"] == STAKE
        assert after[f"org:{MSPS[1]}"] - before[f"org:{MSPS[1]}"] == STAKE * 8 // 10 - DUTY
        assert after["insurance:heart"] == 0
        check_tokens(consortium)

    def test_are_held_as_long_as_anything_is_open_about_their_owner(self) -> None:
        pairs = [(MSPS[2], MSPS[1]), (MSPS[3], MSPS[1])]
        consortium = accused(FOUR, *pairs)
        stop(consortium)
        consortium.disclose(MSPS[1], 1, MSPS[2], MSPS[3])
        consortium.vote(MSPS[0], 1, "confirms", pairs[0])
        assert consortium.stake(consortium.pseudonym(MSPS[2])) == 0
        assert (consortium.stake(consortium.pseudonym(MSPS[3])), consortium.stake(MSPS[1])) == (STAKE, STAKE)
        consortium.vote(MSPS[0], 1, "confirms", pairs[1])
        assert (consortium.stake(consortium.pseudonym(MSPS[3])), consortium.stake(MSPS[1])) == (0, 0)
        check_tokens(consortium)

    def test_of_an_accused_one_that_leaves_are_held(self) -> None:
        consortium = accused(FOUR, (MSPS[2], MSPS[1]))
        leaver, pseudonym = consortium.participants[MSPS[2]], consortium.pseudonym(MSPS[2])
        consortium.ledger.submit(leaver, "LeaveTask", "heart")
        assert consortium.stake(pseudonym) == STAKE
        consortium.disclose(MSPS[1], 1, MSPS[2])
        consortium.vote(MSPS[0], 1, "confirms", (MSPS[2], MSPS[1]))
        assert consortium.stake(pseudonym) == STAKE * 7 // 10
        stop(consortium)
        assert consortium.stake(pseudonym) == 0
        check_tokens(consortium)

    def test_of_one_that_leaves_are_held_after_the_task_s_end_too(self) -> None:
        consortium = accused(FOUR, (MSPS[2], MSPS[1]))
        consortium.ledger.submit(consortium.participants[MSPS[2]], "LeaveTask", "heart")
        stop(consortium)
        assert consortium.stake(consortium.pseudonym(MSPS[2])) == STAKE
        for judge in others(consortium, MSPS[1]):
            consortium.vote(judge, 1, "denies", (MSPS[2], MSPS[1]))
        assert consortium.stake(consortium.pseudonym(MSPS[2])) == 0
        check_tokens(consortium)

    def test_are_held_when_the_last_round_completes_the_task(self) -> None:
        spec = task_spec(incentive=RATES, training={"rounds": 1})
        consortium = accused(spec, (MSPS[2], MSPS[1]))
        assert consortium.view().record.state == "completed"
        assert consortium.stake(MSPS[1]) == STAKE
        for judge in others(consortium, MSPS[1]):
            consortium.vote(judge, 1, "denies", (MSPS[2], MSPS[1]))
        assert consortium.stake(MSPS[1]) == 0
        check_tokens(consortium)

    def test_what_a_stake_is_worth_when_the_ruling_comes_is_what_is_taken_from(self) -> None:
        consortium = accused(PROVEN, (MSPS[2], MSPS[1]))
        consortium.opened(2)
        for msp in MSPS:
            consortium.attest(msp, 2, openings={consortium.pseudonym(MSPS[2]): BEYOND_NORM})
        consortium.settle(2)
        pseudonym = consortium.pseudonym(MSPS[2])
        assert consortium.stake(pseudonym) == STAKE // 2
        consortium.disclose(MSPS[1], 1, MSPS[2])
        consortium.vote(MSPS[0], 1, "confirms", (MSPS[2], MSPS[1]))
        assert consortium.stake(pseudonym) == STAKE * 35 // 100
        check_tokens(consortium)


def test_an_aborted_round_s_dispute_is_ruled_upon_as_well() -> None:
    consortium = Consortium.active(FOUR)
    consortium.opened(1)
    pair = (MSPS[2], MSPS[1])
    for msp in MSPS:
        said = {consortium.pseudonym(MSPS[2]): consortium.contradiction} if msp == MSPS[1] else {}
        unreadable = [consortium.pseudonym(each) for each in (MSPS[0], MSPS[3])] if msp in MSPS[:2] else []
        consortium.attest(msp, 1, unreadable, said)
    consortium.settle(1)
    assert consortium.round(1).record.state == "aborted"
    for judge in others(consortium, MSPS[1]):
        consortium.vote(judge, 1, "denies", pair)
    assert rulings(consortium) == ["denies"]


def test_who_is_accused_goes_on_as_a_validator() -> None:
    consortium = accused(FOUR, (MSPS[2], MSPS[1]))
    consortium.through(2)
    assert consortium.round(2).record.state == "finalised"
