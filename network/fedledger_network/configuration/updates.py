"""An update of a channel's configuration on its way: computed, signed by administrators one after the other, sent.

It travels as bytes from host to host. Nothing here decides whether enough have signed; the orderers do.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2
from google.protobuf.message import DecodeError

from fedledger.errors import BadInputError
from fedledger.identity.errors import IdentityError
from fedledger.identity.keys import sign
from fedledger.identity.msp import parse_serialized_identity, serialize_identity
from fedledger.identity.wallet import Credentials
from fedledger_network.configuration.differences import update_between

NONCE_BYTES = 24


@dataclass(frozen=True)
class ChannelUpdate:
    """A ``common.ConfigUpdate`` and who has signed it; ``bytes`` of ``common.ConfigSignature``."""

    channel: str
    update: bytes
    signatures: tuple[bytes, ...] = ()

    @classmethod
    def between(cls, channel: str, current: Any, wanted: Any) -> ChannelUpdate | None:
        """The update from one ``common.Config`` to another; None when both say the same."""
        update = update_between(channel, current, wanted)
        return None if update is None else cls(channel, update.SerializeToString(deterministic=True))

    @classmethod
    def from_bytes(cls, document: bytes) -> ChannelUpdate:
        """An update that was written down; raises ``NOT_AN_UPDATE``."""
        try:
            envelope = configtx_pb2.ConfigUpdateEnvelope.FromString(document)
            channel = configtx_pb2.ConfigUpdate.FromString(envelope.config_update).channel_id
            signatures = tuple(signature.SerializeToString() for signature in envelope.signatures)
            update = cls(channel, envelope.config_update, signatures)
            _ = update.signers
        except (DecodeError, IdentityError) as error:
            raise _no_update() from error
        if not channel:
            raise _no_update()
        return update

    def to_bytes(self) -> bytes:
        """The ``common.ConfigUpdateEnvelope`` that ``from_bytes`` reads."""
        return bytes(self._content().SerializeToString(deterministic=True))

    @property
    def signers(self) -> tuple[str, ...]:
        """MSP ids of those who have signed; whether their signatures hold the orderers find out."""
        headers = [configtx_pb2.ConfigSignature.FromString(each).signature_header for each in self.signatures]
        creators = [common_pb2.SignatureHeader.FromString(header).creator for header in headers]
        return tuple(parse_serialized_identity(creator)[0] for creator in creators)

    def says_the_same_as(self, other: ChannelUpdate) -> bool:
        """Tell whether both are one update, whoever has signed them."""
        ours, theirs = (configtx_pb2.ConfigUpdate.FromString(each.update) for each in (self, other))
        return bool(ours == theirs)

    def signed(self, msp_id: str, credentials: Credentials) -> ChannelUpdate:
        """The update with the signature of one more administrator."""
        header = _signature_header(msp_id, credentials)
        signature = configtx_pb2.ConfigSignature(
            signature_header=header, signature=sign(credentials.key, header + self.update)
        )
        return ChannelUpdate(self.channel, self.update, (*self.signatures, signature.SerializeToString()))

    def envelope(self, msp_id: str, credentials: Credentials) -> bytes:
        """The ``common.Envelope`` with which somebody hands the update and its signatures to an orderer."""
        header = common_pb2.ChannelHeader(type=common_pb2.HeaderType.CONFIG_UPDATE, channel_id=self.channel)
        header.timestamp.GetCurrentTime()
        payload = common_pb2.Payload(
            header=common_pb2.Header(
                channel_header=header.SerializeToString(), signature_header=_signature_header(msp_id, credentials)
            ),
            data=self._content().SerializeToString(),
        ).SerializeToString()
        envelope = common_pb2.Envelope(payload=payload, signature=sign(credentials.key, payload))
        return bytes(envelope.SerializeToString())

    def _content(self) -> Any:
        return configtx_pb2.ConfigUpdateEnvelope(
            config_update=self.update,
            signatures=[configtx_pb2.ConfigSignature.FromString(signature) for signature in self.signatures],
        )


def require_update(update: ChannelUpdate | None) -> ChannelUpdate:
    """Return ``update``, or raise ``NOTHING_TO_CHANGE``."""
    if update is None:
        raise BadInputError("NOTHING_TO_CHANGE", "The channel's configuration is what it would become.")
    return update


def _no_update() -> BadInputError:
    return BadInputError(
        "NOT_AN_UPDATE",
        "The file holds no update of a channel's configuration.",
        "Name what `fedledger network host propose` wrote.",
    )


def _signature_header(msp_id: str, credentials: Credentials) -> bytes:
    return bytes(
        common_pb2.SignatureHeader(
            creator=serialize_identity(msp_id, credentials.certificate_pem), nonce=os.urandom(NONCE_BYTES)
        ).SerializeToString()
    )
