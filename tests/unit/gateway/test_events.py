"""Streams: where they start, how they end, what a checkpoint does, and who may close them."""

from __future__ import annotations

import threading

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import chaincode_event_pb2

from fedledger.errors import ExitCode
from fedledger.gateway import ChaincodeEvent, EventsError, FileCheckpointer, InMemoryCheckpointer, connect

CHAINCODE = "ledger"


def response(block_number, *ids):
    return gateway_pb2.ChaincodeEventsResponse(
        block_number=block_number,
        events=[
            chaincode_event_pb2.ChaincodeEvent(
                chaincode_id=CHAINCODE, tx_id=i, event_name=f"Event-{i}", payload=i.encode()
            )
            for i in ids
        ],
    )


def block(number):
    return common_pb2.Block(header=common_pb2.BlockHeader(number=number))


def seek_of(envelope):
    payload = common_pb2.Payload.FromString(envelope.payload)
    return ab_pb2.SeekInfo.FromString(payload.data), common_pb2.ChannelHeader.FromString(payload.header.channel_header)


@pytest.fixture
def network(gateway):
    return gateway.get_network("fedledger")


def test_events_come_one_by_one_with_their_block(peer, network):
    peer.chaincode_events = [response(4, "a", "b"), response(5), response(6, "c")]
    with network.chaincode_events(CHAINCODE, start_block=0) as events:
        first, second, third = next(events), next(events), next(events)
    assert first == ChaincodeEvent(4, "a", CHAINCODE, "Event-a", b"a")
    assert [(e.block_number, e.transaction_id) for e in (second, third)] == [(4, "b"), (6, "c")]


def test_without_a_start_events_begin_with_the_next_block(peer, network):
    peer.chaincode_events = [response(4, "a")]
    with network.chaincode_events(CHAINCODE) as events:
        next(events)
    asked = gateway_pb2.ChaincodeEventsRequest.FromString(peer.last("ChaincodeEvents").request)
    assert asked.start_position.WhichOneof("Type") == "next_commit"
    assert (asked.channel_id, asked.chaincode_id, asked.after_transaction_id) == ("fedledger", CHAINCODE, "")


def test_block_zero_is_a_start_like_any_other(peer, network):
    peer.chaincode_events = [response(0, "a")]
    with network.chaincode_events(CHAINCODE, start_block=0) as events:
        next(events)
    asked = gateway_pb2.ChaincodeEventsRequest.FromString(peer.last("ChaincodeEvents").request)
    assert asked.start_position.WhichOneof("Type") == "specified"


def test_reading_goes_on_after_the_checkpointed_event(peer, network, tmp_path):
    peer.chaincode_events = [response(4, "a", "b", "c"), response(5, "d")]
    path = tmp_path / "checkpoint.json"
    with network.chaincode_events(CHAINCODE, start_block=0, checkpoint=FileCheckpointer(path)) as events:
        next(events)
        FileCheckpointer(path).checkpoint_chaincode_event(next(events))
    with network.chaincode_events(CHAINCODE, start_block=0, checkpoint=FileCheckpointer(path)) as events:
        assert [next(events).transaction_id for _ in range(2)] == ["c", "d"]


def test_a_checkpointed_block_is_not_read_again(peer, network):
    peer.chaincode_events = [response(4, "a"), response(5, "b")]
    checkpointer = InMemoryCheckpointer()
    checkpointer.checkpoint_block(4)
    with network.chaincode_events(CHAINCODE, start_block=0, checkpoint=checkpointer) as events:
        assert next(events).transaction_id == "b"


def test_closing_from_another_thread_ends_a_waiting_iteration(peer, network):
    events = network.chaincode_events(CHAINCODE, start_block=0)
    seen = []
    reader = threading.Thread(target=lambda: seen.append(list(events)))
    reader.start()
    peer.await_requests(1)
    events.close()
    reader.join(10)
    assert not reader.is_alive() and seen == [[]]
    assert peer.cancelled.get(timeout=10) == "ChaincodeEvents"
    events.close()
    assert list(events) == []


def test_who_listen_from_now_on_share_one_stream_that_outlives_them(peer, client, channel):
    with connect(client.identity, client.sign, channel) as gateway:
        for _ in range(3):
            gateway.get_network("fedledger").chaincode_events(CHAINCODE).close()
        last = gateway.get_network("fedledger").chaincode_events(CHAINCODE)
        other = gateway.get_network("fedledger").chaincode_events("other")
        peer.await_requests(2)
        assert peer.methods() == ["ChaincodeEvents", "ChaincodeEvents"]
        assert peer.cancelled.empty()
    assert [list(last), list(other)] == [[], []]


