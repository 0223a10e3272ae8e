"""What orderers take from clients: transactions and updates of the channel's configuration, signed by members.

Refuses everything else, with Fabric's statuses and words (``orderer/common/broadcast``, ``msgprocessor``). What Fabric
takes and is refused here: envelopes of a type that is nothing, and ids that are not their creator's own, which would
stand in the way of the transactions that they belong to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from fedledger.gateway.blocks import EnvelopeHeader, parse_envelope_header
from fedledger.gateway.errors import BlockFormatError
from fedledger.gateway.wire import parse_message
from fedledger_network.embedded.channel import CurrentChannel
from fedledger_network.embedded.config_updates import ConfigUpdateRefused, NotAuthorised
from fedledger_network.embedded.orderer import Orderer, OrderingRefused
from fedledger_network.embedded.proposals import MALFORMED, ProposalRefused, check_signer

_UNSIGNED = "signature set did not satisfy policy: permission denied"
_NO_MORE = (common_pb2.ORDERER_TRANSACTION,)


class EnvelopeRefused(Exception):
    """The envelope is not ordered: a ``common.Status``, and a text for the client."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Intake:
    """What stands before the orderers of all organisations."""

    channel: CurrentChannel
    orderer: Orderer

    def take(self, envelope: Any) -> None:
        """Have a ``common.Envelope`` ordered.

        Raises:
            EnvelopeRefused: it is not taken.
        """
        serialized = envelope.SerializeToString()
        header = _header(envelope, serialized)
        self._check(header, envelope)
        try:
            if header.type == common_pb2.CONFIG_UPDATE:
                self.orderer.submit_config_update(serialized)
            else:
                self.orderer.submit(serialized)
        except NotAuthorised as error:
            raise EnvelopeRefused(common_pb2.FORBIDDEN, str(error)) from error
        except ConfigUpdateRefused as error:
            raise EnvelopeRefused(common_pb2.BAD_REQUEST, str(error)) from error
        except OrderingRefused as error:
            raise EnvelopeRefused(error.status, str(error)) from error

    def _check(self, header: EnvelopeHeader, envelope: Any) -> None:
        channel, kind = self.channel.get(), header.type
        for wrong, message in (
            (header.channel_id != channel.name, "channel does not exist"),
            (kind == common_pb2.CONFIG, "message is of type that cannot be processed directly"),
            (kind in _NO_MORE, "message is of type that is no longer supported"),
            (
                kind not in (common_pb2.ENDORSER_TRANSACTION, common_pb2.CONFIG_UPDATE),
                f"envelopes of type {kind} are not taken",
            ),
        ):
            if wrong:
                raise EnvelopeRefused(common_pb2.BAD_REQUEST, message)
        try:
            check_signer(channel, header.creator, envelope.payload, envelope.signature)
        except ProposalRefused as error:
            raise EnvelopeRefused(common_pb2.FORBIDDEN, f"{_UNSIGNED}: {error}") from error
        claims = kind == common_pb2.ENDORSER_TRANSACTION or header.transaction_id
        if claims and header.transaction_id != header.expected_transaction_id:
            message = "the transaction's id is not that of its nonce and creator"
            raise EnvelopeRefused(common_pb2.BAD_REQUEST, message)


def _header(envelope: Any, serialized: bytes) -> EnvelopeHeader:
    unknown = "could not determine channel ID: "
    try:
        payload = parse_message(common_pb2.Payload, envelope.payload)
    except DecodeError as error:
        message = f"{unknown}error unmarshalling Payload: {MALFORMED}"
        raise EnvelopeRefused(common_pb2.BAD_REQUEST, message) from error
    if not payload.HasField("header"):
        raise EnvelopeRefused(common_pb2.BAD_REQUEST, f"{unknown}header not set")
    try:
        return parse_envelope_header(serialized)
    except BlockFormatError as error:
        raise EnvelopeRefused(common_pb2.BAD_REQUEST, f"{unknown}{error.message}") from error
