"""What an ordered envelope says, as values: who asked for what, and what the endorsers answered.

Refuses envelopes that no peer could read; does not judge signatures, certificates or policies.
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
from fedledger.gateway.wire import parse_message


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
class ChaincodeName:
    """A chaincode and its version."""

    name: str
    version: str


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
    """By the channel header, which peers go by; empty when it names none."""
    proposed_by: EnvelopeHeader
    """The same headers with the action's own signature header: creator and nonce as the endorsers saw them."""
    named_in_input: str
    """The chaincode that the input names, to which peers pay no heed."""
    arguments: tuple[bytes, ...]
    """Empty where the input cannot be read."""
    proposal_response_payload: bytes
    endorsements: tuple[Endorsement, ...]
    proposal_hash: bytes
    expected_proposal_hash: bytes
    answered_by: ChaincodeName | None
    """What the endorsers say ran; None when they do not say."""
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

    @property
    def is_consistent(self) -> bool:
        """Whether everything in it names one chaincode and one client, as honest clients have it."""
        ran = "" if self.answered_by is None else self.answered_by.name
        return self.header == self.proposed_by and self.chaincode_name == self.named_in_input == ran != ""

    def endorsed_bytes(self, endorsement: Endorsement) -> bytes:
        """Return what ``endorsement.signature`` signs: the proposal response payload, then the endorser."""
        return self.proposal_response_payload + endorsement.endorser

    @classmethod
    def parse(cls, envelope: bytes) -> EndorserTransaction:
        """Parse the bytes of an ``Envelope`` of type ENDORSER_TRANSACTION.

        Takes what a Fabric peer takes, with names that differ among its parts too. Raises ``BlockFormatError``:
        ``MALFORMED_ENVELOPE`` when bytes do not parse, the type is another, or there is not exactly one action;
        ``MALFORMED_READ_WRITE_SET``.
        """
        try:
            return _parse(envelope)
        except DecodeError as error:
            raise _malformed("its bytes do not parse") from error


def parse_envelope_header(envelope: bytes) -> EnvelopeHeader:
    """Parse the headers of any envelope, configuration included; raises ``BlockFormatError``."""
    try:
        return _header(parse_message(common_pb2.Payload, parse_message(common_pb2.Envelope, envelope).payload).header)
    except DecodeError as error:
        raise _malformed("its bytes do not parse") from error


def transaction_id_of(nonce: bytes, creator: bytes) -> str:
    """Return hex of SHA-256(nonce || creator), the id that Fabric demands (``protoutil/txutils.go``)."""
    return hashlib.sha256(nonce + creator).hexdigest()


def recorded_id(envelope: bytes) -> str:
    """Return the id under which a peer keeps an envelope: the one it claims, or that of its nonce and creator.

    Empty when it has no headers that can be read. Whatever is ordered takes its id away from those behind it, valid or
    not (``protoutil/txutils.go``, ``GetOrComputeTxIDFromEnvelope``).
    """
    try:
        payload = parse_message(common_pb2.Payload, parse_message(common_pb2.Envelope, envelope).payload)
        channel = parse_message(common_pb2.ChannelHeader, payload.header.channel_header)
        if not payload.HasField("header") or channel.tx_id:
            return str(channel.tx_id)
        header = _header(payload.header)
    except DecodeError:
        return ""
    return header.expected_transaction_id


def proposal_hash(channel_header: bytes, signature_header: bytes, chaincode_proposal_payload: bytes) -> bytes:
    """Return the hash that endorsers sign for a proposal; the payload must be without its transient map.

    SHA-256 of the three, concatenated (``protoutil/proputils.go``, ``GetProposalHash1``).
    """
    return hashlib.sha256(channel_header + signature_header + chaincode_proposal_payload).digest()


def _parse(envelope_bytes: bytes) -> EndorserTransaction:
    envelope = parse_message(common_pb2.Envelope, envelope_bytes)
    payload = parse_message(common_pb2.Payload, envelope.payload)
    header = _header(payload.header)
    if header.type != common_pb2.ENDORSER_TRANSACTION:
        raise _malformed(f"its type is {header.type}, not ENDORSER_TRANSACTION")
    actions = parse_message(transaction_pb2.Transaction, payload.data).actions
    if len(actions) != 1:
        raise _malformed(f"it has {len(actions)} actions instead of one")
    action = parse_message(transaction_pb2.ChaincodeActionPayload, actions[0].payload)
    spec = _invocation(action.chaincode_proposal_payload)
    answer = parse_message(proposal_response_pb2.ProposalResponsePayload, action.action.proposal_response_payload)
    result = parse_message(proposal_pb2.ChaincodeAction, answer.extension)
    asked = parse_message(
        proposal_pb2.ChaincodeHeaderExtension,
        parse_message(common_pb2.ChannelHeader, payload.header.channel_header).extension,
    ).chaincode_id.name
    proposed = common_pb2.Header(channel_header=payload.header.channel_header, signature_header=actions[0].header)
    ran = result.chaincode_id
    read_write_sets = parse_read_write_sets(result.results)
    return EndorserTransaction(
        header=header,
        payload=envelope.payload,
        signature=envelope.signature,
        chaincode_name=asked,
        proposed_by=_header(proposed),
        named_in_input=spec.chaincode_id.name,
        arguments=tuple(spec.input.args),
        proposal_response_payload=action.action.proposal_response_payload,
        endorsements=tuple(Endorsement(e.endorser, e.signature) for e in action.action.endorsements),
        proposal_hash=answer.proposal_hash,
        expected_proposal_hash=proposal_hash(
            payload.header.channel_header, actions[0].header, action.chaincode_proposal_payload
        ),
        answered_by=ChaincodeName(ran.name, ran.version) if result.HasField("chaincode_id") else None,
        response=Response(result.response.status, result.response.message, result.response.payload),
        event=_event(result.events),
        results=result.results,
        read_write_sets=read_write_sets,
    )


def _invocation(proposal_payload: bytes) -> Any:
    """The ``ChaincodeSpec`` of a proposal; an empty one where the bytes are none: peers do not read them again."""
    try:
        request = parse_message(proposal_pb2.ChaincodeProposalPayload, proposal_payload)
        return parse_message(chaincode_pb2.ChaincodeInvocationSpec, request.input).chaincode_spec
    except DecodeError:
        return chaincode_pb2.ChaincodeSpec()


def _header(header: Any) -> EnvelopeHeader:
    channel = parse_message(common_pb2.ChannelHeader, header.channel_header)
    signature = parse_message(common_pb2.SignatureHeader, header.signature_header)
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
    event = parse_message(chaincode_event_pb2.ChaincodeEvent, event_bytes)
    return EmittedEvent(event.chaincode_id, event.tx_id, event.event_name, event.payload)


def _malformed(reason: str) -> BlockFormatError:
    return BlockFormatError("MALFORMED_ENVELOPE", f"A transaction's envelope cannot be used: {reason}.")
