"""A validator's stopwatch: a phase begins when it is first seen, whatever any clock says."""

from __future__ import annotations

from dataclasses import dataclass

from fedledger.agents.stopwatch import Stopwatch


@dataclass
class Hands:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_each_phase_of_each_round_runs_from_when_it_was_first_asked_about() -> None:
    hands = Hands(1_000.0)
    stopwatch = Stopwatch(hands)
    assert stopwatch.waited(1, "updates") == 0
    hands.seconds += 30
    assert stopwatch.waited(1, "attestations") == 0
    hands.seconds += 5
    assert stopwatch.waited(1, "updates") == 35
    assert stopwatch.waited(1, "attestations") == 5
    assert stopwatch.waited(2, "updates") == 0


def test_one_that_is_started_again_begins_anew() -> None:
    hands = Hands()
    Stopwatch(hands).waited(1, "updates")
    hands.seconds += 100
    assert Stopwatch(hands).waited(1, "updates") == 0


def test_rounds_that_are_over_are_forgotten() -> None:
    hands = Hands()
    stopwatch = Stopwatch(hands)
    for number in (1, 2):
        stopwatch.waited(number, "updates")
    hands.seconds += 10
    stopwatch.keep([2])
    assert stopwatch.waited(2, "updates") == 10
    assert stopwatch.waited(1, "updates") == 0
