"""DER (ITU-T X.690) read strictly from front to back; refuses every encoding but the shortest.

``Reader`` takes one element after the other and leaves what is behind it, so that its user decides what may follow.
Tags are single octets, lengths have at most four, as Fabric's programs read them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OBJECT_IDENTIFIER = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTF8_STRING, NUMERIC_STRING, PRINTABLE_STRING, T61_STRING, IA5_STRING, BMP_STRING = 0x0C, 0x12, 0x13, 0x14, 0x16, 0x1E
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31
_HIGH_TAG = 0x1F
_LONGEST_LENGTH = 4
_LONGEST_ARC = 5
_LARGEST_ARC = 1 << 31
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097
_EPOCH_DAYS = date(1970, 1, 1).toordinal()
_UTC_TIME = re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(Z|[+-]\d{4})")
_GENERALIZED_TIME = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(Z|[+-]\d{4})")
_LATEST = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""


class DerError(ValueError):
    """The bytes are not the encoding of what is asked for."""


@dataclass(frozen=True)
class Element:
    """One element: its tag, its content, and all of its bytes."""

    tag: int
    content: bytes
    encoded: bytes


@dataclass(frozen=True)
class BitString:
    """The bytes of a BIT STRING and how many bits of the last one do not count."""

    data: bytes
    unused: int

    def has(self, place: int) -> bool:
        """Whether the bit at ``place``, the first one being 0, is set; False where there is none."""
        return place < 8 * len(self.data) - self.unused and bool(self.data[place // 8] >> (7 - place % 8) & 1)

    def aligned(self) -> bytes:
        """The bits moved so that the last one that counts ends the last byte."""
        return (int.from_bytes(self.data, "big") >> self.unused).to_bytes(len(self.data), "big")


class Reader:
    """The elements of some bytes, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def rest(self) -> bytes:
        """What has not been read."""
        return self._data[self._place :]

    def __bool__(self) -> bool:
        return self._place < len(self._data)

    def next_is(self, tag: int) -> bool:
        """Whether the next element has that tag."""
        return bool(self) and self._data[self._place] == tag

    def any(self) -> Element:
        """Take the next element; raises ``DerError``, as all that follow."""
        header = self._data[self._place : self._place + 2]
        if len(header) < 2 or header[0] & _HIGH_TAG == _HIGH_TAG:
            raise DerError("there is no element")
        begin = self._place + 2
        length = header[1]
        if length & 0x80:
            octets = self._data[begin : begin + (length & 0x7F)]
            if not 0 < length & 0x7F <= _LONGEST_LENGTH or len(octets) != length & 0x7F:
                raise DerError("a length is not understood")
            length = int.from_bytes(octets, "big")
            if length < 0x80 or not octets[0]:
                raise DerError("a length is longer than it needs to be")
            begin += len(octets)
        end = begin + length
        if end > len(self._data):
            raise DerError("an element is cut off")
        element = Element(header[0], self._data[begin:end], self._data[self._place : end])
        self._place = end
        return element

    def take(self, tag: int) -> Element:
        """Take the next element, which has that tag."""
        if not self.next_is(tag):
            raise DerError(f"an element has not the tag {tag:#04x}")
        return self.any()

    def optional(self, tag: int) -> Element | None:
        """Take the next element if it has that tag."""
        return self.any() if self.next_is(tag) else None

    def inside(self, tag: int) -> Reader:
        """A reader of the next element's content."""
        return Reader(self.take(tag).content)

    def integer(self) -> int:
        content = self.take(INTEGER).content
        if not content or (len(content) > 1 and content[0] in (0x00, 0xFF) and content[0] >> 7 == content[1] >> 7):
            raise DerError("an integer is not the shortest one")
        return int.from_bytes(content, "big", signed=True)

    def boolean(self) -> bool:
        content = self.take(BOOLEAN).content
        if content not in (b"\x00", b"\xff"):
            raise DerError("a boolean is neither true nor false")
        return content == b"\xff"

    def oid(self) -> str:
        """The next OBJECT IDENTIFIER in dotted form."""
        return dotted(self.take(OBJECT_IDENTIFIER).content)

    def bits(self) -> BitString:
        content = self.take(BIT_STRING).content
        if not content:
            raise DerError("a bit string has no first byte")
        found = BitString(content[1:], content[0])
        last = found.data[-1] if found.data else 0
        if found.unused > 7 or (found.unused and not found.data) or last & ((1 << found.unused) - 1):
            raise DerError("a bit string has bits where none may be")
        return found

    def time(self) -> int:
        """The next UTCTime or GeneralizedTime in seconds since 1970 UTC."""
        element = self.any()
        pattern = {UTC_TIME: _UTC_TIME, GENERALIZED_TIME: _GENERALIZED_TIME}.get(element.tag)
        parts = None if pattern is None else pattern.fullmatch(element.content)
        if parts is None:
            raise DerError("a time cannot be read")
        year, month, day, hour, minute, second = (int(part or 0) for part in parts.groups()[:6])
        if element.tag == UTC_TIME:
            year += 1900 if year >= 50 else 2000  # RFC 5280, 4.1.2.5.1
        try:
            days = date(year % _CYCLE_YEARS + _CYCLE_YEARS, month, day).toordinal()
        except ValueError:
            raise DerError("a time is not in the calendar") from None
        days += (year // _CYCLE_YEARS - 1) * _CYCLE_DAYS - _EPOCH_DAYS
        if hour > 23 or minute > 59 or second > 59:
            raise DerError("a time is not on the clock")
        return 86_400 * days + 3_600 * hour + 60 * minute + second - _offset(parts.group(7))


def dotted(content: bytes) -> str:
    """The content of an OBJECT IDENTIFIER in dotted form; raises ``DerError``."""
    arcs: list[int] = []
    octets: list[int] = []
    for octet in content:
        if not octets and octet == 0x80:
            raise DerError("an object identifier is longer than it needs to be")
        octets.append(octet & 0x7F)
        if octet & 0x80:
            continue
        arc = sum(part << 7 * place for place, part in enumerate(reversed(octets)))
        if len(octets) > _LONGEST_ARC or arc >= _LARGEST_ARC:
            raise DerError("an object identifier has a number that is too large")
        arcs.append(arc)
        octets = []
    if not arcs or octets:
        raise DerError("an object identifier is cut off")
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def encode(tag: int, *contents: bytes) -> bytes:
    """One element with the contents behind each other."""
    content = b"".join(contents)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def encode_integer(number: int) -> bytes:
    """The INTEGER of a number that is not negative."""
    return encode(INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def aware(seconds: int) -> datetime:
    """Seconds since 1970 as an aware time, at the year 1 or 9999 where it is further away."""
    least = datetime.min.replace(tzinfo=UTC)
    if seconds >= _LATEST:
        return datetime.fromtimestamp(_LATEST, UTC)
    return max(least, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=max(seconds, -62_135_596_800)))


def _offset(zone: bytes) -> int:
    if zone == b"Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:5])
    if not (hours or minutes) or hours > 24 or minutes > 59:
        raise DerError("a time has a zone that is none")
    return (-60 if zone[:1] == b"-" else 60) * (60 * hours + minutes)
