"""What the contract answers when it refuses: an HTTP-like status, a stable code, a sentence and what to do.

A peer hands a chaincode response of status 400 or above to the client as the text
``chaincode response <status>, <message>``; the message is built and read here, so that code and sentence survive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RESPONSE = re.compile(r"chaincode response (?P<status>\d{3}), (?P<text>.*)", re.DOTALL)
_CODED = re.compile(r"(?P<code>[A-Z][A-Z0-9_]+): (?P<message>.*)", re.DOTALL)


class ContractError(Exception):
    """The contract refuses the transaction; nothing is written."""

    def __init__(self, status: int, code: str, message: str, remedy: str = "") -> None:
        self.status = status
        self.code = code
        self.sentence = message
        self.remedy = remedy
        super().__init__(f"{code}: {message}" + (f" {remedy}" if remedy else ""))

    @property
    def response_message(self) -> str:
        """The text that goes into the chaincode's response."""
        return str(self)


@dataclass(frozen=True)
class ContractFault:
    """A contract's refusal as a client reads it back from a peer's message."""

    status: int
    code: str
    message: str


def parse_contract_fault(text: str) -> ContractFault | None:
    """Find ``chaincode response <status>, <CODE>: <sentence>`` in a peer's message; None when it is not there."""
    found = _RESPONSE.search(text)
    if found is None:
        return None
    coded = _CODED.match(found["text"])
    if coded is None:
        return ContractFault(int(found["status"]), "CHAINCODE_ERROR", found["text"])
    return ContractFault(int(found["status"]), coded["code"], coded["message"])
