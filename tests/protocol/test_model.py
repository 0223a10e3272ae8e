"""The rules between proof and sum keep their promises in every case that the bounds allow.

All of four validators with one corrupt, samples of seven with two and of ten with three. ``FEDLEDGER_MODEL`` in the
environment is how many times as many samples are drawn as by default, and plays all of the larger enumerations.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, product
from random import Random
from typing import Any

import pytest

from fedledger_chaincode.messages.round import Opening
from fedledger_chaincode.rules import verdicts
from fedledger_chaincode.rules.disputes import Vote, ruling_of
from fedledger_chaincode.rules.field import centred
from fedledger_chaincode.rules.settlement import Settlement
from fedledger_chaincode.rules.verdicts import Decision, decide
from tests.protocol.model import (
    Dealing,
    Round,
    Split,
    Update,
    completions,
    four_dealings,
    four_lies,
    opening,
    organisation,
    some_attesters,
    some_corrupt,
    some_lies,
    some_round,
    some_split,
    through,
    truths,
)

TIMES = int(os.environ.get("FEDLEDGER_MODEL", "0"))
THRESHOLDS = [(4, 1), (7, 2), (10, 3)]
SAMPLES = {(4, 1): 4_000, (7, 2): 1_500, (10, 3): 600}


@pytest.fixture(autouse=True, scope="module")
def remembered_decoding() -> Iterator[None]:
    """Most cases share most of their elements: the decoder is asked once for each."""
    real = verdicts.decode_certain

    @lru_cache(maxsize=1 << 16)
    def once(values: tuple[tuple[int, int], ...], degree: int, faults: int) -> Any:
        return real(dict(values), degree, faults)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdicts, "decode_certain", lambda values, *rest: once(tuple(values.items()), *rest))
        yield


def check(dealing: Dealing, openings: Mapping[int, Opening | None], users: frozenset[int]) -> Decision:
    """What holds of every decision, whoever is late or cannot read."""
    n, t = dealing.n, dealing.t
    found = decide(openings, n, t, users)
    held = [j for j in dealing.honest if j in found.consistent]
    if found.consistent:
        assert len(found.consistent) >= n - t
        # The honest ones in S are enough to be a polynomial of their own, and hold one dealing.
        assert len(held) >= t + 1
        assert dealing.is_one(held)
    if found.verdict == "accepted":
        assert dealing.is_true(held)
    if found.verdict == "refused: norm":
        assert not dealing.is_true(held)
    assert not set(found.liars) & set(dealing.honest)
    if dealing.is_honest:
        assert found.verdict != "refused: norm"
        assert not set(found.accused) & set(dealing.honest)
        there = [j for j in dealing.honest if openings.get(j) is not None]
        if len(there) >= n - t and (not users or users >= set(there)):
            assert found.verdict == "accepted"
            assert held == there
    if found.inner_product is not None:
        assert found.inner_product == centred(through({j: dealing.c[j] for j in held[: t + 1]}, 0)[0])
    return found


def said(dealing: Dealing, absent: tuple[int, ...]) -> dict[int, Opening | None]:
    return {j: each for j, each in truths(dealing).items() if j not in absent}


def absences(dealing: Dealing, most: int) -> Iterator[tuple[int, ...]]:
    for count in range(most + 1):
        yield from combinations(dealing.honest, count)


class TestFourValidators:
    @pytest.mark.parametrize("corrupt", [1, 2, 3, 4])
    def test_whatever_a_corrupt_one_says_of_whatever_is_dealt(self, corrupt: int) -> None:
        seen: Counter[str] = Counter()
        dice = Random(corrupt)
        for dealing in four_dealings(corrupt, dice):
            lies = [opening(z, p, 0) for z, p in four_lies(dealing, dice)]
            # With two honest ones absent, three values are not there: the same whatever they are.
            for absent in absences(dealing, 1):
                openings = said(dealing, absent)
                for lie in lies:
                    openings[corrupt] = lie
                    seen[check(dealing, openings, frozenset()).verdict] += 1
            for absent in absences(dealing, 3):
                seen[check(dealing, said(dealing, absent), frozenset()).verdict] += 1
                if len(absent) > 1:
                    openings = {**said(dealing, absent), corrupt: lies[0]}
                    assert check(dealing, openings, frozenset()).verdict == "unreadable"
        assert set(seen) == {"accepted", "refused: norm", "refused: inconsistent", "unreadable"}
        assert sum(seen.values()) > 40_000

    def test_whatever_is_dealt_to_four_honest_ones(self) -> None:
        for dealing in four_dealings(None, Random(0)):
            for absent in absences(dealing, 4):
                check(dealing, said(dealing, absent), frozenset())

    @pytest.mark.parametrize("corrupt", [1, 2, 3, 4] if TIMES else [4])
    def test_whatever_a_corrupt_one_says_of_inner_products_or_sums_and_whoever_has_one(self, corrupt: int) -> None:
        seen: Counter[str] = Counter()
        dice = Random(corrupt)
        for dealing in four_dealings(corrupt, dice):
            cs = {through(points, corrupt)[0] for points in completions(dealing, dealing.c, [])}
            cs.add(dice.randrange(1 << 60))
            pairs = [
                (through(z, corrupt), through(p, corrupt))
                for z, p in product(completions(dealing, dealing.z, []), completions(dealing, dealing.p, []))
            ]
            users = [frozenset(some) for size in (2, 3, 4) for some in combinations((1, 2, 3, 4), size)]
            for absent, (z, p) in product(absences(dealing, 1), sorted(set(pairs))):
                openings: dict[int, Opening | None] = said(dealing, absent)
                openings[corrupt] = opening(z, p, 0)
                if check(dealing, openings, frozenset()).verdict != "accepted":
                    continue
                for c, using in product(sorted(cs), users):
                    openings[corrupt] = opening(z, p, c)
                    found = check(dealing, openings, using)
                    seen[f"{found.verdict} {len(found.liars)}"] += 1
        assert set(seen) == {"accepted 0", "accepted 1", "refused: inconsistent 0"}

    def test_to_be_late_is_the_same_as_to_be_unable_to_read(self) -> None:
        for dealing in four_dealings(4, Random(0)):
            openings = {**said(dealing, ()), 4: opening((1, 2), (3, 4), 5)}
            for absent in absences(dealing, 3):
                late = {j: each for j, each in openings.items() if j not in absent}
                unreadable = {**openings, **dict.fromkeys(absent)}
                assert decide(late, 4, 1, frozenset()) == decide(unreadable, 4, 1, frozenset())


@pytest.mark.parametrize(("n", "t"), THRESHOLDS)
def test_samples_of_what_is_dealt_and_said(n: int, t: int) -> None:
    seen: Counter[str] = Counter()
    dice = Random(n)
    for _ in range(SAMPLES[n, t] * max(TIMES, 1)):
        corrupt = some_corrupt(n, t, dice)
        split = Split() if dice.random() < 0.25 else some_split(n, t, corrupt, dice)
        dealing = split.dealt(n, t, corrupt, dice)
        attesting, unable = some_attesters(dealing, dice)
        openings: dict[int, Opening | None] = {j: each for j, each in truths(dealing).items() if j in attesting}
        for liar, (z, p, c) in some_lies(dealing, dice).items():
            if liar in attesting:
                openings[liar] = opening(z, p, c)
        openings |= dict.fromkeys(j for j in unable if j in openings)
        using = frozenset(dice.sample(range(1, n + 1), dice.choice([0, n, n - t]))) & set(attesting)
        found = check(dealing, openings, using)
        seen[f"{'honest' if dealing.is_honest else 'cheating'}, {found.verdict}"] += 1
    # The samples are where it matters: whatever can happen happens.
    assert {"honest, accepted", "honest, refused: inconsistent", "honest, unreadable"} <= set(seen)
    assert {f"cheating, {each}" for each in ("accepted", "refused: norm", "refused: inconsistent")} <= set(seen)


class TestDisputes:
    """About one accusation: every order of votes."""

    def endings(self, n: int, t: int, honest: Mapping[str, int], corrupt: int, own: bool) -> set[Vote | None]:
        """Rulings that can come first, and None where all honest ones have voted without one.

        Args:
            honest: how many honest judges say what.
            corrupt: how many others may say anything, or nothing.
            own: an honest accused one's own disclosure is there from the beginning.
        """
        found: set[Vote | None] = set()
        states = {(0, 0, 0, 0)}
        while states:
            confirmed, denied, helping, framing = state = states.pop()
            votes: dict[str, Vote] = {f"c{index}": "confirms" for index in range(confirmed + helping + own)}
            votes |= {f"d{index}": "denies" for index in range(denied + framing)}
            ruling = ruling_of(votes, n - t, t)
            if ruling is not None:
                found.add(ruling)
                continue
            if (confirmed, denied) == (honest["confirms"], honest["denies"]):
                found.add(None)
            if confirmed < honest["confirms"]:
                states.add((confirmed + 1, denied, helping, framing))
            if denied < honest["denies"]:
                states.add((confirmed, denied + 1, helping, framing))
            if helping + framing < corrupt:
                states |= {(confirmed, denied, helping + 1, framing), (confirmed, denied, helping, framing + 1)}
            assert state not in states
        return found

    @pytest.mark.parametrize(("n", "t"), [*THRESHOLDS, (5, 1), (9, 2)])
    def test_an_honest_accused_one_is_confirmed_though_t_honest_judges_cannot_fetch_in_their_time(
        self, n: int, t: int
    ) -> None:
        for corrupt, slow in product(range(t + 1), range(t + 1)):
            honest = {"confirms": n - 1 - corrupt - slow, "denies": slow}
            assert self.endings(n, t, honest, corrupt, own=True) == {"confirms"}

    @pytest.mark.parametrize(("n", "t"), THRESHOLDS)
    def test_it_takes_t_plus_1_honest_judges_that_cannot_to_convict_it(self, n: int, t: int) -> None:
        honest = {"confirms": n - 1 - t - (t + 1), "denies": t + 1}
        assert "denies" in self.endings(n, t, honest, t, own=True)

    @pytest.mark.parametrize(("n", "t"), [*THRESHOLDS, (5, 1), (9, 2)])
    def test_a_liar_is_convicted_and_no_honest_participant_is_at_fault_for_it(self, n: int, t: int) -> None:
        for corrupt in range(1, t + 1):
            # One of the corrupt is the accused, whose word for itself is its disclosure.
            honest = {"confirms": 0, "denies": n - corrupt}
            assert self.endings(n, t, honest, corrupt, own=False) == {"denies"}


# --- rounds


def check_round(round_: Round, corrupt: list[int]) -> Settlement:
    """What holds of every settlement."""
    n, t = round_.n, round_.t
    settlement = round_.settled()
    record = settlement.record
    honest = [j for j in range(1, n + 1) if j not in corrupt]
    liars = {organisation(j) for j in corrupt}
    updates = {update.name: update for update in round_.updates}
    assert set(record.convicted) <= liars
    for accusation in record.accused:
        assert not updates[accusation.participant].dealing.is_honest or accusation.validator in liars
    summing = [j for j in honest if organisation(j) in record.summers]
    for settled in record.updates:
        update = updates[settled.participant]
        if update.dealing.is_honest:
            assert not settled.proven and settled.verdict != "refused: norm"
        if settled.weight:
            assert update.is_held_by(summing)
    if record.weight_sum:
        assert set(record.readers) <= set(record.summers) and len(record.readers) == n - t
        assert len(summing) >= t + 1
    if not settlement.obstacle or "are lost" not in settlement.obstacle:
        assert kept_out(round_, settlement) <= t
    return settlement


def kept_out(round_: Round, settlement: Settlement) -> Fraction:
    """Organisations' worth of honest updates that are not in the sum."""
    voting = Counter(
        update.owner
        for update, settled in zip(round_.updates, settlement.record.updates, strict=True)
        if not settled.proven
    )
    return sum(
        (
            Fraction(1, voting[update.owner])
            for update, settled in zip(round_.updates, settlement.record.updates, strict=True)
            if not update.is_bribed and not settled.weight
        ),
        Fraction(0),
    )


