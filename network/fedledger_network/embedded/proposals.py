"""A client's signed proposal, parsed and checked as a Fabric peer does before it runs anything.

Source: hyperledger/fabric, ``core/endorser/msgvalidation.go``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2
from google.protobuf.message import DecodeError

from fedledger.gateway.blocks import proposal_hash, transaction_id_of
from fedledger.gateway.wire import parse_message
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import parse_serialized_identity
from fedledger_network.embedded.channel import Channel

MALFORMED = "proto: cannot parse invalid wire-format data"
"""What Fabric says about bytes that are no message."""
_TYPES = (common_pb2.ENDORSER_TRANSACTION, common_pb2.CONFIG)
"""Peers endorse both."""
TIME_WINDOW_SECONDS = 15 * 60
"""How far the time of what a client signs may be from the node's clock (``peer.authentication.timewindow``)."""


class ProposalRefused(Exception):
    """The proposal is not run; the text is for the client."""


class RefusedByEveryPeer(ProposalRefused):
    """One after which a gateway asks the next peer, which says the same: as an error of the call, or as its answer."""

    def __init__(self, message: str, *, is_error: bool = True) -> None:
        super().__init__(message)
        self.is_error = is_error


class ProposalMalformed(ProposalRefused):
    """The proposal's bytes are none, or do not say what the gateway has to know."""


@dataclass(frozen=True)
class Request:
    """What a gateway reads of a proposal before it asks any peer."""

    signed: Any
    """``protos.SignedProposal``."""
    channel: str
    chaincode: str
    """By the input; peers go by the header."""
    header: Any
    """``common.Header``."""
    channel_header: Any
    payload: Any
    """``protos.ChaincodeProposalPayload``."""
    invocation: Any
    """``protos.ChaincodeInvocationSpec``."""

    @property
    def creator(self) -> bytes:
        """Whoever claims to have made it; empty where that cannot be read."""
        try:
            return bytes(common_pb2.SignatureHeader.FromString(self.header.signature_header).creator)
        except DecodeError:
            return b""

    def refuse_incomplete(self) -> None:
        """Raise ``ProposalMalformed`` unless it names a channel and a chaincode."""
        where = f", channel id [{self.channel}]"
        for missing, message in (
            (not self.channel, "no channel id provided"),
            (not self.invocation.HasField("chaincode_spec"), f"no chaincode spec is provided{where}"),
            (not self.chaincode, f"no chaincode name is provided{where}"),
        ):
            if missing:
                raise ProposalMalformed(message)


@dataclass(frozen=True)
class Proposal:
    """A proposal that may be run."""

    signed: Any
    """``protos.SignedProposal``."""
    channel: str
    transaction_id: str
    chaincode: str
    chaincode_input: bytes
    """``protos.ChaincodeInput``."""
    creator: bytes
    header: Any
    """``common.Header``."""
    public_payload: bytes
    """``protos.ChaincodeProposalPayload`` without its transient map: what goes into the transaction."""

    @property
    def msp_id(self) -> str:
        """The creator's organisation."""
        return msp_of(self.creator)

    @property
    def hash(self) -> bytes:
        """What endorsers sign for."""
        return proposal_hash(self.header.channel_header, self.header.signature_header, self.public_payload)


def read_request(signed: Any) -> Request:
    """Parse a ``protos.SignedProposal``; raises ``ProposalMalformed``."""
    if not signed.proposal_bytes:
        raise ProposalMalformed("a signed proposal is required")
    proposal = _parsed(proposal_pb2.Proposal, signed.proposal_bytes)
    header = _parsed(common_pb2.Header, proposal.header)
    channel_header = _parsed(common_pb2.ChannelHeader, header.channel_header)
    payload = _parsed(proposal_pb2.ChaincodeProposalPayload, proposal.payload)
    invocation = _parsed(chaincode_pb2.ChaincodeInvocationSpec, payload.input)
    name = invocation.chaincode_spec.chaincode_id.name
    return Request(signed, channel_header.channel_id, name, header, channel_header, payload, invocation)


