"""Endorsed transactions made by tests, part by part, with whatever signatures: no peer has simulated them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import chaincode_pb2, policy_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2
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
    action: Any
    """``ChaincodeAction``: results, event, response, chaincode."""
    results: Any
    """``TxReadWriteSet``."""


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
        action=proposal_pb2.ChaincodeAction(
            chaincode_id=chaincode_pb2.ChaincodeID(name=chaincode, version=VERSION),
            response=proposal_response_pb2.Response(status=200),
        ),
        results=rwset_pb2.TxReadWriteSet() if results is None else results,
    )


def assembled(parts: Parts, creator: Signs, endorsers: Iterable[Signs]) -> bytes:
    """The envelope of the parts, endorsed and signed."""
    if not parts.channel_header.extension:
        parts.channel_header.extension = parts.extension.SerializeToString()
    channel_header = parts.channel_header.SerializeToString()
    signature_header = parts.signature_header.SerializeToString()
    request = proposal_pb2.ChaincodeProposalPayload(input=parts.invocation.SerializeToString()).SerializeToString()
    if not parts.action.results:
        parts.action.results = parts.results.SerializeToString()
    answer = proposal_response_pb2.ProposalResponsePayload(
        proposal_hash=hashlib.sha256(channel_header + signature_header + request).digest(),
        extension=parts.action.SerializeToString(),
    ).SerializeToString()
    payload = transaction_pb2.ChaincodeActionPayload(chaincode_proposal_payload=request)
    payload.action.proposal_response_payload = answer
    for endorser in endorsers:
        payload.action.endorsements.add(endorser=endorser.identity, signature=endorser.sign(answer + endorser.identity))
    body = transaction_pb2.Transaction()
    body.actions.add(header=signature_header, payload=payload.SerializeToString())
    header = common_pb2.Header(channel_header=channel_header, signature_header=signature_header)
    return sealed(common_pb2.Payload(header=header, data=body.SerializeToString()).SerializeToString(), creator)


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
    chaincode: str, policy: Any, *, version: str = VERSION, sequence: int = 1, plugin: str = "vscc"
) -> Any:
    """The results with which ``_lifecycle`` commits a chaincode's definition under an ``ApplicationPolicy``."""
    fields = {
        "Sequence": db_pb2.StateData(Int64=sequence),
        "EndorsementInfo": _bytes(
            chaincode_definition_pb2.ChaincodeEndorsementInfo(version=version, endorsement_plugin="escc")
        ),
        "ValidationInfo": _bytes(
            chaincode_definition_pb2.ChaincodeValidationInfo(
                validation_plugin=plugin, validation_parameter=policy.SerializeToString()
            )
        ),
        "Collections": db_pb2.StateData(Bytes=b""),
    }
    writes = {f"namespaces/fields/{chaincode}/{name}": value.SerializeToString() for name, value in fields.items()}
    metadata = db_pb2.StateMetadata(datatype="ChaincodeDefinition", fields=list(fields))
    writes[f"namespaces/metadata/{chaincode}"] = metadata.SerializeToString()
    return written(LIFECYCLE, *sorted(writes.items()))


def _bytes(message: Any) -> Any:
    return db_pb2.StateData(Bytes=message.SerializeToString())


def signature_policy(envelope: Any) -> Any:
    """A ``common.SignaturePolicyEnvelope`` as an ``ApplicationPolicy``."""
    return policy_pb2.ApplicationPolicy(signature_policy=envelope)
