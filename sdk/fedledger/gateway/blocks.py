"""Fabric's block format as pure functions: hashes, signed bytes, validation codes, commit hash.

Bytes in, values out; nothing here asks a ledger or verifies a signature. A node that writes blocks and an auditor
that checks them share these functions. Source: hyperledger/fabric, ``protoutil/blockutils.go`` and
``core/ledger/kvledger``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from fedledger.gateway.envelopes import (
    ChaincodeName,
    EmittedEvent,
    Endorsement,
    EndorserTransaction,
    EnvelopeHeader,
    Response,
    parse_envelope_header,
    proposal_hash,
    recorded_id,
    transaction_id_of,
)
from fedledger.gateway.errors import BlockFormatError
from fedledger.gateway.read_write_sets import (
    CollectionReadWriteSet,
    HashedRead,
    HashedWrite,
    MerkleSummary,
    MetadataWrite,
    NamespaceReadWriteSet,
    RangeQuery,
    Read,
    Version,
    Write,
    parse_read_write_sets,
)
from fedledger.gateway.wire import varint

__all__ = [
    "BlockSignature",
    "ChaincodeName",
    "CollectionReadWriteSet",
    "EmittedEvent",
    "Endorsement",
    "EndorserTransaction",
    "EnvelopeHeader",
    "HashedRead",
    "HashedWrite",
    "MerkleSummary",
    "MetadataWrite",
    "NamespaceReadWriteSet",
    "RangeQuery",
    "Read",
    "Response",
    "StateUpdate",
    "Version",
    "Write",
    "block_signatures",
    "commit_hash",
    "data_hash",
    "header_bytes",
    "header_hash",
    "is_config",
    "last_config_index",
    "parse_block",
    "parse_envelope_header",
    "parse_read_write_sets",
    "proposal_hash",
    "recorded_commit_hash",
    "recorded_id",
    "signed_block_bytes",
    "state_updates_bytes",
    "transaction_id_of",
    "validation_codes",
]


@dataclass(frozen=True)
class BlockSignature:
    """One orderer's signature of a block and the bytes it is over.

    The orderer is named by its serialized identity (``creator``), or, under SmartBFT, by its number among the
    channel's consenters (``consenter_id``); the other one is None.
    """

    creator: bytes | None
    consenter_id: int | None
    signature: bytes
    signed_bytes: bytes


@dataclass(frozen=True)
class StateUpdate:
    """What a block leaves in one key: its last value in the block (None when deleted) and version.

    For a private data collection ``collection`` is its name, and ``key`` and ``value`` are the hashes.
    """

    namespace: str
    key: bytes
    value: bytes | None
    version: Version
    collection: str = ""


def parse_block(block_bytes: bytes) -> Any:
    """Parse a ``common.Block``; raises ``BlockFormatError`` (``MALFORMED_BLOCK``)."""
    try:
        block = common_pb2.Block.FromString(block_bytes)
    except DecodeError as error:
        raise BlockFormatError("MALFORMED_BLOCK", "The bytes are no block of a Fabric ledger.") from error
    if not block.HasField("header"):
        raise BlockFormatError("MALFORMED_BLOCK", "The block has no header.")
    return block


def is_config(block: Any) -> bool:
    """Whether a block's one transaction is a channel configuration."""
    if len(block.data.data) != 1:
        return False
    try:
        return int(parse_envelope_header(block.data.data[0]).type) == int(common_pb2.CONFIG)
    except BlockFormatError:
        return False