def read_proposal(request: Request, channel: Channel) -> Proposal:
    """Check a proposal as a peer does: expiry and time, form, id, certificate and signature of its creator.

    Raises:
        ProposalRefused: with Fabric's words; behind them why an identity is refused, which a peer keeps to its log.
    """
    signed = request.signed
    signature_header = _parsed(common_pb2.SignatureHeader, request.header.signature_header)
    _refuse_expired(channel, signature_header.creator)
    check_time(request.channel_header.timestamp.seconds)
    extension = _parsed(proposal_pb2.ChaincodeHeaderExtension, request.channel_header.extension)
    for missing, message in (
        (not extension.HasField("chaincode_id"), "ChaincodeHeaderExtension.ChaincodeId is nil"),
        (not extension.chaincode_id.name, "ChaincodeHeaderExtension.ChaincodeId.Name is empty"),
        (not request.invocation.chaincode_spec.HasField("input"), "chaincode input did not contain any input"),
    ):
        if missing:
            raise ProposalRefused(message)
    try:
        _validate(request, signature_header, channel)
    except ProposalRefused as refusal:
        raise ProposalRefused(f"error validating proposal: {refusal}") from refusal
    public = proposal_pb2.ChaincodeProposalPayload(input=request.payload.input)
    return Proposal(
        signed=signed,
        channel=request.channel,
        transaction_id=request.channel_header.tx_id,
        chaincode=extension.chaincode_id.name,
        chaincode_input=request.invocation.chaincode_spec.input.SerializeToString(),
        creator=signature_header.creator,
        header=request.header,
        public_payload=public.SerializeToString(),
    )


def _validate(request: Request, signature_header: Any, channel: Channel) -> None:
    header, creator = request.channel_header, signature_header.creator
    expected = transaction_id_of(signature_header.nonce, creator)
    for wrong, message in (
        (header.type not in _TYPES, f"invalid header type {_type_name(header.type)}"),
        (header.epoch, "epoch is non-zero"),
        (not signature_header.nonce, "nonce is empty"),
        (not creator, "creator is empty"),
        (header.tx_id != expected, f"incorrectly computed txid '{header.tx_id}' -- expected '{expected}'"),
        (not request.signed.signature, "empty signature bytes"),
    ):
        if wrong:
            raise ProposalRefused(message)
    denied = f"access denied: channel [{channel.name}] creator org "
    try:
        channel.identify(creator).verify(request.signed.proposal_bytes, request.signed.signature)
    except IdentityError as error:
        unknown = error.code in ("MALFORMED_IDENTITY", "WRONG_MSP")
        whose = "unknown, creator is malformed" if unknown else f"[{msp_of(creator)}]"
        raise ProposalRefused(f"{denied}{whose}: {_reason(error)}") from error


def _refuse_expired(channel: Channel, creator: bytes) -> None:
    """The first thing that a peer looks at; whoever is no member is found out later."""
    try:
        identity = channel.identify(creator)
    except IdentityError:
        return
    try:
        identity.refuse_expired(datetime.now(UTC))
    except IdentityError as error:
        raise RefusedByEveryPeer("proposal client identity expired") from error


def _parsed(kind: Any, content: bytes) -> Any:
    try:
        return parse_message(kind, content)
    except DecodeError as error:
        raise ProposalMalformed(f"error unmarshalling {kind.DESCRIPTOR.name}: {MALFORMED}") from error


def _type_name(number: int) -> str:
    try:
        return str(common_pb2.HeaderType.Name(number))
    except ValueError:
        return str(number)


def check_time(seconds: int) -> None:
    """Refuse what was signed at a time, in seconds since 1970 UTC, that is outside the time window.

    Raises:
        ProposalRefused: in Fabric's words (``core/handlers/auth/filter``).
    """
    now = int(time.time())
    if abs(seconds - now) > TIME_WINDOW_SECONDS:
        raise RefusedByEveryPeer(
            f"request unauthorized due to incorrect timestamp {_utc(seconds)}, peer time {_utc(now)}, "
            f"peer.authentication.timewindow {TIME_WINDOW_SECONDS // 60}m0s"
        )


def _utc(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def check_signer(
    channel: Channel, creator: bytes, message: bytes, signature: bytes, *, expired_too: bool = False
) -> None:
    """Refuse whoever is no member of the channel, or did not sign ``message``, or whose certificate has ended.

    Raises:
        ProposalRefused: ``access denied``, and why; Fabric's peer keeps the reason to its log.
    """
    try:
        identity = channel.identify(creator)
        if not expired_too:
            identity.refuse_expired(datetime.now(UTC))
        identity.verify(message, signature)
    except IdentityError as error:
        raise ProposalRefused(f"access denied: {_reason(error)}") from error


def _reason(error: IdentityError) -> str:
    return f"{error.code}: {error.message} {error.remedy}".rstrip()


def msp_of(creator: bytes) -> str:
    """The MSP id that a serialized identity claims; empty when it is none."""
    try:
        return parse_serialized_identity(creator)[0]
    except IdentityError:
        return ""
