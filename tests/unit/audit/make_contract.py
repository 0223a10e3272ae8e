"""Keeps the contract of a release for the audit: ``python -m tests.unit.audit.make_contract COMMIT``.

Writes ``fedledger_chaincode-VERSION.zip`` with the sources of that commit's contract and its licence, entries sorted
and stored as they are, all with one time: the same commit gives the same bytes on every machine.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from fedledger.audit.contract_versions import KEPT

REPOSITORY = Path(__file__).parents[3]
PACKAGE = "fedledger_chaincode"
_BEGINNING_OF_TIME = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE = 0o100644 << 16
_UNIX = 3


def sources(commit: str) -> dict[str, bytes]:
    """The files that are kept of a commit, by their names in the zip."""
    listed = _git("ls-tree", "-r", "--name-only", commit, f"chaincode/{PACKAGE}").decode().splitlines()
    files = {path.removeprefix("chaincode/"): path for path in listed if path.endswith(".py")} | {"LICENSE": "LICENSE"}
    return {name: _git("show", f"{commit}:{path}") for name, path in files.items()}


def version_of(files: Mapping[str, bytes]) -> str:
    """What the contract calls its version."""
    found = re.search(r'^VERSION = "(.+)"$', files[f"{PACKAGE}/contract.py"].decode(), re.MULTILINE)
    assert found is not None
    return found[1]


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip that depends on nothing but the files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _BEGINNING_OF_TIME)
            entry.create_system, entry.external_attr = _UNIX, _REGULAR_FILE
            archive.writestr(entry, files[name], zipfile.ZIP_STORED)
    return content.getvalue()


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=REPOSITORY, check=True, capture_output=True).stdout


def main() -> None:
    files = sources(sys.argv[1])
    (KEPT / f"{PACKAGE}-{version_of(files)}.zip").write_bytes(zipped(files))


if __name__ == "__main__":
    main()
