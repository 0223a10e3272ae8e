"""A scripted Fabric peer: the client's side of the chaincode protocol over real gRPC, its world state a dictionary.

It answers as Fabric's peer does and holds the service to the protocol: one outstanding request of a transaction,
iterators closed once, requests of running transactions alone.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.peer import (
    chaincode_pb2,
    chaincode_shim_pb2,
    chaincode_shim_pb2_grpc,
    proposal_pb2,
    proposal_response_pb2,
)

Message = chaincode_shim_pb2.ChaincodeMessage
CHANNEL = "hospitals"
SECONDS = 15.0
"""How long a test waits for what must come; a passing test waits for nothing like it."""

Script = Callable[[Any], Any]
"""Sees each request; returns the message to answer with, None to give no answer, or NotImplemented to go on."""


def capabilities(write_batch: int = 0, get_multiple: int = 0) -> bytes:
    """READY's payload, ``ChaincodeAdditionalParams``; numbers under 128, which are single bytes on the wire."""
    payload = b""
    if write_batch:
        payload += bytes([0x08, 1, 0x10, write_batch])
    if get_multiple:
        payload += bytes([0x18, 1, 0x20, get_multiple])
    return payload


@dataclass
class Executed:
    """What a transaction did and ended with."""

    response: Any = None
    event: Any = None
    error: str | None = None
    """The text of an ERROR that ended it."""
    requests: list[str] = field(default_factory=list)
    writes: list[tuple[str, bytes | None]] = field(default_factory=list)
    open_iterators: dict[str, list[Any]] = field(default_factory=dict)


