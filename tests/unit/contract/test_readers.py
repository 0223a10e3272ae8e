"""Whose shares a round sums: the readers, what is lost with them, and who may post a share of the sum."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger_chaincode.messages.records import ModelRecord, SettledUpdate, SettlementRecord
from fedledger_chaincode.messages.round import AbortRequest, AggregateShare, JoinRequest, NormOpening, Opening
from fedledger_chaincode.rules.dealing import aggregate_bytes
from fedledger_chaincode.rules.field import MODULUS
from fedledger_chaincode.rules.readers import Ballot, choose_readers
from tests.unit.contract.histories import BEYOND_NORM
from tests.unit.contract.ledger import MSPS, ONE, WITHIN_NORM, Consortium, digest, seven_organisations, task_spec
from tests.unit.contract.test_tasks import refused

ALL = frozenset({1, 2, 3, 4})


def lost_with(ballots: Collection[Ballot], readers: Collection[int]) -> Fraction:
    """Votes lost, counted the slow way."""
    names = {ballot.owner: sum(other.owner == ballot.owner for other in ballots) for ballot in ballots}
    return sum(
        (Fraction(1, names[each.owner]) for each in ballots if not set(readers) <= set(each.consistent)), Fraction(0)
    )


ballots = st.lists(st.tuples(st.sampled_from("ABCD"), st.frozensets(st.integers(1, 7))), max_size=8).map(
    lambda drawn: [Ballot(str(index), *each) for index, each in enumerate(drawn)]
)


@given(st.sampled_from([(4, 1), (5, 1), (7, 2)]), ballots, st.sets(st.integers(0, 20)))
def test_the_choice_loses_least_and_of_equal_ones_has_the_lowest_numbers(
    thresholds: tuple[int, int], cast: list[Ballot], barred: set[int]
) -> None:
    n, t = thresholds
    sets = list(combinations(range(1, n + 1), n - t))
    shut = frozenset(sets[index] for index in barred if index < len(sets))
    chosen = choose_readers(cast, n, t, shut)
    allowed = [readers for readers in sets if readers not in shut] or sets
    costs = {readers: lost_with(cast, readers) for readers in allowed}
    assert chosen.lost == costs[chosen.readers] == min(costs.values())
    assert chosen.readers == min(readers for readers, cost in costs.items() if cost == chosen.lost)


def test_an_organisation_has_one_vote_under_however_many_names() -> None:
    """Ten names of one organisation that validator 1 cannot read weigh no more than one name of another."""
    names = [Ballot(f"a{index}", "A", frozenset({2, 3, 4})) for index in range(10)]
    others = [Ballot("b", "B", frozenset({1, 2, 3})), Ballot("c", "C", frozenset({1, 2, 3}))]
    assert choose_readers([*names, *others], 4, 1).readers == (1, 2, 3)
    assert choose_readers([*names, *others], 4, 1).lost == 1


def test_half_an_organisation_s_updates_are_half_its_vote() -> None:
    cast = [Ballot("a", "A", frozenset({2, 3, 4})), Ballot("b", "A", ALL), Ballot("c", "B", ALL)]
    assert choose_readers(cast, 4, 1, frozenset({(2, 3, 4)})).lost == Fraction(1, 2)


# --- on the ledger


def attested(
    consortium: Consortium,
    number: int,
    unreadable: Mapping[str, Collection[str]] | None = None,
    openings: Mapping[str, Mapping[str, Opening]] | None = None,
    absent: Collection[str] = (),
    reference: Collection[str] | None = None,
) -> SettlementRecord:
    """A round to which all have submitted, settled by what validators say.

    Args:
        unreadable: by validator, organisations whose updates it cannot read.
        openings: by validator, what it says of organisations' updates.
        reference: validators that use the reference direction.
    """
    for msp in consortium.msps:
        if msp not in absent:
            consortium.attest(
                msp,
                number,
                [consortium.pseudonym(owner) for owner in (unreadable or {}).get(msp, ())],
                {consortium.pseudonym(owner): said for owner, said in (openings or {}).get(msp, {}).items()},
                "used" if msp in (reference or ()) else "none",
            )
    if absent:
        consortium.late(number, "attestations")
    return consortium.settle(number)


def settled(
    consortium: Consortium,
    unreadable: Mapping[str, Collection[str]] | None = None,
    openings: Mapping[str, Mapping[str, Opening]] | None = None,
    absent: Collection[str] = (),
    reference: Collection[str] | None = None,
) -> SettlementRecord:
    """The same from the beginning of the first round."""
    consortium.opened(1)
    return attested(consortium, 1, unreadable, openings, absent, reference)


def by_owner(consortium: Consortium, settlement: SettlementRecord) -> dict[str, SettledUpdate]:
    return {update.msp: update for update in settlement.updates}


PROOFS = pytest.mark.parametrize("proof", ["none", "norm"])


@PROOFS
def test_two_updates_that_two_validators_cannot_read_do_not_stop_the_round(proof: str) -> None:
    consortium = Consortium.active(task_spec(aggregation={"proof": proof}))
    settlement = settled(consortium, {MSPS[0]: [MSPS[2]], MSPS[1]: [MSPS[3]]})
    assert settlement.readers == (MSPS[0], MSPS[2], MSPS[3])
    found = by_owner(consortium, settlement)
    assert (found[MSPS[2]].verdict, found[MSPS[2]].dropped, found[MSPS[2]].weight) == ("unreadable", True, 0)
    assert found[MSPS[3]].verdict == "accepted"
    assert settlement.summers == (MSPS[0], MSPS[2], MSPS[3])
    for msp in settlement.summers:
        consortium.post_share(msp, 1)
    for msp in MSPS:
        consortium.report(msp, 1)
    consortium.finalise(1)


def test_nor_do_two_names_of_one_organisation() -> None:
    consortium = Consortium.active()
    second = consortium.ledger.actor(MSPS[3], "participant", name="second")
    consortium.ledger.submit(second, "JoinTask", JoinRequest(task="heart"))
    consortium.open(1)
    manifest = consortium.manifest(MSPS[3], 1, participant=second.pseudonym)
    consortium.ledger.submit(second, "SubmitUpdates", consortium.signed(MSPS[3], manifest, second.key))
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.close(1)
    consortium.attest(MSPS[0], 1, [consortium.pseudonym(MSPS[3])])
    consortium.attest(MSPS[1], 1, [second.pseudonym])
    for msp in MSPS[2:]:
        consortium.attest(msp, 1)
    settlement = consortium.settle(1)
    assert len(settlement.weights()) == 4
    assert consortium.round(1).record.state == "settled"


def test_more_than_t_votes_lost_abort_the_round_before_any_share_of_a_sum_exists() -> None:
    consortium = Consortium.active()
    # All but the last one's: that is what would be left alone in a sum.
    settlement = settled(consortium, {MSPS[0]: MSPS[:3], MSPS[1]: MSPS[:3]})
    record = consortium.round(1).record
    assert record.state == "aborted"
    assert "the updates of 3 organisations are lost, more than the 1 that may be" in record.reason
    assert [update.verdict for update in settlement.updates] == ["unreadable"] * 3 + ["accepted"]
    with refused("ROUND_STATE"):
        consortium.post_share(MSPS[0], 1)


def test_t_votes_lost_leave_a_round_that_goes_on() -> None:
    consortium = Consortium.active(seven_organisations())
    first, second, *_ = consortium.msps
    unreadable = {msp: [first, second] for msp in consortium.msps[:3]}
    settlement = settled(consortium, unreadable)
    assert consortium.round(1).record.state == "settled"
    assert [update.weight > 0 for update in settlement.updates] == [False] * 2 + [True] * 5


def test_bribed_names_and_one_validator_isolate_nobody() -> None:
    """In every other organisation one name's dealing is bad for validator 4; validator 1 calls all honest updates but
    one unreadable: with the most readers' choice exactly that one honest update would remain."""
    consortium = Consortium.active()
    bribed = {}
    for msp in MSPS[1:]:
        bribed[msp] = consortium.ledger.actor(msp, "participant", name="bribed")
        consortium.ledger.submit(bribed[msp], "JoinTask", JoinRequest(task="heart"))
    consortium.open(1)
    for msp, actor in bribed.items():
        manifest = consortium.manifest(msp, 1, participant=actor.pseudonym)
        consortium.ledger.submit(actor, "SubmitUpdates", consortium.signed(msp, manifest, actor.key))
    for msp in MSPS:
        consortium.submit(msp, 1)
    consortium.close(1)
    honest = [consortium.pseudonym(msp) for msp in MSPS]
    consortium.attest(MSPS[0], 1, honest[1:])
    consortium.attest(MSPS[1], 1)
    consortium.attest(MSPS[2], 1)
    consortium.attest(MSPS[3], 1, [actor.pseudonym for actor in bribed.values()])
    settlement = consortium.settle(1)
    kept = {name for name, _ in settlement.weights()}
    assert consortium.round(1).record.state == "aborted" or len(kept & set(honest)) >= 3


