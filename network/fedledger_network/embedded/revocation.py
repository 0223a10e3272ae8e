"""Bringing a revocation list to the channel: from then on the members refuse the certificates in it.

The update is made and signed where the organisation's administrator's key is; whether it is taken the orderers decide.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import grpc
from fabric_protos.common import common_pb2, configtx_pb2
from fabric_protos.orderer import ab_pb2_grpc

from fedledger.errors import AccessError, BadInputError
from fedledger.identity.keys import sign
from fedledger.identity.msp import serialize_identity
from fedledger.identity.profile import Profile
from fedledger.identity.wallet import Credentials
from fedledger_network.fabric.channel_update import ChannelUpdate, last_config_block
from fedledger_network.fabric.config_edits import config_of_block, with_revocation_list

NONCE_BYTES = 24
SECONDS_TO_ANSWER = 30.0


def publish_revocation_list(administrator: Profile, revocation_list: Sequence[bytes]) -> int:
    """Let the channel refuse the certificates in the lists (PEM) of the administrator's organisation.

    Args:
        administrator: the profile of somebody with the NodeOU role ``admin``, such as a governor.

    Returns:
        The number of the block with the new configuration; the lists are in force for all blocks behind it.

    Raises:
        BadInputError: ``NOTHING_TO_CHANGE``, the channel has these lists.
        AccessError: ``UPDATE_REFUSED``, the orderers do not take the update.
        GatewayError: the channel cannot be read.
    """
    with administrator.connect() as gateway:
        network = gateway.get_network(administrator.channel)
        newest = last_config_block(network)
        current = config_of_block(newest)
        envelope = revocation_update(
            administrator.channel, current, administrator.msp_id, revocation_list, administrator.credentials()
        )
        broadcast(administrator.gateway, envelope)
        with network.block_events(start_block=newest.header.number + 1) as blocks:
            return next(int(block.header.number) for block in blocks if _has_sequence(block, current.sequence + 1))


def revocation_update(
    channel: str, current: Any, msp_id: str, revocation_list: Sequence[bytes], administrator: Credentials
) -> bytes:
    """The signed ``common.Envelope`` of type ``CONFIG_UPDATE`` that replaces an organisation's revocation lists.

    Args:
        current: the channel's ``common.Config``.

    Raises:
        BadInputError: ``NOTHING_TO_CHANGE``, or ``UNKNOWN_MEMBER``.
    """
    if msp_id not in current.channel_group.groups["Application"].groups:
        raise BadInputError("UNKNOWN_MEMBER", f"{msp_id} is no member of channel {channel}.", "Name one that is.")
    wanted = with_revocation_list(current, msp_id, revocation_list)
    update = configtx_pb2.ConfigUpdate(channel_id=channel)
    if not _difference(current.channel_group, wanted.channel_group, update.read_set, update.write_set):
        raise BadInputError("NOTHING_TO_CHANGE", f"The channel has these revocation lists of {msp_id} already.")
    signed = ChannelUpdate(channel, update.SerializeToString()).signed(msp_id, administrator)
    content = configtx_pb2.ConfigUpdateEnvelope(
        config_update=signed.update,
        signatures=[configtx_pb2.ConfigSignature.FromString(signature) for signature in signed.signatures],
    )
    header = common_pb2.ChannelHeader(type=common_pb2.HeaderType.CONFIG_UPDATE, channel_id=channel)
    header.timestamp.GetCurrentTime()
    signer = common_pb2.SignatureHeader(
        creator=serialize_identity(msp_id, administrator.certificate_pem), nonce=os.urandom(NONCE_BYTES)
    )
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=header.SerializeToString(), signature_header=signer.SerializeToString()
        ),
        data=content.SerializeToString(),
    ).SerializeToString()
    envelope = common_pb2.Envelope(payload=payload, signature=sign(administrator.key, payload))
    return bytes(envelope.SerializeToString())


def broadcast(address: str, envelope: bytes) -> None:
    """Hand an envelope to the orderer at ``address``; raises ``AccessError`` (``UPDATE_REFUSED``)."""
    with grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as connection:
        stub = ab_pb2_grpc.AtomicBroadcastStub(connection)
        call = stub.Broadcast(iter((common_pb2.Envelope.FromString(envelope),)), timeout=SECONDS_TO_ANSWER)
        try:
            answer = next(iter(call))
        except grpc.RpcError as error:
            raise _refusal(f"{error.code().name}: {error.details()}") from error
    if answer.status != common_pb2.SUCCESS:
        raise _refusal(f"{common_pb2.Status.Name(answer.status)}: {answer.info}")


def _refusal(reason: str) -> AccessError:
    return AccessError(
        "UPDATE_REFUSED",
        f"The orderers did not take the update of the channel: {reason}.",
        "Sign with an administrator's certificate that is valid, and make the update for the newest configuration.",
    )


def _difference(current: Any, wanted: Any, read: Any, written: Any) -> bool:
    """Put the changed values, one version newer, into ``written``, and the groups above them into both sets."""
    found = False
    read.version = written.version = current.version
    for name, value in current.values.items():
        if wanted.values[name].value != value.value:
            written.values[name].CopyFrom(wanted.values[name])
            written.values[name].version = value.version + 1
            found = True
    for name, group in current.groups.items():
        below = configtx_pb2.ConfigGroup(), configtx_pb2.ConfigGroup()
        if _difference(group, wanted.groups[name], *below):
            read.groups[name].CopyFrom(below[0])
            written.groups[name].CopyFrom(below[1])
            found = True
    return found


def _has_sequence(block: Any, sequence: int) -> bool:
    envelope = common_pb2.Envelope.FromString(block.data.data[0])
    header = common_pb2.Payload.FromString(envelope.payload).header.channel_header
    if common_pb2.ChannelHeader.FromString(header).type != common_pb2.HeaderType.CONFIG:
        return False
    return int(config_of_block(block).sequence) >= sequence
