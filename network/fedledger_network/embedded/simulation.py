"""One simulated transaction: what the chaincode reads and writes, as a read-write set; it changes no state.

As in Fabric, reads see the committed state only, never the transaction's own writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import chaincode_shim_pb2
from google.protobuf.message import DecodeError

from fedledger_network.embedded.world import Entry, Snapshot

Message = chaincode_shim_pb2.ChaincodeMessage
PAGE = 100
"""Results of one answer to a range query."""


class SimulationError(Exception):
    """The chaincode asked for something that cannot be done; the text goes back to it."""


@dataclass
class _OpenRange:
    start: str
    end: str
    results: list[tuple[str, Entry]]
    sent: int = 0


@dataclass
class Simulation:
    """Reads, writes and range queries of one transaction over one snapshot."""

    namespace: str
    snapshot: Snapshot
    _reads: dict[str, Entry | None] = field(default_factory=dict)
    _writes: dict[str, bytes | None] = field(default_factory=dict)
    _ranges: list[_OpenRange] = field(default_factory=list)
    _open: dict[str, _OpenRange] = field(default_factory=dict)

    def answer(self, kind: int, payload: bytes) -> bytes:
        """The payload of the RESPONSE to one request of the chaincode.

        Raises:
            SimulationError: not supported, or malformed.
        """
        handlers: dict[int, Callable[[bytes], bytes]] = {
            Message.GET_STATE: self._get,
            Message.GET_STATE_MULTIPLE: self._get_multiple,
            Message.PUT_STATE: self._put,
            Message.DEL_STATE: self._delete,
            Message.WRITE_BATCH_STATE: self._write_batch,
            Message.GET_STATE_BY_RANGE: self._begin_range,
            Message.QUERY_STATE_NEXT: self._next,
            Message.QUERY_STATE_CLOSE: self._close,
        }
        handler = handlers.get(kind)
        if handler is None:
            raise SimulationError(f"the embedded node does not support {Message.Type.Name(kind)}")
        try:
            return handler(payload)
        except DecodeError as error:
            raise SimulationError(f"the payload of {Message.Type.Name(kind)} does not parse") from error

    def results(self) -> bytes:
        """The ``rwset.TxReadWriteSet``, the same for the same simulation at every peer."""
        rwset = kv_rwset_pb2.KVRWSet(
            reads=[_read(key, entry) for key, entry in sorted(self._reads.items())],
            range_queries_info=[_range_info(opened) for opened in self._ranges],
            writes=[
                kv_rwset_pb2.KVWrite(key=key, is_delete=value is None, value=value or b"")
                for key, value in sorted(self._writes.items())
            ],
        )
        if not (rwset.reads or rwset.range_queries_info or rwset.writes):
            return b""
        namespace = rwset_pb2.NsReadWriteSet(namespace=self.namespace, rwset=rwset.SerializeToString())
        return bytes(rwset_pb2.TxReadWriteSet(ns_rwset=[namespace]).SerializeToString())

    # --- requests

    def _read(self, key: str) -> bytes:
        entry = self.snapshot.get(self.namespace, _checked(key))
        self._reads[key] = entry
        return b"" if entry is None or entry.value is None else entry.value

    def _get(self, payload: bytes) -> bytes:
        request = chaincode_shim_pb2.GetState.FromString(payload)
        _refuse_collection(request.collection)
        return self._read(request.key)

    def _get_multiple(self, payload: bytes) -> bytes:
        request = chaincode_shim_pb2.GetStateMultiple.FromString(payload)
        _refuse_collection(request.collection)
        values = [self._read(key) for key in request.keys]
        return bytes(chaincode_shim_pb2.GetStateMultipleResult(values=values).SerializeToString())

    def _put(self, payload: bytes) -> bytes:
        request = chaincode_shim_pb2.PutState.FromString(payload)
        _refuse_collection(request.collection)
        self._writes[_checked(request.key)] = request.value or None
        return b""

    def _delete(self, payload: bytes) -> bytes:
        request = chaincode_shim_pb2.DelState.FromString(payload)
        _refuse_collection(request.collection)
        self._writes[_checked(request.key)] = None
        return b""

    def _write_batch(self, payload: bytes) -> bytes:
        for record in chaincode_shim_pb2.WriteBatchState.FromString(payload).rec:
            _refuse_collection(record.collection)
            if record.type == chaincode_shim_pb2.WriteRecord.PUT_STATE:
                self._writes[_checked(record.key)] = record.value or None
            elif record.type == chaincode_shim_pb2.WriteRecord.DEL_STATE:
                self._writes[_checked(record.key)] = None
            else:
                raise SimulationError(f"the embedded node does not support writes of type {record.type}")
        return b""

    def _begin_range(self, payload: bytes) -> bytes:
        request = chaincode_shim_pb2.GetStateByRange.FromString(payload)
        _refuse_collection(request.collection)
        if request.metadata:
            raise SimulationError("the embedded node does not support paginated queries")
        results = self.snapshot.range(self.namespace, request.startKey, request.endKey)
        opened = _OpenRange(request.startKey, request.endKey, results)
        name = str(len(self._ranges))
        self._ranges.append(opened)
        self._open[name] = opened
        return self._page(name, opened)

    def _next(self, payload: bytes) -> bytes:
        name = chaincode_shim_pb2.QueryStateNext.FromString(payload).id
        if name not in self._open:
            raise SimulationError(f"there is no open query {name}")
        return self._page(name, self._open[name])

    def _close(self, payload: bytes) -> bytes:
        name = chaincode_shim_pb2.QueryStateClose.FromString(payload).id
        self._open.pop(name, None)
        return bytes(chaincode_shim_pb2.QueryResponse(id=name).SerializeToString())

    def _page(self, name: str, opened: _OpenRange) -> bytes:
        page = opened.results[opened.sent : opened.sent + PAGE]
        opened.sent += len(page)
        response = chaincode_shim_pb2.QueryResponse(id=name, has_more=opened.sent < len(opened.results))
        for key, entry in page:
            found = kv_query_result_pb2.KV(namespace=self.namespace, key=key, value=entry.value or b"")
            response.results.add(resultBytes=found.SerializeToString())
        if not response.has_more:
            self._open.pop(name, None)
        return bytes(response.SerializeToString())


def _read(key: str, entry: Entry | None) -> Any:
    read = kv_rwset_pb2.KVRead(key=key)
    if entry is not None:
        read.version.block_num = entry.version.block_number
        read.version.tx_num = entry.version.transaction_number
    return read


def _range_info(opened: _OpenRange) -> Any:
    """What was read of a range: whoever stopped early is bound only to what it has seen."""
    exhausted = opened.sent == len(opened.results)
    seen = opened.results[: opened.sent]
    return kv_rwset_pb2.RangeQueryInfo(
        start_key=opened.start,
        end_key=opened.end if exhausted else seen[-1][0],
        itr_exhausted=exhausted,
        raw_reads=kv_rwset_pb2.QueryReads(kv_reads=[_read(key, entry) for key, entry in seen]),
    )


def _refuse_collection(collection: str) -> None:
    if collection:
        raise SimulationError("the embedded node has no private data collections")


def _checked(key: str) -> str:
    if not key:
        raise SimulationError("a key is empty")
    return key