def test_closing_the_gateway_closes_its_streams(peer, client, channel):
    with connect(client.identity, client.sign, channel) as gateway:
        network = gateway.get_network("fedledger")
        streams = [network.chaincode_events(CHAINCODE), network.block_events(), network.filtered_block_events()]
        peer.await_requests(3)
    assert [list(stream) for stream in streams] == [[], [], []]
    cancelled = {peer.cancelled.get(timeout=10) for _ in streams}
    assert cancelled == {"ChaincodeEvents", "Deliver", "DeliverFiltered"}


def test_a_stream_that_is_refused_is_an_events_error(peer, network, refusal):
    peer.refusals["ChaincodeEvents"] = refusal(grpc.StatusCode.PERMISSION_DENIED, "access denied")
    with network.chaincode_events(CHAINCODE) as events, pytest.raises(EventsError) as caught:
        next(events)
    assert caught.value.code == "EVENTS_PERMISSION_DENIED"
    assert caught.value.exit_code is ExitCode.CONNECTION


def test_reading_goes_on_from_the_checkpoint_when_a_peer_comes_back(peer, network, make_peer, client, socket_path):
    served = [response(4, "a"), response(5, "b")]
    peer.chaincode_events = served[:1]
    checkpointer = InMemoryCheckpointer()
    events = network.chaincode_events(CHAINCODE, start_block=0)
    checkpointer.checkpoint_chaincode_event(next(events))
    peer.server.stop(None).wait(10)
    with pytest.raises(EventsError) as caught:
        next(events)
    assert caught.value.remedy

    make_peer(client, f"unix:{socket_path}")[0].chaincode_events = served
    with network.chaincode_events(CHAINCODE, checkpoint=checkpointer) as events:
        assert next(events).transaction_id == "b"


def test_a_stream_can_have_a_deadline(network):
    request = network.new_chaincode_events_request(CHAINCODE)
    with request.get_events(timeout=0.05) as events, pytest.raises(EventsError) as caught:
        next(events)
    assert caught.value.exit_code is ExitCode.TIMEOUT


def test_blocks_of_a_range_end_by_themselves(peer, network):
    peer.blocks = [block(n) for n in range(6)]
    assert [b.header.number for b in network.block_events(start_block=2, end_block=4)] == [2, 3, 4]
    seek, header = seek_of(peer.last("Deliver"))
    assert (seek.start.specified.number, seek.stop.specified.number) == (2, 4)
    assert (header.type, header.channel_id) == (common_pb2.DELIVER_SEEK_INFO, "fedledger")


def test_filtered_blocks_come_from_their_own_call(peer, network):
    peer.blocks = [block(n) for n in range(3)]
    assert [b.number for b in network.filtered_block_events(start_block=0, end_block=2)] == [0, 1, 2]
    assert peer.methods() == ["DeliverFiltered"]


def test_blocks_without_an_end_are_followed(peer, network):
    peer.blocks = [block(0), block(1)]
    with network.block_events(start_block=1) as blocks:
        assert next(blocks).header.number == 1
        assert peer.cancelled.empty()
    assert seek_of(peer.last("Deliver"))[0].stop.specified.number == 2**64 - 1


def test_blocks_are_read_on_from_a_checkpoint(peer, network):
    peer.blocks = [block(n) for n in range(4)]
    checkpointer = InMemoryCheckpointer()
    checkpointer.checkpoint_block(1)
    assert [b.header.number for b in network.block_events(end_block=3, checkpoint=checkpointer)] == [2, 3]


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [(common_pb2.FORBIDDEN, ExitCode.CONNECTION), (common_pb2.NOT_FOUND, ExitCode.FAILED)],
)
def test_a_peer_that_ends_the_blocks_with_a_status_is_an_events_error(peer, network, status, exit_code):
    peer.end_status = status
    with pytest.raises(EventsError) as caught:
        next(network.block_events(start_block=0))
    assert caught.value.code == f"EVENTS_{common_pb2.Status.Name(status)}"
    assert caught.value.remedy and caught.value.exit_code is exit_code


def test_a_block_request_carries_the_hash_of_the_tls_certificate(peer, client, channel):
    gateway = connect(client.identity, client.sign, channel, tls_client_certificate_hash=b"hash")
    list(gateway.get_network("fedledger").block_events(start_block=0, end_block=0))
    assert seek_of(peer.last("Deliver"))[1].tls_cert_hash == b"hash"
