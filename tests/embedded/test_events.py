"""Blocks as the node delivers them: a chain that tells its own state, from any position that Fabric knows."""

from __future__ import annotations

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import events_pb2_grpc, transaction_pb2

from fedledger.gateway.events import deliver_envelope
from fedledger.gateway.identity import Identity, SigningIdentity, sha256
from fedledger.gateway.signers import new_private_key_signer
from fedledger_network.embedded.folder import NetworkFolder
from tests.embedded.chain import Replay
from tests.embedded.clients import CHANNEL, Client


@pytest.fixture(scope="module")
def announced(participant: Client) -> list[tuple[str, int]]:
    """Transactions that set an event, with their blocks, in order."""
    found = []
    for number in range(6):
        submitted = participant.contract.submit_async("Announce", "News", f"news {number}")
        found.append((submitted.transaction_id, submitted.status().block_number))
    return found


def test_the_blocks_are_a_chain_from_the_configuration_on(
    participant: Client, announced: list[tuple[str, int]]
) -> None:
    with participant.network.block_events(start_block=0, end_block=announced[-1][1]) as blocks:
        replay = Replay.of(blocks)
    assert replay.codes.items() >= {(name, transaction_pb2.VALID) for name, _ in announced}
    announced_last = replay.state["announced"]
    assert (announced_last.value, announced_last.version.block_number) == (b"news 5", announced[-1][1])


def seek(participant: Client, info: ab_pb2.SeekInfo) -> list[object]:
    """All that the peer answers to a seek of one's own: block numbers, then the status."""
    signer = new_private_key_signer(participant.key)
    identity = SigningIdentity(Identity(participant.msp_id, participant.gateway.identity.credentials), signer, sha256)
    envelope = deliver_envelope(identity, CHANNEL, 0, 0, None, b"")
    payload = common_pb2.Payload.FromString(envelope.payload)
    payload.data = info.SerializeToString()
    content = payload.SerializeToString()
    signed = common_pb2.Envelope(payload=content, signature=identity.sign(content))
    stub = events_pb2_grpc.DeliverStub(participant.connection)
    found: list[object] = []
    for response in stub.Deliver(iter([signed]), timeout=5):
        found.append(response.block.header.number if response.HasField("block") else response.status)
    return found


def at(number: int) -> ab_pb2.SeekPosition:
    return ab_pb2.SeekPosition(specified=ab_pb2.SeekSpecified(number=number))


OLDEST = ab_pb2.SeekPosition(oldest=ab_pb2.SeekOldest())
NEWEST = ab_pb2.SeekPosition(newest=ab_pb2.SeekNewest())
FAIL = ab_pb2.SeekInfo.FAIL_IF_NOT_READY


def test_seek_positions_are_those_of_fabric(participant: Client, announced: list[tuple[str, int]]) -> None:
    newest = participant.contract.submit_async("Put", "sought=1").status().block_number
    seek_of = ab_pb2.SeekInfo
    assert seek(participant, seek_of(start=OLDEST, stop=at(2))) == [0, 1, 2, common_pb2.SUCCESS]
    assert seek(participant, seek_of(start=NEWEST, stop=NEWEST)) == [newest, common_pb2.SUCCESS]
    assert seek(participant, seek_of(start=at(1), stop=at(1))) == [1, common_pb2.SUCCESS]
    beyond = seek_of(start=at(newest + 1), stop=at(newest + 9), behavior=FAIL)
    assert seek(participant, beyond) == [common_pb2.NOT_FOUND]
    assert seek(participant, seek_of(start=at(2), stop=at(1))) == [common_pb2.BAD_REQUEST]


def test_a_seek_that_does_not_parse_is_a_bad_request(running: NetworkFolder, participant: Client) -> None:
    stub = events_pb2_grpc.DeliverStub(participant.connection)
    garbage = common_pb2.Envelope(payload=b"\xff\xff", signature=b"")
    response = next(iter(stub.Deliver(iter([garbage]), timeout=5)))
    assert response.status == common_pb2.BAD_REQUEST