class ScriptedPeer:
    """One peer's stream; use as a context manager."""

    def __init__(
        self,
        address: str,
        *,
        world: Mapping[str, bytes] | None = None,
        ready: bytes = b"",
        page: int = 3,
        credentials: grpc.ChannelCredentials | None = None,
        script: Script | None = None,
    ) -> None:
        options = (("grpc.max_receive_message_length", 100 << 20), ("grpc.max_send_message_length", 100 << 20))
        self.channel = (
            grpc.insecure_channel(address, options)
            if credentials is None
            else grpc.secure_channel(address, credentials, options)
        )
        self.world = dict(world or {})
        self.page = page
        self.registered_as: str | None = None
        self.broken_rules: list[str] = []
        self.stray: queue.Queue[Any] = queue.Queue()
        self._ready = ready
        self._script = script
        self._outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._running: dict[tuple[str, str], tuple[Executed, Future[Executed]]] = {}
        self._awaited: set[tuple[str, str]] = set()
        self._number = 0
        self._connected = threading.Event()
        self.ended = threading.Event()
        self.status: grpc.StatusCode | None = None

    def __enter__(self) -> ScriptedPeer:
        self.open()
        if not self._connected.wait(SECONDS):
            raise TimeoutError("the service did not register")
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self.channel.close()
        self._thread.join()

    def open(self) -> None:
        """Open the stream, without waiting for the service to register."""
        self._call = chaincode_shim_pb2_grpc.ChaincodeStub(self.channel).Connect(self._messages())
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def hang_up(self) -> None:
        """End the stream as a peer that stops."""
        self._outgoing.put(None)
        self.ended.wait(SECONDS)

    def cut(self) -> None:
        """End the stream as a connection that breaks."""
        self._call.cancel()
        self.ended.wait(SECONDS)

    def send(self, message: Any) -> None:
        self._outgoing.put(message)

    def begin(
        self,
        function: str | bytes,
        *arguments: str | bytes,
        transaction: str | None = None,
        channel: str = CHANNEL,
        at: float | None = None,
        creator: bytes = b"creator",
        transient: Mapping[str, bytes] | None = None,
        kind: int = Message.TRANSACTION,
    ) -> Future[Executed]:
        """Send a transaction; ``at`` is its time (default: now)."""
        if transaction is None:
            self._number += 1
            transaction = f"tx{self._number}"
        seconds = int(time.time() if at is None else at)
        self._running[(channel, transaction)] = (Executed(), future := Future())
        inputs = [each.encode() if isinstance(each, str) else each for each in (function, *arguments)]
        self.send(
            Message(
                type=kind,
                payload=chaincode_pb2.ChaincodeInput(args=inputs).SerializeToString(),
                txid=transaction,
                channel_id=channel,
                proposal=signed_proposal(transaction, channel, seconds, creator, transient or {}),
            )
        )
        return future

    def run(self, function: str | bytes, *arguments: str | bytes, **keywords: Any) -> Executed:
        """Send a transaction and wait for its end."""
        return self.begin(function, *arguments, **keywords).result(SECONDS)

    # --- the stream

    def _messages(self) -> Iterator[Any]:
        while (message := self._outgoing.get()) is not None:
            yield message

    def _read(self) -> None:
        try:
            for message in self._call:
                self._handle(message)
        except grpc.RpcError:
            pass  # the status is read below, as after an orderly end
        self.status = self._call.code()
        self.ended.set()
        self._outgoing.put(None)

    def _handle(self, message: Any) -> None:
        if message.type == Message.REGISTER:
            self.registered_as = chaincode_pb2.ChaincodeID.FromString(message.payload).name
            self.send(Message(type=Message.REGISTERED))
            self.send(Message(type=Message.READY, payload=self._ready))
            self._connected.set()
            return
        key = (message.channel_id, message.txid)
        if key not in self._running:
            self.stray.put(message)
        elif message.type in (Message.COMPLETED, Message.ERROR):
            self._finish(key, message)
        else:
            self._answer(key, message)

    def _finish(self, key: tuple[str, str], message: Any) -> None:
        executed, future = self._running.pop(key)
        self._awaited.discard(key)
        if message.type == Message.ERROR:
            executed.error = message.payload.decode()
        else:
            executed.response = proposal_response_pb2.Response.FromString(message.payload)
            executed.event = message.chaincode_event if message.HasField("chaincode_event") else None
        future.set_result(executed)

    def _answer(self, key: tuple[str, str], message: Any) -> None:
        if key in self._awaited:
            self.broken_rules.append(f"{key[1]} asked again before it was answered")
        executed, _ = self._running[key]
        executed.requests.append(Message.Type.Name(message.type))
        answer = NotImplemented if self._script is None else self._script(message)
        if answer is NotImplemented:
            answer = reply(message, self._result(executed, message))
        if answer is None:
            self._awaited.add(key)
        else:
            self.send(answer)

    def _result(self, executed: Executed, message: Any) -> bytes:
        shim, payload = chaincode_shim_pb2, message.payload
        if message.type == Message.GET_STATE:
            return self.world.get(shim.GetState.FromString(payload).key, b"")
        if message.type == Message.GET_STATE_MULTIPLE:
            keys = shim.GetStateMultiple.FromString(payload).keys
            values = [self.world.get(key, b"") for key in keys]
            return bytes(shim.GetStateMultipleResult(values=values).SerializeToString())
        if message.type == Message.PUT_STATE:
            put = shim.PutState.FromString(payload)
            executed.writes.append((put.key, put.value))
        elif message.type == Message.DEL_STATE:
            executed.writes.append((shim.DelState.FromString(payload).key, None))
        elif message.type == Message.WRITE_BATCH_STATE:
            for record in shim.WriteBatchState.FromString(payload).rec:
                deleted = record.type == shim.WriteRecord.DEL_STATE
                executed.writes.append((record.key, None if deleted else record.value))
        elif message.type == Message.GET_STATE_BY_RANGE:
            query = shim.GetStateByRange.FromString(payload)
            found = sorted(
                key for key in self.world if query.startKey <= key and (key < query.endKey or not query.endKey)
            )
            iterator = f"iterator{len(executed.requests)}"
            executed.open_iterators[iterator] = found
            return self._page(executed, iterator)
        elif message.type == Message.QUERY_STATE_NEXT:
            return self._page(executed, shim.QueryStateNext.FromString(payload).id)
        elif message.type == Message.QUERY_STATE_CLOSE:
            iterator = shim.QueryStateClose.FromString(payload).id
            if executed.open_iterators.pop(iterator, None) is None:
                self.broken_rules.append(f"{message.txid} closed an iterator that was not open")
            return bytes(shim.QueryResponse(id=iterator).SerializeToString())
        return b""

    def _page(self, executed: Executed, iterator: str) -> bytes:
        left = executed.open_iterators[iterator]
        now, later = left[: self.page], left[self.page :]
        executed.open_iterators[iterator] = later
        if not later:
            del executed.open_iterators[iterator]
        entries = [kv_query_result_pb2.KV(key=key, value=self.world[key]).SerializeToString() for key in now]
        results = [chaincode_shim_pb2.QueryResultBytes(resultBytes=entry) for entry in entries]
        response = chaincode_shim_pb2.QueryResponse(results=results, has_more=bool(later), id=iterator)
        return bytes(response.SerializeToString())


def reply(request: Any, payload: bytes, kind: int = Message.RESPONSE) -> Any:
    """The answer to one request."""
    return Message(type=kind, payload=payload, txid=request.txid, channel_id=request.channel_id)


def signed_proposal(
    transaction: str, channel: str, seconds: int, creator: bytes, transient: Mapping[str, bytes]
) -> Any:
    """A proposal as a peer passes it on; its signature was the peer's to check."""
    channel_header = common_pb2.ChannelHeader(channel_id=channel, tx_id=transaction)
    channel_header.timestamp.seconds = seconds
    header = common_pb2.Header(
        channel_header=channel_header.SerializeToString(),
        signature_header=common_pb2.SignatureHeader(creator=creator, nonce=b"nonce").SerializeToString(),
    )
    payload = proposal_pb2.ChaincodeProposalPayload(TransientMap=dict(transient))
    proposal = proposal_pb2.Proposal(header=header.SerializeToString(), payload=payload.SerializeToString())
    return proposal_pb2.SignedProposal(proposal_bytes=proposal.SerializeToString())