class TestNoVote:
    """Validator 4 has no share of one update, validator 1 none of another: the one with a vote is kept."""

    UNREADABLE = {MSPS[3]: [MSPS[0]], MSPS[0]: [MSPS[1]]}  # noqa: RUF012 (never changed)

    def test_of_two_that_have_one_the_lowest_readers_keep_theirs(self) -> None:
        settlement = settled(Consortium.active(), self.UNREADABLE)
        assert settlement.readers == MSPS[:3]

    def test_has_who_is_quarantined(self) -> None:
        spec = task_spec(
            reputation={"memory": 0, "quarantine_threshold": 400_000, "quarantine_rounds": 5}, training={"rounds": 5}
        )
        consortium = Consortium.active(spec)
        consortium.open(1)
        for msp in MSPS:
            consortium.submit(msp, 1)
        consortium.submit(MSPS[0], 1, num_examples=1)
        consortium.conclude(1)
        consortium.opened(2)
        settlement = attested(consortium, 2, self.UNREADABLE)
        assert settlement.readers == MSPS[1:]
        assert by_owner(consortium, settlement)[MSPS[1]].verdict == "accepted"

    def test_has_who_weighs_nothing(self) -> None:
        robustness = {"trust_weighting": "last-step", "no_trust": 100_000, "full_trust": 400_000}
        consortium = Consortium.active(task_spec(aggregation={"proof": "norm"}, robustness=robustness))
        square = consortium.spec.aggregation.quantised_norm**2
        agrees, opposes = (
            NormOpening(z=WITHIN_NORM.z, p=WITHIN_NORM.p, inner_product=f"{int(value * square) % MODULUS:016x}")
            for value in (0.5, -0.5)
        )
        said = {MSPS[0]: opposes, **dict.fromkeys(MSPS[1:], agrees)}
        settlement = settled(consortium, self.UNREADABLE, dict.fromkeys(MSPS, said), reference=MSPS)
        # Read by {2, 3, 4}, the second organisation's update is not lost; the first one's would count nothing.
        assert settlement.readers == MSPS[1:]

    def test_has_who_is_proven_to_be_at_fault(self) -> None:
        consortium = Consortium.active(task_spec(aggregation={"proof": "norm"}))
        beyond = {msp: {MSPS[0]: BEYOND_NORM} for msp in MSPS}
        settlement = settled(consortium, {MSPS[3]: [MSPS[0]], MSPS[0]: [MSPS[1]]}, beyond)
        assert by_owner(consortium, settlement)[MSPS[0]].verdict == "refused: norm"
        assert settlement.readers == MSPS[1:]

    def test_has_who_is_absent(self) -> None:
        consortium = Consortium.active()
        consortium.open(1)
        for msp in MSPS[1:]:
            consortium.submit(msp, 1)
        consortium.late(1, "updates")
        consortium.close(1)
        assert attested(consortium, 1, self.UNREADABLE).readers == MSPS[1:]

    def test_a_proven_fault_costs_the_round_no_vote(self) -> None:
        spec = seven_organisations(aggregation={"proof": "norm"})
        consortium = Consortium.active(spec)
        guilty = dict.fromkeys(consortium.msps[:3], BEYOND_NORM)
        settled(consortium, openings=dict.fromkeys(consortium.msps, guilty))
        assert consortium.round(1).record.state == "settled"


