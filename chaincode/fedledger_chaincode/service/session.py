"""One peer's stream: registers, then runs the peer's transactions, many at a time, and answers each once.

Refuses messages out of their order (created, established, ready; fabric-chaincode-go, shim/handler.go) and
ends the stream over them; a peer connects again by itself.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import structlog
from fabric_protos.peer import chaincode_pb2

from fedledger_chaincode.service.admission import Admission
from fedledger_chaincode.service.capabilities import PeerCapabilities
from fedledger_chaincode.service.errors import (
    MalformedInvocation,
    ProtocolViolation,
    ShimError,
    StreamClosed,
    TransactionOver,
    TransactionRepeated,
)
from fedledger_chaincode.service.exchange import ChaincodeMessage, Exchange
from fedledger_chaincode.service.execution import ContractHost, where
from fedledger_chaincode.service.invocation import Invocation
from fedledger_chaincode.service.stub import PeerStub

_log = structlog.get_logger(__name__)


class _State(Enum):
    CREATED = "created"
    ESTABLISHED = "established"
    READY = "ready"


@dataclass(frozen=True)
class _Transaction:
    key: tuple[str, str]
    stub: PeerStub
    exchange: Exchange


class Session:
    """``receive`` takes the peer's messages in one thread, ``outgoing`` gives ours to another."""

    def __init__(
        self, chaincode_id: str, host: ContractHost, admission: Admission, *, peer: str, reply_timeout: float
    ) -> None:
        self._chaincode_id = chaincode_id
        self._host = host
        self._admission = admission
        self._reply_timeout = reply_timeout
        self._log = _log.bind(peer=peer, chaincode_id=chaincode_id)
        self._state = _State.CREATED
        self._capabilities = PeerCapabilities()
        self._outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._transactions: dict[tuple[str, str], _Transaction] = {}
        self._ended = False

    def outgoing(self) -> Iterator[Any]:
        """Messages to the peer, REGISTER first, until the session ends."""
        name = chaincode_pb2.ChaincodeID(name=self._chaincode_id).SerializeToString()
        yield ChaincodeMessage(type=ChaincodeMessage.REGISTER, payload=name)
        while (message := self._outgoing.get()) is not None:
            yield message

    def receive(self, messages: Iterable[Any]) -> None:
        """Handle the peer's messages until its stream ends or it breaks the protocol; then end the session.

        What ``messages`` raises when the stream breaks is passed on, after the session has been ended.
        """
        try:
            for message in messages:
                self._handle(message)
        except ProtocolViolation as violation:
            self._log.error("protocol_violation", reason=str(violation))
            self._outgoing.put(ChaincodeMessage(type=ChaincodeMessage.ERROR, payload=str(violation).encode()))
        finally:
            self.end()

    def end(self) -> None:
        """End the stream after what is sent already; transactions still under way fail (``StreamClosed``)."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            abandoned = list(self._transactions.values())
            self._transactions.clear()
        for transaction in abandoned:
            transaction.exchange.end(StreamClosed("The stream to the peer has ended."))
        self._outgoing.put(None)
        self._log.info("stream_ended", abandoned=len(abandoned))

    def _handle(self, message: Any) -> None:
        kind = message.type
        if kind == ChaincodeMessage.KEEPALIVE:
            self._outgoing.put(message)
        elif self._state is _State.CREATED and kind == ChaincodeMessage.REGISTERED:
            self._state = _State.ESTABLISHED
        elif self._state is _State.ESTABLISHED and kind == ChaincodeMessage.READY:
            self._capabilities = PeerCapabilities.from_ready(message.payload)
            self._state = _State.READY
            self._log.info(
                "ready",
                write_batch=self._capabilities.write_batch,
                get_multiple=self._capabilities.get_multiple,
            )
        elif self._state is _State.READY and kind in (ChaincodeMessage.TRANSACTION, ChaincodeMessage.INIT):
            self._begin(message)
        elif self._state is _State.READY and kind in (ChaincodeMessage.RESPONSE, ChaincodeMessage.ERROR):
            self._deliver(message)
        else:
            raise ProtocolViolation(f"A message of type {kind} cannot be handled while {self._state.value}.")

    def _begin(self, message: Any) -> None:
        key = (message.channel_id, message.txid)
        exchange = Exchange(message.channel_id, message.txid, self._outgoing.put, self._reply_timeout)
        with self._lock:
            running = self._transactions.get(key)
        if running is not None:
            # The peer has given up the first. Run side by side, each would get answers and make writes of the other.
            self._log.error("transaction_repeated", transaction=message.txid, channel=message.channel_id)
            repeated = TransactionRepeated("The transaction was sent again while it was under way.")
            self._answer(running, exchange.message(ChaincodeMessage.ERROR, str(repeated).encode()), repeated)
            return
        try:
            invocation = Invocation.from_message(message)
        except MalformedInvocation as error:
            self._log.error("malformed_invocation", transaction=message.txid, reason=str(error))
            self._outgoing.put(exchange.message(ChaincodeMessage.ERROR, str(error).encode()))
            return
        transaction = _Transaction(key, PeerStub(invocation, self._capabilities, exchange), exchange)
        with self._lock:
            if self._ended:
                return
            self._transactions[key] = transaction
        refusal = self._admission.submit(lambda: self._run(transaction))
        if refusal is not None:
            self._log.warning("not_admitted", transaction=message.txid, reason=refusal)
            self._answer(transaction, exchange.message(ChaincodeMessage.ERROR, refusal.encode()))

    def _deliver(self, message: Any) -> None:
        with self._lock:
            transaction = self._transactions.get((message.channel_id, message.txid))
        if transaction is None or not transaction.exchange.deliver(message):
            # Late answers to a request that was given up are expected.
            self._log.warning("stray_answer", transaction=message.txid, channel=message.channel_id)

    def _run(self, transaction: _Transaction) -> None:
        if transaction.exchange.failure is not None:
            return  # the stream ended while the transaction waited for its turn
        try:
            answer = _complete(self._host, transaction)
        except ShimError as error:
            self._log.warning("transaction_failed", transaction=transaction.key[1], reason=str(error))
            answer = transaction.exchange.message(ChaincodeMessage.ERROR, str(error).encode())
        except Exception as error:
            self._log.error("shim_failed", transaction=transaction.key[1], **where(error))
            answer = transaction.exchange.message(ChaincodeMessage.ERROR, b"The chaincode service failed.")
        self._answer(transaction, answer)

    def _answer(self, transaction: _Transaction, answer: Any, ending: ShimError | None = None) -> None:
        with self._lock:
            if self._transactions.get(transaction.key) is not transaction:
                return  # answered already, or the stream that would carry the answer has ended
            del self._transactions[transaction.key]
            transaction.exchange.end(ending or TransactionOver("The transaction has been answered."))
            self._outgoing.put(answer)


def _complete(host: ContractHost, transaction: _Transaction) -> Any:
    """Run the contract and give its COMPLETED message, all writes flushed before; raises ``ShimError``."""
    stub, exchange = transaction.stub, transaction.exchange
    outcome = host.run(stub)
    if exchange.failure is not None:
        raise exchange.failure
    stub.close_ranges()
    if outcome.accepted:
        stub.flush()
    answer = exchange.message(ChaincodeMessage.COMPLETED, outcome.response.SerializeToString())
    if outcome.accepted and stub.event is not None:
        answer.chaincode_event.CopyFrom(stub.event)
    return answer
