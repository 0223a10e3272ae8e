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

_MSP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
VERSION = 1
FEWEST_ORGANISATIONS = 4


@dataclass(frozen=True)
class Organisation:
    """One member: the name of its folder and profiles, and its MSP id."""

    name: str
    msp_id: str


@dataclass(frozen=True)
class BlockCutting:
    """When a block is cut."""

    most_transactions: int = 500
    most_bytes: int = 64 * 1024 * 1024
    """A single larger transaction is refused."""
    milliseconds: int = 3
    """How long to wait for a further transaction before a block with fewer is cut."""


@dataclass(frozen=True)
class Consortium:
    """Members and policies of one channel."""

    organisations: tuple[Organisation, ...]
    channel: str = "fedledger"
    chaincode: str = "fedledger"
    blocks: BlockCutting = field(default_factory=BlockCutting)

    def __post_init__(self) -> None:
        names = [organisation.name for organisation in self.organisations]
        msp_ids = [organisation.msp_id for organisation in self.organisations]
        if len(self.organisations) < FEWEST_ORGANISATIONS:
            raise _refusal(
                f"it has {len(self.organisations)} organisations", f"Name {FEWEST_ORGANISATIONS} at least: n >= 3t + 1."
            )
        if len(set(names)) != len(names) or len(set(msp_ids)) != len(msp_ids):
            raise _refusal("an organisation is named twice", "Give each its own name and MSP id.")
        for name in (*names, self.channel, self.chaincode):
            if not _NAME.fullmatch(name):
                raise _refusal(f"{name!r} is no name", "Use lower-case letters, digits, - and _.")
        for msp_id in msp_ids:
            if not _MSP_ID.fullmatch(msp_id):
                raise _refusal(f"{msp_id!r} is no MSP id", "Use letters, digits, '.', - and _.")

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
        """A consortium of organisations with MSP ids made of their names: ``long_beach`` is ``LongBeachMSP``."""
        return cls(tuple(Organisation(name, f"{name.replace('_', ' ').title().replace(' ', '')}MSP") for name in names))

    def to_yaml(self) -> str:
        """The consortium's file."""
        document = {"version": VERSION} | asdict(self) | {"organisations": [asdict(o) for o in self.organisations]}
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
        return cls._of(document, path)

    @classmethod
    def _of(cls, document: Any, path: Path) -> Consortium:
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


def _refusal(reason: str, remedy: str) -> BadInputError:
    return BadInputError("CONSORTIUM", f"The consortium cannot be used: {reason}.", remedy)
