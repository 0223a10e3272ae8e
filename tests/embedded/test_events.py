"""Events and blocks as clients follow them: in the ledger's order, from any position, and after a checkpoint."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import events_pb2_grpc, transaction_pb2

from fedledger.gateway import ChaincodeEvent, EventsError, InMemoryCheckpointer
from fedledger.gateway.events import deliver_envelope
from fedledger.gateway.identity import Identity, SigningIdentity, sha256
from fedledger.gateway.signers import new_private_key_signer
from fedledger_network.embedded.folder import NetworkFolder
from tests.embedded.chain import Replay
from tests.embedded.clients import CHAINCODE, CHANNEL, Client


@pytest.fixture(scope="module")
def announced(participant: Client) -> list[tuple[str, int]]:
    """Transactions that set an event, with their blocks, in order."""
    found = []
    for number in range(6):
        submitted = participant.contract.submit_async("Announce", "News", f"news {number}")
        found.append((submitted.transaction_id, submitted.status().block_number))
    return found


def news(events: Iterator[ChaincodeEvent], count: int) -> list[ChaincodeEvent]:
    return list(islice((event for event in events if event.event_name == "News"), count))


def test_events_come_in_the_ledgers_order(participant: Client, announced: list[tuple[str, int]]) -> None:
    with participant.network.chaincode_events(CHAINCODE, start_block=0) as events:
        found = news(events, 6)
    assert [(event.transaction_id, event.block_number) for event in found] == announced
    assert [event.payload for event in found] == [f"news {number}".encode() for number in range(6)]
    assert {event.chaincode_name for event in found} == {CHAINCODE}


def test_events_begin_where_one_asks(participant: Client, announced: list[tuple[str, int]]) -> None:
    with participant.network.chaincode_events(CHAINCODE, start_block=announced[3][1]) as events:
        assert news(events, 1)[0].transaction_id == announced[3][0]


def test_events_go_on_after_a_checkpoint(participant: Client, announced: list[tuple[str, int]]) -> None:
    checkpointer = InMemoryCheckpointer()
    with participant.network.chaincode_events(CHAINCODE, start_block=announced[0][1]) as events:
        for event in news(events, 2):
            checkpointer.checkpoint_chaincode_event(event)
    with participant.network.chaincode_events(CHAINCODE, checkpoint=checkpointer) as events:
        assert news(events, 1)[0].transaction_id == announced[2][0]


def test_without_a_start_only_new_events_come(participant: Client, announced: list[tuple[str, int]]) -> None:
    with participant.network.chaincode_events(CHAINCODE) as events:
        arrived: list[ChaincodeEvent] = []
        reader = threading.Thread(target=lambda: arrived.append(next(iter(events))))
        reader.start()
        # Nobody tells when the stream is open, so there is something new until something has arrived.
        while reader.is_alive():
            participant.submit("Announce", "Fresh", "fresh")
            reader.join(0.05)
    assert arrived[0].event_name == "Fresh"


def test_a_transaction_that_is_not_valid_sets_no_event(participant: Client) -> None:
    prepared = participant.endorsed("Announce", "Unheard", "unheard", organisations=["ClevelandMSP"])
    refused = participant.submit_raw(prepared)
    assert refused.code_name == "ENDORSEMENT_POLICY_FAILURE"
    participant.submit("Announce", "Heard", "heard")
    with participant.network.chaincode_events(CHAINCODE, start_block=refused.block_number) as events:
        assert next(iter(events)).event_name == "Heard"


def test_a_chaincode_that_is_not_there_has_no_events(participant: Client, announced: list[tuple[str, int]]) -> None:
    request = participant.network.new_chaincode_events_request("treasurer", start_block=0)
    with pytest.raises(EventsError) as late, request.get_events(timeout=0.3) as events:
        next(iter(events))
    assert late.value.status is grpc.StatusCode.DEADLINE_EXCEEDED


def test_the_blocks_are_a_chain_from_the_configuration_on(
    participant: Client, announced: list[tuple[str, int]]
) -> None:
    with participant.network.block_events(start_block=0, end_block=announced[-1][1]) as blocks:
        replay = Replay.of(blocks)
    assert replay.codes.items() >= {(name, transaction_pb2.VALID) for name, _ in announced}
    announced_last = replay.state["announced"]
    assert (announced_last.value, announced_last.version.block_number) == (b"news 5", announced[-1][1])


def test_filtered_blocks_name_events_and_hide_payloads(participant: Client, announced: list[tuple[str, int]]) -> None:
    name, number = announced[0]
    with participant.network.filtered_block_events(start_block=number, end_block=number) as blocks:
        (block,) = blocks
    (transaction,) = [entry for entry in block.filtered_transactions if entry.txid == name]
    assert transaction.type == common_pb2.ENDORSER_TRANSACTION
    (action,) = transaction.transaction_actions.chaincode_actions
    assert action.chaincode_event.event_name == "News"
    assert b"news 0" not in block.SerializeToString()


def test_blocks_are_followed_as_they_are_committed(participant: Client) -> None:
    status = participant.contract.submit_async("Put", "followed=0").status()
    with participant.network.block_events(start_block=status.block_number) as blocks:
        reading = iter(blocks)
        assert next(reading).header.number == status.block_number
        for number in range(3):
            following = participant.contract.submit_async("Put", f"followed={number}").status()
            assert next(reading).header.number == following.block_number


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
