"""The peer's side of the chaincode protocol: one stream to the chaincode service, many transactions at a time.

It dials again by itself when the service restarts; a transaction that was under way then fails and says so.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import structlog
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    chaincode_shim_pb2,
    chaincode_shim_pb2_grpc,
    proposal_response_pb2,
)
from google.protobuf.message import DecodeError

from fedledger_network.embedded.errors import NodeError
from fedledger_network.embedded.simulation import Message, Simulation, SimulationError

EXECUTION_SECONDS = 30.0
"""How long one transaction may take, as a Fabric peer has it."""
_MAXIMUM_MESSAGE = 100 << 20
_RECONNECT_SECONDS = 0.2
_BATCHES = b"\x08\x01\x10\xe8\x07\x18\x01\x20\xe8\x07"
"""``ChaincodeAdditionalParams``: write batches and multiple reads, a thousand keys each."""
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAXIMUM_MESSAGE),
    ("grpc.max_send_message_length", _MAXIMUM_MESSAGE),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

_log = structlog.get_logger(__name__)


class ExecutionError(Exception):
    """The chaincode did not complete the transaction; the text is for the client."""


@dataclass(frozen=True)
class Executed:
    """What the chaincode answered."""

    response: Any
    """``protos.Response``: a status of 400 or above is a refusal."""
    event: Any | None
    """``protos.ChaincodeEvent``."""


@dataclass
class _Running:
    simulation: Simulation
    done: threading.Event = field(default_factory=threading.Event)
    result: Executed | ExecutionError | None = None

    def finish(self, result: Executed | ExecutionError) -> None:
        self.result = result
        self.done.set()


class ChaincodePeer:
    """One organisation's connection to the chaincode service."""

    def __init__(self, name: str, address: str) -> None:
        """Dial lazily; ``name`` is the organisation's, for the log."""
        self._name = name
        self._address = address
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], _Running] = {}
        self._outgoing: queue.SimpleQueue[Any] | None = None
        self._ready = threading.Event()
        self._stopped = threading.Event()
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._thread = threading.Thread(target=self._keep_connected, name=f"chaincode of {name}", daemon=True)

    def start(self) -> None:
        """Connect, and stay connected."""
        self._thread.start()

    def wait_until_ready(self, seconds: float) -> None:
        """Wait for the service.

        Raises:
            NodeError: ``CHAINCODE_UNAVAILABLE``.
        """
        if not self._ready.wait(seconds):
            raise NodeError(
                "CHAINCODE_UNAVAILABLE",
                f"The chaincode service at {self._address} did not answer within {seconds:g} seconds.",
                "Look at the chaincode's log in the network's folder.",
            )

    def stop(self) -> None:
        """Hang up; transactions under way fail."""
        self._stopped.set()
        outgoing = self._outgoing
        if outgoing is not None:
            outgoing.put(None)
        self._channel.close()
        if self._thread.is_alive():
            self._thread.join()

    def execute(
        self, channel_id: str, transaction_id: str, chaincode_input: bytes, signed_proposal: Any, simulation: Simulation
    ) -> Executed:
        """Run one transaction.

        Raises:
            ExecutionError: no connection, a failure of the service, or no answer in time.
        """
        key = (channel_id, transaction_id)
        running = _Running(simulation)
        with self._lock:
            outgoing = self._outgoing
            if outgoing is None or not self._ready.is_set():
                raise ExecutionError("the chaincode service is not connected")
            if key in self._running:
                raise ExecutionError(f"transaction {transaction_id} is being executed already")
            self._running[key] = running
        outgoing.put(
            Message(
                type=Message.TRANSACTION,
                payload=chaincode_input,
                txid=transaction_id,
                channel_id=channel_id,
                proposal=signed_proposal,
            )
        )
        try:
            if not running.done.wait(EXECUTION_SECONDS):
                raise ExecutionError(f"the chaincode did not answer within {EXECUTION_SECONDS:g} seconds")
        finally:
            with self._lock:
                self._running.pop(key, None)
        if isinstance(running.result, Executed):
            return running.result
        raise running.result or ExecutionError("the chaincode did not answer")

    # --- the stream

    def _keep_connected(self) -> None:
        while not self._stopped.is_set():
            outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
            self._outgoing = outgoing
            try:
                stub = chaincode_shim_pb2_grpc.ChaincodeStub(self._channel)
                for message in stub.Connect(_until_none(outgoing), wait_for_ready=True):
                    self._handle(message, outgoing)
            except grpc.RpcError as error:
                if not self._stopped.is_set():
                    _log.warning("chaincode stream ended", organisation=self._name, reason=str(error.code()))
            except Exception:
                # The thread goes on whatever the service sends: without it the organisation would never endorse again.
                if not self._stopped.is_set():
                    _log.exception("chaincode stream broken off", organisation=self._name)
            finally:
                self._ready.clear()
                outgoing.put(None)
                self._abandon()
            self._stopped.wait(_RECONNECT_SECONDS)

    def _abandon(self) -> None:
        with self._lock:
            self._outgoing = None
            abandoned = list(self._running.values())
            self._running.clear()
        for running in abandoned:
            running.finish(ExecutionError("the chaincode service went away"))

    def _handle(self, message: Any, outgoing: queue.SimpleQueue[Any]) -> None:
        if message.type == Message.REGISTER:
            chaincode_pb2.ChaincodeID.FromString(message.payload)
            outgoing.put(Message(type=Message.REGISTERED))
            outgoing.put(Message(type=Message.READY, payload=_BATCHES))
            self._ready.set()
        elif message.type == Message.KEEPALIVE:
            return
        else:
            self._serve(message, outgoing)

    def _serve(self, message: Any, outgoing: queue.SimpleQueue[Any]) -> None:
        with self._lock:
            running = self._running.get((message.channel_id, message.txid))
        if running is None:
            _log.warning("message of no running transaction", organisation=self._name, transaction=message.txid)
            if message.type not in (Message.COMPLETED, Message.ERROR):
                # The service waits for an answer before it can end a transaction that was given up here.
                outgoing.put(_answer(message, Message.ERROR, b"the transaction is not being executed any more"))
        elif message.type == Message.COMPLETED:
            running.finish(_executed(message))
        elif message.type == Message.ERROR:
            running.finish(ExecutionError(message.payload.decode("utf-8", "replace")))
        else:
            kind, payload = Message.RESPONSE, b""
            try:
                payload = running.simulation.answer(message.type, message.payload)
            except SimulationError as error:
                kind, payload = Message.ERROR, str(error).encode()
            outgoing.put(_answer(message, kind, payload))


def _answer(message: Any, kind: int, payload: bytes) -> Any:
    return Message(type=kind, payload=payload, txid=message.txid, channel_id=message.channel_id)


def _executed(message: Any) -> Executed | ExecutionError:
    try:
        response = proposal_response_pb2.Response.FromString(message.payload)
    except DecodeError:
        return ExecutionError("the chaincode's response does not parse")
    event = None
    if message.HasField("chaincode_event"):
        event = chaincode_event_pb2.ChaincodeEvent()
        event.CopyFrom(message.chaincode_event)
    return Executed(response, event)


def _until_none(outgoing: queue.SimpleQueue[Any]) -> Iterator[chaincode_shim_pb2.ChaincodeMessage]:
    while (message := outgoing.get()) is not None:
        yield message
