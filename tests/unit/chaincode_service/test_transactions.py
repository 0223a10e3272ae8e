"""What one transaction asks of the peer and ends with."""

from __future__ import annotations

import json
import time

import pytest
from structlog.testing import capture_logs

from fedledger_chaincode.errors import ContractFault, parse_contract_fault
from fedledger_chaincode.service.execution import MAXIMUM_RESULT_BYTES
from tests.unit.chaincode_service.peer import CHANNEL, Message, ScriptedPeer, capabilities, reply, signed_proposal
from tests.unit.chaincode_service.ward import Bare

BOTH = capabilities(write_batch=2, get_multiple=2)
BEDS = {f"bed/{number}": str(number).encode() for number in range(8)}


def fault(executed) -> ContractFault | None:
    """The refusal as a client reads it in a peer's text."""
    return parse_contract_fault(f"chaincode response {executed.response.status}, {executed.response.message}")


def test_the_contract_sees_the_transaction_and_its_proposal(serve):
    with ScriptedPeer(serve().address) as peer:
        executed = peer.run("Describe", b"\xff", "", at=int(time.time()), transaction="f00d", transient={"key": b"1"})
        assert peer.registered_as == "ward_1.0:4ac5"
    seen = json.loads(executed.response.payload)
    assert executed.response.status == 200
    assert abs(seen.pop("timestamp") - time.time()) < 60
    assert seen == {
        "function": "Describe",
        "arguments": ["ff", ""],
        "transaction": "f00d",
        "channel": CHANNEL,
        "creator": b"creator".hex(),
        "transient": {"key": "31"},
    }


def test_an_init_is_a_transaction(serve):
    with ScriptedPeer(serve().address) as peer:
        assert peer.run("Describe", kind=Message.INIT).response.status == 200


@pytest.mark.parametrize(
    ("ready", "requests"),
    [
        (b"", ["GET_STATE"] * 5),
        (capabilities(write_batch=2), ["GET_STATE"] * 5),
        (capabilities(get_multiple=2), ["GET_STATE_MULTIPLE"] * 3),
        (capabilities(get_multiple=5), ["GET_STATE_MULTIPLE"]),
        (b"\x18\x01", ["GET_STATE_MULTIPLE"]),
        (b"\x28\x01", ["GET_STATE"] * 5),
    ],
)
def test_keys_are_read_together_only_where_the_peer_offers_it(serve, ready, requests):
    with ScriptedPeer(serve().address, world=BEDS, ready=ready) as peer:
        executed = peer.run("Read", "bed/3", "none", "bed/1", "bed/3", "bed/0")
    assert json.loads(executed.response.payload) == ["3", None, "1", "3", "0"]
    assert executed.requests == requests


@pytest.mark.parametrize(
    ("ready", "requests"),
    [
        (b"", ["GET_STATE", "PUT_STATE", "DEL_STATE", "PUT_STATE"]),
        (capabilities(get_multiple=9), ["GET_STATE_MULTIPLE", "PUT_STATE", "DEL_STATE", "PUT_STATE"]),
        (capabilities(write_batch=2), ["GET_STATE", "WRITE_BATCH_STATE", "WRITE_BATCH_STATE"]),
        (capabilities(write_batch=3), ["GET_STATE", "WRITE_BATCH_STATE"]),
    ],
)
def test_writes_wait_for_the_contracts_end_and_are_not_read(serve, ready, requests):
    with ScriptedPeer(serve().address, world=BEDS, ready=ready) as peer:
        executed = peer.run("Write", "bed/1=old", "bed/2", "bed/3=three", "bed/1=new")
    assert executed.response.payload == b"1"
    assert executed.writes == [("bed/1", b"new"), ("bed/2", None), ("bed/3", b"three")]
    assert executed.requests == requests


