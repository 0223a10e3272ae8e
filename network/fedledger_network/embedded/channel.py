"""The channel as the node sees it: its organisations' MSPs and how many of them have to endorse.

Who belongs to the channel is read from its newest configuration block, never from a file beside the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2, policies_pb2
from fabric_protos.msp import msp_config_pb2

from fedledger.gateway.blocks import parse_block
from fedledger.identity.authority import NodeRole
from fedledger.identity.errors import IdentityError
from fedledger.identity.msp import Msp, VerifiedIdentity, parse_serialized_identity


@dataclass(frozen=True)
class Channel:
    """One configuration of the channel."""

    name: str
    msps: Mapping[str, Msp]
    endorsements: int
    """How many organisations' peers have to endorse."""
    config_block: int
    config: Any
    """``common.Config``."""

    @property
    def channel_id(self) -> str:
        """The channel's name."""
        return self.name

    @classmethod
    def from_block(cls, block_bytes: bytes) -> Channel:
        """Read a configuration block."""
        block = parse_block(block_bytes)
        payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(block.data.data[0]).payload)
        name = common_pb2.ChannelHeader.FromString(payload.header.channel_header).channel_id
        return cls.of(name, configtx_pb2.ConfigEnvelope.FromString(payload.data).config, block.header.number)

    @classmethod
    def of(cls, name: str, config: Any, config_block: int) -> Channel:
        """Read a ``common.Config`` that stands in block ``config_block``; raises ``IdentityError`` for a bad MSP."""
        application = config.channel_group.groups["Application"]
        msps = {}
        for organisation in application.groups.values():
            outer = msp_config_pb2.MSPConfig.FromString(organisation.values["MSP"].value)
            msp = Msp.from_proto(outer.config)
            msps[msp.msp_id] = msp
        policy = policies_pb2.SignaturePolicyEnvelope.FromString(application.policies["Endorsement"].policy.value)
        return cls(name, msps, policy.rule.n_out_of.n, config_block, config)

    def identify(self, serialized_identity: bytes) -> VerifiedIdentity:
        """Who that is, whatever the time; raises ``IdentityError``."""
        msp_id, _ = parse_serialized_identity(serialized_identity)
        msp = self.msps.get(msp_id)
        if msp is None:
            raise IdentityError(
                "WRONG_MSP", f"{msp_id or 'No MSP'} is no organisation of channel {self.name}.", "Use another identity."
            )
        return msp.identify(serialized_identity)

    def is_endorsed(self, endorsers: Sequence[VerifiedIdentity]) -> bool:
        """Whether peers of enough different organisations are among the endorsers."""
        return len({e.msp_id for e in endorsers if e.role is NodeRole.PEER}) >= self.endorsements


class CurrentChannel:
    """The newest configuration, replaced when a configuration block is committed."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = threading.Lock()

    def get(self) -> Channel:
        """The configuration in force."""
        with self._lock:
            return self._channel

    def put(self, channel: Channel) -> None:
        """Replace it."""
        with self._lock:
            self._channel = channel
