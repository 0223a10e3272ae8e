"""Reading a transaction from its envelope: every signed or hashed byte as received, contradictions refused."""

from __future__ import annotations

import hashlib

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2 as kv
from fabric_protos.peer import proposal_response_pb2, transaction_pb2
from hypothesis import given
from hypothesis import strategies as st

from fedledger.gateway import BlockFormatError
from fedledger.gateway.blocks import (
    CollectionReadWriteSet,
    EndorserTransaction,
    HashedRead,
    HashedWrite,
    MerkleSummary,
    MetadataWrite,
    NamespaceReadWriteSet,
    RangeQuery,
    Read,
    Version,
    Write,
    parse_envelope_header,
    parse_read_write_sets,
    recorded_id,
)


@pytest.fixture
def proposal_bytes(contract):
    proposal = contract.new_proposal("Settle", arguments=["heart", b"\x01"], transient={"key": b"secret"})
    return gateway_pb2.ProposedTransaction.FromString(proposal.get_bytes()).proposal.proposal_bytes


def test_an_envelope_says_who_asked_for_what_and_what_was_answered(proposal_bytes, make_envelope, client):
    envelope = make_envelope(proposal_bytes, b"done")
    envelope.signature = b"signature"
    transaction = EndorserTransaction.parse(envelope.SerializeToString())
    assert transaction.chaincode_name == "ledger"
    assert transaction.function == "Settle"
    assert transaction.arguments == (b"Settle", b"heart", b"\x01")
    assert (transaction.response.status, transaction.response.payload) == (200, b"done")
    assert (transaction.event.event_name, transaction.event.payload) == ("RoundOpened", b"7")
    assert transaction.event.transaction_id == transaction.transaction_id
    assert transaction.creator == client.identity.serialize()
    assert (transaction.payload, transaction.signature) == (envelope.payload, b"signature")
    assert transaction.header.channel_id == "fedledger"
    assert transaction.header.expected_transaction_id == transaction.transaction_id
    assert transaction.header.timestamp_ns > 1_600_000_000 * 10**9


def test_the_proposal_hash_leaves_the_transient_data_out(proposal_bytes, make_envelope):
    transaction = EndorserTransaction.parse(make_envelope(proposal_bytes, b"").SerializeToString())
    assert transaction.proposal_hash == transaction.expected_proposal_hash
    assert b"secret" not in transaction.payload


def test_endorsements_are_over_the_answer_and_the_endorser(proposal_bytes, make_envelope):
    transaction = EndorserTransaction.parse(make_envelope(proposal_bytes, b"").SerializeToString())
    assert [e.endorser for e in transaction.endorsements] == [b"peer0.cleveland", b"peer0.hungary"]
    first = transaction.endorsements[0]
    assert transaction.endorsed_bytes(first) == transaction.proposal_response_payload + b"peer0.cleveland"
    answer = proposal_response_pb2.ProposalResponsePayload.FromString(transaction.proposal_response_payload)
    assert answer.proposal_hash == transaction.proposal_hash


def test_a_transaction_without_an_event_has_none(proposal_bytes, make_envelope):
    envelope = make_envelope(proposal_bytes, b"", event=b"")
    assert EndorserTransaction.parse(envelope.SerializeToString()).event is None


def test_the_headers_of_any_envelope_can_be_read():
    header = common_pb2.Header(
        channel_header=common_pb2.ChannelHeader(type=common_pb2.CONFIG, channel_id="c").SerializeToString(),
        signature_header=common_pb2.SignatureHeader(creator=b"admin", nonce=b"n").SerializeToString(),
    )
    envelope = common_pb2.Envelope(payload=common_pb2.Payload(header=header).SerializeToString())
    parsed = parse_envelope_header(envelope.SerializeToString())
    assert (parsed.type, parsed.channel_id, parsed.creator) == (common_pb2.CONFIG, "c", b"admin")
    assert parsed.expected_transaction_id == hashlib.sha256(b"nadmin").hexdigest()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"actions": 0}, "0 actions"),
        ({"actions": 2}, "2 actions"),
        ({"event": b"\xff\xff"}, "do not parse"),
        ({"results": b"\xff\xff"}, "read-write set"),
    ],
)
def test_an_envelope_that_no_peer_can_read_is_refused(proposal_bytes, make_envelope, changes, reason):
    with pytest.raises(BlockFormatError, match=reason):
        EndorserTransaction.parse(make_envelope(proposal_bytes, b"", **changes).SerializeToString())


def test_an_action_under_another_signature_header_is_read_as_the_endorsers_saw_it(proposal_bytes, make_envelope):
    envelope = make_envelope(proposal_bytes, b"")
    assert EndorserTransaction.parse(envelope.SerializeToString()).is_consistent
    payload = common_pb2.Payload.FromString(envelope.payload)
    transaction = transaction_pb2.Transaction.FromString(payload.data)
    transaction.actions[0].header = common_pb2.SignatureHeader(creator=b"mallory").SerializeToString()
    payload.data = transaction.SerializeToString()
    envelope.payload = payload.SerializeToString()
    parsed = EndorserTransaction.parse(envelope.SerializeToString())
    assert parsed.proposed_by.creator == b"mallory" != parsed.creator
    assert parsed.expected_proposal_hash != parsed.proposal_hash
    assert not parsed.is_consistent


def test_names_that_differ_are_read_and_told(proposal_bytes, make_envelope):
    parsed = EndorserTransaction.parse(make_envelope(proposal_bytes, b"", chaincode="other").SerializeToString())
    assert len({parsed.chaincode_name, parsed.named_in_input, parsed.answered_by.name}) == 2
    assert not parsed.is_consistent


