"""One hostile organisation among four does anything at any moment, in every kind of task: nobody honest is stopped,
blamed, charged or left out, rounds end, and the ledger names what was done.

The moves are ``benchmarks/hostile``'s; ``benchmarks/hostile_member.py`` plays them for longer. When one of these plays
finds something, it prints its moves: ``python benchmarks/hostile_member.py --moves "..." --least`` plays them again and
looks for the least of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from random import Random
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from benchmarks.hostile.ground import ground
from benchmarks.hostile.kinds import Kind
from benchmarks.hostile.member import ACTS
from benchmarks.hostile.participant_acts import honest, send
from benchmarks.hostile.play import Move, Play, Setting, least, random_moves
from benchmarks.hostile.promises import check_ledger
from benchmarks.hostile.validator_acts import attest_with
from fedledger.cli.demo.cheating import cheat

CAST = (
    (Kind.NORM, "cleveland"),
    (Kind.REFERENCE, "hungary"),
    (Kind.DEALING, "long_beach"),
    (Kind.LAST_STEP, "switzerland"),
)
"""Each kind of task, and each organisation as the hostile one."""
STEPS = 40
LIAR = "hungary"
BETWEEN_ROUNDS = 15
"""Moves before another round is played at once."""

seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    folder = tmp_path_factory.mktemp("hostile")
    with ground(folder / "n") as running:
        yield Setting(running, folder / "plays")


class HostileMember(RuleBasedStateMachine):
    """A task in which somebody does anything; whatever is found fails the play at once."""

    setting: ClassVar[Setting]
    kind: ClassVar[Kind]
    hostile: ClassVar[str]
    play: Play

    def __init__(self) -> None:
        super().__init__()
        self.ending = ExitStack()

    @initialize()
    def the_task_begins(self) -> None:
        self.play = self.ending.enter_context(self.setting.play(self.kind, self.hostile))

    @rule(act=st.sampled_from(sorted(ACTS)), seed=seeds)
    def the_hostile_member_does_something(self, act: str, seed: int) -> None:
        self.make(act, seed)

    @rule(seed=seeds)
    def the_hostile_member_does_what_makes_sense_now(self, seed: int) -> None:
        self.make("apt", seed)

    @rule(seed=seeds)
    def the_hostile_member_is_in_the_way_of_an_honest_step(self, seed: int) -> None:
        self.make("race", seed)

    @rule(seed=seeds, everybody=st.booleans())
    def honest_agents_step(self, seed: int, everybody: bool) -> None:
        self.make("everybody" if everybody else "honest", seed)

    @rule(seed=seeds)
    def time_passes(self, seed: int) -> None:
        self.make("wait", seed)

    @precondition(lambda self: len(self.play.moves) % BETWEEN_ROUNDS == BETWEEN_ROUNDS - 1)
    @rule(seed=seeds)
    def a_round_is_played(self, seed: int) -> None:
        self.make("round", seed)

    def make(self, name: str, seed: int) -> None:
        self.play.make(Move(name, seed))
        assert not self.play.findings, self.play.journal()

    def teardown(self) -> None:
        with self.ending:
            if hasattr(self, "play"):
                self.play.finish()
                assert not self.play.findings, self.play.journal()


@pytest.mark.parametrize(("kind", "hostile"), CAST, ids=[kind.value for kind, _ in CAST])
def test_whatever_one_member_does_every_promise_is_kept(setting: Setting, kind: Kind, hostile: str) -> None:
    machine = type("HostileMember", (HostileMember,), {"setting": setting, "kind": kind, "hostile": hostile})
    run_state_machine_as_test(
        seed(CAST.index((kind, hostile)))(machine),
        settings=settings(
            max_examples=1,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            # To make it smaller means to play it again hundreds of times: that is for whoever looks for the reason.
            phases=(Phase.generate,),
            suppress_health_check=tuple(HealthCheck),
        ),
    )


def test_what_can_be_proven_of_it_is_named(setting: Setting) -> None:
    """Two manifests, an update beyond the norm, false values of everybody's updates: each in a round of its own."""
    with setting.play(Kind.NORM, LIAR) as play:
        me, spec = play.member, play.stage.spec
        me.rng = Random(1)
        key = me.names[0]
        for number in (1, 2, 3):
            until(play, number, "open")
            me.look()
            match number:
                case 1:
                    send(me, key, honest(me, key))
                    send(me, key, honest(me, key))
                case 2:
                    update = [2 * spec.aggregation.quantised_norm, 0, 0, 0]
                    context = me.context(me.pseudonyms[0])
                    send(me, key, cheat(me.parameters, me.sealing_keys(), context, update))
                case _:
                    send(me, key, honest(me, key))
                    until(play, number, "closed")
                    me.look()
                    attest_with(me, lies=1.0)
            play.make(Move("round", 0))
        play.finish()
        verdicts = [verdict(play, number) for number in (1, 2, 3)]
        dispute = play.stage.round(3).dispute
    assert not play.findings, play.journal()
    assert verdicts == ["refused: equivocation", "refused: norm", "accepted"]
    assert dispute is not None
    assert {(each.validator, each.ruling) for each in dispute.accusations} == {(me.msp, "denies")}


def until(play: Play, number: int, state: str) -> None:
    """Let honest agents step until a round is in a state, and no further."""
    for _ in range(50):
        for agent in play.stage.agents():
            current = play.stage.newest()
            if current is not None and (current.record.round, current.record.state) == (number, state):
                return
            play.stage.step(*agent)
    raise AssertionError(f"round {number} is not {state}")


def verdict(play: Play, number: int) -> str:
    """On the hostile participant's update."""
    settlement = play.stage.round(number).settlement
    assert settlement is not None
    return next(update.verdict for update in settlement.updates if update.msp == play.member.msp)


def test_the_ledger_of_all_of_it_passes_its_audit(setting: Setting) -> None:
    assert check_ledger(setting.ground, "cleveland") == []


def test_the_moves_of_a_play_follow_from_its_seed_and_are_made_fewer() -> None:
    moves = random_moves(Random(1), 30)
    assert moves == random_moves(Random(1), 30)
    wanted = {moves[3], moves[17]}
    assert set(least(moves, lambda fewer: wanted <= set(fewer))) == wanted
