"""A consortium as one value and one YAML file: who belongs to it, what has to be endorsed, how blocks are cut.

Refuses a consortium whose policies could not be met, and keys that it does not know.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fedledger.errors import BadInputError
from fedledger.identity.hosts import is_loopback

_MSP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_CHANNEL = re.compile(r"[a-z][a-z0-9.-]{0,62}")
_CHAINCODE = re.compile(r"[a-zA-Z0-9]+([-_][a-zA-Z0-9]+)*")
_SYSTEM_CHAINCODES = frozenset({"cscc", "lscc", "qscc"})
VERSION = 1
FEWEST_ORGANISATIONS = 4
MOST_ORGANISATIONS = 32
"""As many peers as the chaincode service takes."""
_MOST_BYTES = 99 * 1024 * 1024
"""A block has to fit into one gRPC message of 100 MiB."""


@dataclass(frozen=True)
class Organisation:
    """One member: the name of its folder and profiles, and its MSP id."""

    name: str
    msp_id: str

    @classmethod
    def of_name(cls, name: str) -> Organisation:
        """The organisation with an MSP id made of its name: ``long_beach`` is ``LongBeachMSP``."""
        return cls(name, f"{name.replace('_', ' ').title().replace(' ', '')}MSP")


@dataclass(frozen=True)
class BlockCutting:
    """When a block is cut."""

    most_transactions: int = 500
    most_bytes: int = 64 * 1024 * 1024
    """A single larger transaction is refused."""
    milliseconds: int = 3
    """How long to wait for a further transaction before a block with fewer is cut."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("most_transactions", 1, 100_000),
            ("most_bytes", 1024, _MOST_BYTES),
            ("milliseconds", 0, 60_000),
        ):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise _refusal(f"blocks.{name} is {value!r}", f"Give a whole number from {least} to {most}.")


@dataclass(frozen=True)
class Consortium:
    """Members and policies of one channel."""

    organisations: tuple[Organisation, ...]
    channel: str = "fedledger"
    chaincode: str = "fedledger"
    blocks: BlockCutting = field(default_factory=BlockCutting)
    listen: str | None = None
    """Where an embedded node serves its clients: ``127.0.0.1:port``; without it on a socket in its folder."""

    def __post_init__(self) -> None:
        names = [organisation.name for organisation in self.organisations]
        msp_ids = [organisation.msp_id for organisation in self.organisations]
        if len(self.organisations) < FEWEST_ORGANISATIONS:
            raise _refusal(
                f"it has {len(self.organisations)} organisations", f"Name {FEWEST_ORGANISATIONS} at least: n >= 3t + 1."
            )
        if len(self.organisations) > MOST_ORGANISATIONS:
            raise _refusal(f"it has {len(self.organisations)} organisations", f"Name {MOST_ORGANISATIONS} at most.")
        if len(set(names)) != len(names) or len(set(msp_ids)) != len(msp_ids):
            raise _refusal("an organisation is named twice", "Give each its own name and MSP id.")
        for kind, form, found, remedy in (
            ("name", _NAME, names, "Use lower-case letters, digits, - and _."),
            ("name of a channel", _CHANNEL, [self.channel], "Use lower-case letters, digits, - and '.'."),
            ("name of a chaincode", _CHAINCODE, [self.chaincode], "Use letters, digits, - and _."),
            ("MSP id", _MSP_ID, msp_ids, "Use letters, digits, '.', - and _."),
        ):
            for entry in found:
                if not isinstance(entry, str) or not form.fullmatch(entry):
                    raise _refusal(f"{entry!r} is no {kind}", remedy)
        if self.chaincode in _SYSTEM_CHAINCODES:
            raise _refusal(f"{self.chaincode} is a system chaincode of Fabric", "Choose another name for the contract.")
        if self.listen is not None and not _is_local_port(self.listen):
            raise _refusal(
                f"nothing can listen on {self.listen!r}", "Give 127.0.0.1:port: it is for this machine only."
            )

    @property
    def tolerated_faults(self) -> int:
        """t: how many organisations may be faulty, (n - 1) // 3."""
        return (len(self.organisations) - 1) // 3

    @property
    def quorum(self) -> int:
        """n - t: how many organisations have to endorse."""
        return len(self.organisations) - self.tolerated_faults

    @classmethod
    def of_names(cls, *names: str) -> Consortium:
        """A consortium of organisations with MSP ids made of their names."""
        return cls(tuple(map(Organisation.of_name, names)))

    def to_yaml(self) -> str:
        """The consortium's file."""
        document = {"version": VERSION} | asdict(self) | {"organisations": [asdict(o) for o in self.organisations]}
        if self.listen is None:
            del document["listen"]
        return str(yaml.safe_dump(document, sort_keys=False))

    @classmethod
    def load(cls, path: Path) -> Consortium:
        """Read a consortium's file.

        Raises:
            BadInputError: ``CONSORTIUM``, the file cannot be read or is none.
        """
        try:
            document = yaml.safe_load(path.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise _refusal(f"{path} cannot be read: {error}", "Name a consortium's YAML file.") from error
        return cls.of_document(document, path)

    @classmethod
    def of_document(cls, document: Any, path: Path) -> Consortium:
        """The consortium of a parsed file; ``path`` is for its errors, which are those of ``load``."""
        if not isinstance(document, dict) or document.get("version") != VERSION:
            raise _refusal(f"{path} is not of version {VERSION}", f"Write version: {VERSION} in its first line.")
        fields = {key: value for key, value in document.items() if key != "version"}
        try:
            fields["organisations"] = tuple(Organisation(**entry) for entry in fields["organisations"])
            if "blocks" in fields:
                fields["blocks"] = BlockCutting(**fields["blocks"])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise _refusal(f"{path} does not fit: {error}", "Correct that key.") from error


def _is_local_port(address: object) -> bool:
    if not isinstance(address, str):
        return False
    host, _, port = address.rpartition(":")
    return is_loopback(host) and port.isdecimal() and 0 < int(port) < 1 << 16


def _refusal(reason: str, remedy: str) -> BadInputError:
    return BadInputError("CONSORTIUM", f"The consortium cannot be used: {reason}.", remedy)
