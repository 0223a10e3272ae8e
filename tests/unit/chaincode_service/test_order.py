"""Whatever is read or written, in whatever batches: nothing is lost, doubled or swapped."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedledger_chaincode.service import ChaincodeServer
from fedledger_chaincode.service.capabilities import ChaincodeAdditionalParams, PeerCapabilities
from tests.unit.chaincode_service.peer import SECONDS, ScriptedPeer, capabilities
from tests.unit.chaincode_service.ward import Ward

KEYS = st.text("abcé\U0001f6cf/~", min_size=1, max_size=4)
ENTRIES = st.dictionaries(KEYS, st.text(min_size=1, max_size=5), max_size=12)
BATCHES = st.integers(0, 5)
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory() as folder,
        ChaincodeServer(Ward(), f"unix:{folder}/cc.sock", chaincode_id="ward") as server,
    ):
        yield server.address


@EXAMPLES
@given(world=ENTRIES, keys=st.lists(KEYS, max_size=12), size=BATCHES)
def test_values_come_in_the_order_of_their_keys(address, world, keys, size):
    stored = {key: value.encode() for key, value in world.items()}
    with ScriptedPeer(address, world=stored, ready=capabilities(get_multiple=size)) as peer:
        executed = peer.run("Read", *keys)
    assert json.loads(executed.response.payload) == [world.get(key) for key in keys]
    assert len(executed.requests) == (-(-len(keys) // size) if size else len(keys))


@EXAMPLES
@given(writes=st.lists(st.tuples(KEYS, st.none() | st.text(min_size=1, max_size=5)), min_size=1), size=BATCHES)
def test_each_keys_last_write_is_sent_once_in_the_order_of_first_writes(address, writes, size):
    arguments = [key if value is None else f"{key}={value}" for key, value in writes]
    with ScriptedPeer(address, ready=capabilities(write_batch=size)) as peer:
        executed = peer.run("Write", *arguments)
    last = {key: None if value is None else value.encode() for key, value in writes}
    assert executed.writes == list(last.items())


@EXAMPLES
@given(world=ENTRIES, start=KEYS | st.just(""), end=KEYS | st.just(""), page=st.integers(1, 5))
def test_a_range_is_the_sorted_keys_between_its_ends(address, world, start, end, page):
    stored = {key: value.encode() for key, value in world.items()}
    with ScriptedPeer(address, world=stored, page=page) as peer:
        executed = peer.run("Range", start, end)
    assert json.loads(executed.response.payload) == [
        key for key in sorted(world) if start <= key and (key < end or not end)
    ]
    assert not (peer.broken_rules or executed.open_iterators)


@EXAMPLES
@given(transactions=st.lists(st.lists(KEYS, min_size=1, max_size=4), min_size=1, max_size=12), size=BATCHES)
def test_transactions_of_one_stream_never_get_each_others_answers(address, transactions, size):
    stored = {key: f"<{key}>".encode() for keys in transactions for key in keys}
    with ScriptedPeer(address, world=stored, ready=capabilities(size, size)) as peer:
        futures = [peer.begin("Read", *keys) for keys in transactions]
        answers = [json.loads(future.result(SECONDS).response.payload) for future in futures]
    assert answers == [[f"<{key}>" for key in keys] for keys in transactions]
    assert peer.broken_rules == []


@given(
    offers=st.tuples(st.booleans(), st.booleans()),
    sizes=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    later=st.binary(max_size=5),
)
def test_what_a_peer_offers_is_read_from_its_parameters(offers, sizes, later):
    """Fields of later versions are passed over."""
    params = ChaincodeAdditionalParams(
        use_write_batch=offers[0],
        max_size_write_batch=sizes[0],
        use_get_multiple_keys=offers[1],
        max_size_get_multiple_keys=sizes[1],
    )
    unknown = b"\x2a" + bytes([len(later)]) + later
    read = PeerCapabilities.from_ready(params.SerializeToString() + unknown)
    expected = [(size or 100) if offered else 0 for offered, size in zip(offers, sizes, strict=True)]
    assert [read.write_batch, read.get_multiple] == expected
