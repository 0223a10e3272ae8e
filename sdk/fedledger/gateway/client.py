"""The calls of the Gateway and Deliver services, each with its deadline and its own error type; signs nothing.

With several gateways a call that the first does not answer is sent to the next one. That can be repeated in every
phase: a query and an endorsement write nothing, a transaction keeps its id and is committed once however often it is
handed in, and a status is only read. What a query returns is believed of the first gateway; of the further ones more
than half have to return the same. With all other organisations of n = 3t + 1 named, that is more than t.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from fedledger.gateway.connections import Connection, Connections
from fedledger.gateway.deadlines import Deadlines
from fedledger.gateway.errors import (
    CLOSED,
    FINDS_NOBODY,
    FORKED,
    CommitStatusError,
    EndorseError,
    EvaluateError,
    GatewayError,
    SubmitError,
    says_denied,
)
from fedledger.gateway.event_stream import CloseableIterator, OpenStream

T = TypeVar("T")
Method = Callable[[Connection], Callable[..., Any]]
Unpack = Callable[[Iterator[Any]], Iterator[T]]
_WRITE_NOTHING = (EvaluateError, EndorseError)
"""The phases in which a gateway that lets a deadline pass hangs: the others wait for the orderers."""

_CANNOT_RUN = "error in simulation"
"""What a peer says whose contract's service is gone; a refusal of the contract reads otherwise."""

