"""Endorsed transactions made by tests, part by part, with whatever signatures: no peer has simulated them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import (
    chaincode_pb2,
    collection_pb2,
    policy_pb2,
    proposal_pb2,
    proposal_response_pb2,
)
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2

from fedledger.gateway.blocks import transaction_id_of

CHAINCODE = "judged"
VERSION = "1.0"
LIFECYCLE = "_lifecycle"


class Signs(Protocol):
    """Somebody with an identity and a key."""

    @property
    def identity(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass
class Parts:
    """A transaction's messages, each of which a test may change before it is put into the next one."""

    channel_header: Any
    extension: Any
    signature_header: Any
    invocation: Any
    """``ChaincodeInvocationSpec``."""
    result: Any
    """``ChaincodeAction``: results, event, response, chaincode."""
    results: Any
    """``TxReadWriteSet``."""
    action_header: bytes | None = None
    """The action's signature header, where it is another one."""
    proposal_hash: bytes | None = None
    """The hash that the endorsers sign for, where it is another one."""
    bytes_of: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    """What becomes of a message's bytes before they are hashed or signed, by the message's name."""


Change = Callable[[Parts], None]


def transaction(
    creator: Signs,
    endorsers: Iterable[Signs],
    channel: str,
    *changes: Change,
    chaincode: str = CHAINCODE,
    results: Any = None,
    seconds: float | None = None,
) -> bytes:
    """A signed envelope; ``changes`` are made before anything is hashed or signed."""
    parts = parts_of(creator, channel, chaincode, results, seconds)
    for change in changes:
        change(parts)
    return assembled(parts, creator, endorsers)


def parts_of(
    creator: Signs, channel: str, chaincode: str = CHAINCODE, results: Any = None, seconds: float | None = None
) -> Parts:
    nonce = os.urandom(24)
    named = chaincode_pb2.ChaincodeID(name=chaincode)
    header = common_pb2.ChannelHeader(
        type=common_pb2.ENDORSER_TRANSACTION, channel_id=channel, tx_id=transaction_id_of(nonce, creator.identity)
    )
    header.timestamp.FromNanoseconds(int((time.time() if seconds is None else seconds) * 1e9))
    spec = chaincode_pb2.ChaincodeSpec(chaincode_id=named, input=chaincode_pb2.ChaincodeInput(args=[b"Put"]))
    return Parts(
        channel_header=header,
        extension=proposal_pb2.ChaincodeHeaderExtension(chaincode_id=named),
        signature_header=common_pb2.SignatureHeader(creator=creator.identity, nonce=nonce),
        invocation=chaincode_pb2.ChaincodeInvocationSpec(chaincode_spec=spec),
        result=proposal_pb2.ChaincodeAction(
            chaincode_id=chaincode_pb2.ChaincodeID(name=chaincode, version=VERSION),
            response=proposal_response_pb2.Response(status=200),
        ),
        results=rwset_pb2.TxReadWriteSet() if results is None else results,
    )


def assembled(parts: Parts, creator: Signs, endorsers: Iterable[Signs]) -> bytes:
    """The envelope of the parts, endorsed and signed."""

    def made(name: str, content: bytes) -> bytes:
        return parts.bytes_of.get(name, bytes)(content)

    extension = made("extension", parts.extension.SerializeToString())
    parts.channel_header.extension = extension
    channel_header = made("channel_header", parts.channel_header.SerializeToString())
    signature_header = made("signature_header", parts.signature_header.SerializeToString())
    action_header = signature_header if parts.action_header is None else parts.action_header
    invocation = made("invocation", parts.invocation.SerializeToString())
    request = made("request", fields((1, invocation)))
    parts.result.results = made("results", parts.results.SerializeToString())
    result = made("result", parts.result.SerializeToString())
    hashed = hashlib.sha256(channel_header + action_header + request).digest()
    answer = made("answer", fields((1, hashed if parts.proposal_hash is None else parts.proposal_hash), (2, result)))
    endorsements = [
        (2, fields((1, endorser.identity), (2, endorser.sign(answer + endorser.identity)))) for endorser in endorsers
    ]
    endorsed = made("endorsed", fields((1, answer), *endorsements))
    action_payload = made("action_payload", fields((1, request), (2, endorsed)))
    action = made("action", fields((1, action_header), (2, action_payload)))
    body = made("transaction", fields((1, action)))
    header = made("header", fields((1, channel_header), (2, signature_header)))
    return sealed(made("payload", fields((1, header), (2, body))), creator)


def fields(*contents: tuple[int, bytes]) -> bytes:
    """A message of fields of bytes, in that order, be they empty or repeated."""
    return b"".join(varint(number << 3 | 2) + varint(len(content)) + content for number, content in contents)


def varint(number: int) -> bytes:
    octets = b""
    while number > 0x7F:
        octets, number = octets + bytes((number & 0x7F | 0x80,)), number >> 7
    return octets + bytes((number,))


def sealed(payload: bytes, creator: Signs) -> bytes:
    """The envelope of a payload, signed."""
    return bytes(common_pb2.Envelope(payload=payload, signature=creator.sign(payload)).SerializeToString())


def written(namespace: str, *writes: tuple[str, bytes | None], reads: Sequence[Any] = ()) -> Any:
    """Results that write keys of one namespace."""
    rwset = kv_rwset_pb2.KVRWSet(
        reads=reads,
        writes=[kv_rwset_pb2.KVWrite(key=key, value=value or b"", is_delete=value is None) for key, value in writes],
    )
    entry = rwset_pb2.NsReadWriteSet(namespace=namespace, rwset=rwset.SerializeToString())
    return rwset_pb2.TxReadWriteSet(ns_rwset=[entry])


def definition_of(
    chaincode: str,
    policy: Any,
    *,
    version: str = VERSION,
    sequence: int = 1,
    plugin: str = "vscc",
    collections: Sequence[Any] = (),
) -> Any:
    """The results with which ``_lifecycle`` commits a chaincode's definition under an ``ApplicationPolicy``."""
    package = collection_pb2.CollectionConfigPackage(config=collections).SerializeToString()
    contents = {
        "Sequence": db_pb2.StateData(Int64=sequence),
        "EndorsementInfo": _bytes(
            chaincode_definition_pb2.ChaincodeEndorsementInfo(version=version, endorsement_plugin="escc")
        ),
        "ValidationInfo": _bytes(
            chaincode_definition_pb2.ChaincodeValidationInfo(
                validation_plugin=plugin, validation_parameter=policy.SerializeToString()
            )
        ),
        "Collections": db_pb2.StateData(Bytes=package),
    }
    writes = {f"namespaces/fields/{chaincode}/{name}": value.SerializeToString() for name, value in contents.items()}
    metadata = db_pb2.StateMetadata(datatype="ChaincodeDefinition", fields=list(contents))
    writes[f"namespaces/metadata/{chaincode}"] = metadata.SerializeToString()
    return written(LIFECYCLE, *sorted(writes.items()))


def together(*results: Any) -> Any:
    """The results of several namespaces in one."""
    return rwset_pb2.TxReadWriteSet(ns_rwset=[entry for each in results for entry in each.ns_rwset])


def _bytes(message: Any) -> Any:
    return db_pb2.StateData(Bytes=message.SerializeToString())


def signature_policy(envelope: Any) -> Any:
    """A ``common.SignaturePolicyEnvelope`` as an ``ApplicationPolicy``."""
    return policy_pb2.ApplicationPolicy(signature_policy=envelope)
