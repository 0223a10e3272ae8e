"""Many transactions and peers at a time, and what becomes of them when a stream or the service ends."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from fabric_protos.peer import chaincode_shim_pb2

from fedledger_chaincode.errors import parse_contract_fault
from fedledger_chaincode.service import ChaincodeServer, ServiceError
from tests.unit.chaincode_service.peer import (
    CHANNEL,
    SECONDS,
    Message,
    ScriptedPeer,
    capabilities,
    reply,
)
from tests.unit.chaincode_service.ward import Ward


def ward_for(parties: int) -> Ward:
    ward = Ward()
    ward.together = threading.Barrier(parties)
    return ward


def test_transactions_of_one_stream_run_at_a_time(serve):
    """None of them gets on before all are under way."""
    world = {f"bed/{number}": str(number).encode() for number in range(30)}
    with ScriptedPeer(serve(ward_for(30)).address, world=world) as peer:
        futures = [peer.begin("Meet", f"bed/{number}") for number in range(30)]
        answers = [future.result(SECONDS).response.payload for future in futures]
    assert answers == [str(number).encode() for number in range(30)]
    assert peer.broken_rules == []


def test_several_peers_are_served_at_once_each_from_its_own_world(serve):
    address = serve(ward_for(12)).address
    peers = [ScriptedPeer(address, world={"bed": f"peer {number}".encode()}) for number in range(4)]
    with peers[0], peers[1], peers[2], peers[3]:
        # The same id at every peer, as when a gateway asks several organisations to endorse.
        futures = [[peer.begin("Meet", "bed", transaction=f"tx{turn}") for peer in peers] for turn in range(3)]
        for turn in futures:
            answers = [future.result(SECONDS).response.payload for future in turn]
            assert answers == [b"peer 0", b"peer 1", b"peer 2", b"peer 3"]


def test_one_transaction_id_on_two_channels_are_two_transactions(serve):
    with ScriptedPeer(serve(ward_for(2)).address, world={"bed": b"1"}) as peer:
        futures = [peer.begin("Meet", "bed", transaction="f00d", channel=channel) for channel in ("a", "b")]
        assert [future.result(SECONDS).response.status for future in futures] == [200, 200]


def test_answers_find_their_transactions_in_whatever_order_they_come(serve):
    held: list[Any] = []
    all_asked = threading.Semaphore(0)

    def hold(request: Any) -> None:
        held.append(request)
        all_asked.release()

    with ScriptedPeer(serve().address, script=hold) as peer:
        futures = {key: peer.begin("Read", key) for key in "abcde"}
        for _ in futures:
            assert all_asked.acquire(timeout=SECONDS)
        for request in reversed(held):
            peer.send(reply(request, chaincode_shim_pb2.GetState.FromString(request.payload).key.encode()))
        for key, future in futures.items():
            assert future.result(SECONDS).response.payload == f'["{key}"]'.encode()


def test_a_transaction_sent_again_while_it_runs_fails_once_and_touches_nothing_more(serve):
    """The peer gave the first up; what is left of it must not answer, read or write for a later one."""
    ward = Ward()
    with ScriptedPeer(serve(ward).address) as peer:
        given_up = peer.begin("Stay", transaction="f00d")
        assert ward.entered.acquire(timeout=SECONDS)
        again = peer.run("Stay", transaction="f00d")
        assert "sent again" in again.error
        third = peer.begin("Stay", transaction="f00d")
        with ward.occupied():
            pass
        executed = third.result(SECONDS)
        assert executed.response.payload == b"left"
        assert executed.requests == ["GET_STATE", "PUT_STATE"]
        assert peer.run("Describe").response.status == 200
        assert peer.stray.empty()
    assert again.requests == []
    assert not given_up.done()


def test_a_finished_transactions_id_may_be_used_again(serve):
    """An evaluation may be sent again: the proposal is the same, and so is its id."""
    with ScriptedPeer(serve().address) as peer:
        answers = [peer.run("Describe", transaction="f00d", at=None).response.status for _ in range(3)]
    assert answers == [200, 200, 200]


def test_more_transactions_than_may_wait_are_refused_not_queued(serve):
    ward = Ward()
    with ScriptedPeer(serve(ward, workers=1, waiting=1).address) as peer:
        running = peer.begin("Stay")
        with ward.occupied():
            waiting = peer.begin("Describe")
            assert "busy" in peer.run("Describe").error
        assert running.result(SECONDS).response.payload == b"left"
        assert waiting.result(SECONDS).response.status == 200
        assert peer.run("Describe").response.status == 200


@pytest.mark.parametrize("ending", ["hang_up", "cut"])
def test_a_peer_that_goes_away_in_a_transaction_comes_back_to_a_working_service(serve, ending):
    ward = Ward()
    address = serve(ward, workers=1).address
    with ScriptedPeer(address) as peer:
        abandoned = peer.begin("Stay", transaction="f00d")
        with ward.occupied():
            getattr(peer, ending)()
    with ScriptedPeer(address, world={"bed": b"free"}) as again:
        assert again.run("Read", "bed", transaction="f00d").response.payload == b'["free"]'
        assert again.stray.empty()
    assert not abandoned.done()


def test_a_transaction_that_waits_for_an_answer_ends_with_its_stream(serve):
    """With one worker and a peer that never answers, only the stream's end lets the next transaction run."""
    asked = threading.Event()
    address = serve(workers=1).address
    with ScriptedPeer(address, script=lambda _: asked.set()) as silent:
        silent.begin("Read", "bed")
        assert asked.wait(SECONDS)
    with ScriptedPeer(address) as peer:
        assert peer.run("Describe").response.status == 200


