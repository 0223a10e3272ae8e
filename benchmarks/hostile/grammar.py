"""Nearly what was meant: valid messages with something changed, arguments of the right kind, and bytes of no kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from fedledger_chaincode.contract import TRANSACTIONS
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.messages.base import canonical
from fedledger_chaincode.rules.field import MODULUS

Json = Any
BOUNDARIES = (0, 1, 2, 3, 9, 10, 1_000_000, 2**31, 2**53 - 2, 2**53 - 1, 2**53, 2**63, -1)
STRANGE = (
    "",
    " ",
    "a",
    "\x1b[2J\x1b]0;owned\x07",
    "line\r\nanother\u2028third",
    "\u202etxt.exe",
    "name/with/slashes",
    "..",
    "\x7f",
    "é" * 40,
    "x" * 3_000,
    "0" * 64,
    "f" * 64,
    "A" * 64,
)
_HEX = "0123456789abcdef"
_LONGEST = 40


@dataclass
class Words:
    """What has been seen of digests, names and numbers: what is told is often told of something that exists."""

    digests: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    messages: dict[str, list[Json]] = field(default_factory=dict)
    """Documents of valid messages, by transaction."""

    def see(self, digests: Iterable[str] = (), names: Iterable[str] = (), numbers: Iterable[int] = ()) -> None:
        """Remember the newest of each."""
        for known, seen in ((self.digests, digests), (self.names, names), (self.numbers, numbers)):
            fresh = [each for each in dict.fromkeys(seen) if each not in known]
            known.extend(fresh)  # type: ignore[arg-type]
            del known[:-_LONGEST]

    def see_message(self, function: str, document: Json) -> None:
        """Remember a valid message of a transaction."""
        known = self.messages.setdefault(function, [])
        known.append(document)
        del known[:-_LONGEST]

    def digest(self, rng: Random) -> str:
        """64 hex digits, of something or of nothing."""
        if self.digests and rng.random() < 0.8:
            return rng.choice(self.digests)
        return "".join(rng.choices(_HEX, k=64))

    def number(self, rng: Random) -> int:
        """A number that means something, or one at the edge of what there is."""
        return rng.choice(self.numbers) if self.numbers and rng.random() < 0.5 else rng.choice(BOUNDARIES)

    def text(self, rng: Random) -> str:
        """A name that means something, or a text that means harm."""
        return rng.choice(self.names) if self.names and rng.random() < 0.5 else rng.choice(STRANGE)


def mutated(document: Json, words: Words, rng: Random, changes: int | None = None) -> Json:
    """The document with one thing changed, or a few."""
    for _ in range(changes or rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(document))
        place = rng.choice(places)
        document = _replaced(document, place, lambda value: _another(value, words, rng))
        if rng.random() < 0.1:
            document = _distorted(document, rng)
    return document


def _places(document: Json, path: tuple[Any, ...] = ()) -> Iterable[tuple[Any, ...]]:
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield from _places(value, (*path, key))
    elif isinstance(document, list):
        if path:
            yield path
        for index, value in enumerate(document):
            yield from _places(value, (*path, index))
    else:
        yield path


def _replaced(document: Json, path: tuple[Any, ...], change: Callable[[Json], Json]) -> Json:
    if not path:
        return change(document)
    copy = dict(document) if isinstance(document, Mapping) else list(document)
    copy[path[0]] = _replaced(copy[path[0]], path[1:], change)
    return copy


def _another(value: Json, words: Words, rng: Random) -> Json:
    if rng.random() < 0.05:
        return rng.choice((None, [], {}, True, 1.5, "text", 7))
    match value:
        case bool():
            return not value
        case int():
            return rng.choice((value + 1, value - 1, -value, words.number(rng)))
        case str() if len(value) == 64 and set(value) <= set(_HEX):
            return rng.choice((words.digest(rng), words.digest(rng), value.upper(), value[:-1], value[::-1]))
        case str() if len(value) == 16 and set(value) <= set(_HEX):
            number = rng.choice((0, 1, MODULUS - 1, MODULUS, (int(value, 16) + 1) % MODULUS, 2**64 - 1))
            return f"{number:016x}"
        case str():
            return words.text(rng)
        case list():
            return _another_list(value, rng)
        case None:
            return rng.choice((0, 1, "", 500_000))
        case _:
            return value


def _another_list(value: list[Json], rng: Random) -> list[Json]:
    """Entries doubled, left out, in another order, or many."""
    copy = list(value)
    match rng.randrange(5):
        case 0 if copy:
            copy.insert(rng.randrange(len(copy)), rng.choice(copy))
        case 1 if copy:
            copy.pop(rng.randrange(len(copy)))
        case 2:
            rng.shuffle(copy)
        case 3:
            return []
        case _:
            copy = copy * rng.choice((2, 20))
    return copy


def _distorted(document: Json, rng: Random) -> Json:
    """An object with a field too many or too few."""
    if not isinstance(document, Mapping) or not document:
        return document
    copy = dict(document)
    if rng.random() < 0.5:
        del copy[rng.choice(list(copy))]
    else:
        copy[rng.choice(("extra", "schema", "task", "round"))] = rng.choice((1, "x", None, "fedledger/task/1"))
    return copy


def message_bytes(document: Json, rng: Random) -> bytes:
    """The document as it should be encoded, mostly."""
    with_fault = rng.random()
    if with_fault > 0.04:
        try:
            return canonical(document)
        except ContractError:
            pass
    text = json.dumps(document, indent=1 if with_fault < 0.02 else None)
    return text.encode("utf-8", "surrogatepass")


def garbage(rng: Random) -> bytes:
    """Bytes that are no message."""
    match rng.randrange(5):
        case 0:
            return rng.randbytes(rng.choice((0, 1, 30, 3_000)))
        case 1:
            return b"[" * rng.choice((10, 100_000))
        case 2:
            return b'{"schema":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}"
        case 3:
            return rng.choice(STRANGE).encode("utf-8", "surrogatepass")
        case _:
            return b'{"task":"\\ud800","round":1e400}'


def arguments_of(function: str, words: Words, rng: Random) -> list[bytes]:
    """Arguments of any transaction: of the right number and kind, mostly."""
    made: list[bytes] = []
    kinds = list(TRANSACTIONS[function].arguments.values())
    if kinds and kinds[-1] == "messages":
        kinds = [*kinds[:-1], *["message"] * rng.choice((1, 1, 2, 5))]  # type: ignore[list-item]
    for kind in kinds:
        if rng.random() < 0.08:
            made.append(garbage(rng))
            continue
        match kind:
            case "integer":
                made.append(str(words.number(rng)).encode())
            case "message":
                made.append(_message(function, words, rng))
            case _:
                made.append((words.digest(rng) if rng.random() < 0.2 else words.text(rng)).encode("utf-8", "replace"))
    if rng.random() < 0.03:
        made.append(b"one too many")
    return made


def _message(function: str, words: Words, rng: Random) -> bytes:
    known = words.messages.get(function) if rng.random() < 0.85 else None
    if known is None:
        others = [document for documents in words.messages.values() for document in documents]
        if not others:
            return garbage(rng)
        known = others
    document = rng.choice(known)
    return message_bytes(document if rng.random() < 0.15 else mutated(document, words, rng), rng)