class TestScores:
    def test_dropped_by_readers_a_participant_keeps_its_reputation(self) -> None:
        consortium = Consortium.active()
        settlement = settled(consortium, {MSPS[0]: [MSPS[2]], MSPS[1]: [MSPS[3]]})
        dropped = by_owner(consortium, settlement)[MSPS[2]]
        assert dropped.reputation is not None
        assert dropped.reputation.before == dropped.reputation.after == 500_000

    def test_but_not_in_a_round_that_is_aborted_for_what_is_lost(self) -> None:
        consortium = Consortium.active()
        cannot = {MSPS[0]: [MSPS[1]], MSPS[1]: [MSPS[2]], MSPS[2]: [MSPS[3]], MSPS[3]: [MSPS[0]]}
        settlement = settled(consortium, cannot)
        assert consortium.round(1).record.state == "aborted"
        dropped = [update for update in settlement.updates if update.dropped]
        assert len(dropped) == 3
        assert {update.score for update in dropped} == {consortium.spec.reputation.honesty_weight}


class TestReference:
    ROBUSTNESS = {"trust_weighting": "last-step", "no_trust": 100_000, "full_trust": 400_000}  # noqa: RUF012

    def consortium(self) -> Consortium:
        return Consortium.active(task_spec(aggregation={"proof": "norm"}, robustness=self.ROBUSTNESS))

    def lie(self, *owners: str) -> dict[str, dict[str, Opening]]:
        said = WITHIN_NORM.model_copy(update={"inner_product": "0" * 15 + "1"})
        return {MSPS[0]: dict.fromkeys(owners, said)}

    def test_a_liar_in_the_inner_product_is_named_and_costs_the_update_nothing(self) -> None:
        settlement = settled(self.consortium(), openings=self.lie(MSPS[2]), reference=MSPS)
        assert settlement.convicted == (MSPS[0],)
        assert settlement.with_reference
        assert [update.verdict for update in settlement.updates] == ["accepted"] * 4
        # What it holds of the updates is right all the same.
        assert settlement.summers == MSPS

    def test_one_update_that_is_lost_with_a_reference_is_refused(self) -> None:
        consortium = self.consortium()
        settlement = settled(consortium, openings=self.lie(MSPS[2]), reference=MSPS[:3])
        assert settlement.with_reference and settlement.convicted == ()
        found = by_owner(consortium, settlement)
        assert found[MSPS[2]].verdict == "refused: inconsistent"
        assert not found[MSPS[2]].proven

    def test_more_than_t_are_settled_without_a_reference(self) -> None:
        consortium = self.consortium()
        settlement = settled(consortium, openings=self.lie(*MSPS[1:]), reference=MSPS[:3])
        assert not settlement.with_reference and settlement.convicted == ()
        assert [update.verdict for update in settlement.updates] == ["accepted"] * 4
        assert all(update.by_reputation for update in settlement.updates)
        assert consortium.round(1).record.state == "settled"

    def test_where_as_much_is_lost_without_it_the_round_is_aborted(self) -> None:
        consortium = self.consortium()
        cannot = {MSPS[1]: MSPS[1:], MSPS[2]: MSPS[1:]}
        settled(consortium, cannot, reference=MSPS)
        assert consortium.round(1).record.state == "aborted"

    def test_it_counts_only_when_n_minus_t_attested_with_it(self) -> None:
        assert not settled(self.consortium(), openings=self.lie(MSPS[2]), reference=MSPS[:2]).with_reference


