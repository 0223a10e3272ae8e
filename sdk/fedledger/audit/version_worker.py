"""Runs transactions of the contract that is first on the module path, for an auditor in another process.

Started as a script by ``contract_versions``; imports nothing of this package. Requests and answers are lines of JSON,
bytes in base64. The state stays with the auditor, who is asked for it.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class RemoteState:
    """A ``Stub`` whose state is on the other side of the pipe and whose effects are told there."""

    def __init__(self, call: Mapping[str, Any]) -> None:
        self.transaction_id: str = call["transaction_id"]
        self.channel_id: str = call["channel_id"]
        self.function: str = call["function"]
        self.arguments = [base64.b64decode(argument) for argument in call["arguments"]]
        self.creator = base64.b64decode(call["creator"])
        self.timestamp: int = call["timestamp"]
        self.transient: Mapping[str, bytes] = {}

    def get_state(self, keys: Sequence[str]) -> list[bytes | None]:
        answer = _ask({"get": list(keys)})
        return [None if value is None else base64.b64decode(value) for value in answer]

    def get_state_range(self, start: str, end: str) -> Iterator[tuple[str, bytes]]:
        for key, value in _ask({"range": [start, end]}):
            yield key, base64.b64decode(value)

    def put_state(self, key: str, value: bytes) -> None:
        _say({"put": key, "value": base64.b64encode(value).decode()})

    def delete_state(self, key: str) -> None:
        _say({"delete": key})

    def set_event(self, name: str, payload: bytes) -> None:
        _say({"event": name, "payload": base64.b64encode(payload).decode()})


def _say(message: Mapping[str, Any]) -> None:
    _ANSWERS.write(json.dumps(message) + "\n")
    _ANSWERS.flush()


def _ask(message: Mapping[str, Any]) -> Any:
    _say(message)
    return json.loads(sys.stdin.readline())


def main() -> None:
    """Say which version this is, then run what is asked for until the input ends."""
    from fedledger_chaincode import contract
    from fedledger_chaincode.errors import ContractError

    _say({"version": contract.VERSION, "file": contract.__file__})
    run = contract.Contract()
    for line in sys.stdin:
        try:
            payload = run.invoke(RemoteState(json.loads(line)))
        except ContractError as error:
            _say({"refused": error.code, "sentence": error.sentence})
        except Exception as error:
            _say({"failed": type(error).__name__})
        else:
            _say({"payload": base64.b64encode(payload).decode()})


if __name__ == "__main__":
    _ANSWERS = sys.stdout
    sys.stdout = sys.stderr  # what the contract prints is no answer
    main()