def test_an_envelope_without_an_id_is_kept_under_that_of_its_nonce_and_creator(proposal_bytes, make_envelope):
    envelope = make_envelope(proposal_bytes, b"").SerializeToString()
    header = parse_envelope_header(envelope)
    assert recorded_id(envelope) == header.transaction_id
    payload = common_pb2.Payload()
    payload.header.signature_header = common_pb2.SignatureHeader(creator=b"admin", nonce=b"n").SerializeToString()
    without = common_pb2.Envelope(payload=payload.SerializeToString()).SerializeToString()
    assert recorded_id(without) == hashlib.sha256(b"nadmin").hexdigest()
    assert recorded_id(b"\xff") == recorded_id(common_pb2.Envelope().SerializeToString()) == ""


@pytest.mark.parametrize("content", [b"", b"\xff\xff", common_pb2.Envelope(payload=b"\xff").SerializeToString()])
def test_bytes_that_are_no_transaction_are_refused(content):
    with pytest.raises(BlockFormatError) as caught:
        EndorserTransaction.parse(content)
    assert caught.value.code == "MALFORMED_ENVELOPE"


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise_anything_else(content):
    for parse in (EndorserTransaction.parse, parse_envelope_header, parse_read_write_sets):
        try:
            parse(content)
        except BlockFormatError as error:
            assert error.code.startswith("MALFORMED_")


def version(block_number, transaction_number):
    return kv.Version(block_num=block_number, tx_num=transaction_number)


def results(**content):
    return rwset_pb2.TxReadWriteSet(
        ns_rwset=[rwset_pb2.NsReadWriteSet(namespace="ledger", rwset=kv.KVRWSet(**content).SerializeToString())]
    ).SerializeToString()


def only(content) -> NamespaceReadWriteSet:
    (found,) = parse_read_write_sets(content)
    return found


def test_reads_keep_their_versions_and_absent_keys_have_none():
    found = only(results(reads=[kv.KVRead(key="a", version=version(0, 0)), kv.KVRead(key="b")]))
    assert found.namespace == "ledger"
    assert found.reads == (Read("a", Version(0, 0)), Read("b", None))


def test_a_write_of_nothing_deletes():
    found = only(
        results(writes=[kv.KVWrite(key="a", value=b"1"), kv.KVWrite(key="b", is_delete=True), kv.KVWrite(key="c")])
    )
    assert found.writes == (Write("a", b"1"), Write("b", None), Write("c", None))


def test_range_queries_keep_their_reads_or_their_hashes():
    reads = kv.QueryReads(kv_reads=[kv.KVRead(key="a", version=version(1, 2))])
    hashes = kv.QueryReadsMerkleSummary(max_degree=50, max_level=1, max_level_hashes=[b"h"])
    found = only(
        results(
            range_queries_info=[
                kv.RangeQueryInfo(start_key="a", end_key="b", itr_exhausted=True, raw_reads=reads),
                kv.RangeQueryInfo(start_key="c", end_key="d", reads_merkle_hashes=hashes),
                kv.RangeQueryInfo(start_key="e", end_key="f", itr_exhausted=True),
            ]
        )
    )
    assert found.range_queries == (
        RangeQuery("a", "b", True, (Read("a", Version(1, 2)),), None),
        RangeQuery("c", "d", False, None, MerkleSummary(50, 1, (b"h",))),
        RangeQuery("e", "f", True, (), None),
    )


def test_metadata_writes_are_kept():
    entry = kv.KVMetadataEntry(name="VALIDATION_PARAMETER", value=b"policy")
    found = only(results(metadata_writes=[kv.KVMetadataWrite(key="a", entries=[entry])]))
    assert found.metadata_writes == (MetadataWrite("a", (("VALIDATION_PARAMETER", b"policy"),)),)


def test_private_collections_are_kept_by_their_hashes():
    hashed = kv.HashedRWSet(
        hashed_reads=[kv.KVReadHash(key_hash=b"r", version=version(3, 0))],
        hashed_writes=[
            kv.KVWriteHash(key_hash=b"w", value_hash=b"v"),
            kv.KVWriteHash(key_hash=b"d", is_delete=True),
            kv.KVWriteHash(key_hash=b"p", is_delete=True, is_purge=True),
        ],
    )
    content = rwset_pb2.TxReadWriteSet(
        ns_rwset=[
            rwset_pb2.NsReadWriteSet(
                namespace="ledger",
                collection_hashed_rwset=[
                    rwset_pb2.CollectionHashedReadWriteSet(
                        collection_name="c", hashed_rwset=hashed.SerializeToString(), pvt_rwset_hash=b"all"
                    )
                ],
            )
        ]
    )
    (collection,) = only(content.SerializeToString()).collections
    assert collection == CollectionReadWriteSet(
        "c",
        (HashedRead(b"r", Version(3, 0)),),
        (HashedWrite(b"w", b"v", False), HashedWrite(b"d", None, False), HashedWrite(b"p", None, True)),
        b"all",
    )


def test_namespaces_keep_their_order():
    content = rwset_pb2.TxReadWriteSet(
        ns_rwset=[rwset_pb2.NsReadWriteSet(namespace=name) for name in ("ledger", "_lifecycle")]
    )
    assert [found.namespace for found in parse_read_write_sets(content.SerializeToString())] == ["ledger", "_lifecycle"]
