"""Members who are not quite what they should be: certificates, clocks, signers elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2

from fedledger.gateway import (
    BlockEventsRequest,
    Gateway,
    GatewayError,
    Identity,
    Network,
    Proposal,
    connect,
    new_private_key_signer,
    open_channel,
)
from fedledger.identity.authority import NodeRole, Validity, certificate_pem
from fedledger.identity.keys import KeyType, generate_key, sign
from tests.embedded.clients import CHANNEL, MSPS, NAMES, Client
from tests.scenarios.engines import Engine


@contextmanager
def certified(
    engine: Engine,
    *,
    issuer: str = NAMES[0],
    msp_id: str = MSPS[0],
    units: tuple[str, ...] = (NodeRole.CLIENT,),
    expired: bool = False,
    key_type: KeyType = KeyType.P256,
    other_key: bool = False,
) -> Iterator[Client]:
    """Somebody with a certificate of an organisation's CA, at the first organisation's peer."""
    key = generate_key(key_type)
    with engine.authority(issuer) as authority:
        begin = authority.identity_ca.certificate.not_valid_before_utc
        window = Validity(begin, begin + timedelta(seconds=1)) if expired else None
        today = Validity.starting(datetime.now(UTC), timedelta(days=1))
        certificate = authority.identity_ca.issue(key.public_key(), "somebody", units, window or today)
    signing = generate_key() if other_key else key
    with engine.stranger(msp_id, certificate_pem(certificate), signing, peer=NAMES[0]) as found:
        yield found


@contextmanager
def unsigning(engine: Engine) -> Iterator[tuple[Gateway, Network, Callable[[bytes], bytes]]]:
    """A gateway without a signer, its channel, and who signs."""
    profile = engine.profile(NAMES[2])
    credentials = profile.credentials()
    roots = None if profile.tls_roots is None else profile.tls_roots.read_bytes()
    identity = Identity(profile.msp_id, credentials.certificate_pem)
    with open_channel(profile.gateway, roots) as channel, connect(identity, None, channel) as gateway:
        yield gateway, gateway.get_network(CHANNEL), new_private_key_signer(credentials.key)


def shifted(member: Client, seconds: int, function: str, *arguments: str) -> Proposal:
    """A proposal of a member whose clock is so many seconds ahead."""
    unsigned = member.contract.new_proposal(function, arguments=arguments).get_bytes()
    proposed = gateway_pb2.ProposedTransaction.FromString(unsigned)
    proposal = proposal_pb2.Proposal.FromString(proposed.proposal.proposal_bytes)
    header = common_pb2.Header.FromString(proposal.header)
    header.channel_header = _ahead(header.channel_header, seconds)
    proposal.header = header.SerializeToString()
    proposed.proposal.proposal_bytes = proposal.SerializeToString()
    return member.gateway.new_proposal(proposed.SerializeToString())


def answers(member: Client) -> bool:
    """Whether the member's peer answers a query."""
    try:
        member.contract.evaluate_transaction("Get", "a")
    except GatewayError as error:
        return error.contract_error is not None
    return True


def blocks_request(member: Client, seconds: int) -> BlockEventsRequest:
    """A request for the first block by a member whose clock is so many seconds ahead."""
    unsigned = member.network.new_block_events_request(start_block=0, end_block=0).get_bytes()
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(unsigned).payload)
    payload.header.channel_header = _ahead(payload.header.channel_header, seconds)
    envelope = common_pb2.Envelope(payload=payload.SerializeToString())
    signature = sign(member.key, envelope.payload)
    return member.gateway.new_signed_block_events_request(envelope.SerializeToString(), signature)


def _ahead(channel_header: bytes, seconds: int) -> bytes:
    channel = common_pb2.ChannelHeader.FromString(channel_header)
    channel.timestamp.seconds += seconds
    return bytes(channel.SerializeToString())
