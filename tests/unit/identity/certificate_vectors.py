"""``vectors/certificates.json``: one run of the table of certificates with what a real peer made of it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parent / "vectors" / "certificates.json"
LEDGER = FILE.with_suffix(".fedledger")
"""The channel in which that run's members created a transaction each, as the peer keeps it."""
MESSAGE = b"judged"
"""What each member's key has signed."""
HOW = {
    "member": "the peer committed a transaction of that creator, signed by its key, as VALID; otherwise as"
    " BAD_CREATOR_SIGNATURE. The block came from an orderer that looks at nothing",
    "answer": "what the peer said to the creator's query of qscc, empty when it answered it",
    "definition": "what cscc said to JoinChain with a channel of which that MSP is a member, empty when it joined",
}


@dataclass(frozen=True)
class Member:
    """One certificate, and whether Fabric takes what its key signs for its owner's."""

    name: str
    organisation: str
    pem: bytes
    signature: bytes
    accepted: bool
    answer: str


@dataclass(frozen=True)
class Definition:
    """One MSP definition, and Fabric's refusal of it."""

    name: str
    definition: bytes
    refusal: str


@dataclass(frozen=True)
class Vectors:
    fabric: str
    organisations: dict[str, bytes]
    members: tuple[Member, ...]
    definitions: tuple[Definition, ...]

    @classmethod
    def load(cls) -> Vectors:
        document = json.loads(FILE.read_text())
        members = [
            Member(
                each["name"],
                each["organisation"],
                base64.b64decode(each["pem"]),
                base64.b64decode(each["signature"]),
                each["member"],
                each["answer"],
            )
            for each in document["members"]
        ]
        definitions = [
            Definition(each["name"], base64.b64decode(each["definition"]), each["refusal"])
            for each in document["definitions"]
        ]
        organisations = {name: base64.b64decode(each) for name, each in document["organisations"].items()}
        return cls(document["fabric"], organisations, tuple(members), tuple(definitions))

    def save(self) -> None:
        document = {
            "fabric": self.fabric,
            "how": HOW,
            "organisations": {name: _text(each) for name, each in self.organisations.items()},
            "members": [
                {
                    "name": each.name,
                    "organisation": each.organisation,
                    "member": each.accepted,
                    "answer": each.answer,
                    "pem": _text(each.pem),
                    "signature": _text(each.signature),
                }
                for each in self.members
            ],
            "definitions": [
                {"name": each.name, "refusal": each.refusal, "definition": _text(each.definition)}
                for each in self.definitions
            ],
        }
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(document, indent=0, ensure_ascii=False) + "\n")


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
