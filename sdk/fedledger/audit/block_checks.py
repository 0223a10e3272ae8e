"""What has to hold of a block before its transactions are looked at: format, links, data, orderers' signatures.

Each function returns nothing and raises a ``Finding``; the state of the ledger is the caller's.
"""

from __future__ import annotations

from typing import Any

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from fedledger.audit.channel import BFT, ChannelConfig
from fedledger.audit.findings import CheckName, Finding
from fedledger.gateway.blocks import (
    BlockSignature,
    block_signatures,
    data_hash,
    last_config_index,
    parse_block,
    recorded_commit_hash,
    validation_codes,
)
from fedledger.gateway.errors import BlockFormatError
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import VerifiedIdentity

_METADATA_ENTRIES = 5
"""SIGNATURES, LAST_CONFIG, TRANSACTIONS_FILTER, ORDERER, COMMIT_HASH (``common.BlockMetadataIndex``)."""


def read_block(block_bytes: bytes) -> Any:
    """Parse a ``common.Block`` that has one encoding only, so that no byte of it goes unchecked."""
    try:
        block = parse_block(block_bytes)
        if not _is_canonical(block, block_bytes):
            raise Finding(CheckName.FORMAT, "its bytes are not the encoding of the block that they hold")
        if len(block.metadata.metadata) != _METADATA_ENTRIES:
            raise Finding(CheckName.FORMAT, f"it has {len(block.metadata.metadata)} metadata entries instead of five")
        validation_codes(block)
    except BlockFormatError as error:
        raise Finding(CheckName.FORMAT, error.message) from error
    return block


def check_metadata(block: Any, last_config: int) -> None:
    """Refuse metadata that nobody signs and that does not repeat what is signed or recomputed."""
    try:
        _check_metadata(block, last_config)
    except BlockFormatError as error:
        raise Finding(CheckName.FORMAT, error.message) from error
    except DecodeError as error:
        raise Finding(CheckName.FORMAT, "its metadata does not parse") from error


def _check_metadata(block: Any, last_config: int) -> None:
    told = last_config_index(block)
    if told != last_config:
        raise Finding(CheckName.FORMAT, f"it names block {told} as the newest configuration, which is {last_config}")
    entries = block.metadata.metadata
    repeated = common_pb2.Metadata(value=common_pb2.LastConfig(index=last_config).SerializeToString())
    if entries[common_pb2.LAST_CONFIG] not in (b"", repeated.SerializeToString()):
        raise Finding(CheckName.FORMAT, "its metadata entry LAST_CONFIG is not the one that its orderers signed")
    signed = common_pb2.Metadata.FromString(entries[common_pb2.SIGNATURES])
    consenter = common_pb2.OrdererBlockMetadata.FromString(signed.value).consenter_metadata
    if entries[common_pb2.ORDERER] not in (b"", common_pb2.Metadata(value=consenter).SerializeToString()):
        raise Finding(CheckName.FORMAT, "its metadata entry ORDERER is not the one that its orderers signed")
    commit = common_pb2.Metadata(value=recorded_commit_hash(block))
    for index, message in ((common_pb2.SIGNATURES, signed), (common_pb2.COMMIT_HASH, commit)):
        if not _is_canonical(message, entries[index]):
            raise Finding(CheckName.FORMAT, f"its metadata entry {index} has bytes that mean nothing")


def check_links(block: Any, number: int, previous_hash: bytes) -> None:
    """The block is the next one and its header names the hash of the one before."""
    if block.header.number != number:
        raise Finding(CheckName.LINKS, f"block {block.header.number} stands where block {number} belongs")
    if block.header.previous_hash != previous_hash:
        raise Finding(CheckName.LINKS, "its header does not name the hash of the block before it")


def check_data(block: Any) -> None:
    """The header names the hash of the block's transactions."""
    if block.header.data_hash != data_hash(block.data):
        raise Finding(CheckName.DATA, "its transactions are not those whose hash is in its header")


def check_orderers(block: Any, config: ChannelConfig) -> int:
    """Return the number of orderers' signatures: all are valid, and together they satisfy BlockValidation.

    Under BFT that policy is a quorum of the consenters that the configuration names, ceil((n + f + 1) / 2).
    """
    try:
        signatures = block_signatures(block)
    except BlockFormatError as error:
        raise Finding(CheckName.ORDERERS, error.message) from error
    signers: list[VerifiedIdentity] = []
    for signature in signatures:
        try:
            signer = config.identify(_orderer(signature, config))
            signer.verify(signature.signed_bytes, signature.signature)
        except IdentityError as error:
            raise Finding(CheckName.ORDERERS, f"a signature of it does not hold. {error.message}") from error
        if signer not in signers:
            signers.append(signer)
    if not config.block_validation.satisfied_by(signers):
        raise Finding(
            CheckName.ORDERERS,
            f"the signatures of {len(signers)} orderers do not satisfy the channel's policy BlockValidation",
        )
    return len(signers)


def _is_canonical(message: Any, received: bytes) -> bool:
    """Whether the bytes are what the message encodes to, with no field that is unknown here at any depth."""
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    return bool(known.SerializeToString(deterministic=True) == received)


def _orderer(signature: BlockSignature, config: ChannelConfig) -> bytes:
    if config.consensus == BFT:
        consenter = config.consenters.get(signature.consenter_id or 0) if signature.creator is None else None
        if consenter is None:
            raise Finding(CheckName.ORDERERS, "it is signed by somebody who is none of the channel's consenters")
        return consenter
    if signature.creator is None:
        raise Finding(CheckName.ORDERERS, f"it is signed as under BFT in a channel of {config.consensus}")
    return signature.creator
