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
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import parse_serialized_identity
from fedledger_network.embedded.channel import Channel

TIME_WINDOW_SECONDS = 15 * 60
"""How far the time of what a client signs may be from the node's clock (``peer.authentication.timewindow``)."""


class ProposalRefused(Exception):
    """The proposal is not run; the text is for the client."""


class ChannelNotFound(ProposalRefused):
    """The proposal is for a channel that is not here."""

    def __init__(self, channel: str, chaincode: str) -> None:
        super().__init__(f"channel {channel} not found")
        self.channel = channel
        self.chaincode = chaincode


class ProposalMalformed(ProposalRefused):
    """The proposal's bytes are none."""


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


def read_proposal(signed: Any, channel: Channel) -> Proposal:
    """Parse and check a ``protos.SignedProposal``: time, header, transaction id, certificate, signature.

    Raises:
        ProposalRefused: with Fabric's words where a client depends on them.
    """
    try:
        proposal = proposal_pb2.Proposal.FromString(signed.proposal_bytes)
        header = common_pb2.Header.FromString(proposal.header)
        channel_header = common_pb2.ChannelHeader.FromString(header.channel_header)
        signature_header = common_pb2.SignatureHeader.FromString(header.signature_header)
        payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
        invocation = chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input)
        extension = proposal_pb2.ChaincodeHeaderExtension.FromString(channel_header.extension)
    except DecodeError as error:
        raise ProposalMalformed(f"error unmarshalling proposal: {error}") from error
    check_time(channel_header.timestamp.seconds)
    if channel_header.type != common_pb2.ENDORSER_TRANSACTION:
        raise ProposalRefused(f"invalid header type {channel_header.type}")
    if not signature_header.nonce or not signature_header.creator:
        raise ProposalRefused("nonce and creator are required")
    if channel_header.epoch:
        raise ProposalRefused(f"epoch is {channel_header.epoch}, not 0")
    if channel_header.channel_id != channel.name:
        raise ChannelNotFound(channel_header.channel_id, extension.chaincode_id.name)
    if channel_header.tx_id != transaction_id_of(signature_header.nonce, signature_header.creator):
        raise ProposalRefused(f"incorrectly computed txid '{channel_header.tx_id}'")
    chaincode = invocation.chaincode_spec.chaincode_id.name
    if not chaincode or extension.chaincode_id.name != chaincode:
        raise ProposalRefused("the chaincode's name differs between header and input")
    check_signer(channel, signature_header.creator, signed.proposal_bytes, signed.signature)
    public = proposal_pb2.ChaincodeProposalPayload(input=payload.input)
    return Proposal(
        signed=signed,
        channel=channel_header.channel_id,
        transaction_id=channel_header.tx_id,
        chaincode=chaincode,
        chaincode_input=invocation.chaincode_spec.input.SerializeToString(),
        creator=signature_header.creator,
        header=header,
        public_payload=public.SerializeToString(),
    )


def check_time(seconds: int) -> None:
    """Refuse what was signed at a time, in seconds since 1970 UTC, that is outside the time window.

    Raises:
        ProposalRefused: in Fabric's words (``core/handlers/auth/filter``).
    """
    now = int(time.time())
    if abs(seconds - now) > TIME_WINDOW_SECONDS:
        raise ProposalRefused(
            f"request unauthorized due to incorrect timestamp {_utc(seconds)}, peer time {_utc(now)}, "
            f"peer.authentication.timewindow {TIME_WINDOW_SECONDS // 60}m0s"
        )


def _utc(seconds: int) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def check_signer(channel: Channel, creator: bytes, message: bytes, signature: bytes) -> None:
    """Refuse whoever is no valid member of the channel, or did not sign ``message``.

    Raises:
        ProposalRefused: ``access denied``, and why; Fabric's peer keeps the reason to its log.
    """
    try:
        identity = channel.identify(creator)
        identity.refuse_expired(datetime.now(UTC))
        identity.verify(message, signature)
    except IdentityError as error:
        raise ProposalRefused(f"access denied: {error.code}: {error.message} {error.remedy}".rstrip()) from error


def msp_of(creator: bytes) -> str:
    """The MSP id that a serialized identity claims; empty when it is none."""
    try:
        return parse_serialized_identity(creator)[0]
    except IdentityError:
        return ""
