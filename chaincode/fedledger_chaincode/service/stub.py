"""The contract's stub over a peer's stream: reads ask the peer, writes and the event wait for the contract's end.

Refuses what Fabric takes for something else: an empty key, and an empty value, which is a deletion to Fabric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.peer import chaincode_event_pb2, chaincode_shim_pb2
from google.protobuf.message import DecodeError

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.service.capabilities import PeerCapabilities
from fedledger_chaincode.service.exchange import ChaincodeMessage, Exchange
from fedledger_chaincode.service.invocation import Invocation

MAXIMUM_VALUE_BYTES = 16 << 20
"""The largest value of a key or an event, and about the largest batch of writes: a message holds 100 MB."""

_FIRST_SIMPLE_KEY = "\x01"
"""Where a range with an open start begins: keys that begin with NUL are Fabric's composite keys."""


class PeerStub:
    """One transaction's stub (``fedledger_chaincode.stub.Stub``); used by the transaction's thread alone."""

    def __init__(self, invocation: Invocation, capabilities: PeerCapabilities, exchange: Exchange) -> None:
        self._invocation = invocation
        self._capabilities = capabilities
        self._exchange = exchange
        self._writes: dict[str, bytes | None] = {}
        self._ranges: list[_Range] = []
        self._event: tuple[str, bytes] | None = None

    @property
    def transaction_id(self) -> str:
        return self._invocation.transaction_id

    @property
    def channel_id(self) -> str:
        return self._invocation.channel_id

    @property
    def function(self) -> str:
        """First chaincode argument; raises 400 ``BAD_FUNCTION`` when there is none or it is no UTF-8."""
        if not self._invocation.arguments:
            raise ContractError(400, "BAD_FUNCTION", "The transaction names no function.", "Give one.")
        try:
            return self._invocation.arguments[0].decode()
        except UnicodeDecodeError:
            raise ContractError(
                400,
                "BAD_FUNCTION",
                "The function's name is not UTF-8.",
                "Give the name first, then the arguments.",
            ) from None

    @property
    def arguments(self) -> Sequence[bytes]:
        return self._invocation.arguments[1:]

    @property
    def creator(self) -> bytes:
        return self._invocation.creator

    @property
    def timestamp(self) -> int:
        return self._invocation.timestamp

    @property
    def transient(self) -> Mapping[str, bytes]:
        return self._invocation.transient

    @property
    def event(self) -> Any | None:
        """The contract's ``protos.ChaincodeEvent``; the peer adds chaincode and transaction."""
        if self._event is None:
            return None
        name, payload = self._event
        return chaincode_event_pb2.ChaincodeEvent(event_name=name, payload=payload)

    def get_state(self, keys: Sequence[str]) -> list[bytes | None]:
        """Values of ``keys`` in their order, None where absent; in as few requests as the peer offers."""
        for key in keys:
            _check_key(key)
        size = self._capabilities.get_multiple
        if not size:
            return [self._get(key) for key in keys]
        values: list[bytes | None] = []
        for start in range(0, len(keys), size):
            values += self._get_multiple(keys[start : start + size])
        return values

    def get_state_range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        """Keys in [start, end) in order; an empty ``start`` or ``end`` is open.

        The peer's iterator is closed when the range is exhausted, or else when the transaction ends.
        """
        if start.startswith("\0") or end.startswith("\0"):
            raise ValueError("a range of composite keys cannot be read")
        opened = _Range(self._exchange, start or _FIRST_SIMPLE_KEY, end)
        self._ranges.append(opened)
        return opened

    def put_state(self, key: str, value: bytes) -> None:
        _check_key(key)
        if not value:
            raise ValueError("an empty value would delete the key")
        if len(value) > MAXIMUM_VALUE_BYTES:
            raise ValueError(f"a value of {len(value)} bytes is over the {MAXIMUM_VALUE_BYTES} that a key may hold")
        self._writes[key] = value

    def delete_state(self, key: str) -> None:
        _check_key(key)
        self._writes[key] = None

    def set_event(self, name: str, payload: bytes) -> None:
        if not name:
            raise ValueError("an event needs a name")
        if len(payload) > MAXIMUM_VALUE_BYTES:
            raise ValueError(f"an event of {len(payload)} bytes is over the {MAXIMUM_VALUE_BYTES} that it may hold")
        self._event = (name, payload)

    def close_ranges(self) -> None:
        """Close what the contract has not read to its end."""
        for opened in self._ranges:
            opened.close()

    def flush(self) -> None:
        """Send the writes, in the order of their keys' first writes, each key's last value."""
        if self._capabilities.write_batch:
            for records in _batches(self._writes, self._capabilities.write_batch):
                payload = chaincode_shim_pb2.WriteBatchState(rec=records).SerializeToString()
                self._exchange.request(ChaincodeMessage.WRITE_BATCH_STATE, payload)
            return
        for key, value in self._writes.items():
            if value is None:
                payload = chaincode_shim_pb2.DelState(key=key).SerializeToString()
                self._exchange.request(ChaincodeMessage.DEL_STATE, payload)
            else:
                payload = chaincode_shim_pb2.PutState(key=key, value=value).SerializeToString()
                self._exchange.request(ChaincodeMessage.PUT_STATE, payload)

    def _get(self, key: str) -> bytes | None:
        payload = chaincode_shim_pb2.GetState(key=key).SerializeToString()
        return self._exchange.request(ChaincodeMessage.GET_STATE, payload) or None

    def _get_multiple(self, keys: Sequence[str]) -> list[bytes | None]:
        payload = chaincode_shim_pb2.GetStateMultiple(keys=keys).SerializeToString()
        reply = self._exchange.request(ChaincodeMessage.GET_STATE_MULTIPLE, payload)
        values = _parse_reply(self._exchange, chaincode_shim_pb2.GetStateMultipleResult(), reply).values
        if len(values) != len(keys):
            raise self._exchange.violation(f"The peer answered {len(keys)} keys with {len(values)} values.")
        return [value or None for value in values]


