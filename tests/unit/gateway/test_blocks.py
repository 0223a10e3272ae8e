"""Fabric's block format: vectors of real blocks, and what a block says about itself."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import pytest
from fabric_protos.common import common_pb2
from hypothesis import given
from hypothesis import strategies as st

from fedledger.gateway import BlockFormatError
from fedledger.gateway.blocks import (
    StateUpdate,
    Version,
    block_signatures,
    commit_hash,
    data_hash,
    header_bytes,
    header_hash,
    last_config_index,
    parse_block,
    recorded_commit_hash,
    signed_block_bytes,
    state_updates_bytes,
    validation_codes,
)

VECTORS = json.loads((Path(__file__).parent / "vectors" / "fabric_blocks.json").read_text())
HEADERS = VECTORS["headers"]


def header(vector):
    return common_pb2.BlockHeader(
        number=vector["number"],
        previous_hash=bytes.fromhex(vector["previous_hash"]),
        data_hash=bytes.fromhex(vector["data_hash"]),
    )


def updates(vector):
    return [
        StateUpdate(
            namespace=update["namespace"],
            collection=update["collection"],
            key=bytes.fromhex(update["key"]),
            value=None if update["value"] is None else bytes.fromhex(update["value"]),
            version=Version(*update["version"]),
        )
        for update in vector["updates"]
    ]


def read_der(content):
    """Split DER into (tag, content) pairs, refusing lengths that are not the shortest."""
    found = []
    while content:
        tag, length, content = content[0], content[1], content[2:]
        if length & 0x80:
            size = length & 0x7F
            length, content = int.from_bytes(content[:size], "big"), content[size:]
            assert length >= 0x80 and length >> (8 * (size - 1))
        assert len(content) >= length
        found.append((tag, content[:length]))
        content = content[length:]
    return found


@pytest.mark.parametrize(("earlier", "later"), list(pairwise(HEADERS)), ids=lambda v: str(v["number"]))
def test_a_real_blocks_header_hash_is_the_next_ones_previous_hash(earlier, later):
    assert header_hash(header(earlier)).hex() == later["previous_hash"]


@pytest.mark.parametrize("vector", VECTORS["commits"], ids=lambda v: str(v["block_number"]))
def test_a_real_blocks_commit_hash_follows_from_its_updates(vector):
    encoded = state_updates_bytes(updates(vector))
    previous = bytes.fromhex(vector["previous_commit_hash"])
    assert commit_hash(vector["codes"], encoded, previous).hex() == vector["commit_hash"]


@pytest.mark.parametrize(
    ("number", "der"), [(0, "020100"), (127, "02017f"), (128, "02020080"), (2**64 - 1, "020900ffffffffffffffff")]
)
def test_a_block_number_is_the_shortest_positive_integer(number, der):
    assert header_bytes(common_pb2.BlockHeader(number=number)).hex() == f"30{len(der) // 2 + 4:02x}{der}04000400"


@given(number=st.integers(0, 2**64 - 1), previous=st.binary(max_size=300), data=st.binary(max_size=40))
def test_header_bytes_are_one_sequence_of_the_three_fields(number, previous, data):
    encoded = header_bytes(common_pb2.BlockHeader(number=number, previous_hash=previous, data_hash=data))
    ((tag, content),) = read_der(encoded)
    (number_tag, number_bytes), (_, previous_bytes), (_, data_bytes) = read_der(content)
    assert (tag, number_tag) == (0x30, 0x02)
    assert int.from_bytes(number_bytes, "big", signed=True) == number
    assert (previous_bytes, data_bytes) == (previous, data)


def test_the_data_hash_is_over_all_envelopes():
    envelopes = [b"one", b"two"]
    expected = hashlib.sha256(b"onetwo").digest()
    assert data_hash(envelopes) == data_hash(common_pb2.BlockData(data=envelopes)) == expected


def test_versions_are_written_by_length_and_digits():
    assert Version(0, 0).to_bytes() == b"\x00\x00"
    assert Version(1, 2).to_bytes() == b"\x01\x01\x01\x02"
    assert Version(256, 2**64 - 1).to_bytes() == b"\x02\x01\x00" + b"\x08" + b"\xff" * 8


@given(
    a=st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**32)),
    b=st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**32)),
)
def test_bytes_of_versions_sort_as_the_versions_do(a, b):
    assert (Version(*a) < Version(*b)) == (Version(*a).to_bytes() < Version(*b).to_bytes())


@given(st.randoms(use_true_random=False))
def test_the_order_of_updates_does_not_matter(random):
    given_updates = updates(VECTORS["commits"][6])
    shuffled = given_updates.copy()
    random.shuffle(shuffled)
    assert state_updates_bytes(shuffled) == state_updates_bytes(given_updates)


def test_updates_name_namespace_and_collection_only_where_they_begin():
    version = Version(1, 1)
    encoded = state_updates_bytes(
        [
            StateUpdate("ns2", b"k4", None, version),
            StateUpdate("ns1", b"k3", b"v", version, "coll"),
            StateUpdate("ns1", b"k2", b"v", version),
            StateUpdate("ns1", b"k1", b"v", version),
            StateUpdate("", b"CHANNEL_CONFIG", b"v", version),
        ]
    )
    assert encoded == (
        b"\x0a\x12\x0a\x03ns1\x1a\x02k1\x2a\x01v\x32\x04\x01\x01\x01\x01"
        b"\x0a\x0d\x1a\x02k2\x2a\x01v\x32\x04\x01\x01\x01\x01"
        b"\x0a\x13\x12\x04coll\x1a\x02k3\x2a\x01v\x32\x04\x01\x01\x01\x01"
        b"\x0a\x11\x0a\x03ns2\x1a\x02k4\x20\x01\x32\x04\x01\x01\x01\x01"
    )


def test_one_key_has_one_last_update():
    update = StateUpdate("ns", b"k", b"v", Version(1, 0))
    with pytest.raises(ValueError, match="two updates"):
        state_updates_bytes([update, update])


def block(codes=b"\x00\x0b", envelopes=(b"one", b"two"), signatures=()):
    metadata = common_pb2.Metadata(
        value=common_pb2.OrdererBlockMetadata(last_config=common_pb2.LastConfig(index=3)).SerializeToString(),
        signatures=signatures,
    )
    commit = common_pb2.Metadata(value=b"commit hash")
    return common_pb2.Block(
        header=common_pb2.BlockHeader(number=9, previous_hash=b"previous", data_hash=b"data"),
        data=common_pb2.BlockData(data=envelopes),
        metadata=common_pb2.BlockMetadata(
            metadata=[metadata.SerializeToString(), b"", codes, b"", commit.SerializeToString()]
        ),
    )


def test_a_block_tells_codes_configuration_and_commit_hash():
    parsed = parse_block(block().SerializeToString())
    assert validation_codes(parsed) == (0, 11)
    assert last_config_index(parsed) == 3
    assert recorded_commit_hash(parsed) == b"commit hash"


def test_an_orderers_signature_is_over_value_signer_and_header():
    signer = common_pb2.SignatureHeader(creator=b"orderer", nonce=b"n").SerializeToString()
    parsed = block(signatures=[common_pb2.MetadataSignature(signature_header=signer, signature=b"s")])
    value = common_pb2.Metadata.FromString(parsed.metadata.metadata[0]).value
    (signature,) = block_signatures(parsed)
    assert (signature.creator, signature.consenter_id, signature.signature) == (b"orderer", None, b"s")
    assert signature.signed_bytes == value + signer + header_bytes(parsed.header)
    assert signature.signed_bytes == signed_block_bytes(value, signer, parsed.header)


def test_a_smartbft_orderer_is_named_by_its_number():
    signer = common_pb2.IdentifierHeader(identifier=4, nonce=b"n").SerializeToString()
    parsed = block(signatures=[common_pb2.MetadataSignature(identifier_header=signer, signature=b"s")])
    (signature,) = block_signatures(parsed)
    assert (signature.creator, signature.consenter_id) == (None, 4)
    assert signer in signature.signed_bytes


def test_a_genesis_block_has_no_signatures_and_no_commit_hash():
    genesis = common_pb2.Block(header=common_pb2.BlockHeader(number=0))
    assert block_signatures(genesis) == ()
    assert recorded_commit_hash(genesis) == b""
    assert last_config_index(genesis) == 0


@pytest.mark.parametrize("codes", [b"", b"\x00", b"\x00\x00\x00"])
def test_a_block_without_one_code_for_each_transaction_is_refused(codes):
    with pytest.raises(BlockFormatError) as caught:
        validation_codes(block(codes))
    assert caught.value.code == "MALFORMED_BLOCK" and "Block 9" in caught.value.message


@pytest.mark.parametrize("content", [b"", b"\xff\xff", b"\x0a\x05abc"])
def test_bytes_that_are_no_block_are_refused(content):
    with pytest.raises(BlockFormatError):
        parse_block(content)


def test_metadata_that_does_not_parse_is_refused():
    parsed = block()
    parsed.metadata.metadata[0] = b"\xff\xff"
    for read in (block_signatures, last_config_index):
        with pytest.raises(BlockFormatError, match="block 9"):
            read(parsed)
