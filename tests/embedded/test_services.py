"""The node's services at their limits: many streams, clients that leave, large messages, bytes that mean nothing."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.orderer import ab_pb2_grpc
from fabric_protos.peer import events_pb2_grpc

from fedledger.gateway import CommitStatusError, EndorseError, EventsError
from fedledger.gateway.events import deliver_envelope
from fedledger.gateway.identity import Identity, SigningIdentity, sha256
from fedledger.gateway.signers import new_private_key_signer
from fedledger.identity.keys import sign
from fedledger_network.embedded.calls import STREAMS_AT_A_TIME
from fedledger_network.embedded.folder import NetworkFolder
from fedledger_network.embedded.node import EmbeddedNode
from tests.embedded.clients import CHAINCODE, CHANNEL, MSPS, NAMES, Client, client
from tests.embedded.conftest import CONTRACT
from tests.embedded.processes import within_patience


def followed(reader: Client) -> Any:
    """A signed request for all blocks from the first one on, for ever."""
    signer = new_private_key_signer(reader.key)
    identity = SigningIdentity(Identity(reader.msp_id, reader.gateway.identity.credentials), signer, sha256)
    envelope = deliver_envelope(identity, CHANNEL, 0, None, None, b"")
    return common_pb2.Envelope(payload=envelope.payload, signature=identity.sign(envelope.payload))


def test_streams_cannot_take_every_thread_and_come_back_when_their_clients_leave(
    running: NetworkFolder, participant: Client
) -> None:
    request = followed(participant)
    with client(running, NAMES[1]) as hungry:
        stub = events_pb2_grpc.DeliverStub(hungry.connection)
        streams = [stub.DeliverFiltered(iter((request,)), timeout=60) for _ in range(STREAMS_AT_A_TIME)]
        for stream in streams:
            assert next(stream).filtered_block.number == 0
        with pytest.raises(EventsError) as refused, participant.network.block_events(start_block=0) as blocks:
            next(iter(blocks))
        assert refused.value.status is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert participant.submit("Put", "crowded=1") == 1
        for stream in streams:
            stream.cancel()

    def reads() -> bool:
        try:
            with participant.network.block_events(start_block=0) as blocks:
                return bool(next(iter(blocks)).header.number == 0)
        except EventsError:
            return False

    assert within_patience(reads)


def test_a_long_refusal_arrives_shortened(participant: Client) -> None:
    with pytest.raises(EndorseError) as refused:
        participant.submit("Refuse", "409", "TOO_LONG", "long " * 20_000)
    assert refused.value.status is grpc.StatusCode.ABORTED
    assert {detail.msp_id for detail in refused.value.details} <= set(MSPS)
    assert refused.value.contract_error is not None
    assert refused.value.contract_error.code == "TOO_LONG"
    assert 500 < len(refused.value.contract_error.message) < 4_000


def test_values_larger_than_grpcs_usual_message_pass(participant: Client) -> None:
    value = "x" * (5 << 20)
    number = participant.contract.submit_async("Put", f"large={value}").status().block_number
    assert participant.evaluate("Get", "large") == [value]
    with participant.network.block_events(start_block=number, end_block=number) as blocks:
        assert len(next(iter(blocks)).SerializeToString()) > len(value)
    participant.submit("Delete", "large")


def test_signed_bytes_that_are_no_request_are_invalid(participant: Client) -> None:
    stub = gateway_pb2_grpc.GatewayStub(participant.connection)
    garbage = b"\xff\xff"
    asked = gateway_pb2.SignedCommitStatusRequest(request=garbage, signature=sign(participant.key, garbage))
    with pytest.raises(grpc.RpcError) as refused:
        stub.CommitStatus(asked, timeout=5)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    events = gateway_pb2.SignedChaincodeEventsRequest(request=garbage, signature=sign(participant.key, garbage))
    with pytest.raises(grpc.RpcError) as refused:
        next(stub.ChaincodeEvents(events, timeout=5))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    for envelope, status in (
        (common_pb2.Envelope(), grpc.StatusCode.INVALID_ARGUMENT),
        (common_pb2.Envelope(payload=garbage, signature=b"s"), grpc.StatusCode.UNAVAILABLE),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            stub.Submit(gateway_pb2.SubmitRequest(channel_id=CHANNEL, prepared_transaction=envelope), timeout=5)
        assert refused.value.code() is status


def test_a_status_of_what_was_never_submitted_is_waited_for_until_the_deadline(participant: Client) -> None:
    request = gateway_pb2.CommitStatusRequest(
        transaction_id="0" * 64, channel_id=CHANNEL, identity=participant.creator
    ).SerializeToString()
    signed = gateway_pb2.SignedCommitStatusRequest(request=request, signature=sign(participant.key, request))
    with pytest.raises(CommitStatusError) as late:
        participant.gateway.new_commit(signed.SerializeToString()).status(0.3)
    assert late.value.status is grpc.StatusCode.DEADLINE_EXCEEDED


def test_an_id_that_is_not_the_submitters_own_cannot_be_taken_from_another(
    running: NetworkFolder, participant: Client
) -> None:
    victim = participant.endorsed("Put", "victim=1")
    payload = common_pb2.Payload.FromString(victim.envelope.payload)
    with client(running, NAMES[1]) as thief:
        header = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
        header.creator = thief.creator
        payload.header.signature_header = header.SerializeToString()
        content = payload.SerializeToString()
        stolen = common_pb2.Envelope(payload=content, signature=sign(thief.key, content))
        with pytest.raises(grpc.RpcError) as refused:
            gateway_pb2_grpc.GatewayStub(thief.connection).Submit(
                gateway_pb2.SubmitRequest(channel_id=CHANNEL, prepared_transaction=stolen), timeout=5
            )
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert broadcast(thief, stolen).status == common_pb2.BAD_REQUEST
    assert participant.submit_raw(victim).code_name == "VALID"


def broadcast(sender: Client, envelope: Any) -> Any:
    stub = ab_pb2_grpc.AtomicBroadcastStub(sender.connection)
    return next(iter(stub.Broadcast(iter((envelope,)), timeout=5)))


def test_the_orderers_take_transactions_of_members_and_deliver_blocks(participant: Client) -> None:
    prepared = participant.endorsed("Put", "ordered=1")
    payload = prepared.envelope.payload
    forged = common_pb2.Envelope(payload=payload, signature=b"nobody's")
    assert broadcast(participant, forged).status == common_pb2.FORBIDDEN
    signed = common_pb2.Envelope(payload=payload, signature=sign(participant.key, payload))
    assert broadcast(participant, signed).status == common_pb2.SUCCESS
    assert participant.status(prepared.transaction_id).successful
    stub = ab_pb2_grpc.AtomicBroadcastStub(participant.connection)
    call = stub.Deliver(iter((followed(participant),)), timeout=5)
    assert [next(call).block.header.number for _ in range(2)] == [0, 1]
    call.cancel()


@pytest.mark.parametrize(
    ("kind", "channel", "status"),
    [
        (common_pb2.CONFIG, CHANNEL, common_pb2.BAD_REQUEST),
        (common_pb2.MESSAGE, CHANNEL, common_pb2.BAD_REQUEST),
        (common_pb2.CONFIG_UPDATE, CHANNEL, common_pb2.BAD_REQUEST),
        (common_pb2.CONFIG_UPDATE, "elsewhere", common_pb2.BAD_REQUEST),
    ],
)
def test_the_orderers_refuse_whatever_else_members_sign(
    participant: Client, kind: int, channel: str, status: int
) -> None:
    header = common_pb2.ChannelHeader(type=kind, channel_id=channel)
    header.timestamp.GetCurrentTime()
    creator = common_pb2.SignatureHeader(creator=participant.creator, nonce=b"n")
    payload = common_pb2.Payload(data=b"\xff\xff")
    payload.header.channel_header = header.SerializeToString()
    payload.header.signature_header = creator.SerializeToString()
    content = payload.SerializeToString()
    envelope = common_pb2.Envelope(payload=content, signature=sign(participant.key, content))
    assert broadcast(participant, envelope).status == status


def test_a_node_that_stops_commits_what_it_took_and_lets_its_clients_go(folder: NetworkFolder) -> None:
    ended: list[EventsError] = []
    with EmbeddedNode(folder, contract=CONTRACT) as node, client(folder, NAMES[0]) as member:
        prepared = [member.endorsed("Put", f"last-{number}=1") for number in range(20)]

        def follow() -> None:
            with (
                pytest.raises(EventsError) as gone,
                member.network.chaincode_events(CHAINCODE, start_block=0) as events,
            ):
                for _ in events:
                    pass
            ended.append(gone.value)

        followers = [threading.Thread(target=follow) for _ in range(3)]
        for follower in followers:
            follower.start()
        for each in prepared:
            member.hand_over(each)
        node.stop()
        for follower in followers:
            follower.join()
    assert {error.status for error in ended} == {grpc.StatusCode.UNAVAILABLE}
    with EmbeddedNode(folder, contract=CONTRACT), client(folder, NAMES[1]) as reader:
        assert all(reader.status(each.transaction_id).successful for each in prepared)