@pytest.mark.parametrize("page", [1, 3, 8, 100])
def test_a_range_is_read_over_its_pages(serve, page):
    composite = {"\0type\0bed/1\0": b"another contract layer's"}
    with ScriptedPeer(serve().address, world=BEDS | composite, page=page) as peer:
        executed = peer.run("Range", "bed/1", "bed/7")
        everything = peer.run("Range", "", "")
        nothing = peer.run("Range", "c", "d")
    assert json.loads(executed.response.payload) == [f"bed/{number}" for number in range(1, 7)]
    assert json.loads(everything.response.payload) == sorted(BEDS)
    assert json.loads(nothing.response.payload) == []
    assert executed.requests == ["GET_STATE_BY_RANGE"] + ["QUERY_STATE_NEXT"] * (-(-6 // page) - 1)
    assert not (peer.broken_rules or executed.open_iterators or everything.open_iterators)


@pytest.mark.parametrize(("page", "closings"), [(3, 1), (100, 0)])
def test_a_range_that_is_left_is_closed_before_the_writes(serve, page, closings):
    with ScriptedPeer(serve().address, world=BEDS, page=page) as peer:
        executed = peer.run("FirstOf", "bed/2", "")
    assert executed.response.payload == b"2"
    assert executed.requests == ["GET_STATE_BY_RANGE", *["QUERY_STATE_CLOSE"] * closings, "PUT_STATE"]
    assert not (peer.broken_rules or executed.open_iterators)


def test_a_transaction_has_its_last_event(serve):
    with ScriptedPeer(serve().address) as peer:
        executed = peer.run("Announce", "BedFree", "1", "BedTaken", b"\x00\xff")
        silent = peer.run("Announce")
    assert (executed.event.event_name, executed.event.payload) == ("BedTaken", b"\x00\xff")
    assert silent.event is None


def test_a_refusal_reaches_the_client_and_leaves_no_trace(serve):
    with ScriptedPeer(serve().address, ready=BOTH) as peer:
        executed = peer.run("Refuse", "409", "WARD_CLOSED", '"The ward: closed,\\nfor now."', "Come on Monday.")
    assert executed.response.status == 409
    assert executed.response.payload == b""
    assert fault(executed) == ContractFault(409, "WARD_CLOSED", "The ward: closed,\nfor now. Come on Monday.")
    assert (executed.writes, executed.event, executed.requests) == ([], None, [])


def test_a_refusal_is_never_one_that_a_peer_would_endorse(serve):
    with ScriptedPeer(serve().address) as peer:
        assert peer.run("Refuse", "200", "ODD", '"Odd."', "").response.status == 400


def test_a_refusal_that_quotes_what_is_no_unicode_can_be_read(serve):
    with ScriptedPeer(serve().address) as peer:
        executed = peer.run("Refuse", "400", "BAD_NAME", '"No ward \\ud800."', "")
    assert fault(executed) == ContractFault(400, "BAD_NAME", "No ward \\ud800.")


def test_a_long_refusal_is_cut_to_what_headers_hold(serve):
    with ScriptedPeer(serve().address) as peer:
        executed = peer.run("Refuse", "400", "BAD_NAME", json.dumps("x" * 100_000), "")
    assert len(executed.response.message) == 1000
    assert fault(executed).code == "BAD_NAME"


def test_a_bug_is_answered_and_logged_without_what_was_read(serve):
    with capture_logs() as logs, ScriptedPeer(serve().address, world={"patient": b"secret diagnosis"}) as peer:
        executed = peer.run("Crash", "patient", transaction="f00d")
    assert fault(executed).status == 500
    assert fault(executed).code == "INTERNAL"
    assert "f00d" in executed.response.message
    assert (executed.writes, executed.event) == ([], None)
    (entry,) = [entry for entry in logs if entry["event"] == "contract_failed"]
    assert entry["transaction"] == "f00d"
    assert entry["error"] == ["builtins.RuntimeError", "builtins.LookupError"]
    assert "ward.py" in entry["traceback"][-1] and entry["traceback"][-1].endswith("_crash")
    assert "secret" not in str(logs) + executed.response.message


@pytest.mark.parametrize("what", ["key", "value", "event", "large value", "composite range"])
def test_what_fabric_would_misread_is_a_bug_of_the_contract(serve, what):
    with ScriptedPeer(serve().address) as peer:
        executed = peer.run("Empty", what)
    assert (fault(executed).code, executed.requests) == ("INTERNAL", [])


@pytest.mark.parametrize("arguments", [("Text",), ("NoSuchFunction",)])
def test_a_result_that_is_no_bytes_and_an_unhandled_lookup_are_bugs(serve, arguments):
    with ScriptedPeer(serve().address) as peer:
        assert fault(peer.run(*arguments)).code == "INTERNAL"


def test_a_function_whose_name_is_no_text_is_refused(serve):
    with ScriptedPeer(serve().address) as peer:
        assert fault(peer.run(b"\xff\xfe")).code == "BAD_FUNCTION"


def test_a_transaction_without_arguments_is_refused(serve):
    with ScriptedPeer(serve().address) as peer:
        proposal = signed_proposal("cafe", CHANNEL, int(time.time()), b"creator", {})
        peer.send(Message(type=Message.TRANSACTION, txid="cafe", channel_id=CHANNEL, proposal=proposal))
        assert b"BAD_FUNCTION" in peer.stray.get(timeout=15).payload


def test_a_large_result_arrives_and_a_larger_one_is_refused(serve):
    with ScriptedPeer(serve().address) as peer:
        assert len(peer.run("Large", str(8 << 20)).response.payload) == 8 << 20
        refused = peer.run("Large", str(MAXIMUM_RESULT_BYTES + 1))
    assert fault(refused).code == "RESULT_TOO_LARGE"


def test_arguments_that_belong_beside_the_ledger_are_refused(serve):
    with ScriptedPeer(serve().address) as peer:
        assert peer.run("Describe", bytes(1 << 20)).response.status == 200
        assert fault(peer.run("Describe", bytes(9 << 20))).code == "ARGUMENTS_TOO_LARGE"


@pytest.mark.parametrize("function", ["Read", "Stubborn"])
def test_a_peers_error_ends_the_transaction_even_if_the_contract_goes_on(serve, function):
    def broken(request):
        return reply(request, b"ledger closed", Message.ERROR)

    with ScriptedPeer(serve().address, script=broken) as peer:
        executed = peer.run(function, "bed")
    assert executed.error == "ledger closed"
    assert executed.writes == []


def test_a_write_that_the_peer_refuses_ends_the_transaction(serve):
    def read_only(request):
        return (
            reply(request, b"read only", Message.ERROR) if request.type == Message.WRITE_BATCH_STATE else NotImplemented
        )

    with ScriptedPeer(serve().address, ready=BOTH, script=read_only) as peer:
        assert peer.run("Write", "bed=taken").error == "read only"
        assert peer.run("Read", "bed").response.status == 200


@pytest.mark.parametrize(
    ("function", "payload"),
    [("Read", b"\xff"), ("Read", b""), ("Range", b"\xff"), ("Range", b"\x10\x01"), ("Range", b"\x0a\x03\x0a\x01\xff")],
)
def test_an_answer_that_makes_no_sense_ends_the_transaction(serve, function, payload):
    """Garbage; fewer values than keys; more results announced without any; an entry that does not parse."""
    with ScriptedPeer(serve().address, ready=BOTH, script=lambda request: reply(request, payload)) as peer:
        assert peer.run(function, "a", "b").error.startswith("The peer")


def test_a_peer_that_gives_no_answer_is_not_waited_for_for_ever(serve):
    with ScriptedPeer(serve(reply_timeout=0.1).address, script=lambda request: None) as peer:
        assert "did not answer" in peer.run("Read", "bed").error
        assert peer.broken_rules == []


@pytest.mark.parametrize(("skew", "status"), [(-299, 200), (295, 200), (-310, 400), (310, 400), (-(10**9), 400)])
def test_a_proposal_whose_time_is_far_from_the_clock_is_not_endorsed(serve, skew, status):
    now = 1_800_000_000
    with ScriptedPeer(serve(clock=lambda: float(now)).address) as peer:
        executed = peer.run("Describe", at=now + skew)
    assert executed.response.status == status
    assert status == 200 or fault(executed).code == "CLOCK_SKEW"


def test_how_far_is_an_option(serve):
    now = 1_800_000_000
    with ScriptedPeer(serve(clock=lambda: float(now), maximum_clock_skew=10).address) as peer:
        assert peer.run("Describe", at=now - 10).response.status == 200
        assert fault(peer.run("Describe", at=now - 11)).code == "CLOCK_SKEW"


def test_the_contracts_metadata_is_published(serve):
    with ScriptedPeer(serve().address) as peer:
        document = json.loads(peer.run("org.hyperledger.fabric:GetMetadata").response.payload)
    assert document["contracts"] == {"ward": {"name": "ward"}}
    assert document["info"]["title"] == "ward"
    assert document["$schema"].startswith("https://")


def test_a_contract_without_metadata_answers_for_itself(serve):
    with ScriptedPeer(serve(Bare()).address) as peer:
        executed = peer.run("org.hyperledger.fabric:GetMetadata")
    assert executed.response.payload == b"invoked org.hyperledger.fabric:GetMetadata"


@pytest.mark.parametrize("defect", ["transaction", "channel", "creator", "time", "proposal", "input"])
def test_a_proposal_that_contradicts_its_message_is_not_run(serve, defect):
    proposal = signed_proposal(
        "beef" if defect == "transaction" else "f00d",
        "other" if defect == "channel" else CHANNEL,
        0 if defect == "time" else int(time.time()),
        b"" if defect == "creator" else b"creator",
        {},
    )
    if defect == "proposal":
        proposal.proposal_bytes = b"\xff"
    payload = b"\xff" if defect == "input" else b"\x0a\x08Describe"
    with ScriptedPeer(serve().address) as peer:
        peer.send(
            Message(type=Message.TRANSACTION, txid="f00d", channel_id=CHANNEL, payload=payload, proposal=proposal)
        )
        answer = peer.stray.get(timeout=15)
        assert (answer.type, answer.txid, answer.channel_id) == (Message.ERROR, "f00d", CHANNEL)
        assert peer.run("Describe").response.status == 200
