"""Looking for secret numbers in bytes, in every form in which a program would plausibly have written them."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

_WINDOW = 3
"""Consecutive numbers that have to be found together: one alone may be there by chance."""
_TYPES = {"f": ("<f4", ">f4", "<f8", ">f8"), "i": ("<i8", ">i8"), "u": ("<u8", ">u8")}


def encodings(numbers: np.ndarray) -> set[bytes]:
    """A short stretch of ``numbers``, the largest in magnitude among them, in binary, base64, hex and decimal."""
    places = sorted({0, int(np.argmax(np.abs(numbers))) - _WINDOW // 2, len(numbers) - _WINDOW})
    found: set[bytes] = set()
    for place in places:
        start = min(max(place, 0), len(numbers) - _WINDOW)
        window = numbers[start : start + _WINDOW]
        if not np.any(window):
            continue
        for kind in _TYPES[numbers.dtype.kind]:
            raw = window.astype(kind).tobytes()
            found |= {raw, raw.hex().encode(), *_base64(raw)}
        values = [v.item() for v in window]
        for separator in (",", ", ", " ", "\n"):
            found.add(separator.join(repr(value) for value in values).encode())
    return found


def _base64(raw: bytes) -> Iterable[bytes]:
    """What of the base64 of ``raw`` does not depend on what stands before and behind it, for each alignment."""
    for lead in range(3):
        text = base64.b64encode(bytes(lead) + raw)
        yield text[4 if lead else 0 : -4]


def places_of(needles: Iterable[bytes], files: Mapping[str, bytes]) -> list[str]:
    """The files that hold any of the needles."""
    wanted = list(needles)
    return [name for name, content in files.items() if any(needle in content for needle in wanted)]


def holds_numbers(pid: int, stretches: Iterable[np.ndarray]) -> bool:
    """Whether the writable memory of a process holds one of the stretches of numbers, aligned as an array's items are.

    Needs the right to trace the process.
    """
    wanted = [stretch.view(f"<u{stretch.dtype.itemsize}") for stretch in stretches]
    return any(_holds(region, stretch) for region in _regions(pid) for stretch in wanted)


def _regions(pid: int) -> Iterator[bytes]:
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, access = line.split()[:2]
            if access.startswith("rw"):
                start, end = (int(bound, 16) for bound in span.split("-"))
                memory.seek(start)
                with contextlib.suppress(OSError):  # it may have given this part back since
                    yield memory.read(end - start)


def _holds(region: bytes, stretch: np.ndarray) -> bool:
    size = stretch.dtype.itemsize
    words = np.frombuffer(region[: len(region) // size * size], dtype=stretch.dtype)
    starts = np.flatnonzero(words[: len(words) - len(stretch)] == stretch[0])
    return any(np.array_equal(words[start : start + len(stretch)], stretch) for start in starts)
