"""Messages are read as Go reads them, also where Python's own reader differs."""

from __future__ import annotations

import re

import pytest
from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from fedledger.gateway.wire import parse_message

HEADER = common_pb2.ChannelHeader(type=3, channel_id="channel", tx_id="id").SerializeToString()
BEGIN, END = b"\xfb\x01", b"\xfc\x01"


@pytest.mark.parametrize(
    "odd",
    [
        b"\x8a" + b"\x80" * 8 + b"\x00\x01x",
        b"\xfa\x01" + b"\x81" + b"\x80" * 8 + b"\x00x",
        BEGIN * 101 + END * 101,
        BEGIN * 10_001 + END * 10_001,
        BEGIN + b"\xf8\x01" + b"\xff" * 9 + b"\x01" + END,
        b"\x20\x05",
    ],
    ids=["a long tag", "a long length", "nested groups", "as nested as may be", "a group's number", "another kind"],
)
def test_what_go_takes_is_read(odd: bytes) -> None:
    header = parse_message(common_pb2.ChannelHeader, odd + HEADER + odd)
    assert (header.type, header.channel_id, header.tx_id) == (3, "channel", "id")


@pytest.mark.parametrize(
    "odd",
    [
        b"\xf8\x01" + b"\xff" * 9 + b"\x02",
        b"\x08" + b"\xff" * 9 + b"\x7f",
        b"\xfa\x01" + b"\x81" + b"\x80" * 8 + b"\x02x",
        b"\x82\x80\x80\x80\x10\x00",
        b"\x02\x00",
        BEGIN * 10_002 + END * 10_002,
        BEGIN,
        END,
        BEGIN + b"\xf4\x01",
        BEGIN + b"\xf8\x01" + b"\xff" * 9 + b"\x02" + END,
        b"\xfe\x01",
        b"\xfa\x01\x05x",
        b"\xfd\x01x",
        b"\xf9\x01x",
        b"\xf8\x01",
        b"\x80" * 11,
        b"\x22\x01\xff",
    ],
)
def test_what_go_refuses_is_refused(odd: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_message(common_pb2.ChannelHeader, HEADER + odd)


def test_what_is_odd_within_a_known_message_is_read_too() -> None:
    read = b"\x0a\x01k" + BEGIN * 101 + END * 101
    rwset = parse_message(kv_rwset_pb2.KVRWSet, b"\x0a" + bytes((len(read) & 0x7F | 0x80, len(read) >> 7)) + read)
    assert [each.key for each in rwset.reads] == ["k"]


@given(st.binary(max_size=60).filter(lambda content: not re.search(rb"[\x80-\xff]{9}", content)))
def test_bytes_without_long_numbers_that_python_reads_give_what_python_reads(content: bytes) -> None:
    try:
        expected = common_pb2.Payload.FromString(content)
    except DecodeError:
        return
    assert parse_message(common_pb2.Payload, content) == expected


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_a_message_is_the_same_by_either_way(channel: bytes, signature: bytes, data: bytes) -> None:
    header = common_pb2.Header(channel_header=channel, signature_header=signature)
    payload = common_pb2.Payload(header=header, data=data)
    assert parse_message(common_pb2.Payload, payload.SerializeToString() + BEGIN * 101 + END * 101) == payload
