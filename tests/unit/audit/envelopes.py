"""Envelopes with real signatures, as clients send them, for ledgers made by tests."""

from __future__ import annotations

from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2

from fedledger.gateway.blocks import parse_envelope_header
from fedledger.gateway.errors import BlockFormatError
from fedledger.identity.keys import PrivateKey, sign
from fedledger_chaincode.replay import ReplayStub
from tests.unit.contract.ledger import CHANNEL

CHAINCODE = "fedledger"


def is_config(block: Any) -> bool:
    try:
        return int(parse_envelope_header(block.data.data[0]).type) == int(common_pb2.CONFIG)
    except BlockFormatError:
        return False


def proposal(stub: ReplayStub, nonce: bytes, chaincode: str) -> tuple[Any, bytes]:
    invocation = chaincode_pb2.ChaincodeInvocationSpec()
    invocation.chaincode_spec.chaincode_id.name = chaincode
    invocation.chaincode_spec.input.args.extend([stub.function.encode(), *stub.arguments])
    request = proposal_pb2.ChaincodeProposalPayload(input=invocation.SerializeToString()).SerializeToString()
    return header_of(
        common_pb2.ENDORSER_TRANSACTION, stub.timestamp, stub.creator, nonce, stub.transaction_id, chaincode
    ), request


def hashed(header: Any, request: bytes) -> tuple[bytes, bytes, bytes]:
    return header.channel_header, header.signature_header, request


def header_of(
    kind: int, timestamp: int, creator: bytes, nonce: bytes, transaction_id: str, chaincode: str = CHAINCODE
) -> Any:
    channel = common_pb2.ChannelHeader(type=kind, channel_id=CHANNEL, tx_id=transaction_id)
    channel.timestamp.seconds = timestamp
    if kind == common_pb2.ENDORSER_TRANSACTION:
        named = proposal_pb2.ChaincodeHeaderExtension(chaincode_id=chaincode_pb2.ChaincodeID(name=chaincode))
        channel.extension = named.SerializeToString()
    return common_pb2.Header(
        channel_header=channel.SerializeToString(),
        signature_header=common_pb2.SignatureHeader(creator=creator, nonce=nonce).SerializeToString(),
    )


def envelope_of(
    kind: int, timestamp: int, creator: bytes, nonce: bytes, transaction_id: str, data: bytes, key: PrivateKey | None
) -> bytes:
    return signed_envelope(header_of(kind, timestamp, creator, nonce, transaction_id), data, key)


def signed_envelope(header: Any, data: bytes, key: PrivateKey | None) -> bytes:
    payload = common_pb2.Payload(header=header, data=data).SerializeToString()
    signature = b"" if key is None else sign(key, payload)
    return bytes(common_pb2.Envelope(payload=payload, signature=signature).SerializeToString())
