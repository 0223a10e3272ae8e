"""The contracts of earlier releases come with this one, unchanged, and run when a block names them."""

from __future__ import annotations

import hashlib
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

from fedledger.audit.contract_versions import KEPT, contract_versions, kept_contracts
from fedledger.errors import BadInputError
from fedledger_chaincode.contract import VERSION
from fedledger_chaincode.errors import ContractError
from fedledger_chaincode.replay import ReplayStub
from tests.unit.audit.make_contract import REPOSITORY, sources, version_of, zipped

PINNED = {
    "1.0": (
        "2252b4bef2bedd4adcbc82c6e489e9b5b60bacfb",
        "64130c5ba247651714cde943c0f84da69840f39c6fbc8610405dd67cdf00fa77",
    )
}
"""Commit and SHA-256 of each, never to be changed."""


def unknown_function() -> ReplayStub:
    return ReplayStub({}, "0" * 64, "channel", "NoSuchTransaction", [], b"", 0)


def has_commit(commit: str) -> bool:
    found = subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], cwd=REPOSITORY, capture_output=True)
    return found.returncode == 0


def test_all_that_are_kept_are_pinned() -> None:
    assert {version: hashlib.sha256(path.read_bytes()).hexdigest() for version, path in kept_contracts().items()} == {
        version: digest for version, (_, digest) in PINNED.items()
    }


@pytest.mark.parametrize("version", PINNED)
def test_the_page_beside_them_says_what_each_is(version: str) -> None:
    commit, digest = PINNED[version]
    row = next(line for line in (KEPT / "README.md").read_text().splitlines() if f"| {version}, " in line)
    assert kept_contracts()[version].name in row and commit in row and digest in row


@pytest.mark.parametrize("version", PINNED)
def test_each_is_what_its_commit_gives(version: str) -> None:
    commit, _ = PINNED[version]
    if not has_commit(commit):
        pytest.skip(f"The history to {commit} is not here.")
    files = sources(commit)
    assert version_of(files) == version
    assert zipped(files) == kept_contracts()[version].read_bytes()


@pytest.mark.parametrize("version", PINNED)
def test_each_holds_sources_and_its_licence_and_nothing_else(version: str) -> None:
    with zipfile.ZipFile(kept_contracts()[version]) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        assert "Apache License" in archive.read("LICENSE").decode()
    assert names == sorted(names)
    assert all(
        name == "LICENSE" or (name.startswith("fedledger_chaincode/") and name.endswith(".py")) for name in names
    )


@pytest.mark.parametrize("version", PINNED)
def test_each_runs_from_its_file(version: str) -> None:
    with contract_versions() as versions, pytest.raises(ContractError, match="UNKNOWN_FUNCTION"):
        versions[version](unknown_function())


def folder_with(contract: bytes, version: str, place: Path) -> Path:
    place.mkdir()
    (place / f"fedledger_chaincode-{version}.zip").write_bytes(contract)
    return place


def of_version(version: str, leaves: Path | None = None) -> bytes:
    """A contract that calls itself so and refuses everything in its name; it writes a file when it is imported."""
    trace = "" if leaves is None else f"import pathlib\npathlib.Path({str(leaves)!r}).touch()\n"
    contract = (
        f"{trace}from fedledger_chaincode.errors import ContractError\nVERSION = {version!r}\n"
        f"class Contract:\n    def invoke(self, stub):\n        raise ContractError(400, 'HERE', {version!r})\n"
    )
    return zipped(
        {
            "fedledger_chaincode/__init__.py": b"",
            "fedledger_chaincode/contract.py": contract.encode(),
            "fedledger_chaincode/errors.py": (REPOSITORY / "chaincode/fedledger_chaincode/errors.py").read_bytes(),
        }
    )


def test_one_that_no_block_names_is_not_started(tmp_path: Path) -> None:
    trace = tmp_path / "imported"
    kept = folder_with(of_version("0.8", leaves=trace), "0.8", tmp_path / "kept")
    with contract_versions(folder=kept) as versions:
        assert "0.8" in versions and "0.7" not in versions
        assert not trace.exists()
        with pytest.raises(ContractError, match="HERE"):
            versions["0.8"](unknown_function())
        assert trace.exists()
    assert versions.origin("0.8") == "which comes with this release" and versions.origin(VERSION) == ""


def test_one_that_the_auditor_names_stands_in_for_it(tmp_path: Path) -> None:
    trace = tmp_path / "imported"
    kept = folder_with(of_version("0.8", leaves=trace), "0.8", tmp_path / "kept")
    own = folder_with(of_version("0.8"), "0.8", tmp_path / "own") / "fedledger_chaincode-0.8.zip"
    with contract_versions([own], folder=kept) as versions, pytest.raises(ContractError, match="HERE"):
        versions["0.8"](unknown_function())
    assert not trace.exists()
    assert versions.origin("0.8") == f"from {own}, in the place of the one that comes with this release"


def test_the_installed_one_runs_its_own_version_though_it_is_kept(tmp_path: Path) -> None:
    kept = folder_with(of_version(VERSION), VERSION, tmp_path / "kept")
    with contract_versions(folder=kept) as versions, pytest.raises(ContractError, match="UNKNOWN_FUNCTION"):
        versions[VERSION](unknown_function())


def test_one_that_cannot_be_run_is_no_fault_of_the_ledger(tmp_path: Path) -> None:
    kept = folder_with(b"no zip", "0.8", tmp_path / "kept")
    with contract_versions(folder=kept) as versions, pytest.raises(BadInputError) as fault:
        versions["0.8"]
    assert fault.value.code == "NOT_A_CONTRACT"


@pytest.mark.parametrize("version", PINNED)
def test_each_is_part_of_the_wheel(version: str) -> None:
    """The build takes everything in these folders along that git does not ignore."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    folders = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    path = kept_contracts()[version].resolve()
    assert folders.keys() == {"packages"} and any(
        path.is_relative_to(REPOSITORY / each) for each in folders["packages"]
    )
    patterns = [line for line in (REPOSITORY / ".gitignore").read_text().split() if not line.startswith("#")]
    assert not any(
        path.match(pattern.strip("/")) or pattern.strip("/") in path.relative_to(REPOSITORY).parts
        for pattern in patterns
    )
