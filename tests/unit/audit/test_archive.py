"""An exported ledger is read back whole or refused; a changed byte of it never goes unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedledger.audit import (
    Archive,
    ArchiveError,
    ArchiveFormatError,
    ArchiveSummary,
    GenesisError,
    LedgerStores,
    export_blocks,
    verify_blocks,
    verify_file,
)
from fedledger.errors import ExitCode, FedledgerError
from fedledger.store import ArtifactStore
from tests.unit.audit.members import TrainingConsortium


@pytest.fixture(scope="session")
def exported(audited: TrainingConsortium, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "ledger.fedledger"
    export_blocks(audited.ledger.blocks, out, artifacts=audited.artifacts.get)
    return out


class TestExport:
    def test_is_audited_with_no_node_running(self, exported: Path) -> None:
        assert verify_file(exported).complete

    def test_holds_blocks_and_artifacts_as_they_were(self, audited: TrainingConsortium, exported: Path) -> None:
        with Archive.open(exported) as archive:
            assert list(archive.blocks()) == audited.ledger.blocks
            assert {digest: archive.artifact(digest) for digest in archive.digests} == audited.artifacts
            assert archive.artifact("0" * 64) is None

    def test_says_what_is_missing(self, audited: TrainingConsortium, tmp_path: Path) -> None:
        out = tmp_path / "ledger"
        summary = export_blocks(audited.ledger.blocks, out, artifacts=lambda digest: None)
        assert summary == ArchiveSummary(len(audited.ledger.blocks), 0, out.stat().st_size, summary.missing)
        assert set(summary.missing) == set(audited.artifacts)
        assert verify_file(out).ok and not verify_file(out).complete

    def test_of_a_ledger_that_was_tampered_with_is_for_the_audit_to_refuse(
        self, members: TrainingConsortium, tmp_path: Path
    ) -> None:
        members.ledger.blocks[5] = b"no block"
        export_blocks(members.ledger.blocks, tmp_path / "ledger")
        assert verify_file(tmp_path / "ledger").first_bad_block == 5

    def test_leaves_nothing_half_written(self, audited: TrainingConsortium, tmp_path: Path) -> None:
        def broken(digest: str) -> bytes | None:
            raise RuntimeError("the store went away")

        with pytest.raises(RuntimeError):
            export_blocks(audited.ledger.blocks, tmp_path / "ledger", artifacts=broken)
        assert list(tmp_path.iterdir()) == []

    def test_into_a_folder_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ArchiveError, match="ARCHIVE_UNWRITABLE"):
            export_blocks([], tmp_path / "missing" / "ledger")

    def test_of_nothing_is_no_ledger(self, tmp_path: Path) -> None:
        export_blocks([], tmp_path / "ledger")
        with pytest.raises(GenesisError, match="NO_BLOCKS"):
            verify_file(tmp_path / "ledger")


class TestAnUnfitFile:
    def test_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ArchiveFormatError, match="ARCHIVE_MISSING"):
            verify_file(tmp_path / "ledger")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93FEDLEDGER\n\x1a\n\0\0\0\1"])
    def test_of_another_kind(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "ledger").write_bytes(content)
        with pytest.raises(ArchiveFormatError, match="NOT_AN_ARCHIVE") as refusal:
            verify_file(tmp_path / "ledger")
        assert refusal.value.exit_code is ExitCode.BAD_ARGUMENTS

    def test_of_a_later_version(self, exported: Path, tmp_path: Path) -> None:
        content = bytearray(exported.read_bytes())
        content[17] = 2
        (tmp_path / "ledger").write_bytes(content)
        with pytest.raises(ArchiveFormatError, match="version 2; version 1 is known"):
            verify_file(tmp_path / "ledger")

    def test_with_something_after_its_end(self, exported: Path, tmp_path: Path) -> None:
        (tmp_path / "ledger").write_bytes(exported.read_bytes() + b"\0")
        with pytest.raises(ArchiveError, match="ARCHIVE_DAMAGED"):
            verify_file(tmp_path / "ledger")

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(fraction=st.floats(0, 1, exclude_max=True))
    def test_that_ends_early_anywhere(self, exported: Path, tmp_path: Path, fraction: float) -> None:
        content = exported.read_bytes()
        (tmp_path / "ledger").write_bytes(content[: int(len(content) * fraction)])
        with pytest.raises(FedledgerError) as refusal:
            verify_file(tmp_path / "ledger")
        assert refusal.value.code in ("ARCHIVE_TRUNCATED", "NOT_AN_ARCHIVE")

    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_with_a_flipped_bit_outside_its_blocks_is_refused_or_fails_the_audit(
        self, exported: Path, tmp_path: Path, data: st.DataObject
    ) -> None:
        content = bytearray(exported.read_bytes())
        artifacts = content.index(b"FLDGAGG1") - 200
        position = data.draw(st.integers(0, 26) | st.integers(artifacts, len(content) - 1))
        content[position] ^= 1 << data.draw(st.integers(0, 7))
        (tmp_path / "ledger").write_bytes(content)
        try:
            report = verify_file(tmp_path / "ledger")
        except FedledgerError:
            return
        assert not report.ok


class TestValidatorsStores:
    @pytest.fixture
    def stores(self, audited: TrainingConsortium, tmp_path: Path) -> list[str]:
        urls = [f"file://{tmp_path}/{name}" for name in ("a", "b")]
        for content in audited.artifacts.values():
            for url in urls:
                ArtifactStore(f"{url}/artifacts").put(content)
        return urls

    def test_have_what_the_audit_needs(self, audited: TrainingConsortium, stores: list[str]) -> None:
        known = LedgerStores(urls=stores)
        assert verify_blocks(known.watched(audited.ledger.blocks), artifacts=known).complete

    @pytest.mark.parametrize("damage", [b"something else", bytes(1 << 20)], ids=["other bytes", "too many"])
    def test_are_read_copy_by_copy_and_what_one_of_them_has_damaged_is_told_and_makes_no_ledger_wrong(
        self, audited: TrainingConsortium, stores: list[str], tmp_path: Path, damage: bytes
    ) -> None:
        (damaged,) = [path for path in (tmp_path / "b").rglob("*") if path.name == next(iter(audited.artifacts))]
        damaged.write_bytes(damage)
        known = LedgerStores(urls=stores)
        report = verify_blocks(known.watched(audited.ledger.blocks), artifacts=known)
        assert report.complete
        place = f"{damaged.name[:16]} in file://{tmp_path}/b/artifacts"
        assert known.told() == f"1 damaged copies count as missing, the first is {place}"
        assert report.with_detail("models", known.told()).check("models").detail.endswith(known.told())

    def test_are_found_on_the_ledger(self, audited: TrainingConsortium) -> None:
        stores = LedgerStores()
        assert len(list(stores.watched(audited.ledger.blocks))) == len(audited.ledger.blocks)
        report = verify_blocks(audited.ledger.blocks)
        assert report.ok and not report.complete  # the stores that these validators name do not exist
