"""What a transaction read and wrote, as values; refuses results that are no key-value read-write set.

The format is Fabric's ``rwset.TxReadWriteSet`` with one ``kvrwset.KVRWSet`` per namespace (fabric-protos,
``ledger/rwset``); peers read it whatever data model it names. Whether the reads still hold is for a validator to say,
not for this module.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from google.protobuf.message import DecodeError

from fedledger.gateway.errors import BlockFormatError
from fedledger.gateway.wire import parse_message

_HASH_OF_NOTHING = hashlib.sha256().digest()


@dataclass(frozen=True, order=True)
class Version:
    """Where a key was last written: the block's number and the transaction's place in it, both from 0."""

    block_number: int
    transaction_number: int

    def to_bytes(self) -> bytes:
        """Return the two numbers, each as its length in bytes and its big-endian bytes without leading zeros.

        As ``Height.ToBytes`` of hyperledger/fabric, ``core/ledger/internal/version``.
        """
        return _order_preserving(self.block_number) + _order_preserving(self.transaction_number)


@dataclass(frozen=True)
class Read:
    """A key that was read and the version seen; None when the key did not exist."""

    key: str
    version: Version | None


@dataclass(frozen=True)
class Write:
    """A key and its new value; None deletes the key, and so does a value of no bytes, as in Fabric."""

    key: str
    value: bytes | None


@dataclass(frozen=True)
class MetadataWrite:
    """The metadata a key is given in place of what it had, such as a key-level endorsement policy."""

    key: str
    entries: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class MerkleSummary:
    """The hashes that stand for a range query's reads when there were many (``RangeQueryInfo``)."""

    max_degree: int
    max_level: int
    max_level_hashes: tuple[bytes, ...]


@dataclass(frozen=True)
class RangeQuery:
    """A range [``start_key``, ``end_key``) that was read: either each read or a Merkle summary of them.

    ``exhausted`` is False when the contract stopped before the end; then the last read bounds the range.
    """

    start_key: str
    end_key: str
    exhausted: bool
    reads: tuple[Read, ...] | None
    merkle_summary: MerkleSummary | None


@dataclass(frozen=True)
class HashedRead:
    """A private key that was read, by its hash."""

    key_hash: bytes
    version: Version | None


@dataclass(frozen=True)
class HashedWrite:
    """A private key that was written, by the hashes of key and value; None deletes it."""

    key_hash: bytes
    value_hash: bytes | None
    is_purge: bool


@dataclass(frozen=True)
class CollectionReadWriteSet:
    """Reads and writes of one private data collection, by hashes."""

    collection_name: str
    reads: tuple[HashedRead, ...]
    writes: tuple[HashedWrite, ...]
    private_data_hash: bytes
    sets_metadata: bool = False
    """Whether it gives any key metadata, such as an endorsement policy."""


@dataclass(frozen=True)
class NamespaceReadWriteSet:
    """Reads and writes within one namespace, which is a chaincode's name."""

    namespace: str
    reads: tuple[Read, ...]
    range_queries: tuple[RangeQuery, ...]
    writes: tuple[Write, ...]
    metadata_writes: tuple[MetadataWrite, ...]
    collections: tuple[CollectionReadWriteSet, ...]


def parse_read_write_sets(results: bytes) -> tuple[NamespaceReadWriteSet, ...]:
    """Parse ``ChaincodeAction.results``, keeping the order of namespaces, reads and writes.

    Raises ``BlockFormatError`` (``MALFORMED_READ_WRITE_SET``).
    """
    try:
        message = parse_message(rwset_pb2.TxReadWriteSet, results)
        return tuple(_namespace(entry) for entry in message.ns_rwset)
    except DecodeError as error:
        raise _malformed("its bytes do not parse") from error


def _namespace(entry: Any) -> NamespaceReadWriteSet:
    kv = parse_message(kv_rwset_pb2.KVRWSet, entry.rwset)
    return NamespaceReadWriteSet(
        namespace=entry.namespace,
        reads=tuple(_read(read) for read in kv.reads),
        range_queries=tuple(_range_query(query) for query in kv.range_queries_info),
        writes=tuple(
            Write(write.key, None if write.is_delete or not write.value else write.value) for write in kv.writes
        ),
        metadata_writes=tuple(
            MetadataWrite(write.key, tuple((item.name, item.value) for item in write.entries))
            for write in kv.metadata_writes
        ),
        collections=tuple(_collection(collection) for collection in entry.collection_hashed_rwset),
    )


def _collection(entry: Any) -> CollectionReadWriteSet:
    hashed = parse_message(kv_rwset_pb2.HashedRWSet, entry.hashed_rwset)
    return CollectionReadWriteSet(
        collection_name=entry.collection_name,
        reads=tuple(HashedRead(read.key_hash, _version(read)) for read in hashed.hashed_reads),
        writes=tuple(
            HashedWrite(write.key_hash, _hashed_value(write), write.is_purge) for write in hashed.hashed_writes
        ),
        private_data_hash=entry.pvt_rwset_hash,
        sets_metadata=bool(hashed.metadata_writes),
    )


def _hashed_value(write: Any) -> bytes | None:
    """None for a private key that is deleted, which a value of no bytes does too."""
    return None if write.is_delete or write.value_hash in (b"", _HASH_OF_NOTHING) else write.value_hash


def _range_query(query: Any) -> RangeQuery:
    kind = query.WhichOneof("reads_info")
    summary = query.reads_merkle_hashes
    return RangeQuery(
        start_key=query.start_key,
        end_key=query.end_key,
        exhausted=query.itr_exhausted,
        reads=None if kind == "reads_merkle_hashes" else tuple(_read(read) for read in query.raw_reads.kv_reads),
        merkle_summary=MerkleSummary(summary.max_degree, summary.max_level, tuple(summary.max_level_hashes))
        if kind == "reads_merkle_hashes"
        else None,
    )


def _read(read: Any) -> Read:
    return Read(read.key, _version(read))


def _version(read: Any) -> Version | None:
    return Version(read.version.block_num, read.version.tx_num) if read.HasField("version") else None


def _order_preserving(number: int) -> bytes:
    length = (number.bit_length() + 7) // 8
    return bytes([length]) + number.to_bytes(length, "big")


def _malformed(reason: str) -> BlockFormatError:
    return BlockFormatError("MALFORMED_READ_WRITE_SET", f"A transaction's read-write set cannot be used: {reason}.")