_AHEAD = 0.1
"""Seconds by which two timers of one deadline may differ."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
"""Seconds; doubled each time that further gateways differ, until the deadline."""


@dataclass(frozen=True)
class _Call:
    method: Method
    request: Any
    until: float
    """Its deadline, by ``time.monotonic``."""
    error_type: type[GatewayError]
    transaction_id: str

    def failure(self, error: grpc.RpcError) -> GatewayError:
        """What went wrong; who ends a call at its deadline by a clock that is a little ahead of ours says CANCELLED."""
        status = error.code()
        if status is grpc.StatusCode.CANCELLED and self.until - time.monotonic() < _AHEAD:
            status = grpc.StatusCode.DEADLINE_EXCEEDED
        return self.error_type.from_rpc_error(error, self.transaction_id, status)


class GatewayClient:
    """Sends requests over gRPC; safe for several threads.

    ``timeout`` is in seconds and replaces the default deadline of one call. A gRPC channel does not survive a fork,
    so a use from a forked child is refused (``FORKED``) instead of hanging.
    """

    def __init__(self, connections: Connections, deadlines: Deadlines) -> None:
        self._connections = connections
        self._deadlines = deadlines
        self._process_id = os.getpid()
        self._closed = False

    def evaluate(self, request: Any, timeout: float | None = None) -> Any:
        """Run a query on a peer; returns ``EvaluateResponse``, raises ``EvaluateError`` (``GATEWAYS_DISAGREE``)."""
        call = _Call(
            lambda connection: connection.gateway.Evaluate,
            request,
            time.monotonic() + (self._deadlines.evaluate if timeout is None else timeout),
            EvaluateError,
            request.transaction_id,
        )
        pause = _FIRST_PAUSE
        while True:
            answer = self._believed(call)
            if answer is not None:
                return answer
            if time.monotonic() + pause >= call.until:
                break
            # Peers have the newest block a little earlier or later than others.
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise EvaluateError(
            "GATEWAYS_DISAGREE",
            f"The organisation's own gateway does not answer, and fewer than {self._connections.quorum} of the further "
            "ones return the same.",
            "Wait until the own gateway is back, or name more further gateways.",
            transaction_id=request.transaction_id,
        )

    def endorse(self, request: Any, timeout: float | None = None) -> Any:
        """Collect endorsements; returns ``EndorseResponse``, raises ``EndorseError``."""
        return self._call(
            lambda connection: connection.gateway.Endorse,
            request,
            self._deadlines.endorse if timeout is None else timeout,
            EndorseError,
            request.transaction_id,
        )

    def submit(self, request: Any, timeout: float | None = None) -> None:
        """Hand a transaction to the orderers; raises ``SubmitError``.

        An orderer that knows the transaction already answers UNAVAILABLE with "request already ...", when another
        orderer was faster: then the transaction is submitted, and its commit status tells the rest.
        """
        try:
            self._call(
                lambda connection: connection.gateway.Submit,
                request,
                self._deadlines.submit if timeout is None else timeout,
                SubmitError,
                request.transaction_id,
            )
        except SubmitError as error:
            known = any("request already" in detail.message for detail in error.details)
            if error.status is not grpc.StatusCode.UNAVAILABLE or not known:
                raise

    def commit_status(self, request: Any, transaction_id: str, timeout: float | None = None) -> Any:
        """Wait for a transaction's block; returns ``CommitStatusResponse``, raises ``CommitStatusError``."""
        return self._call(
            lambda connection: connection.gateway.CommitStatus,
            request,
            self._deadlines.commit_status if timeout is None else timeout,
            CommitStatusError,
            transaction_id,
        )

    def chaincode_events(self, request: Any, unpack: Unpack[T], timeout: float | None = None) -> CloseableIterator[T]:
        """Open a stream of ``ChaincodeEventsResponse``."""
        return self._open(lambda connection: connection.gateway.ChaincodeEvents, request, unpack, timeout)

    def block_events(self, request: Any, unpack: Unpack[T], timeout: float | None = None) -> CloseableIterator[T]:
        """Open a stream of ``DeliverResponse`` with whole blocks."""
        return self._open(lambda connection: connection.deliver.Deliver, iter((request,)), unpack, timeout)

    def filtered_block_events(
        self, request: Any, unpack: Unpack[T], timeout: float | None = None
    ) -> CloseableIterator[T]:
        """Open a stream of ``DeliverResponse`` with filtered blocks."""
        return self._open(lambda connection: connection.deliver.DeliverFiltered, iter((request,)), unpack, timeout)

    def close(self) -> None:
        """Close the gRPC channels; every call under way is cancelled, and a later one refused (``CLOSED``)."""
        self._closed = True
        self._connections.close()

    def _call(
        self, method: Method, request: Any, timeout: float, error_type: type[GatewayError], transaction_id: str
    ) -> Any:
        call = _Call(method, request, time.monotonic() + timeout, error_type, transaction_id)
        failures: list[GatewayError] = []
        for connection in self._connections.in_order():
            answer = self._answer(connection, call, failures)
            if answer is not None:
                return answer
        raise _by_nobody(failures)

    def _believed(self, call: _Call) -> Any:
        """The first gateway's answer, or one that enough further ones give; None when they differ."""
        failures: list[GatewayError] = []
        answers: list[Any] = []
        for connection in self._connections.in_order():
            answer = self._answer(connection, call, failures)
            if answer is None:
                continue
            answers.append(answer)
            if self._connections.is_first(connection) or answers.count(answer) == self._connections.quorum:
                return answer
        if not answers:
            raise _by_nobody(failures)
        return None

    def _answer(self, connection: Connection, call: _Call, failures: list[GatewayError]) -> Any:
        """What a gateway answers; None when the next one is to be asked, with the reason added to ``failures``."""
        self._refuse_unusable()
        try:
            answer = call.method(connection)(call.request, timeout=max(call.until - time.monotonic(), 0.0))
        except grpc.RpcError as error:
            failure = call.failure(error)
            if not self._passed_over(connection, failure):
                raise failure from error
            failures.append(failure)
            return None
        self._connections.answered(connection)
        return answer

    def _passed_over(self, connection: Connection, failure: GatewayError) -> bool:
        """Note what a failure tells about the gateway; returns whether the next one is to be asked."""
        failure.by_further_gateway = not self._connections.is_first(connection)
        if _is_of_no_use(failure) or (failure.by_further_gateway and says_denied(failure)):
            self._connections.failed(connection)
            return True
        if failure.status is grpc.StatusCode.DEADLINE_EXCEEDED and isinstance(failure, _WRITE_NOTHING):
            self._connections.failed(connection)
        return False

    def _open(self, method: Method, request: Any, unpack: Unpack[T], timeout: float | None) -> CloseableIterator[T]:
        self._refuse_unusable()
        connection = self._connections.in_order()[0]
        call = method(connection)(request, timeout=self._deadlines.events if timeout is None else timeout)
        return OpenStream(call, unpack, lambda failure: self._passed_over(connection, failure))

    def _refuse_unusable(self) -> None:
        if self._closed:
            raise GatewayError(CLOSED, "The gateway has been closed.", "Connect again.")
        if os.getpid() != self._process_id:
            raise GatewayError(
                FORKED,
                "The gateway was connected by the parent process and its gRPC channel does not survive a fork.",
                "Connect in the process that uses the gateway, or start processes by spawn.",
            )


def _is_of_no_use(failure: GatewayError) -> bool:
    """Whether nobody answered, or a peer that cannot run the contract or does not find the others."""
    if failure.status is grpc.StatusCode.UNAVAILABLE:
        return not failure.details
    if failure.status is grpc.StatusCode.FAILED_PRECONDITION:
        return FINDS_NOBODY in failure.message
    return isinstance(failure, EndorseError) and any(_CANNOT_RUN in detail.message for detail in failure.details)


def _by_nobody(failures: Sequence[GatewayError]) -> GatewayError:
    """The first gateway's failure, which tells how many others failed."""
    first, *others = sorted(failures, key=lambda failure: failure.by_further_gateway)
    if not others:
        return first
    return type(first)(
        first.code,
        f"{first.message} The {len(others)} further gateways are of no use either.",
        first.remedy,
        transaction_id=first.transaction_id,
        status=first.status,
        details=first.details,
    )
