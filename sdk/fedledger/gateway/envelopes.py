"""What an ordered envelope says, as values: who asked for what, and what the endorsers answered.

Refuses envelopes that contradict themselves; does not judge signatures, certificates or policies.
Formats: fabric-protos, ``common/common.proto``, ``peer/transaction.proto``, ``peer/proposal.proto``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_event_pb2, chaincode_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2
from google.protobuf.message import DecodeError

from fedledger.gateway.errors import BlockFormatError
from fedledger.gateway.read_write_sets import NamespaceReadWriteSet, parse_read_write_sets


@dataclass(frozen=True)
class EnvelopeHeader:
    """The headers of any envelope; ``type`` is a ``common.HeaderType``, ``timestamp_ns`` counts from 1970 UTC."""

    type: int
    channel_id: str
    transaction_id: str
    timestamp_ns: int
    epoch: int
    creator: bytes
    nonce: bytes

    @property
    def expected_transaction_id(self) -> str:
        """The id that nonce and creator make: hex of SHA-256(nonce || creator)."""
        return transaction_id_of(self.nonce, self.creator)


@dataclass(frozen=True)
class Endorsement:
    """One endorser's serialized identity and its signature."""

    endorser: bytes
    signature: bytes


@dataclass(frozen=True)
class Response:
    """The contract's answer: an HTTP-like status, a message and the result."""

    status: int
    message: str
    payload: bytes


@dataclass(frozen=True)
class EmittedEvent:
    """The event that the contract set in the transaction."""

    chaincode_name: str
    transaction_id: str
    event_name: str
    payload: bytes


@dataclass(frozen=True)
class EndorserTransaction:
    """A transaction of a contract as it stands in a block; bytes that are signed or hashed are kept as received."""

    header: EnvelopeHeader
    payload: bytes
    signature: bytes
    chaincode_name: str
    arguments: tuple[bytes, ...]
    proposal_response_payload: bytes
    endorsements: tuple[Endorsement, ...]
    proposal_hash: bytes
    expected_proposal_hash: bytes
    response: Response
    event: EmittedEvent | None
    results: bytes
    read_write_sets: tuple[NamespaceReadWriteSet, ...]

    @property
    def transaction_id(self) -> str:
        """The id written in the channel header; compare with ``header.expected_transaction_id``."""
        return self.header.transaction_id

    @property
    def creator(self) -> bytes:
        """The serialized identity of the client, which signed ``payload``."""
        return self.header.creator

    @property
    def function(self) -> str:
        """The name of the transaction function, the first argument; empty when there is none."""
        return self.arguments[0].decode(errors="replace") if self.arguments else ""

    def endorsed_bytes(self, endorsement: Endorsement) -> bytes:
        """Return what ``endorsement.signature`` signs: the proposal response payload, then the endorser."""
        return self.proposal_response_payload + endorsement.endorser

    @classmethod
    def parse(cls, envelope: bytes) -> EndorserTransaction:
        """Parse the bytes of an ``Envelope`` of type ENDORSER_TRANSACTION.

        Raises ``BlockFormatError``: ``MALFORMED_ENVELOPE`` when bytes do not parse, the type is another, there is
        not exactly one action, or the chaincode's name differs between header, input and result;
        ``MALFORMED_READ_WRITE_SET``.
        """
        try:
            return _parse(envelope)
        except DecodeError as error:
            raise _malformed("its bytes do not parse") from error


def parse_envelope_header(envelope: bytes) -> EnvelopeHeader:
    """Parse the headers of any envelope, configuration included; raises ``BlockFormatError``."""
    try:
        return _header(common_pb2.Payload.FromString(common_pb2.Envelope.FromString(envelope).payload).header)
    except DecodeError as error:
        raise _malformed("its bytes do not parse") from error


def transaction_id_of(nonce: bytes, creator: bytes) -> str:
    """Return hex of SHA-256(nonce || creator), the id that Fabric demands (``protoutil/txutils.go``)."""
    return hashlib.sha256(nonce + creator).hexdigest()


def proposal_hash(channel_header: bytes, signature_header: bytes, chaincode_proposal_payload: bytes) -> bytes:
    """Return the hash that endorsers sign for a proposal; the payload must be without its transient map.

    SHA-256 of the three, concatenated (``protoutil/proputils.go``, ``GetProposalHash1``).
    """
    return hashlib.sha256(channel_header + signature_header + chaincode_proposal_payload).digest()


def _parse(envelope_bytes: bytes) -> EndorserTransaction:
    envelope = common_pb2.Envelope.FromString(envelope_bytes)
    payload = common_pb2.Payload.FromString(envelope.payload)
    header = _header(payload.header)
    if header.type != common_pb2.ENDORSER_TRANSACTION:
        raise _malformed(f"its type is {header.type}, not ENDORSER_TRANSACTION")
    actions = transaction_pb2.Transaction.FromString(payload.data).actions
    if len(actions) != 1:
        raise _malformed(f"it has {len(actions)} actions instead of one")
    if actions[0].header != payload.header.signature_header:
        raise _malformed("its action was signed by another header than the envelope's")
    action = transaction_pb2.ChaincodeActionPayload.FromString(actions[0].payload)
    spec = chaincode_pb2.ChaincodeInvocationSpec.FromString(
        proposal_pb2.ChaincodeProposalPayload.FromString(action.chaincode_proposal_payload).input
    ).chaincode_spec
    answer = proposal_response_pb2.ProposalResponsePayload.FromString(action.action.proposal_response_payload)
    result = proposal_pb2.ChaincodeAction.FromString(answer.extension)
    asked = proposal_pb2.ChaincodeHeaderExtension.FromString(
        common_pb2.ChannelHeader.FromString(payload.header.channel_header).extension
    ).chaincode_id.name
    if not asked or {asked, spec.chaincode_id.name, result.chaincode_id.name} != {asked}:
        raise _malformed("the chaincode's name differs between its header, its input and its result")
    return EndorserTransaction(
        header=header,
        payload=envelope.payload,
        signature=envelope.signature,
        chaincode_name=asked,
        arguments=tuple(spec.input.args),
        proposal_response_payload=action.action.proposal_response_payload,
        endorsements=tuple(Endorsement(e.endorser, e.signature) for e in action.action.endorsements),
        proposal_hash=answer.proposal_hash,
        expected_proposal_hash=proposal_hash(
            payload.header.channel_header, payload.header.signature_header, action.chaincode_proposal_payload
        ),
        response=Response(result.response.status, result.response.message, result.response.payload),
        event=_event(result.events),
        results=result.results,
        read_write_sets=parse_read_write_sets(result.results),
    )


def _header(header: Any) -> EnvelopeHeader:
    channel = common_pb2.ChannelHeader.FromString(header.channel_header)
    signature = common_pb2.SignatureHeader.FromString(header.signature_header)
    return EnvelopeHeader(
        type=channel.type,
        channel_id=channel.channel_id,
        transaction_id=channel.tx_id,
        timestamp_ns=channel.timestamp.seconds * 1_000_000_000 + channel.timestamp.nanos,
        epoch=channel.epoch,
        creator=signature.creator,
        nonce=signature.nonce,
    )


def _event(event_bytes: bytes) -> EmittedEvent | None:
    if not event_bytes:
        return None
    event = chaincode_event_pb2.ChaincodeEvent.FromString(event_bytes)
    return EmittedEvent(event.chaincode_id, event.tx_id, event.event_name, event.payload)


def _malformed(reason: str) -> BlockFormatError:
    return BlockFormatError("MALFORMED_ENVELOPE", f"A transaction's envelope cannot be used: {reason}.")
