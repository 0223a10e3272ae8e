"""Protobuf messages as Fabric's programs read them, which is as Go does; refuses what they refuse.

Python's reader takes numbers of more than 64 bits, and refuses field numbers in more than five bytes and unknown groups
in more than a hundred others. What one reader takes and another one refuses would be a transaction that peers commit
and no auditor can read. Source: google.golang.org/protobuf, ``encoding/protowire``, ``internal/impl/decode.go``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

_VARINT, _FIXED64, _BYTES, _GROUP, _END_GROUP, _FIXED32 = range(6)
_LARGEST_FIELD = (1 << 29) - 1
_LARGEST_NESTED_FIELD = (1 << 31) - 1
_DEEPEST = 10_001
_LONGEST_VARINT = 10
_BITS = (1 << 64) - 1
_TOO_LONG = re.compile(rb"[\x80-\xff]{9}[\x02-\x7f]")
"""What a number of more than 64 bits holds; Python's reader takes it."""


def parse_message(kind: Any, content: bytes) -> Any:
    """Parse a message of a generated class; raises ``DecodeError``."""
    if not _TOO_LONG.search(content):
        try:
            return kind.FromString(content)
        except DecodeError:
            pass
    return kind.FromString(_plain(kind.DESCRIPTOR, content))


def _plain(kind: Any, content: bytes) -> bytes:
    """The fields that a message of that ``Descriptor`` has, in their shortest encoding."""
    made = bytearray()
    for number, wire, value in _fields(content):
        field = kind.fields_by_number.get(number)
        if field is None:
            continue
        made += varint(number << 3 | wire)
        if wire == _VARINT:
            made += varint(int(value))
        elif wire == _BYTES:
            held = bytes(value)
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                held = _plain(field.message_type, held)
            made += varint(len(held)) + held
        else:
            made += value
    return bytes(made)


def _fields(content: bytes) -> Iterator[tuple[int, int, Any]]:
    """Number, wire type and value of each field but groups."""
    place = 0
    while place < len(content):
        tag, place = _number(content, place)
        number, wire = tag >> 3, tag & 7
        if not 1 <= number <= _LARGEST_FIELD:
            raise DecodeError("a field has a number that there is not")
        if wire == _GROUP:
            place = _behind_group(content, place, number)
            continue
        if wire == _END_GROUP:
            raise DecodeError("a group ends that has not begun")
        end = _behind(content, place, wire)
        if wire == _VARINT:
            yield number, wire, _number(content, place)[0]
        elif wire == _BYTES:
            yield number, wire, content[_number(content, place)[1] : end]
        else:
            yield number, wire, content[place:end]
        place = end


def _behind_group(content: bytes, place: int, number: int) -> int:
    """The place behind a group and the groups in it."""
    open_groups = [number]
    while open_groups:
        tag, place = _number(content, place)
        inner, wire = tag >> 3, tag & 7
        if not 1 <= inner <= _LARGEST_NESTED_FIELD:
            raise DecodeError("a field has a number that there is not")
        if wire == _END_GROUP:
            if inner != open_groups.pop():
                raise DecodeError("a group ends that has not begun")
        elif wire == _GROUP:
            open_groups.append(inner)
            if len(open_groups) > _DEEPEST:
                raise DecodeError("groups are in too many others")
        else:
            place = _behind(content, place, wire)
    return place


def _behind(content: bytes, place: int, wire: int) -> int:
    """The place behind a value."""
    match wire:
        case 0:
            return _number(content, place)[1]
        case 1:
            end = place + 8
        case 2:
            length, place = _number(content, place)
            end = place + length
        case 5:
            end = place + 4
        case _:
            raise DecodeError("a field has a type that there is not")
    if end > len(content):
        raise DecodeError("a field is cut off")
    return end


def _number(content: bytes, place: int) -> tuple[int, int]:
    """A varint of at most 64 bits, and the place behind it."""
    number = 0
    for octet in range(_LONGEST_VARINT):
        if place >= len(content):
            raise DecodeError("a number is cut off")
        number |= (content[place] & 0x7F) << 7 * octet
        place += 1
        if content[place - 1] < 0x80:
            if number > _BITS:
                break
            return number, place
    raise DecodeError("a number is too long")


def varint(number: int) -> bytes:
    """A number in base 128, lowest digits first (Protocol Buffers, *Encoding*)."""
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)
