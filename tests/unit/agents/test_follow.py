"""Agents go on whatever a step or the stream of events raises; only who is refused at home ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from fedledger.agents import follow
from fedledger.agents.follow import LedgerBell, Troubles, keep_stepping
from fedledger.errors import FedledgerError
from fedledger.gateway import ChaincodeEvent, CloseableIterator, EndorseError, EvaluateError, GatewayError
from fedledger.ledger import LedgerRefusal
from fedledger.store import StoreError
from fedledger_chaincode.errors import ContractFault

TASK = "study"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "RECONNECT_SECONDS", 0.001)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Events(CloseableIterator[ChaincodeEvent]):
    """A stream that gives what it is made of, raises what is an exception in it, and then waits to be closed."""

    def __init__(self, *content: ChaincodeEvent | Exception) -> None:
        self._content = iter(content)
        self._closed = threading.Event()

    def __next__(self) -> ChaincodeEvent:
        for each in self._content:
            if isinstance(each, Exception):
                raise each
            return each
        self._closed.wait()
        raise StopIteration

    def close(self) -> None:
        self._closed.set()


class Streams:
    """A ledger of which only the events are asked; each stream in turn, an exception in the place of one is raised."""

    def __init__(self, *streams: Events | Exception) -> None:
        self._streams = iter(streams)
        self.exhausted = threading.Event()

    def events(self) -> CloseableIterator[ChaincodeEvent]:
        stream = next(self._streams, None)
        if stream is None:
            self.exhausted.set()
            return Events()
        if isinstance(stream, Exception):
            raise stream
        return stream


def bell(*streams: Events | Exception) -> LedgerBell:
    return LedgerBell(Streams(*streams), TASK)  # type: ignore[arg-type]


def steps(*outcomes: float | BaseException | None) -> Callable[[], float | None]:
    following = iter(outcomes)

    def step() -> float | None:
        outcome = next(following)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return step


def run(step: Callable[[], float | None], **options: Any) -> list[Any]:
    """What was logged until the agent ended."""
    with capture_logs() as logs, bell() as ringing:
        keep_stepping(step, ringing, threading.Event(), name="agent", longest_wait=0.002, **options)
    return logs


@pytest.mark.parametrize(
    "error",
    [
        AssertionError("a revealed share without an attested opening"),
        KeyError("commit-reference"),
        MemoryError(),
        RecursionError(),
        ValueError("nosuch"),
        NotImplementedError(),
        StopIteration(),
        OSError(28, "No space left on device"),
        UnicodeEncodeError("utf-8", "\udc80", 0, 1, "surrogates not allowed"),
        Unspeakable(),
        FedledgerError("TASK_DIFFERS", "The task was amended.", "Install its package."),
        GatewayError("X", "The ledger is gone."),
        StoreError("STORE_UNAVAILABLE", "No store."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_step_that_fails_is_tried_again(error: Exception) -> None:
    step = steps(error, 0.0, error, error, None)
    run(step)
    with pytest.raises(StopIteration):
        step()


def test_what_must_not_have_happened_is_logged_with_its_traceback_once_and_then_briefly() -> None:
    def step() -> float | None:
        following()
        raise KeyError("commit-reference")

    following = steps(0.0, 0.0, 0.0, KeyboardInterrupt())
    with capture_logs() as logs, bell() as ringing, pytest.raises(KeyboardInterrupt):
        keep_stepping(step, ringing, threading.Event(), name="agent", longest_wait=0.001)
    first, *others = logs
    assert first["log_level"] == "error"
    assert "raise KeyError" in first["traceback"] and "step()" in first["traceback"]
    assert [(log["log_level"], log["times"]) for log in others] == [("info", 2), ("info", 3)]
    assert all("traceback" not in log for log in others)
    assert all(log["agent"] == "agent" and log["kind"] == "KeyError" for log in logs)


@pytest.mark.parametrize("error", [GatewayError("X", "gone"), StoreError("STORE_UNAVAILABLE", "gone")])
def test_that_ledger_or_store_cannot_be_used_now_is_a_warning_without_a_traceback(error: Exception) -> None:
    (log,) = run(steps(error, None))
    assert log["log_level"] == "warning"
    assert "traceback" not in log


def test_each_message_is_told_and_none_twice() -> None:
    logs = run(steps(ValueError("a"), ValueError("b"), ValueError("a"), None))
    assert [(log["reason"], log["log_level"]) for log in logs] == [("a", "error"), ("b", "error"), ("a", "info")]


def test_pauses_grow_to_the_longest_and_begin_anew_after_a_step_that_succeeds() -> None:
    logs = run(steps(*[ValueError()] * 4, 0.0, ValueError(), None))
    assert [log["seconds"] for log in logs] == [0.001, 0.002, 0.002, 0.002, 0.001]


def test_whoever_makes_up_messages_fills_neither_memory_nor_log() -> None:
    troubles = Troubles(agent="agent")
    with capture_logs() as logs:
        for number in range(10 * Troubles.REMEMBERED):
            troubles.tell("failed", ValueError(f"{number} {'x' * 1_000_000}"), 1.0)
    assert len(troubles._told) <= Troubles.REMEMBERED
    assert max(len(str(log)) for log in logs) < 20 * Troubles.LONGEST


@pytest.mark.parametrize("end", [KeyboardInterrupt(), SystemExit(1)])
def test_who_is_asked_to_end_ends(end: BaseException) -> None:
    with pytest.raises(type(end)):
        run(steps(0.0, end))


@pytest.mark.parametrize(
    "error",
    [
        EvaluateError("EVALUATE_PERMISSION_DENIED", "no", status=grpc.StatusCode.PERMISSION_DENIED),
        EvaluateError("EVALUATE_UNAUTHENTICATED", "no", status=grpc.StatusCode.UNAUTHENTICATED),
        EvaluateError("CERTIFICATE_EXPIRED", "expired"),
        EvaluateError("EVALUATE_UNKNOWN", "access denied", status=grpc.StatusCode.UNKNOWN),
    ],
)
def test_who_is_refused_when_asking_at_home_ends(error: GatewayError) -> None:
    with pytest.raises(EvaluateError):
        run(steps(0.0, error))


@pytest.mark.parametrize(
    "error",
    [
        EndorseError("ENDORSE_ABORTED", "peer0.hungary (HungaryMSP): access denied", status=grpc.StatusCode.ABORTED),
        EndorseError("CERTIFICATE_EXPIRED", "peer0.hungary (HungaryMSP): client identity expired"),
    ],
)
def test_another_organisations_peer_cannot_end_an_agent_by_saying_that_it_is_refused(error: GatewayError) -> None:
    run(steps(error, 0.0, error, None))


@pytest.mark.parametrize(
    "error",
    [
        GatewayError("CLOSED", "The gateway has been closed."),
        GatewayError("FORKED", "The gateway was connected by the parent process."),
        FedledgerError("EQUIVOCATION", "Another manifest was signed with this key."),
    ],
)
def test_what_this_agents_own_side_has_done_ends_it(error: FedledgerError) -> None:
    with pytest.raises(FedledgerError):
        run(steps(0.0, error))


@pytest.mark.parametrize("code", ["EQUIVOCATION", "CLOSED", "FORKED"])
def test_a_peer_that_says_the_same_does_not(code: str) -> None:
    refusal = LedgerRefusal(ContractFault(409, code, "Says another organisation's peer."))
    run(steps(refusal, EndorseError(code, "", status=grpc.StatusCode.ABORTED), 0.0, refusal, None))


def test_another_organisations_gateway_cannot_either() -> None:
    error = EvaluateError("EVALUATE_PERMISSION_DENIED", "no", status=grpc.StatusCode.PERMISSION_DENIED)
    error.by_further_gateway = True
    run(steps(error, 0.0, None))


def test_a_stopped_agent_ends_between_failures() -> None:
    stop = threading.Event()

    def step() -> float | None:
        stop.set()
        raise ValueError

    with capture_logs(), bell() as ringing:
        keep_stepping(step, ringing, stop, name="agent")


def event(payload: bytes) -> ChaincodeEvent:
    return ChaincodeEvent(1, "tx", "fedledger", "RoundOpened", payload)


class TestTheBell:
    @pytest.mark.parametrize(
        "error",
        [GatewayError("X", "gone"), AssertionError(), KeyError("x"), MemoryError(), RecursionError(), Unspeakable()],
        ids=lambda error: type(error).__name__,
    )
    def test_goes_on_whatever_the_stream_raises(self, error: Exception) -> None:
        streams = Streams(error, Events(error), Events(event(b"{}"), error), error)
        with capture_logs(), LedgerBell(streams, TASK):  # type: ignore[arg-type]
            assert streams.exhausted.wait(30)

    @pytest.mark.parametrize("payload", [b"no JSON", b"[]", b"null", b"\xff", b"[" * 100_000])
    def test_bears_an_event_that_cannot_be_read(self, payload: bytes) -> None:
        streams = Streams(Events(event(payload), ValueError("the stream's end")))
        with capture_logs() as logs, LedgerBell(streams, TASK):  # type: ignore[arg-type]
            assert streams.exhausted.wait(30)
        assert [log["reason"] for log in logs] == ["the stream's end"]