def test_one_peers_end_is_not_the_others(serve):
    ward = Ward()
    address = serve(ward).address
    with ScriptedPeer(address, world={"bed": b""}) as staying:
        future = staying.begin("Stay")
        with ward.occupied(), ScriptedPeer(address) as leaving:
            leaving.cut()
        assert future.result(SECONDS).response.payload == b"left"


def test_a_peer_is_answered_that_asks_whether_the_service_lives(serve):
    with ScriptedPeer(serve().address) as peer:
        peer.send(Message(type=Message.KEEPALIVE))
        assert peer.stray.get(timeout=SECONDS).type == Message.KEEPALIVE


def test_answers_to_nothing_are_passed_over(serve):
    with ScriptedPeer(serve().address) as peer:
        for kind in (Message.RESPONSE, Message.ERROR):
            peer.send(Message(type=kind, txid="f00d", channel_id=CHANNEL, payload=b"late"))
        assert peer.run("Describe").response.status == 200


@pytest.mark.parametrize(
    "message",
    [
        Message(type=Message.REGISTERED),
        Message(type=Message.READY),
        Message(type=Message.REGISTER),
        Message(type=Message.COMPLETED, txid="f00d", channel_id=CHANNEL),
        Message(type=77),
    ],
    ids=lambda message: str(message.type),
)
def test_a_message_out_of_order_ends_the_stream_and_no_other(serve, message):
    address = serve().address
    with ScriptedPeer(address) as orderly, ScriptedPeer(address) as peer:
        peer.send(message)
        assert b"cannot be handled" in peer.stray.get(timeout=SECONDS).payload
        assert peer.ended.wait(SECONDS)
        assert orderly.run("Describe").response.status == 200


@pytest.mark.parametrize("ready", [b"\x08", b"\x0a\x01\x01"])
def test_a_peer_whose_parameters_do_not_parse_is_refused(serve, ready):
    with ScriptedPeer(serve().address, ready=ready) as peer:
        assert b"ChaincodeAdditionalParams" in peer.stray.get(timeout=SECONDS).payload
        assert peer.ended.wait(SECONDS)


def test_bytes_that_are_no_message_end_the_stream(serve):
    address = serve().address
    with grpc.insecure_channel(address) as channel:
        connect = channel.stream_stream("/protos.Chaincode/Connect")
        with pytest.raises(grpc.RpcError):
            list(connect(iter([b"\xff\xff\xff"]), timeout=SECONDS))
    with ScriptedPeer(address) as peer:
        assert peer.run("Describe").response.status == 200