def header_bytes(header: Any) -> bytes:
    """Return the ASN.1 DER of a ``BlockHeader``: SEQUENCE of number, previous hash and data hash."""
    return _der(
        0x30,
        _der(0x02, header.number.to_bytes(header.number.bit_length() // 8 + 1, "big"))
        + _der(0x04, header.previous_hash)
        + _der(0x04, header.data_hash),
    )


def header_hash(header: Any) -> bytes:
    """Return SHA-256 of ``header_bytes``: the next block's ``previous_hash``."""
    return hashlib.sha256(header_bytes(header)).digest()


def data_hash(block_data: Any | Iterable[bytes]) -> bytes:
    """Return SHA-256 of all envelopes, concatenated; takes a ``BlockData`` or the envelopes' bytes."""
    digest = hashlib.sha256()
    for envelope in block_data.data if isinstance(block_data, common_pb2.BlockData) else block_data:
        digest.update(envelope)
    return digest.digest()


def validation_codes(block: Any) -> tuple[int, ...]:
    """Return each transaction's ``TxValidationCode`` in the block's order.

    Raises ``BlockFormatError`` (``MALFORMED_BLOCK``) when there is not one code for each transaction: an orderer's
    copy of a block has none.
    """
    codes = tuple(_metadata_entry(block, common_pb2.TRANSACTIONS_FILTER))
    if len(codes) != len(block.data.data):
        raise BlockFormatError(
            "MALFORMED_BLOCK",
            f"Block {block.header.number} has {len(block.data.data)} transactions and {len(codes)} validation codes.",
            "Take the block from a peer; an orderer does not validate.",
        )
    return codes


def signed_block_bytes(metadata_value: bytes, signer_header: bytes, header: Any) -> bytes:
    """Return what an orderer signs: metadata value || signature or identifier header || ``header_bytes``."""
    return metadata_value + signer_header + header_bytes(header)


def block_signatures(block: Any) -> tuple[BlockSignature, ...]:
    """Return the orderers' signatures of a block; none for a genesis block. Raises ``BlockFormatError``."""
    metadata = _metadata(block, common_pb2.SIGNATURES)
    return tuple(_signature(metadata.value, signature, block) for signature in metadata.signatures)


def last_config_index(block: Any) -> int:
    """Return the number of the channel's last configuration block, as the signed metadata tells it."""
    value = _metadata(block, common_pb2.SIGNATURES).value
    if value:
        return int(_decode(common_pb2.OrdererBlockMetadata, value, block).last_config.index)
    return int(_decode(common_pb2.LastConfig, _metadata(block, common_pb2.LAST_CONFIG).value, block).index)


def recorded_commit_hash(block: Any) -> bytes:
    """Return the commit hash that the peer wrote in the block; empty for a genesis block."""
    return bytes(_metadata(block, common_pb2.COMMIT_HASH).value)


def commit_hash(codes: Sequence[int], updates: bytes, previous_commit_hash: bytes) -> bytes:
    """Return SHA-256(varint(number of codes) || codes || updates || previous commit hash).

    ``codes`` are the block's validation codes, ``updates`` is from ``state_updates_bytes``. Block 0 has no commit
    hash, so for block 1 the previous one is empty (``kv_ledger.go``, ``addBlockCommitHash``).
    """
    return hashlib.sha256(varint(len(codes)) + bytes(codes) + updates + previous_commit_hash).digest()


def state_updates_bytes(updates: Iterable[StateUpdate]) -> bytes:
    """Return the canonical bytes of a block's updates, the last one of each key, given in any order.

    They are sorted by namespace, public before private, collection and key; a namespace or collection is named
    only where it begins (``txmgr/update_batch_bytes.go``). The channel configuration, namespace "", is left out.
    Raises ``ValueError`` when a key occurs twice.
    """
    ordered = sorted(
        (update for update in updates if update.namespace),
        key=lambda update: (update.namespace.encode(), update.collection.encode(), update.key),
    )
    encoded = bytearray()
    namespace = collection = ""
    previous: StateUpdate | None = None
    for update in ordered:
        if previous is not None and _place(previous) == _place(update):
            raise ValueError(f"two updates of key {update.key!r} in namespace {update.namespace}")
        begins_namespace = update.namespace != namespace
        begins_collection = update.collection != ("" if begins_namespace else collection)
        encoded += _field(
            1,
            _field(1, update.namespace.encode() if begins_namespace else b"")
            + _field(2, update.collection.encode() if begins_collection else b"")
            + _field(3, update.key)
            + (b"\x20\x01" if update.value is None else b"")
            + _field(5, update.value or b"")
            + _field(6, update.version.to_bytes()),
        )
        namespace, collection, previous = update.namespace, update.collection, update
    return bytes(encoded)


def _place(update: StateUpdate) -> tuple[str, str, bytes]:
    return update.namespace, update.collection, update.key


def _signature(metadata_value: bytes, entry: Any, block: Any) -> BlockSignature:
    if entry.identifier_header and not entry.signature_header:
        return BlockSignature(
            creator=None,
            consenter_id=_decode(common_pb2.IdentifierHeader, entry.identifier_header, block).identifier,
            signature=entry.signature,
            signed_bytes=signed_block_bytes(metadata_value, entry.identifier_header, block.header),
        )
    return BlockSignature(
        creator=_decode(common_pb2.SignatureHeader, entry.signature_header, block).creator,
        consenter_id=None,
        signature=entry.signature,
        signed_bytes=signed_block_bytes(metadata_value, entry.signature_header, block.header),
    )


def _metadata(block: Any, index: int) -> Any:
    return _decode(common_pb2.Metadata, _metadata_entry(block, index), block)


def _metadata_entry(block: Any, index: int) -> bytes:
    entries = block.metadata.metadata
    return bytes(entries[index]) if index < len(entries) else b""


def _decode(message_class: Any, content: bytes, block: Any) -> Any:
    try:
        return message_class.FromString(content)
    except DecodeError as error:
        raise BlockFormatError(
            "MALFORMED_BLOCK", f"The metadata of block {block.header.number} does not parse."
        ) from error


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def _field(number: int, content: bytes) -> bytes:
    # proto3 leaves out a field that has its default value; within the repeated field 1 of the outer message
    # no entry is ever empty, since a version has at least two bytes.
    return bytes([number << 3 | 2]) + varint(len(content)) + content if content else b""