class TestSummers:
    def test_a_late_validator_posts_no_share_of_the_sum(self) -> None:
        """It may hold a false share without knowing it, and would be taken for a liar."""
        consortium = Consortium.active()
        settlement = settled(consortium, absent=[MSPS[3]])
        assert settlement.summers == MSPS[:3]
        with refused("NOT_A_SUMMER"):
            consortium.post_share(MSPS[3], 1)

    @PROOFS
    def test_nor_does_one_whose_values_contradict_the_others(self, proof: str) -> None:
        consortium = Consortium.active(task_spec(aggregation={"proof": proof}))
        settlement = settled(consortium, openings={MSPS[1]: {MSPS[2]: consortium.contradiction}})
        assert settlement.summers == (MSPS[0], MSPS[2], MSPS[3])
        with refused("NOT_A_SUMMER"):
            consortium.post_share(MSPS[1], 1)

    def test_only_updates_that_are_in_the_sum_matter(self) -> None:
        consortium = Consortium.active(task_spec(aggregation={"proof": "norm"}))
        openings: dict[str, dict[str, Opening]] = {msp: {MSPS[2]: BEYOND_NORM} for msp in MSPS}
        openings[MSPS[1]] = {MSPS[2]: BEYOND_NORM.model_copy(update={"z": ONE})}
        settlement = settled(consortium, openings=openings)
        assert by_owner(consortium, settlement)[MSPS[2]].verdict == "refused: norm"
        assert [each.validator for each in settlement.accused] == [MSPS[1]]
        assert settlement.summers == MSPS

    def test_who_attested_in_time_and_may_not_sum_is_paid_and_who_may_and_does_not_is_not(self) -> None:
        consortium = Consortium.active()
        settlement = settled(consortium, {MSPS[1]: [MSPS[2]]})
        assert settlement.summers == (MSPS[0], MSPS[2], MSPS[3])
        for msp in (MSPS[0], MSPS[2]):
            consortium.post_share(msp, 1)
        for msp in MSPS:
            consortium.report(msp, 1)
        model = ModelRecord.decode(consortium.finalise(1))
        paid = {payment.account for payment in model.payments}
        assert [f"org:{msp}" in paid for msp in MSPS] == [True, True, True, False]

    def test_a_share_of_the_sum_has_the_size_of_the_model(self) -> None:
        consortium = Consortium.active()
        settled(consortium)
        for size in (aggregate_bytes(4) - 1, 1 << 52):
            share = AggregateShare(task="heart", round=1, digest=digest("share"), size=size)
            with refused("WRONG_SIZE"):
                consortium.ledger.submit(consortium.validators[MSPS[0]], "PostAggregateShare", share)


