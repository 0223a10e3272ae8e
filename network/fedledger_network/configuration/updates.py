"""An update of a channel's configuration on its way: computed, signed by administrators one after the other, sent.

It travels as bytes from host to host. Nothing here decides whether enough have signed; the orderers do.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2

from fedledger.errors import BadInputError
from fedledger.identity.keys import sign
from fedledger.identity.msp import serialize_identity
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

    def signed(self, msp_id: str, credentials: Credentials) -> ChannelUpdate:
        """The update with the signature of one more administrator."""
        header = _signature_header(msp_id, credentials)
        signature = configtx_pb2.ConfigSignature(
            signature_header=header, signature=sign(credentials.key, header + self.update)
        )
        return ChannelUpdate(self.channel, self.update, (*self.signatures, signature.SerializeToString()))

    def envelope(self, msp_id: str, credentials: Credentials) -> bytes:
        """The ``common.Envelope`` with which somebody hands the update and its signatures to an orderer."""
        content = configtx_pb2.ConfigUpdateEnvelope(
            config_update=self.update,
            signatures=[configtx_pb2.ConfigSignature.FromString(signature) for signature in self.signatures],
        )
        header = common_pb2.ChannelHeader(type=common_pb2.HeaderType.CONFIG_UPDATE, channel_id=self.channel)
        header.timestamp.GetCurrentTime()
        payload = common_pb2.Payload(
            header=common_pb2.Header(
                channel_header=header.SerializeToString(), signature_header=_signature_header(msp_id, credentials)
            ),
            data=content.SerializeToString(),
        ).SerializeToString()
        envelope = common_pb2.Envelope(payload=payload, signature=sign(credentials.key, payload))
        return bytes(envelope.SerializeToString())


def require_update(update: ChannelUpdate | None) -> ChannelUpdate:
    """Return ``update``, or raise ``NOTHING_TO_CHANGE``."""
    if update is None:
        raise BadInputError("NOTHING_TO_CHANGE", "The channel's configuration is what it would become.")
    return update


def _signature_header(msp_id: str, credentials: Credentials) -> bytes:
    return bytes(
        common_pb2.SignatureHeader(
            creator=serialize_identity(msp_id, credentials.certificate_pem), nonce=os.urandom(NONCE_BYTES)
        ).SerializeToString()
    )