class TestRounds:
    def test_one_corrupt_validator_with_bribed_names_isolates_nobody(self) -> None:
        """Of four: whatever it says of each honest update, whoever of the others is late, and whoever of them cannot
        read each of three bribed names."""
        dice = Random(4)
        corrupt = [4]
        aborted = kept = 0
        honest = [Split().dealt(4, 1, corrupt, dice) for _ in (1, 2, 3)]
        names = [Split().dealt(4, 1, corrupt, dice) for _ in (1, 2, 3)]
        words = [{4: self.truth(each)} for each in honest], [{4: opening((1, 2), (3, 4), 5)}] * 3, [{4: None}] * 3
        for kinds, blind, late in product(
            product(range(3), repeat=3),
            product((None, 1, 2, 3), repeat=3 if TIMES else 2),
            (None, 1, 2, 3),
        ):
            updates = [
                Update(f"{index:064x}", organisation(index), honest[index - 1], lies=words[kind][index - 1])
                for index, kind in enumerate(kinds, start=1)
            ]
            for index, cannot in enumerate(blind, start=1):
                bribed = names[index - 1]
                unreadable = frozenset[int]() if cannot is None else frozenset({cannot})
                name, lies = f"{index + 8:064x}", {4: self.truth(bribed)}
                updates.append(Update(name, organisation(index), bribed, unreadable, lies, is_bribed=True))
            round_ = Round(4, 1, tuple(updates), tuple(j for j in (1, 2, 3, 4) if j != late))
            settlement = check_round(round_, corrupt)
            aborted += bool(settlement.obstacle)
            kept += not settlement.obstacle
        assert aborted and kept

    def truth(self, dealing: Dealing) -> Opening:
        """What the corrupt one would say if it were none."""
        z, p, c = dealing.completed(4)
        return opening(z, p, c[0])

    @pytest.mark.parametrize(("n", "t"), THRESHOLDS)
    def test_samples_of_rounds(self, n: int, t: int) -> None:
        dice = Random(n)
        went_on = 0
        for _ in range({4: 400, 7: 120, 10: 40}[n] * max(TIMES, 1)):
            settlement = check_round(*some_round(n, t, dice))
            went_on += not settlement.obstacle
        assert went_on

    @pytest.mark.parametrize(("n", "t"), THRESHOLDS)
    def test_no_names_of_t_organisations_stop_a_round_without_a_validator_s_help(self, n: int, t: int) -> None:
        """Every name of theirs is unreadable to validators of its own, or dealt to them badly."""
        dice = Random(n)
        sets = list(combinations(range(1, n + 1), t))
        for bad in (False, True):
            for first, second in [*combinations(sets, 2)] if n == 4 else [dice.sample(sets, 2) for _ in range(20)]:
                updates = [
                    Update(f"{j:064x}", organisation(j), Split().dealt(n, t, (), dice)) for j in range(t + 1, n + 1)
                ]
                for j in range(1, t + 1):
                    for name, blind in ((0, first), (1, second)):
                        split = Split(frozenset(blind), frozenset(blind)) if bad else Split()
                        unreadable = frozenset[int]() if bad else frozenset(blind)
                        dealing = split.dealt(n, t, (), dice)
                        pseudonym = f"{100 * j + name:064x}"
                        updates.append(Update(pseudonym, organisation(j), dealing, unreadable, is_bribed=True))
                round_ = Round(n, t, tuple(updates), tuple(range(1, n + 1)))
                settlement = check_round(round_, [])
                assert not settlement.obstacle
                assert kept_out(round_, settlement) == 0

    @pytest.mark.parametrize(("n", "t"), THRESHOLDS)
    def test_honest_participants_lose_nothing_to_t_validators(self, n: int, t: int) -> None:
        """Corrupt or late, t in all, whatever they say and whichever of them use the direction."""
        dice = Random(n)
        for _ in range(60 if n == 4 else 12):
            faulty = dice.sample(range(1, n + 1), t)
            corrupt = dice.sample(faulty, dice.randint(0, t))
            updates = []
            for j in range(1, n + 1):
                dealing = Split().dealt(n, t, corrupt, dice)
                lies: dict[int, Opening | None] = {
                    liar: None if dice.random() < 0.3 else opening(*values)
                    for liar, values in some_lies(dealing, dice).items()
                }
                updates.append(Update(f"{j:064x}", organisation(j), dealing, lies=lies))
            late = [j for j in faulty if j not in corrupt]
            attesting = tuple(j for j in range(1, n + 1) if j not in late)
            honest = [j for j in attesting if j not in corrupt]
            using = frozenset(dice.choice([[], honest, attesting]))
            settlement = check_round(Round(n, t, tuple(updates), attesting, using), corrupt)
            assert not settlement.obstacle
            assert all(settled.weight for settled in settlement.record.updates)
            assert settlement.record.with_reference == bool(using)

    def test_who_could_not_use_the_direction_and_a_liar_do_not_stop_a_round(self) -> None:
        """One honest validator could not have it in time, the corrupt one lies in it about all updates."""
        dice = Random(1)
        updates = []
        for j in (1, 2, 3, 4):
            dealing = Split().dealt(4, 1, [4], dice)
            z, p, _ = dealing.completed(4)
            updates.append(Update(f"{j:064x}", organisation(j), dealing, lies={4: opening(z, p, 1)}))
        settlement = check_round(Round(4, 1, tuple(updates), (1, 2, 3, 4), frozenset({1, 2, 4})), [4])
        assert not settlement.obstacle and not settlement.record.with_reference
        assert all(settled.weight for settled in settlement.record.updates)