def test_stopping_lets_transactions_end_and_answers_them(serve):
    ward = Ward()
    server = serve(ward)
    with ScriptedPeer(server.address) as peer:
        future = peer.begin("Stay")
        stopped: list[bool] = []
        stopping = threading.Thread(target=lambda: stopped.append(server.stop(SECONDS)))
        with ward.occupied():
            stopping.start()
        assert future.result(SECONDS).response.payload == b"left"
        stopping.join()
        assert stopped == [True]
        assert peer.ended.wait(SECONDS)
        assert peer.status is grpc.StatusCode.OK


def test_stopping_cuts_off_what_does_not_end(serve):
    asked = threading.Event()
    server = serve()
    with ScriptedPeer(server.address, script=lambda _: asked.set()) as peer:
        abandoned = peer.begin("Read", "bed")
        assert asked.wait(SECONDS)
        assert server.stop(0.05) is False
        assert peer.ended.wait(SECONDS)
    assert not abandoned.done()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("peer-reader")]


def test_a_service_that_stops_starts_nothing_new(serve):
    ward = Ward()
    server = serve(ward)
    with ScriptedPeer(server.address) as peer:
        future = peer.begin("Stay")
        with ward.occupied():
            stopping = threading.Thread(target=server.stop, args=(SECONDS,))
            stopping.start()
            while "stopping" not in ((late := peer.run("Describe")).error or ""):
                assert late.response.status == 200  # came before the service was told
        assert future.result(SECONDS).response.payload == b"left"
        stopping.join()


def test_a_server_starts_once(serve):
    server = serve()
    with pytest.raises(RuntimeError):
        server.start()


def test_a_socket_is_its_owners_and_is_not_taken_from_a_running_service(serve, socket_path):
    server = serve()
    assert socket_path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ServiceError, match="CANNOT_LISTEN"):
        serve()
    with ScriptedPeer(server.address) as peer:
        assert peer.run("Describe").response.status == 200


def test_a_socket_left_behind_is_replaced(serve, socket_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(socket_path))
    with ScriptedPeer(serve().address) as peer:
        assert peer.run("Describe").response.status == 200


def test_a_port_is_not_shared(serve):
    address = serve(address="127.0.0.1:0").address
    assert address != "127.0.0.1:0"
    with pytest.raises(ServiceError, match="CANNOT_LISTEN"):
        serve(address=address)
    with ScriptedPeer(address) as peer:
        assert peer.run("Describe").response.status == 200


@pytest.mark.parametrize("address", ["", ":9999", "localhost", "127.0.0.1", "127.0.0.1:http", "tcp://127.0.0.1:0"])
def test_what_is_no_address_is_refused(serve, address):
    with pytest.raises(ServiceError, match="BAD_ADDRESS"):
        ChaincodeServer(Ward(), address, chaincode_id="ward").start()


def test_a_stress_of_peers_transactions_and_cuts_leaves_the_service_working(serve):
    """Sixty transactions in each of six streams, every other stream cut in the middle."""
    address = serve(workers=8, waiting=400).address
    world = {f"bed/{number}": str(number).encode() for number in range(5)}

    def one(number: int) -> bool:
        with ScriptedPeer(address, world=world, ready=capabilities(3, 3), page=2) as peer:
            futures = []
            for turn in range(20):
                futures += [
                    (b'["0", "1", "2", "3", "4"]', peer.begin("Read", *world)),
                    (b"1", peer.begin("Write", "bed/1=a", "bed/2", "bed/3=c", "bed/4=d")),
                    (b'["bed/0", "bed/1", "bed/2", "bed/3", "bed/4"]', peer.begin("Range", "", "")),
                ]
                if number % 2 and turn == 10:
                    peer.cut()
                    return False
            for expected, future in futures:
                assert future.result(SECONDS).response.payload == expected
            assert peer.broken_rules == []
        return True

    with ThreadPoolExecutor(6) as peers:
        assert list(peers.map(one, range(6))) == [True, False] * 3
    with ScriptedPeer(address) as peer:
        refusal = peer.run("Refuse", "409", "WARD_CLOSED", '"Closed."', "")
    assert parse_contract_fault(f"chaincode response 409, {refusal.response.message}").code == "WARD_CLOSED"
