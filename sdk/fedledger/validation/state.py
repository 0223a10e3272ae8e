"""The state that blocks leave, and whether a transaction's reads still hold: MVCC and phantoms.

Follows hyperledger/fabric, ``core/ledger/kvledger/txmgmt/validation``: a transaction sees the state before its block
and conflicts with every earlier valid transaction of its block that wrote what it read. Key-level metadata is not kept:
``sets_metadata`` tells which transactions would need it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from fabric_protos.peer import transaction_pb2

from fedledger.gateway.blocks import (
    EndorserTransaction,
    NamespaceReadWriteSet,
    RangeQuery,
    Read,
    StateUpdate,
    Version,
)
from fedledger.validation.range_summaries import SMALLEST_DEGREE, merkle_summary

VALID = int(transaction_pb2.VALID)
MVCC_READ_CONFLICT = int(transaction_pb2.MVCC_READ_CONFLICT)
PHANTOM_READ_CONFLICT = int(transaction_pb2.PHANTOM_READ_CONFLICT)

Place = tuple[str, str, bytes]
"""Namespace, private data collection (empty for public state) and key, or hash of a private key."""

_VALUE, _METADATA, _NO_METADATA, _DELETED = 1, 2, 4, 8


class State(Protocol):
    """The state before a block."""

    def version(self, place: Place) -> Version | None:
        """Where a key was last written; None when it does not exist."""
        ...

    def value(self, place: Place) -> bytes | None:
        """A key's value, or the hash of a private one; None when it does not exist."""
        ...

    def range(self, namespace: str, start: str, end: str) -> Sequence[tuple[str, Version]]:
        """Public keys in [start, end) in order; without an end all from ``start`` on."""
        ...


class BlockUpdates:
    """What the valid transactions of one block leave so far."""

    def __init__(self, before: State) -> None:
        self._before = before
        self._updates: dict[Place, StateUpdate] = {}

    def __iter__(self) -> Iterator[StateUpdate]:
        return iter(self._updates.values())

    def conflict(self, transaction: EndorserTransaction) -> int:
        """The validation code of a transaction whose signatures and endorsements hold."""
        for entry in transaction.read_write_sets:
            if not all(
                self._still_holds((entry.namespace, "", read.key.encode()), read.version) for read in entry.reads
            ):
                return MVCC_READ_CONFLICT
            if not all(self._no_phantom(entry.namespace, query) for query in entry.range_queries):
                return PHANTOM_READ_CONFLICT
            if not self._private_reads_hold(entry):
                return MVCC_READ_CONFLICT
        return VALID

    def add(self, transaction: EndorserTransaction, version: Version) -> None:
        """Add the writes of a valid transaction."""
        written: dict[Place, list[bytes | None]] = {}
        for entry in transaction.read_write_sets:
            for write in entry.writes:
                written.setdefault((entry.namespace, "", write.key.encode()), []).append(write.value)
            for collection in entry.collections:
                for hashed in collection.writes:
                    place = (entry.namespace, collection.collection_name, hashed.key_hash)
                    written.setdefault(place, []).append(hashed.value_hash)
        for place, values in written.items():
            for value in self._result(place, values):
                self._updates[place] = StateUpdate(place[0], place[2], value, version, place[1])

    def _result(self, place: Place, values: Sequence[bytes | None]) -> Sequence[bytes | None]:
        """The value that a transaction gives a key, none if it gives none; of several writes Fabric does not keep the
        last.

        It adds a number for each and reads the sum as a set of flags (``tx_ops.go``): two values make the flag of new
        metadata, with which the key keeps the value that it had.
        """
        flags = sum(_DELETED if value is None else _VALUE for value in values)
        if flags & _DELETED:
            return (None,)
        if flags == _VALUE or (flags & _VALUE and flags & (_METADATA | _NO_METADATA)):
            return values[-1:]
        pending = self._updates.get(place)
        before = self._before.value(place) if pending is None else pending.value
        return () if before is None else (before,)

    def _still_holds(self, place: Place, version: Version | None) -> bool:
        return place not in self._updates and self._before.version(place) == version

    def _private_reads_hold(self, entry: NamespaceReadWriteSet) -> bool:
        return all(
            self._still_holds((entry.namespace, collection.collection_name, read.key_hash), read.version)
            for collection in entry.collections
            for read in collection.reads
        )

    def _no_phantom(self, namespace: str, query: RangeQuery) -> bool:
        """Whether the range would still be read as it was, with the block's earlier updates in it."""
        now = self._range(namespace, query)
        if query.merkle_summary is None:
            return tuple(now) == query.reads
        degree = query.merkle_summary.max_degree
        return degree >= SMALLEST_DEGREE and merkle_summary(now, degree) == query.merkle_summary

    def _range(self, namespace: str, query: RangeQuery) -> list[Read]:
        found: dict[str, Version | None] = dict(self._before.range(namespace, query.start_key, query.end_key))
        for (space, collection, encoded), update in self._updates.items():
            key = encoded.decode() if not collection and space == namespace else None
            if key is not None and key >= query.start_key and (not query.end_key or key < query.end_key):
                found[key] = None if update.value is None else update.version
        reads = [Read(key, found[key]) for key in sorted(found) if found[key] is not None]
        # Whoever stopped early is bound up to the last key that it saw.
        last = None if query.exhausted else self._version((namespace, "", query.end_key.encode()))
        return reads if last is None else [*reads, Read(query.end_key, last)]

    def _version(self, place: Place) -> Version | None:
        update = self._updates.get(place)
        if update is None:
            return self._before.version(place)
        return None if update.value is None else update.version


class ReplayedState:
    """Keys with their values and the versions of their last writes."""

    def __init__(self) -> None:
        self._values: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._hashes: dict[Place, bytes] = {}
        self._versions: dict[Place, Version] = {}

    def values(self, namespace: str) -> Mapping[str, bytes]:
        """Public keys and values of a namespace."""
        return self._values[namespace]

    def version(self, place: Place) -> Version | None:
        """Where a key was last written; None when it does not exist."""
        return self._versions.get(place)

    def value(self, place: Place) -> bytes | None:
        """A key's value, or the hash of a private one; None when it does not exist."""
        namespace, collection, key = place
        return self._hashes.get(place) if collection else self._values[namespace].get(key.decode())

    def range(self, namespace: str, start: str, end: str) -> list[tuple[str, Version]]:
        """Public keys in [start, end) in order; without an end all from ``start`` on."""
        keys = sorted(self._values[namespace])
        last = bisect_left(keys, end) if end else len(keys)
        return [(key, self._versions[namespace, "", key.encode()]) for key in keys[bisect_left(keys, start) : last]]

    def apply(self, updates: BlockUpdates) -> None:
        """Make a block's updates the state that the next block sees."""
        for update in updates:
            place = (update.namespace, update.collection, update.key)
            if update.value is None:
                self._versions.pop(place, None)
                self._forget(place)
            else:
                self._versions[place] = update.version
                self._keep(place, update.value)

    def _keep(self, place: Place, value: bytes) -> None:
        namespace, collection, key = place
        if collection:
            self._hashes[place] = value
        else:
            self._values[namespace][key.decode()] = value

    def _forget(self, place: Place) -> None:
        namespace, collection, key = place
        if collection:
            self._hashes.pop(place, None)
        else:
            self._values[namespace].pop(key.decode(), None)


def sets_metadata(transaction: EndorserTransaction) -> bool:
    """Whether a transaction gives keys metadata, such as endorsement policies of their own."""
    return any(
        entry.metadata_writes or any(collection.sets_metadata for collection in entry.collections)
        for entry in transaction.read_write_sets
    )
