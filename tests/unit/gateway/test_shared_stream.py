"""One stream for all who listen: each gets every value from its beginning on, and all are told of its end."""

from __future__ import annotations

import queue
from dataclasses import dataclass, field

import pytest

from fedledger.gateway import CloseableIterator, EventsError
from fedledger.gateway.shared_stream import MOST_WAITING, SharedStream


@dataclass
class Source(CloseableIterator[int]):
    """A stream whose values a test puts in; an exception ends it."""

    values: queue.SimpleQueue[int | Exception] = field(default_factory=queue.SimpleQueue)

    def __next__(self) -> int:
        value = self.values.get()
        if isinstance(value, Exception):
            raise value
        return value

    def close(self) -> None:
        self.values.put(StopIteration())


@dataclass
class Opened:
    sources: list[Source] = field(default_factory=list)

    def __call__(self) -> Source:
        self.sources.append(Source())
        return self.sources[-1]


@pytest.fixture
def opened() -> Opened:
    return Opened()


@pytest.fixture
def shared(opened: Opened) -> SharedStream[int]:
    return SharedStream(opened)


def test_each_listener_gets_every_value_from_its_beginning_on(opened: Opened, shared: SharedStream[int]) -> None:
    first = shared.listen()
    opened.sources[0].values.put(1)
    assert next(first) == 1
    second = shared.listen()
    opened.sources[0].values.put(2)
    assert (next(first), next(second)) == (2, 2)
    assert len(opened.sources) == 1


def test_who_stops_listening_ends_nobody_elses_iteration(opened: Opened, shared: SharedStream[int]) -> None:
    first, second = shared.listen(), shared.listen()
    first.close()
    opened.sources[0].values.put(1)
    assert list(first) == []
    assert next(second) == 1
    second.close()
    third = shared.listen()
    opened.sources[0].values.put(2)
    assert next(third) == 2
    assert len(opened.sources) == 1


def test_all_are_told_with_what_it_ends_and_the_next_one_opens_another(
    opened: Opened, shared: SharedStream[int]
) -> None:
    listeners = [shared.listen(), shared.listen()]
    opened.sources[0].values.put(1)
    opened.sources[0].values.put(EventsError("EVENTS_UNAVAILABLE", "The peer stops.", ""))
    for listener in listeners:
        assert next(listener) == 1
        with pytest.raises(EventsError, match="EVENTS_UNAVAILABLE"):
            next(listener)
        assert list(listener) == []
    again = shared.listen()
    opened.sources[1].values.put(2)
    assert next(again) == 2


def test_one_that_ends_in_peace_ends_all_iterations(opened: Opened, shared: SharedStream[int]) -> None:
    listeners = [shared.listen(), shared.listen()]
    opened.sources[0].close()
    assert [list(listener) for listener in listeners] == [[], []]


def test_a_listener_that_falls_far_behind_is_told_so_and_the_others_go_on(
    opened: Opened, shared: SharedStream[int]
) -> None:
    slow, quick = shared.listen(), shared.listen()
    for number in range(MOST_WAITING + 2):
        opened.sources[0].values.put(number)
        assert next(quick) == number
    assert [next(slow) for _ in range(MOST_WAITING)] == list(range(MOST_WAITING))
    with pytest.raises(EventsError, match="EVENTS_TOO_SLOW"):
        next(slow)
    assert list(slow) == []