class _Range:
    """A range query's results, fetched page by page.

    No generator: closing one would send a message, and the garbage collector closes generators in any thread, also
    in the one that reads the stream and must not wait for it.
    """

    def __init__(self, exchange: Exchange, start: str, end: str) -> None:
        self._exchange = exchange
        self._query = chaincode_shim_pb2.GetStateByRange(startKey=start, endKey=end).SerializeToString()
        self._results: Iterator[Any] = iter(())
        self._iterator_id = ""
        self._asked = False
        self._has_more = True

    def __iter__(self) -> _Range:
        return self

    def __next__(self) -> tuple[str, bytes]:
        while (result := next(self._results, None)) is None:
            if not self._has_more:
                raise StopIteration
            self._next_page()
        entry = _parse_reply(self._exchange, kv_query_result_pb2.KV(), result.resultBytes)
        return entry.key, bytes(entry.value)

    def close(self) -> None:
        """Give up the rest; the peer has closed its iterator by itself when it has no more."""
        still_open = self._asked and self._has_more
        self._has_more = False
        self._results = iter(())
        if still_open:
            payload = chaincode_shim_pb2.QueryStateClose(id=self._iterator_id).SerializeToString()
            self._exchange.request(ChaincodeMessage.QUERY_STATE_CLOSE, payload)

    def _next_page(self) -> None:
        if self._asked:
            payload = chaincode_shim_pb2.QueryStateNext(id=self._iterator_id).SerializeToString()
            reply = self._exchange.request(ChaincodeMessage.QUERY_STATE_NEXT, payload)
        else:
            reply = self._exchange.request(ChaincodeMessage.GET_STATE_BY_RANGE, self._query)
        page = _parse_reply(self._exchange, chaincode_shim_pb2.QueryResponse(), reply)
        if page.has_more and not (page.id and page.results):
            # Asking on would loop for ever at a peer that says "more" and gives nothing.
            raise self._exchange.violation("The peer announced more results without giving any.")
        self._asked = True
        self._iterator_id = page.id
        self._has_more = page.has_more
        self._results = iter(page.results)


def _batches(writes: Mapping[str, bytes | None], most: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    size = 0
    for key, value in writes.items():
        record = (
            chaincode_shim_pb2.WriteRecord(key=key, type=chaincode_shim_pb2.WriteRecord.DEL_STATE)
            if value is None
            else chaincode_shim_pb2.WriteRecord(key=key, value=value, type=chaincode_shim_pb2.WriteRecord.PUT_STATE)
        )
        if batch and (len(batch) == most or size + record.ByteSize() > MAXIMUM_VALUE_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += record.ByteSize()
    if batch:
        yield batch


def _parse_reply(exchange: Exchange, message: Any, received: bytes) -> Any:
    try:
        message.ParseFromString(received)
    except DecodeError:
        raise exchange.violation(f"The peer's {message.DESCRIPTOR.name} does not parse.") from None
    return message


def _check_key(key: str) -> None:
    if not key:
        raise ValueError("a key must not be empty")
