"""The calls of the Gateway and Deliver services, each with its deadline and its own error type; signs nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import grpc
from fabric_protos.gateway import gateway_pb2_grpc
from fabric_protos.peer import events_pb2_grpc

from fedledger.gateway.deadlines import Deadlines
from fedledger.gateway.errors import (
    CommitStatusError,
    EndorseError,
    EvaluateError,
    GatewayError,
    SubmitError,
)


class GatewayClient:
    """Sends requests over one gRPC channel; safe for several threads.

    ``timeout`` is in seconds and replaces the default deadline of one call. A gRPC channel does not survive a fork,
    so a use from a forked child is refused (``FORKED``) instead of hanging.
    """

    def __init__(self, connection: grpc.Channel, deadlines: Deadlines) -> None:
        self._connection = connection
        self._deadlines = deadlines
        self._gateway = gateway_pb2_grpc.GatewayStub(connection)
        self._deliver = events_pb2_grpc.DeliverStub(connection)
        self._process_id = os.getpid()

    def evaluate(self, request: Any, timeout: float | None = None) -> Any:
        """Run a query on a peer; returns ``EvaluateResponse``, raises ``EvaluateError``."""
        return self._call(
            self._gateway.Evaluate,
            request,
            timeout,
            self._deadlines.evaluate,
            EvaluateError,
            request.transaction_id,
        )

    def endorse(self, request: Any, timeout: float | None = None) -> Any:
        """Collect endorsements; returns ``EndorseResponse``, raises ``EndorseError``."""
        return self._call(
            self._gateway.Endorse,
            request,
            timeout,
            self._deadlines.endorse,
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
                self._gateway.Submit,
                request,
                timeout,
                self._deadlines.submit,
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
            self._gateway.CommitStatus,
            request,
            timeout,
            self._deadlines.commit_status,
            CommitStatusError,
            transaction_id,
        )

    def chaincode_events(self, request: Any, timeout: float | None = None) -> Any:
        """Open a stream of ``ChaincodeEventsResponse``."""
        return self._open(self._gateway.ChaincodeEvents, request, timeout)

    def block_events(self, request: Any, timeout: float | None = None) -> Any:
        """Open a stream of ``DeliverResponse`` with whole blocks."""
        return self._open(self._deliver.Deliver, iter((request,)), timeout)

    def filtered_block_events(self, request: Any, timeout: float | None = None) -> Any:
        """Open a stream of ``DeliverResponse`` with filtered blocks."""
        return self._open(self._deliver.DeliverFiltered, iter((request,)), timeout)

    def close(self) -> None:
        """Close the gRPC channel; every call under way is cancelled."""
        self._connection.close()

    def _call(
        self,
        call: Callable[..., Any],
        request: Any,
        timeout: float | None,
        default_timeout: float,
        error_type: type[GatewayError],
        transaction_id: str,
    ) -> Any:
        self._refuse_forked()
        try:
            return call(request, timeout=default_timeout if timeout is None else timeout)
        except grpc.RpcError as error:
            raise error_type.from_rpc_error(error, transaction_id) from error

    def _open(self, call: Callable[..., Any], request: Any, timeout: float | None) -> Any:
        self._refuse_forked()
        return call(request, timeout=self._deadlines.events if timeout is None else timeout)

    def _refuse_forked(self) -> None:
        if os.getpid() != self._process_id:
            raise GatewayError(
                "FORKED",
                "The gateway was connected by the parent process and its gRPC channel does not survive a fork.",
                "Connect in the process that uses the gateway, or start processes by spawn.",
            )