class TestBarred:
    def aborted(self, consortium: Consortium, number: int) -> tuple[int, ...]:
        """A round that is aborted after its settlement; its readers' points."""
        consortium.opened(number)
        readers = attested(consortium, number).readers
        consortium.late(number, "aggregates", consortium.quorum)
        request = AbortRequest(task="heart", round=number, reason="nobody reports")
        consortium.ledger.submit(consortium.validators[MSPS[0]], "AbortRound", request)
        return tuple(MSPS.index(msp) + 1 for msp in readers)

    def consortium(self) -> Consortium:
        schedule = {"epsilon_budget": 9_000_000, "epsilon_schedule": [1_000_000 * count for count in range(1, 10)]}
        return Consortium.active(task_spec(privacy=schedule))

    def test_readers_that_brought_no_sum_about_are_not_chosen_again_until_all_have_had_their_round(self) -> None:
        consortium = self.consortium()
        chosen = [self.aborted(consortium, number) for number in range(1, 7)]
        assert chosen == [(1, 2, 3), (1, 2, 4), (1, 3, 4), (2, 3, 4), (1, 2, 3), (1, 2, 4)]

    def test_a_round_without_a_sum_bars_nobody(self) -> None:
        consortium = self.consortium()
        consortium.opened(1)
        attested(consortium, 1, {MSPS[0]: MSPS, MSPS[1]: MSPS})
        assert consortium.round(1).record.state == "aborted"
        assert self.aborted(consortium, 2) == (1, 2, 3)

    def test_nor_does_one_that_brought_a_model(self) -> None:
        consortium = self.consortium()
        consortium.through(1)
        assert self.aborted(consortium, 2) == (1, 2, 3)
