"""Where everything of a network lies: one folder per organisation, which alone holds its secrets. It makes nothing.

``shared`` holds what every organisation may have: the channel's first block, the contract's package, MSP definitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedledger.identity.profile import FILE_NAME

CONSORTIUM_FILE = "consortium.yaml"


@dataclass(frozen=True)
class OrganisationFolder:
    """One organisation's folder: what it carries to its own host. Programs run in it; settings name paths below it."""

    root: Path

    @property
    def identities(self) -> Path:
        """Wallets of nodes and members, and the development CA."""
        return self.root / "identities"

    @property
    def definition(self) -> Path:
        """The MSP definition that the channel's configuration holds: no secrets."""
        return self.root / "msp"

    def node(self, node: str) -> Path:
        """Folder of ``peer``, ``orderer`` or ``administrator``: its MSP, its TLS files, its data."""
        return self.root / node

    @property
    def store(self) -> Path:
        """The organisation's artifact store."""
        return self.root / "store"

    @property
    def logs(self) -> Path:
        """What its programs write."""
        return self.root / "logs"

    @property
    def processes(self) -> Path:
        """Which process runs each of its programs."""
        return self.root / "processes"


@dataclass(frozen=True)
class Layout:
    """The folder of a network on one machine."""

    root: Path

    def organisation(self, name: str) -> OrganisationFolder:
        """The folder of the organisation of that name."""
        return OrganisationFolder(self.root / "organisations" / name)

    @property
    def consortium(self) -> Path:
        """The consortium's file."""
        return self.root / CONSORTIUM_FILE

    @property
    def member(self) -> Path:
        """Whose part the folder holds, where it holds that of one organisation only."""
        return self.root / "organisation"

    @property
    def profiles(self) -> Path:
        """Profiles of every member of every organisation."""
        return self.root / FILE_NAME

    @property
    def shared(self) -> Path:
        """What every organisation has a copy of."""
        return self.root / "shared"

    @property
    def genesis(self) -> Path:
        """The channel's first block."""
        return self.shared / "genesis.block"

    @property
    def config_block(self) -> Path:
        """A newer configuration of the channel, from which orderers join one that runs."""
        return self.shared / "config.block"

    @property
    def package(self) -> Path:
        """The contract's package."""
        return self.shared / "contract.tar.gz"

    @property
    def release(self) -> Path:
        """Which version of the contract that package is."""
        return self.shared / "contract.json"
