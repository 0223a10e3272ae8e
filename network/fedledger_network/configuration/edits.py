"""Edits of a channel's configuration: a revocation list; members, their orderers and the orderers' certificates.

Pure functions from one ``common.Config`` to the next; whether the members agree is decided by their signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2
from fabric_protos.msp import msp_config_pb2

from fedledger.gateway import BlockFormatError

APPLICATION = "Application"
ORDERER = "Orderer"
MSP = "MSP"
SECTIONS = (APPLICATION, ORDERER)
"""Both name every member."""
_ORDERERS = "Orderers"
_BLOCK_VALIDATION = "BlockValidation"
_NAMING_MEMBERS = ("Readers", "Writers")
"""Policies of the channel and its sections whose rules may name every member."""


def config_of_block(block: Any) -> Any:
    """The ``common.Config`` in a configuration block; raises ``BlockFormatError`` when it is none."""
    envelope = common_pb2.Envelope.FromString(block.data.data[0])
    payload = common_pb2.Payload.FromString(envelope.payload)
    header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    if header.type != common_pb2.HeaderType.CONFIG:
        raise BlockFormatError(
            "MALFORMED_BLOCK", f"Block {block.header.number} holds no configuration.", "Ask for the last that does."
        )
    return configtx_pb2.ConfigEnvelope.FromString(payload.data).config


def members(config: Any) -> frozenset[str]:
    """MSP ids of the channel's members."""
    return frozenset(config.channel_group.groups[APPLICATION].groups)


def with_revocation_list(config: Any, msp_id: str, revocation_list: Sequence[bytes]) -> Any:
    """The configuration in which ``msp_id`` refuses the certificates in its lists (PEM), as member and as orderer."""
    edited = _copy(config)
    for section in SECTIONS:
        value = edited.channel_group.groups[section].groups[msp_id].values[MSP]
        wrapper = msp_config_pb2.MSPConfig.FromString(value.value)
        msp = msp_config_pb2.FabricMSPConfig.FromString(wrapper.config)
        msp.revocation_list[:] = revocation_list
        wrapper.config = msp.SerializeToString(deterministic=True)
        value.value = wrapper.SerializeToString(deterministic=True)
    return edited


def with_members(config: Any, wanted: Any) -> Any:
    """The configuration with the members of ``wanted``, a configuration of all of them made anew, and no others.

    Who is a member of both stays as it is, revocation lists included. The orderers become those of ``wanted``, with
    their certificates and the quorum that a block needs, and so does who may read and write.
    """
    edited = _copy(config)
    for section in SECTIONS:
        old, new = (each.channel_group.groups[section].groups for each in (edited, wanted))
        for leaving in set(old) - set(new):
            del old[leaving]
        for joining in sorted(set(new) - set(old)):
            old[joining].CopyFrom(new[joining])
    old, new = (each.channel_group.groups[ORDERER] for each in (edited, wanted))
    old.values[_ORDERERS].value = new.values[_ORDERERS].value
    old.policies[_BLOCK_VALIDATION].policy.CopyFrom(new.policies[_BLOCK_VALIDATION].policy)
    for old, new in zip(_levels(edited), _levels(wanted), strict=True):
        for name in _NAMING_MEMBERS:
            old.policies[name].policy.CopyFrom(new.policies[name].policy)
    return edited


def _levels(config: Any) -> list[Any]:
    root = config.channel_group
    return [root, *(root.groups[section] for section in SECTIONS)]


def _copy(config: Any) -> Any:
    copy = configtx_pb2.Config()
    copy.CopyFrom(config)
    return copy
