"""A small contract that uses every part of the stub, for a ward's beds; ``--contract tests...ward:Ward`` names it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.stub import Stub


class Bare:
    """A contract without metadata: it names its functions' own names back."""

    def invoke(self, stub: Stub) -> bytes:
        return f"invoked {stub.function}".encode()


class Endless:
    """``Loop`` never returns; ``Enter`` returns once a ``Loop`` is under way."""

    def __init__(self) -> None:
        self._looping = threading.Event()

    def invoke(self, stub: Stub) -> bytes:
        if stub.function == "Loop":
            self._looping.set()
            threading.Event().wait()
        self._looping.wait()
        return b""


class Ward:
    """Functions by name; ``Meet`` waits until as many transactions as ``together`` has parties are in it."""

    def __init__(self) -> None:
        self.together = threading.Barrier(1)
        self.entered = threading.Semaphore(0)
        self.leave = threading.Event()
        self._functions: dict[str, Callable[[Stub], bytes]] = {
            "Describe": _describe,
            "Read": _read,
            "Write": _write,
            "Range": _range,
            "FirstOf": _first_of,
            "Announce": _announce,
            "Refuse": _refuse,
            "Crash": _crash,
            "Stubborn": _stubborn,
            "Empty": _empty,
            "Text": lambda stub: "no bytes",  # type: ignore[return-value,dict-item]
            "Large": lambda stub: bytes(int(stub.arguments[0])),
            "Meet": self._meet,
            "Stay": self._stay,
        }

    def invoke(self, stub: Stub) -> bytes:
        return self._functions[stub.function](stub)

    def metadata(self) -> dict[str, object]:
        return {"info": {"title": "ward", "version": "1"}, "contracts": {"ward": {"name": "ward"}}}

    def _meet(self, stub: Stub) -> bytes:
        self.together.wait(15)
        (value,) = stub.get_state([_text(stub, 0)])
        return value or b""

    def _stay(self, stub: Stub) -> bytes:
        """Write, then stay until the test says so, then read."""
        stub.put_state("bed", b"taken")
        self.entered.release()
        self.leave.wait(15)
        stub.get_state(["bed"])
        return b"left"

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Wait for a ``Stay`` to be in; let it go on afterwards."""
        if not self.entered.acquire(timeout=15):
            raise TimeoutError("nobody came")
        try:
            yield
        finally:
            self.leave.set()


def _text(stub: Stub, index: int) -> str:
    return stub.arguments[index].decode()


def _describe(stub: Stub) -> bytes:
    return json.dumps(
        {
            "function": stub.function,
            "arguments": [argument.hex() for argument in stub.arguments],
            "transaction": stub.transaction_id,
            "channel": stub.channel_id,
            "creator": stub.creator.hex(),
            "timestamp": stub.timestamp,
            "transient": {name: value.hex() for name, value in stub.transient.items()},
        }
    ).encode()


def _read(stub: Stub) -> bytes:
    values = stub.get_state([argument.decode() for argument in stub.arguments])
    return json.dumps([None if value is None else value.decode() for value in values]).encode()


def _write(stub: Stub) -> bytes:
    """``key=value`` writes, ``key`` alone deletes; afterwards the first key is read."""
    keys = []
    for argument in stub.arguments:
        key, assigned, value = argument.decode().partition("=")
        keys.append(key)
        if assigned:
            stub.put_state(key, value.encode())
        else:
            stub.delete_state(key)
    (value_read,) = stub.get_state(keys[:1])
    return value_read or b""


def _range(stub: Stub) -> bytes:
    return json.dumps([key for key, _ in stub.get_state_range(_text(stub, 0), _text(stub, 1))]).encode()


def _first_of(stub: Stub) -> bytes:
    """The first of a range, the rest left unread, and a write."""
    key, value = next(iter(stub.get_state_range(_text(stub, 0), _text(stub, 1))))
    stub.put_state("first", key.encode())
    return value


def _announce(stub: Stub) -> bytes:
    for name, payload in zip(stub.arguments[::2], stub.arguments[1::2], strict=True):
        stub.set_event(name.decode(), payload)
    return b""


def _refuse(stub: Stub) -> bytes:
    stub.put_state("bed", b"taken")
    stub.set_event("BedTaken", b"")
    raise ContractError(int(stub.arguments[0]), _text(stub, 1), json.loads(stub.arguments[2]), _text(stub, 3))


def _crash(stub: Stub) -> bytes:
    (diagnosis,) = stub.get_state([_text(stub, 0)])
    stub.put_state("bed", b"taken")
    try:
        raise LookupError(f"no ward for {diagnosis!r}")
    except LookupError as error:
        raise RuntimeError(f"cannot place {diagnosis!r}") from error


def _stubborn(stub: Stub) -> bytes:
    """Goes on after a failed read, as no contract should."""
    with suppress(Exception):
        stub.get_state(["bed"])
    return b"done"


def _empty(stub: Stub) -> bytes:
    what = _text(stub, 0)
    if what == "key":
        stub.get_state([""])
    elif what == "value":
        stub.put_state("bed", b"")
    elif what == "event":
        stub.set_event("", b"")
    elif what == "large value":
        stub.put_state("bed", bytes((16 << 20) + 1))
    else:
        list(stub.get_state_range("\0type\0", ""))
    return b""
