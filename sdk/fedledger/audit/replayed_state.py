"""The world state as the audit recomputes it, and whether a transaction's reads still held: MVCC and phantoms.

Follows hyperledger/fabric, ``core/ledger/kvledger/txmgmt/validation``: a transaction sees the state before its block
and conflicts with every earlier valid transaction of its block that wrote what it read. ``supported`` tells which
transactions cannot be judged.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping

from fabric_protos.peer import transaction_pb2

from fedledger.audit.range_summaries import SMALLEST_DEGREE, merkle_summary
from fedledger.gateway.blocks import (
    EndorserTransaction,
    NamespaceReadWriteSet,
    RangeQuery,
    Read,
    StateUpdate,
    Version,
)

VALID = int(transaction_pb2.VALID)
MVCC_READ_CONFLICT = int(transaction_pb2.MVCC_READ_CONFLICT)
PHANTOM_READ_CONFLICT = int(transaction_pb2.PHANTOM_READ_CONFLICT)

Place = tuple[str, str, bytes]
"""Namespace, private data collection (empty for public state) and key, or hash of a private key."""


class BlockUpdates:
    """What the valid transactions of one block leave, the last write of each key."""

    def __init__(self) -> None:
        self._updates: dict[Place, StateUpdate] = {}

    def __contains__(self, place: Place) -> bool:
        return place in self._updates

    def __iter__(self) -> Iterator[StateUpdate]:
        return iter(self._updates.values())

    def add(self, transaction: EndorserTransaction, version: Version) -> None:
        """Add the writes of a valid transaction."""
        for entry in transaction.read_write_sets:
            for write in entry.writes:
                self._put(StateUpdate(entry.namespace, write.key.encode(), write.value, version))
            for collection in entry.collections:
                for hashed in collection.writes:
                    self._put(
                        StateUpdate(
                            entry.namespace, hashed.key_hash, hashed.value_hash, version, collection.collection_name
                        )
                    )

    def in_namespace(self, namespace: str) -> dict[str, StateUpdate]:
        """The updates of public keys in a namespace, by key."""
        return {
            update.key.decode(): update
            for update in self._updates.values()
            if update.namespace == namespace and not update.collection
        }

    def _put(self, update: StateUpdate) -> None:
        self._updates[update.namespace, update.collection, update.key] = update


class ReplayedState:
    """Keys with their values and the versions of their last writes."""

    def __init__(self) -> None:
        self._values: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._versions: dict[Place, Version] = {}

    def values(self, namespace: str) -> Mapping[str, bytes]:
        """Public keys and values of a namespace."""
        return self._values[namespace]

    def version(self, place: Place) -> Version | None:
        """Where a key was last written; None when it does not exist."""
        return self._versions.get(place)

    def apply(self, updates: BlockUpdates) -> None:
        """Make a block's updates the state that the next block sees."""
        for update in updates:
            place = (update.namespace, update.collection, update.key)
            if update.value is None:
                self._versions.pop(place, None)
            else:
                self._versions[place] = update.version
            if not update.collection:  # of private data there are only hashes, which nobody reads as values
                self._set_value(update.namespace, update.key.decode(), update.value)

    def _set_value(self, namespace: str, key: str, value: bytes | None) -> None:
        if value is None:
            self._values[namespace].pop(key, None)
        else:
            self._values[namespace][key] = value

    def conflict(self, transaction: EndorserTransaction, pending: BlockUpdates) -> int:
        """The validation code of a transaction whose signatures and endorsements hold."""
        for entry in transaction.read_write_sets:
            if not all(self._still_holds(entry.namespace, read, pending) for read in entry.reads):
                return MVCC_READ_CONFLICT
            if not all(self._no_phantom(entry.namespace, query, pending) for query in entry.range_queries):
                return PHANTOM_READ_CONFLICT
            if not self._private_reads_hold(entry, pending):
                return MVCC_READ_CONFLICT
        return VALID

    def _still_holds(self, namespace: str, read: Read, pending: BlockUpdates) -> bool:
        place = (namespace, "", read.key.encode())
        return place not in pending and self.version(place) == read.version

    def _private_reads_hold(self, entry: NamespaceReadWriteSet, pending: BlockUpdates) -> bool:
        for collection in entry.collections:
            for read in collection.reads:
                place = (entry.namespace, collection.collection_name, read.key_hash)
                if place in pending or self.version(place) != read.version:
                    return False
        return True

    def _no_phantom(self, namespace: str, query: RangeQuery, pending: BlockUpdates) -> bool:
        """Whether the range would still be read as it was, with the block's earlier updates in it."""
        now = self._range(namespace, query, pending)
        if query.merkle_summary is None:
            return tuple(now) == query.reads
        degree = query.merkle_summary.max_degree
        return degree >= SMALLEST_DEGREE and merkle_summary(now, degree) == query.merkle_summary

    def _range(self, namespace: str, query: RangeQuery, pending: BlockUpdates) -> list[Read]:
        updates = pending.in_namespace(namespace)
        keys = sorted({*self._values[namespace], *updates})
        found: list[Read] = []
        for key in keys[bisect_left(keys, query.start_key) :]:
            if query.end_key and (key > query.end_key or (key == query.end_key and query.exhausted)):
                break
            update = updates.get(key)
            if update is None:
                found.append(Read(key, self.version((namespace, "", key.encode()))))
            elif update.value is not None:
                found.append(Read(key, update.version))
        return found


def supported(transaction: EndorserTransaction) -> bool:
    """Whether a transaction can be judged here: it sets no key-level endorsement policies."""
    return not any(entry.metadata_writes for entry in transaction.read_write_sets)
