"""Several gateways: who is asked when one does not answer, and what nobody is asked twice."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import chaincode_event_pb2

from fedledger.errors import BadInputError
from fedledger.gateway import (
    Contract,
    EndorseError,
    EvaluateError,
    EventsError,
    Gateway,
    InMemoryCheckpointer,
    SubmitError,
    connect,
    open_channel,
)
from fedledger.gateway.connections import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Connections
from fedledger.gateway.errors import refuses_identity

CHANNEL, CHAINCODE = "fedledger", "ledger"


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address that refuses connections, since nobody listens on its port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def peers(make_peer: Any, client: Any) -> list[tuple[Any, str]]:
    """Two gateways with their addresses."""
    started = [make_peer(client, "127.0.0.1:0") for _ in range(2)]
    return [(peer, f"127.0.0.1:{port}") for peer, port in started]


@pytest.fixture
def connected(client: Any) -> Iterator[Callable[..., Gateway]]:
    """Connect to gateways in the order of their addresses."""
    with ExitStack() as opened:

        def to(*addresses: str) -> Gateway:
            first, *further = map(open_channel, addresses)
            return opened.enter_context(
                connect(client.identity, client.sign, first, further_connections=further, close_connection=True)
            )

        yield to


def contract(gateway: Gateway) -> Contract:
    return gateway.get_network(CHANNEL).get_contract(CHAINCODE)


def event(block: int, name: str) -> Any:
    told = chaincode_event_pb2.ChaincodeEvent(chaincode_id=CHAINCODE, tx_id=f"tx-{name}", event_name=name)
    return gateway_pb2.ChaincodeEventsResponse(block_number=block, events=[told])


def block(number: int) -> Any:
    return common_pb2.Block(header=common_pb2.BlockHeader(number=number))


def test_the_first_gateway_is_asked_while_it_answers(peers: Any, connected: Any) -> None:
    (own, own_address), (other, other_address) = peers
    own.result, other.result = b"own", b"other"
    gateway = connected(own_address, other_address)
    assert contract(gateway).evaluate_transaction("GetRound") == b"own"
    assert contract(gateway).submit_transaction("OpenRound") == b"own"
    assert not other.requests


def test_every_phase_goes_on_at_the_next_gateway(peers: Any, connected: Any, nowhere: str) -> None:
    (peer, address), _ = peers
    gateway = connected(nowhere, address)
    assert contract(gateway).evaluate_transaction("GetRound") == b"result"
    assert contract(gateway).submit_transaction("OpenRound") == b"result"
    assert peer.methods() == ["Evaluate", "Endorse", "Submit", "CommitStatus"]


def test_a_transaction_endorsed_at_a_gateway_that_dies_then_is_handed_in_at_the_next_as_it_is(
    peers: Any, connected: Any
) -> None:
    (own, own_address), (other, other_address) = peers
    transaction = contract(connected(own_address, other_address)).new_proposal("OpenRound").endorse()
    own.stop()
    submitted = transaction.submit()
    assert submitted.status().successful
    assert other.methods() == ["Submit", "CommitStatus"]
    assert other.last("Submit").transaction_id == transaction.transaction_id


def test_what_was_submitted_already_counts_as_submitted_at_the_next_gateway(
    peers: Any, connected: Any, refusal: Any
) -> None:
    (own, own_address), (other, other_address) = peers
    transaction = contract(connected(own_address, other_address)).new_proposal("OpenRound").endorse()
    own.stop()
    known = ("orderer.hungary:7050", "HungaryMSP", "request already processed")
    other.refusals["Submit"] = refusal(grpc.StatusCode.UNAVAILABLE, "no orderers could process it", (known,))
    assert transaction.submit().status().successful


def test_a_refusal_is_an_answer_and_no_other_gateway_is_asked(peers: Any, connected: Any, refusal: Any) -> None:
    (own, own_address), (other, other_address) = peers
    gateway = connected(own_address, other_address)
    own.refusals["Evaluate"] = refusal(grpc.StatusCode.UNKNOWN, "chaincode response 404, NOT_FOUND: no such round")
    own.refusals["Endorse"] = refusal(grpc.StatusCode.ABORTED, "ProposalResponsePayloads do not match")
    with pytest.raises(EvaluateError):
        contract(gateway).evaluate_transaction("GetRound")
    with pytest.raises(EndorseError):
        contract(gateway).submit_transaction("OpenRound")
    assert not other.requests


@pytest.mark.parametrize(
    ("status", "text", "said"),
    [
        (
            "ABORTED",
            "failed to endorse transaction",
            "error in simulation: failed to execute transaction tx: could not",
        ),
        ("FAILED_PRECONDITION", "no peer combination can satisfy the endorsement policy", ""),
    ],
    ids=["its contract's service is gone", "it does not find the others"],
)
def test_a_gateway_whose_peer_is_of_no_use_is_passed_over(
    peers: Any, connected: Any, refusal: Any, status: str, text: str, said: str
) -> None:
    (own, own_address), (other, other_address) = peers
    details = (("peer.cleveland:7050", "ClevelandMSP", said),) if said else ()
    own.refusals["Endorse"] = refusal(grpc.StatusCode[status], text, details)
    assert contract(connected(own_address, other_address)).submit_transaction("OpenRound") == b"result"
    assert own.methods() == ["Endorse"]
    assert other.methods() == ["Endorse", "Submit", "CommitStatus"]


def test_what_the_orderers_refuse_is_not_handed_in_elsewhere(peers: Any, connected: Any, refusal: Any) -> None:
    (own, own_address), (other, other_address) = peers
    too_large = ("orderer.cleveland:7050", "ClevelandMSP", "message payload is 9 bytes and exceeds maximum allowed 8")
    own.refusals["Submit"] = refusal(grpc.StatusCode.UNAVAILABLE, "no orderers could process it", (too_large,))
    with pytest.raises(SubmitError, match="exceeds maximum"):
        contract(connected(own_address, other_address)).submit_transaction("OpenRound")
    assert not other.requests


def test_when_nobody_answers_the_first_gateways_error_says_so(connected: Any, nowhere: str) -> None:
    with pytest.raises(EvaluateError) as failed:
        contract(connected(nowhere, nowhere, nowhere)).evaluate_transaction("GetRound")
    assert failed.value.status is grpc.StatusCode.UNAVAILABLE
    assert nowhere in failed.value.message
    assert "2 further gateways" in failed.value.message


DENIED = [(grpc.StatusCode.PERMISSION_DENIED, "no"), (grpc.StatusCode.UNKNOWN, "access denied: who are you")]


@pytest.mark.parametrize(("status", "message"), DENIED)
def test_another_organisations_gateway_that_refuses_the_identity_is_passed_over(
    peers: Any, connected: Any, nowhere: str, refusal: Any, status: grpc.StatusCode, message: str
) -> None:
    (denying, denying_address), (_, other_address) = peers
    gateway = connected(nowhere, denying_address, other_address)
    denying.refusals |= {method: refusal(status, message) for method in ("Endorse", "Submit", "CommitStatus")}
    for _ in range(2):
        assert contract(gateway).submit_transaction("OpenRound") == b"result"


@pytest.mark.parametrize(("status", "message"), DENIED)
def test_when_only_that_one_answers_the_error_is_the_own_gateways(
    peers: Any, connected: Any, nowhere: str, refusal: Any, status: grpc.StatusCode, message: str
) -> None:
    (denying, address), _ = peers
    gateway = connected(nowhere, address)
    denying.refusals["Evaluate"] = refusal(status, message)
    for _ in range(2):
        with pytest.raises(EvaluateError) as caught:
            contract(gateway).evaluate_transaction("GetRound")
        assert caught.value.status is grpc.StatusCode.UNAVAILABLE
        assert not refuses_identity(caught.value)


def test_the_own_gateway_that_refuses_the_identity_is_believed(peers: Any, connected: Any, refusal: Any) -> None:
    (own, own_address), (other, other_address) = peers
    own.refusals["Evaluate"] = refusal(*DENIED[1])
    with pytest.raises(EvaluateError) as caught:
        contract(connected(own_address, other_address)).evaluate_transaction("GetRound")
    assert refuses_identity(caught.value)
    assert not other.requests


@pytest.fixture
def three(make_peer: Any, client: Any) -> list[tuple[Any, str]]:
    """Three further gateways."""
    started = [make_peer(client, "127.0.0.1:0") for _ in range(3)]
    return [(peer, f"127.0.0.1:{port}") for peer, port in started]


@pytest.mark.parametrize("liar", range(3))
def test_of_three_further_gateways_one_may_lie(three: Any, connected: Any, nowhere: str, liar: int) -> None:
    three[liar][0].result = b"a lie"
    ledger = contract(connected(nowhere, *(address for _, address in three)))
    assert ledger.evaluate_transaction("GetRound") == b"result"


@pytest.mark.parametrize("gone", range(3))
def test_of_three_further_gateways_one_may_be_gone(three: Any, connected: Any, nowhere: str, gone: int) -> None:
    three[gone][0].stop()
    ledger = contract(connected(nowhere, *(address for _, address in three)))
    assert ledger.evaluate_transaction("GetRound") == b"result"


def test_a_query_waits_for_further_gateways_that_are_behind(three: Any, connected: Any, nowhere: str) -> None:
    for number, (peer, _) in enumerate(three):
        peer.result = f"block {number}".encode()
    ledger = contract(connected(nowhere, *(address for _, address in three)))
    caught_up = threading.Timer(0.1, lambda: setattr(three[0][0], "result", b"block 2"))
    caught_up.start()
    assert ledger.evaluate_transaction("GetRound") == b"block 2"


@pytest.mark.parametrize("gone", [0, 2])
def test_a_single_further_gateway_of_three_is_not_believed(three: Any, connected: Any, nowhere: str, gone: int) -> None:
    three[0][0].result = b"first"
    three[1][0].result = b"second"
    for peer, _ in three[3 - gone :]:
        peer.stop()
    three[2][0].result = b"third"
    ledger = contract(connected(nowhere, *(address for _, address in three)))
    with pytest.raises(EvaluateError) as refused:
        ledger.new_proposal("GetRound").evaluate(timeout=1.0)
    assert refused.value.code == "GATEWAYS_DISAGREE"
    assert "fewer than 2" in refused.value.message


def test_the_own_gateway_is_believed_alone(three: Any, connected: Any) -> None:
    three[0][0].result = b"own"
    ledger = contract(connected(*(address for _, address in three)))
    assert ledger.evaluate_transaction("GetRound") == b"own"
    assert not three[1][0].requests


def test_a_gateway_that_hangs_costs_one_deadline(peers: Any, connected: Any) -> None:
    (own, own_address), (other, other_address) = peers
    own.silent.add("Evaluate")
    ledger = contract(connected(own_address, other_address))
    with pytest.raises(EvaluateError) as late:
        ledger.new_proposal("GetRound").evaluate(timeout=0.2)
    assert late.value.status is grpc.StatusCode.DEADLINE_EXCEEDED
    assert ledger.evaluate_transaction("GetRound") == b"result"
    assert other.methods() == ["Evaluate"]


def test_a_commit_that_takes_long_is_no_reason_to_leave_a_gateway(peers: Any, connected: Any) -> None:
    (own, own_address), (other, other_address) = peers
    own.silent.add("CommitStatus")
    ledger = contract(connected(own_address, other_address))
    with pytest.raises(Exception, match="DEADLINE_EXCEEDED"):
        ledger.submit_async("OpenRound").status(timeout=0.2)
    assert ledger.evaluate_transaction("GetRound") == b"result"
    assert not other.requests


def test_a_gateway_that_failed_is_passed_over_ever_longer_and_forgiven_when_it_answers(nowhere: str) -> None:
    now = [100.0]
    connections = Connections([open_channel(nowhere), open_channel(nowhere)], clock=lambda: now[0])
    own, other = connections.in_order()
    pauses = []
    for _ in range(8):
        connections.failed(own)
        assert connections.in_order() == [other, own]
        pauses.append(own.asked_again_at - now[0])
        now[0] = own.asked_again_at
        assert connections.in_order() == [own, other]
    assert pauses == [5, 10, 20, 40, 80, 160, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]
    connections.answered(own)
    connections.failed(own)
    assert own.asked_again_at - now[0] == FIRST_PAUSE_SECONDS
    connections.close()


def test_events_go_on_at_the_next_gateway_behind_the_last_that_came(peers: Any, connected: Any) -> None:
    (own, own_address), (other, other_address) = peers
    own.chaincode_events = [event(3, "a"), event(4, "b")]
    other.chaincode_events = [event(3, "a"), event(4, "b"), event(4, "c"), event(6, "d")]
    network = connected(own_address, other_address).get_network(CHANNEL)
    with network.chaincode_events(CHAINCODE, start_block=0, reconnect=True) as events:
        names = [each.event_name for each in islice(events, 2)]
        own.stop()
        names += [each.event_name for each in islice(events, 2)]
    assert names == ["a", "b", "c", "d"]


def test_events_start_at_a_checkpoint_and_leave_it_alone(peers: Any, connected: Any) -> None:
    (own, own_address), _ = peers
    own.chaincode_events = [event(3, "a"), event(4, "b")]
    checkpoint = InMemoryCheckpointer(4)
    network = connected(own_address).get_network(CHANNEL)
    with network.chaincode_events(CHAINCODE, checkpoint=checkpoint, reconnect=True) as events:
        assert next(events).event_name == "b"
    assert (checkpoint.block_number, checkpoint.transaction_id) == (4, None)


@pytest.mark.parametrize("kind", ["block_events", "filtered_block_events"])
def test_blocks_go_on_at_the_next_gateway(peers: Any, connected: Any, kind: str) -> None:
    (own, own_address), (other, other_address) = peers
    own.blocks, other.blocks = [block(0), block(1)], [block(number) for number in range(9)]
    network = connected(own_address, other_address).get_network(CHANNEL)

    def number_of(delivered: Any) -> int:
        return int(delivered.header.number if kind == "block_events" else delivered.number)

    with getattr(network, kind)(start_block=0, reconnect=True) as blocks:
        numbers = [number_of(next(blocks))]
        own.stop()
        numbers += [number_of(each) for each in islice(blocks, 4)]
    assert numbers == [0, 1, 2, 3, 4]


def test_a_peer_that_says_it_stops_is_no_end_of_the_blocks(peers: Any, connected: Any) -> None:
    (own, own_address), _ = peers
    own.blocks, own.end_status = [block(0), block(1)], common_pb2.SERVICE_UNAVAILABLE
    network = connected(own_address).get_network(CHANNEL)
    with network.block_events(start_block=0, end_block=1, reconnect=True) as blocks:
        resume = threading.Timer(0.3, lambda: setattr(own, "end_status", None))
        resume.start()
        assert [each.header.number for each in blocks] == [0, 1]


def test_a_refused_stream_is_not_opened_again(peers: Any, connected: Any, refusal: Any) -> None:
    (own, own_address), (other, other_address) = peers
    own.refusals["ChaincodeEvents"] = refusal(grpc.StatusCode.PERMISSION_DENIED, "access denied")
    network = connected(own_address, other_address).get_network(CHANNEL)
    with network.chaincode_events(CHAINCODE, start_block=0, reconnect=True) as events, pytest.raises(EventsError):
        next(events)
    assert not other.requests


def test_events_go_on_elsewhere_when_another_organisations_gateway_refuses_them(
    peers: Any, connected: Any, nowhere: str, refusal: Any
) -> None:
    (denying, denying_address), (other, other_address) = peers
    denying.refusals["ChaincodeEvents"] = refusal(*DENIED[0])
    other.chaincode_events = [event(1, "a")]
    gateway = connected(nowhere, denying_address, other_address)
    with gateway.get_network(CHANNEL).chaincode_events(CHAINCODE, start_block=0, reconnect=True) as events:
        assert next(events).event_name == "a"


def test_a_stream_that_reconnects_must_know_where_it_starts(peers: Any, connected: Any) -> None:
    network = connected(peers[0][1]).get_network(CHANNEL)
    with pytest.raises(BadInputError) as refused:
        network.chaincode_events(CHAINCODE, checkpoint=InMemoryCheckpointer(), reconnect=True)
    assert refused.value.code == "NO_START"


def test_closing_the_gateway_ends_a_stream_that_waits_for_a_gateway(client: Any, nowhere: str) -> None:
    gateway = connect(client.identity, client.sign, open_channel(nowhere), close_connection=True)
    events = gateway.get_network(CHANNEL).chaincode_events(CHAINCODE, start_block=0, reconnect=True)
    ended = threading.Event()

    def read() -> None:
        assert list(events) == []
        ended.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(0.5)
    assert reader.is_alive()
    gateway.close()
    assert ended.wait(10)
