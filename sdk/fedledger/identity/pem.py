"""The first block of a PEM text (RFC 7468), found where Fabric finds it; decides nothing about its content."""

from __future__ import annotations

import base64
import binascii
import re

_BEGIN = b"-----BEGIN "
_END = b"\n-----END "
_DASHES = b"-----"
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")


def first_block(text: bytes) -> bytes | None:
    """What the first whole block holds, whatever its label; None when there is none.

    Text before and behind a block means nothing. A block begins with the last ``BEGIN`` line before the first ``END``
    line; where the two do not belong together, the search goes on behind that ``END``.
    """
    rest = text
    while (end := rest.find(_END)) >= 0:
        begin = rest.rfind(_BEGIN, 0, end)
        behind = end + len(_END)
        if begin < 0 or (begin and rest[begin - 1] != 0x0A):
            rest = rest[behind:]
            continue
        label, body = _line(rest[begin + len(_BEGIN) :])
        place = begin + len(_BEGIN)
        if not label.endswith(_DASHES):
            rest = rest[behind:] if behind > place else rest
            continue
        content = _content(body, label[: -len(_DASHES)])
        if content is not None:
            return content
        if not body:
            return None
        rest = rest[behind:]
    return None


def _content(body: bytes, label: bytes) -> bytes | None:
    """The bytes of a block whose first line has been read; None when it is not well-formed."""
    has_headers = False
    while body:
        line, following = _line(body)
        if b":" not in line:
            break
        has_headers, body = True, following
    # A block without content has its END right behind its BEGIN, whose end of line has been read.
    joined = b"\n" + body
    end = joined.find(_END)
    if end < 0 or (has_headers and not end):
        return None
    trailer = joined[end + len(_END) :]
    if not trailer.startswith(label + _DASHES) or _line(trailer[len(label) + len(_DASHES) :])[0]:
        return None
    return _decoded(joined[1:end])


def _decoded(text: bytes) -> bytes | None:
    compact = text.translate(None, b" \t\r\n")
    if len(compact) % 4 or not _BASE64.fullmatch(compact):
        return None
    try:
        return base64.b64decode(compact)
    except binascii.Error:
        return None


def _line(data: bytes) -> tuple[bytes, bytes]:
    """A line without its end and the white space before it, and what follows."""
    line, _, rest = data.partition(b"\n")
    if line.endswith(b"\r") and len(line) < len(data):
        line = line[:-1]
    return line.rstrip(b" \t"), rest
