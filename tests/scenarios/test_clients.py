"""Clients on either engine: who is let in, what is signed elsewhere, events and blocks, what is too large or too late.

What they cover is what Hyperledger's scenarios for its own clients cover: github.com/hyperledger/fabric-gateway,
``scenario/features``: chaincode events, block events, checkpointing, off-line signing, signers of other organisations.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import pytest
from fabric_protos.common import common_pb2

from fedledger.agents.follow import is_refused_identity
from fedledger.errors import ExitCode
from fedledger.gateway import (
    ChaincodeEvent,
    CommitStatusError,
    EndorseError,
    EvaluateError,
    EventsError,
    InMemoryCheckpointer,
    SigningError,
    SubmitError,
)
from fedledger.gateway.errors import GatewayError
from fedledger.identity.keys import KeyType
from fedledger.identity.profile import FurtherGateway
from tests.embedded.clients import CHAINCODE, CHANNEL, MSPS, NAMES, Client
from tests.embedded.processes import within_patience
from tests.scenarios.conftest import MOST_BYTES
from tests.scenarios.engines import Engine
from tests.scenarios.members import answers, blocks_request, certified, shifted, unsigning

CONTRACT = "tests.embedded.shelf:Shelf"
MINUTE = 60


# Who is let in


@pytest.mark.parametrize("key_type", list(KeyType))
def test_members_with_keys_of_every_kind_are_let_in(engine: Engine, key_type: KeyType) -> None:
    with certified(engine, key_type=key_type) as member:
        assert member.submit("Put", f"by-{key_type}=1") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": NAMES[1]},
        {"msp_id": "LisbonMSP"},
        {"msp_id": MSPS[1]},
        {"units": ("Cardiology",)},
        {"other_key": True},
    ],
    ids=["another CA", "no member", "another organisation", "no role", "another key"],
)
def test_whoever_is_no_valid_member_is_refused_everywhere(engine: Engine, wrong: dict[str, Any]) -> None:
    with certified(engine, **wrong) as impostor:
        with pytest.raises(EvaluateError, match="access denied") as asked:
            impostor.evaluate("Get", "a")
        assert is_refused_identity(asked.value)
        with pytest.raises(EndorseError, match="access denied") as refused:
            impostor.submit("Put", "a=1")
        assert refused.value.status is grpc.StatusCode.ABORTED
        with pytest.raises(CommitStatusError) as status:
            impostor.status("0" * 64)
        assert status.value.status is grpc.StatusCode.PERMISSION_DENIED
        with (
            pytest.raises(EventsError) as events,
            impostor.network.chaincode_events(CHAINCODE, start_block=0) as read,
        ):
            next(read)
        assert events.value.status is grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(EventsError, match="FORBIDDEN"), impostor.network.block_events(start_block=0) as blocks:
            next(blocks)


def test_an_expired_certificate_is_refused(engine: Engine) -> None:
    with certified(engine, expired=True) as late:
        for call in (late.evaluate, late.submit):
            with pytest.raises(GatewayError, match="client identity expired") as refused:
                call("Put", "late=1")
            assert is_refused_identity(refused.value)
        with pytest.raises(EventsError, match="FORBIDDEN"), late.network.block_events(start_block=0) as blocks:
            next(blocks)
        request = late.network.new_chaincode_events_request("treasurer", start_block=0)
        with pytest.raises(EventsError) as events, request.get_events(timeout=0.5) as read:
            next(read)
        waited = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
        assert events.value.status in waited  # a peer does not look at the date there


# Signed elsewhere


def test_nothing_is_sent_without_a_signature(engine: Engine) -> None:
    with unsigning(engine) as (_, network, _sign):
        contract = network.get_contract(CHAINCODE)
        for call in (contract.evaluate_transaction, contract.submit_transaction):
            with pytest.raises(SigningError, match="NO_SIGNER"):
                call("Put", "unsigned=1")


def test_every_step_can_be_signed_elsewhere(engine: Engine) -> None:
    with unsigning(engine) as (gateway, network, sign):
        query = network.get_contract(CHAINCODE).new_proposal("Get", arguments=["offline"])
        assert gateway.new_signed_proposal(query.get_bytes(), sign(query.get_digest())).evaluate() == b"[null]"
        proposal = network.get_contract(CHAINCODE).new_proposal("Announce", arguments=["Offline", "here"])
        transaction = gateway.new_signed_proposal(proposal.get_bytes(), sign(proposal.get_digest())).endorse()
        ready = gateway.new_signed_transaction(transaction.get_bytes(), sign(transaction.get_digest()))
        commit = ready.submit()
        status = gateway.new_signed_commit(commit.get_bytes(), sign(commit.get_digest())).status()
        assert status.successful
        number = status.block_number
        request = network.new_chaincode_events_request(CHAINCODE, start_block=number)
        with gateway.new_signed_chaincode_events_request(
            request.get_bytes(), sign(request.get_digest())
        ).get_events() as events:
            assert next(event for event in events if event.transaction_id == transaction.transaction_id)
        whole = network.new_block_events_request(start_block=number, end_block=number)
        with gateway.new_signed_block_events_request(
            whole.get_bytes(), sign(whole.get_digest())
        ).get_events() as blocks:
            assert [block.header.number for block in blocks] == [number]
        filtered = network.new_filtered_block_events_request(start_block=number, end_block=number)
        with gateway.new_signed_filtered_block_events_request(
            filtered.get_bytes(), sign(filtered.get_digest())
        ).get_events() as blocks:
            assert [block.number for block in blocks] == [number]


# Events and blocks


@pytest.fixture(scope="module")
def announced(participant: Client) -> list[tuple[str, int]]:
    """Transactions that set an event, with their blocks, in order."""
    found = []
    for number in range(4):
        submitted = participant.contract.submit_async("Announce", "News", f"news {number}")
        found.append((submitted.transaction_id, submitted.status().block_number))
    return found


def news(events: Iterator[ChaincodeEvent], count: int, name: str = "News") -> list[ChaincodeEvent]:
    return list(islice((event for event in events if event.event_name == name), count))


def test_events_come_in_the_ledgers_order(participant: Client, announced: list[tuple[str, int]]) -> None:
    with participant.network.chaincode_events(CHAINCODE, start_block=0) as events:
        found = news(events, 4)
    assert [(event.transaction_id, event.block_number) for event in found] == announced
    assert [event.payload for event in found] == [f"news {number}".encode() for number in range(4)]
    assert {event.chaincode_name for event in found} == {CHAINCODE}


def test_events_begin_where_one_asks_and_may_be_read_anew(
    participant: Client, announced: list[tuple[str, int]]
) -> None:
    for _ in range(2):
        with participant.network.chaincode_events(CHAINCODE, start_block=announced[2][1]) as events:
            assert news(events, 1)[0].transaction_id == announced[2][0]


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
        reader = threading.Thread(target=lambda: arrived.append(next(events)))
        reader.start()
        # Nobody tells when the stream is open, so there is something new until something has arrived.
        while reader.is_alive():
            participant.submit("Announce", "Fresh", "fresh")
            reader.join(0.05)
    assert arrived[0].event_name == "Fresh"


def test_closing_a_stream_leaves_others_open(participant: Client, announced: list[tuple[str, int]]) -> None:
    start = announced[-1][1]
    with participant.network.chaincode_events(CHAINCODE, start_block=start) as staying:
        leaving = participant.network.chaincode_events(CHAINCODE, start_block=start)
        assert news(leaving, 1) == news(staying, 1)
        leaving.close()
        assert list(leaving) == []
        participant.submit("Announce", "Still", "open")
        assert news(staying, 1, "Still")[0].payload == b"open"


def test_a_transaction_that_is_not_valid_sets_no_event(participant: Client) -> None:
    prepared = participant.endorsed("Announce", "Unheard", "unheard", organisations=[MSPS[0]])
    refused = participant.submit_raw(prepared)
    assert refused.code_name == "ENDORSEMENT_POLICY_FAILURE"
    participant.submit("Announce", "Heard", "heard")
    with participant.network.chaincode_events(CHAINCODE, start_block=refused.block_number) as events:
        assert next(events).event_name == "Heard"


def test_a_chaincode_that_is_not_there_has_no_events(participant: Client) -> None:
    request = participant.network.new_chaincode_events_request("treasurer", start_block=0)
    with pytest.raises(EventsError) as late, request.get_events(timeout=0.3) as events:
        next(events)
    # A peer that notices the deadline first ends the stream itself.
    assert late.value.status in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


def test_filtered_blocks_name_events_and_hide_payloads(participant: Client, announced: list[tuple[str, int]]) -> None:
    name, number = announced[0]
    with participant.network.filtered_block_events(start_block=number, end_block=number) as blocks:
        (block,) = blocks
    (transaction,) = [entry for entry in block.filtered_transactions if entry.txid == name]
    (action,) = transaction.transaction_actions.chaincode_actions
    assert (transaction.type, action.chaincode_event.event_name) == (common_pb2.ENDORSER_TRANSACTION, "News")
    assert b"news 0" not in block.SerializeToString()


@pytest.mark.parametrize("kind", ["block_events", "filtered_block_events"])
def test_blocks_are_followed_as_they_are_committed_and_go_on_after_a_checkpoint(participant: Client, kind: str) -> None:
    def number_of(block: Any) -> int:
        return int(block.header.number if kind == "block_events" else block.number)

    first = participant.contract.submit_async("Put", "followed=0").status().block_number
    checkpointer = InMemoryCheckpointer()
    opened = getattr(participant.network, kind)
    with opened(start_block=first) as blocks:
        assert number_of(next(blocks)) == first
        for number in range(2):
            following = participant.contract.submit_async("Put", f"followed={number}").status()
            assert number_of(next(blocks)) == following.block_number
            checkpointer.checkpoint_block(following.block_number)
    participant.submit("Put", "followed=2")
    with opened(checkpoint=checkpointer) as blocks:
        assert number_of(next(blocks)) == following.block_number + 1


# When a gateway is gone


def test_a_stream_that_reconnects_misses_and_repeats_nothing_when_its_peer_was_killed(
    engine: Engine, participant: Client
) -> None:
    mark = secrets.token_hex(4)
    start = participant.contract.submit_async("Put", "killed=0").status().block_number
    with (
        engine.member(NAMES[1], "auditor") as reader,
        reader.network.chaincode_events(CHAINCODE, start_block=start, reconnect=True) as events,
    ):
        participant.submit("Announce", mark, "before")
        found = news(events, 1, mark)
        engine.kill_peer(NAMES[1])
        if engine.expects(embedded=False, fabric=True):  # the other organisations go on
            participant.contract.submit_transaction("Announce", mark, "meanwhile")
        engine.start_peer(NAMES[1])
        assert within_patience(lambda: answers(participant))
        participant.contract.submit_transaction("Announce", mark, "after")
        wanted = [b"before", b"meanwhile", b"after"] if engine.name == "fabric" else [b"before", b"after"]
        found += news(events, len(wanted) - 1, mark)
    assert [event.payload for event in found] == wanted


def test_a_member_whose_gateway_is_gone_acts_through_another_organisations(engine: Engine, tmp_path: Path) -> None:
    own, other = engine.profile(NAMES[2]), engine.profile(NAMES[3])
    gone = replace(
        own,
        gateway=f"unix:{tmp_path}/gone.sock",
        tls_roots=None,
        further_gateways=(FurtherGateway(other.gateway, other.tls_roots),),
    )
    with gone.connect() as gateway:
        network = gateway.get_network(CHANNEL)
        contract = network.get_contract(CHAINCODE)
        submitted = contract.submit_async("Announce", "Elsewhere", "here")
        status = submitted.status()
        assert status.successful
        assert contract.evaluate_transaction("Get", "announced") == b'["here"]'
        with network.chaincode_events(CHAINCODE, start_block=status.block_number) as events:
            assert next(events).transaction_id == submitted.transaction_id


# Limits


def test_a_transaction_that_is_too_large_is_refused_by_the_orderers_and_the_next_is_not(participant: Client) -> None:
    with pytest.raises(SubmitError, match=f"exceeds maximum allowed {MOST_BYTES} bytes") as refused:
        participant.submit("Put", f"large={'x' * MOST_BYTES}")
    assert refused.value.code == "TRANSACTION_TOO_LARGE"
    assert refused.value.exit_code is ExitCode.FAILED
    assert "artifact store" in refused.value.remedy
    assert participant.submit("Put", f"half={'x' * (MOST_BYTES // 4)}") == 1


def test_too_large_arguments_are_refused_before_they_are_ordered(participant: Client) -> None:
    with pytest.raises(EvaluateError) as refused:
        participant.evaluate("Get", "x" * ((8 << 20) + 1))
    assert refused.value.code == "ARGUMENTS_TOO_LARGE"
    assert "artifact store" in refused.value.message


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_clock_that_is_four_minutes_off_is_good_enough(participant: Client, minutes: int) -> None:
    proposal = shifted(participant, minutes * MINUTE, "Put", f"at{minutes}=1")
    assert proposal.endorse().submit().status().successful


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_clock_that_is_six_minutes_off_is_refused_by_the_contract(participant: Client, minutes: int) -> None:
    for step in ("evaluate", "endorse"):
        with pytest.raises(GatewayError) as refused:
            getattr(shifted(participant, minutes * MINUTE, "Put", "late=1"), step)()
        assert refused.value.code == "CLOCK_SKEW"
        assert refused.value.contract_error is not None


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_sixteen_minutes_off_is_refused_by_the_peers(participant: Client, minutes: int) -> None:
    for step, status in (
        ("evaluate", grpc.StatusCode.UNAVAILABLE),
        ("endorse", grpc.StatusCode.ABORTED),
    ):
        with pytest.raises(GatewayError, match="incorrect timestamp") as refused:
            getattr(shifted(participant, minutes * MINUTE, "Put", "late=1"), step)()
        assert refused.value.code == "CLOCK_SKEW"
        assert refused.value.contract_error is None
        assert refused.value.status is status
        assert "clock" in refused.value.remedy
    with (
        pytest.raises(EventsError, match="BAD_REQUEST") as late,
        blocks_request(participant, minutes * MINUTE).get_events() as blocks,
    ):
        next(blocks)
    assert "clock" in late.value.remedy


def test_a_clock_that_is_fourteen_minutes_off_may_read_blocks(participant: Client) -> None:
    with blocks_request(participant, 14 * MINUTE).get_events() as blocks:
        assert [block.header.number for block in blocks] == [0]
