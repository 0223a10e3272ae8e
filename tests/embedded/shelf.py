"""A small contract for tests of the node: a shelf of keys and values; ``tests.embedded.shelf:Shelf`` names it.

Some of its functions do what no contract should, so that a test sees what the node makes of it.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping

from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.stub import Stub


class Shelf:
    """Functions by name; arguments are text, results JSON."""

    def invoke(self, stub: Stub) -> bytes:
        return json.dumps(_FUNCTIONS[stub.function](stub, *(argument.decode() for argument in stub.arguments))).encode()

    def metadata(self) -> Mapping[str, object]:
        """What a Fabric network asks for to see whether its peers serve the contract."""
        transactions = [{"name": name, "parameters": []} for name in _FUNCTIONS]
        return {
            "info": {"title": "shelf", "version": "1"},
            "contracts": {"shelf": {"name": "shelf", "transactions": transactions}},
        }


def _put(stub: Stub, *assignments: str) -> int:
    for assignment in assignments:
        key, _, value = assignment.partition("=")
        stub.put_state(key, value.encode())
    return len(assignments)


def _fill(stub: Stub, prefix: str, count: str) -> int:
    for number in range(int(count)):
        stub.put_state(f"{prefix}{number:06}", b"x")
    return int(count)


def _delete(stub: Stub, *keys: str) -> int:
    for key in keys:
        stub.delete_state(key)
    return len(keys)


def _get(stub: Stub, *keys: str) -> list[str | None]:
    return [None if value is None else value.decode() for value in stub.get_state(keys)]


def _get_after_put(stub: Stub, key: str, value: str) -> list[str | None]:
    stub.put_state(key, value.encode())
    return _get(stub, key)


def _add(stub: Stub, key: str, amount: str) -> int:
    """Read, then write: the pattern that conflicts."""
    (held,) = stub.get_state([key])
    total = int(held or b"0") + int(amount)
    stub.put_state(key, str(total).encode())
    return total


def _range(stub: Stub, start: str, end: str) -> list[str]:
    return [key for key, _ in stub.get_state_range(start, end)]


def _count(stub: Stub, start: str, end: str, into: str) -> int:
    """Write how many keys a range has: the pattern that invites phantoms."""
    count = len(_range(stub, start, end))
    stub.put_state(into, str(count).encode())
    return count


def _first(stub: Stub, start: str, end: str, into: str) -> str:
    """Write which key is a range's first, with the others left unread."""
    key, _ = next(iter(stub.get_state_range(start, end)))
    stub.put_state(into, key.encode())
    return key


def _announce(stub: Stub, name: str, payload: str) -> str:
    stub.put_state("announced", payload.encode())
    stub.set_event(name, payload.encode())
    return stub.transaction_id


def _confide(stub: Stub) -> int:
    """How long the secret in the transient map is."""
    return len(stub.transient["secret"])


def _refuse(stub: Stub, status: str, code: str, sentence: str) -> None:
    stub.put_state("refused", b"written")
    raise ContractError(int(status), code, sentence, "Do something else.")


def _crash(stub: Stub) -> None:
    raise RuntimeError("this contract has a bug")


def _whim(stub: Stub) -> str:
    """Another result at every organisation."""
    whim = secrets.token_hex(8)
    stub.put_state("whim", whim.encode())
    return whim


def _dawdle(stub: Stub, seconds: str) -> str:
    time.sleep(float(seconds))
    return seconds


_FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "Put": _put,
    "Fill": _fill,
    "Delete": _delete,
    "Get": _get,
    "GetAfterPut": _get_after_put,
    "Add": _add,
    "Range": _range,
    "Count": _count,
    "First": _first,
    "Announce": _announce,
    "Confide": _confide,
    "Refuse": _refuse,
    "Crash": _crash,
    "Whim": _whim,
    "Dawdle": _dawdle,
}
