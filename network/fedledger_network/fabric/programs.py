"""Where Hyperledger Fabric's programs are: ``FABRIC_HOME``, then PATH, then ``/opt/fabric``. It installs nothing.

The folder is laid out as Hyperledger's release archive is: ``bin``, ``builders/ccaas/bin``. Refuses programs of
different versions and versions that cannot run BFT orderers with the configuration written here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedledger_network.fabric.errors import FabricError

NEEDED = ("peer", "orderer", "configtxgen", "configtxlator", "osnadmin")
"""Programs of ``bin``; Fabric CA's are optional."""
BUILDER = Path("builders") / "ccaas"
DEFAULT_HOME = Path("/opt/fabric")
OLDEST = (3, 1)
NEXT_MAJOR = 4
RELEASES = "https://github.com/hyperledger/fabric/releases"
CA_RELEASES = "https://github.com/hyperledger/fabric-ca/releases"

_VERSION = re.compile(r"^\s*Version:\s*v?(\d+)\.(\d+)\.(\d+)", re.MULTILINE)
_BUILDER_STEPS = ("detect", "build", "release")
_VERSION_ARGUMENTS: Mapping[str, str] = {
    "peer": "version",
    "orderer": "version",
    "configtxgen": "-version",
    "configtxlator": "version",
}
_SECONDS_TO_ANSWER = 20
_REMEDY = (
    f"Unpack Fabric 3.1's release archive (hyperledger-fabric-linux-amd64-3.1.5.tar.gz) from {RELEASES} "
    "and set FABRIC_HOME to its folder, or use the embedded engine."
)


@dataclass(frozen=True)
class Programs:
    """One installation of Fabric; ``version`` such as ``3.1.5``."""

    home: Path
    version: str

    def path(self, name: str) -> Path:
        """The program's absolute path."""
        return self.home / "bin" / name

    @property
    def builder(self) -> Path:
        """The external builder that connects peers to chaincode services."""
        return self.home / BUILDER

    def require_certificate_authority(self) -> Path:
        """Fabric CA's server, which is released apart from Fabric; raises ``FABRIC_MISSING``."""
        server = self.path("fabric-ca-server")
        if not os.access(server, os.X_OK):
            raise FabricError(
                "FABRIC_MISSING",
                f"{self.home} has no bin/fabric-ca-server.",
                f"Unpack Fabric CA's release archive from {CA_RELEASES} into the same folder, "
                "or write certificates: development.",
            )
        return server


def find_programs(environment: Mapping[str, str] = os.environ, default_home: Path = DEFAULT_HOME) -> Programs:
    """Return the installation that ``environment`` names.

    Raises:
        FabricError: ``FABRIC_MISSING`` with what is missing and where, ``FABRIC_VERSION``.
    """
    home = _home(environment, default_home)
    missing = _missing(home)
    if missing:
        raise FabricError("FABRIC_MISSING", f"{home} has no {', '.join(missing)}.", _REMEDY)
    versions = {name: program_version(home / "bin" / name, argument) for name, argument in _VERSION_ARGUMENTS.items()}
    if len(set(versions.values())) > 1:
        told = ", ".join(f"{name} {_dotted(version)}" for name, version in versions.items())
        raise FabricError("FABRIC_VERSION", f"The programs in {home} are of different versions: {told}.", _REMEDY)
    version = versions["peer"]
    if not OLDEST <= version[:2] < (NEXT_MAJOR, 0):
        raise FabricError(
            "FABRIC_VERSION",
            f"{home} holds Fabric {_dotted(version)}; {_dotted(OLDEST)} or a later 3.x is needed.",
            _REMEDY,
        )
    return Programs(home, _dotted(version))


def program_version(program: Path, argument: str) -> tuple[int, int, int]:
    """What a program says of its version; raises ``FABRIC_VERSION`` when it says nothing of the kind."""
    try:
        answer = subprocess.run(
            [program, argument],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS_TO_ANSWER,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FabricError("FABRIC_VERSION", f"{program} does not run: {error}.", _REMEDY) from error
    found = _VERSION.search(answer.stdout + answer.stderr)
    if found is None:
        raise FabricError("FABRIC_VERSION", f"{program} does not tell its version.", _REMEDY)
    major, minor, patch = map(int, found.groups())
    return major, minor, patch


def _home(environment: Mapping[str, str], default_home: Path) -> Path:
    named = environment.get("FABRIC_HOME")
    if named:
        return Path(named).absolute()
    peer = shutil.which("peer", path=environment.get("PATH"))
    if peer is not None and not _missing(Path(peer).resolve().parent.parent):
        return Path(peer).resolve().parent.parent
    return default_home


def _missing(home: Path) -> list[str]:
    wanted = [Path("bin") / name for name in NEEDED] + [BUILDER / "bin" / step for step in _BUILDER_STEPS]
    return [str(program) for program in wanted if not os.access(home / program, os.X_OK)]


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
