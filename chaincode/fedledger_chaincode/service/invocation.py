"""What a TRANSACTION or INIT message asks for, as a value; refuses a proposal that contradicts its message.

The peer has checked the proposal's signature; the creator, the time and the transient data are read from the
proposal's own bytes (fabric-protos, peer/proposal.proto, common/common.proto).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2
from google.protobuf.message import DecodeError

from fedledger_chaincode.service.errors import MalformedInvocation


@dataclass(frozen=True)
class Invocation:
    """One transaction to run; ``timestamp`` in whole seconds since the epoch."""

    channel_id: str
    transaction_id: str
    arguments: tuple[bytes, ...]
    """All chaincode arguments, the function's name first."""
    creator: bytes
    timestamp: int
    transient: Mapping[str, bytes]

    @classmethod
    def from_message(cls, message: Any) -> Invocation:
        """Read a ``protos.ChaincodeMessage`` of type TRANSACTION or INIT; raises ``MalformedInvocation``."""
        chaincode_input = _parse(chaincode_pb2.ChaincodeInput(), message.payload)
        proposal = _parse(proposal_pb2.Proposal(), message.proposal.proposal_bytes)
        header = _parse(common_pb2.Header(), proposal.header)
        channel_header = _parse(common_pb2.ChannelHeader(), header.channel_header)
        signature_header = _parse(common_pb2.SignatureHeader(), header.signature_header)
        payload = _parse(proposal_pb2.ChaincodeProposalPayload(), proposal.payload)
        if not message.txid or channel_header.tx_id != message.txid:
            raise MalformedInvocation("The proposal is for another transaction than its message.")
        if channel_header.channel_id != message.channel_id:
            raise MalformedInvocation("The proposal is for another channel than its message.")
        if not signature_header.creator:
            raise MalformedInvocation("The proposal has no creator.")
        if channel_header.timestamp.seconds <= 0:
            raise MalformedInvocation("The proposal has no time.")
        return cls(
            channel_id=message.channel_id,
            transaction_id=message.txid,
            arguments=tuple(chaincode_input.args),
            creator=signature_header.creator,
            timestamp=channel_header.timestamp.seconds,
            transient=MappingProxyType(dict(payload.TransientMap)),
        )


def _parse(message: Any, received: bytes) -> Any:
    try:
        message.ParseFromString(received)
    except DecodeError:
        raise MalformedInvocation(f"The transaction's {message.DESCRIPTOR.name} does not parse.") from None
    return message
