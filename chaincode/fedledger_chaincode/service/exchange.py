"""One transaction's requests to the peer and their replies; lets only one request be outstanding.

A peer drops a second request of a transaction that still waits, and it would never be answered. The first
failure sticks: every later request raises it again, so that a contract that caught it cannot complete on half
of its reads.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from fabric_protos.peer import chaincode_shim_pb2

from fedledger_chaincode.service.errors import PeerError, PeerSilent, ProtocolViolation, ShimError

ChaincodeMessage = chaincode_shim_pb2.ChaincodeMessage


class Exchange:
    """``send`` hands a message to the stream; ``reply_timeout`` is in seconds."""

    def __init__(self, channel_id: str, transaction_id: str, send: Callable[[Any], None], reply_timeout: float) -> None:
        self._channel_id = channel_id
        self._transaction_id = transaction_id
        self._send = send
        self._reply_timeout = reply_timeout
        self._replies: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self._state = threading.Lock()
        self._awaiting = False
        self._failure: ShimError | None = None

    @property
    def failure(self) -> ShimError | None:
        """The first request's failure, if any failed."""
        return self._failure

    def request(self, kind: int, payload: bytes) -> bytes:
        """Send one request and wait for its reply's payload.

        Raises:
            PeerError: the peer answered ERROR.
            PeerSilent: no reply within the reply timeout.
            StreamClosed, TransactionOver: the transaction has been ended, see ``end``.
        """
        with self._turn:
            with self._state:
                if self._failure is not None:
                    raise self._failure
                self._awaiting = True
            self._send(self.message(kind, payload))
            try:
                reply = self._replies.get(timeout=self._reply_timeout)
            except queue.Empty:
                raise self.end(PeerSilent(f"The peer did not answer within {self._reply_timeout:g} seconds.")) from None
            if isinstance(reply, ShimError):
                raise reply
            if reply.type == ChaincodeMessage.ERROR:
                raise self.end(PeerError(reply.payload.decode("utf-8", "replace")))
            return bytes(reply.payload)

    def deliver(self, reply: Any) -> bool:
        """Hand in a RESPONSE or ERROR from the stream; False when no request waits for one."""
        with self._state:
            if not self._awaiting:
                return False
            self._awaiting = False
        self._replies.put(reply)
        return True

    def end(self, failure: ShimError) -> ShimError:
        """Let the outstanding and every later request fail; returns the failure that came first."""
        with self._state:
            first = self._failure = self._failure or failure
            if self._awaiting:
                self._awaiting = False
                self._replies.put(first)
        return first

    def message(self, kind: int, payload: bytes) -> Any:
        """A ``protos.ChaincodeMessage`` that carries the transaction's channel and id."""
        return ChaincodeMessage(type=kind, payload=payload, txid=self._transaction_id, channel_id=self._channel_id)

    def violation(self, what: str) -> ShimError:
        """End the transaction over an answer that the protocol does not allow; raise what this returns."""
        return self.end(ProtocolViolation(what))
