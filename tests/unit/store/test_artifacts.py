"""The artifact store: what comes back is what was put, or an error that says why not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fedledger.store import ArtifactStore, StoreError


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"))


@pytest.mark.parametrize("content", [b"", b"a", b"x" * 3_000_000])
def test_what_was_put_comes_back_under_its_digest(store: ArtifactStore, content: bytes) -> None:
    digest = store.put(content)
    assert digest == hashlib.sha256(content).hexdigest()
    assert store.get(digest, len(content)) == content
    assert store.put(content) == digest
    assert store.digests() == [digest]


def test_a_file_url_and_a_path_name_the_same_store(tmp_path: Path) -> None:
    digest = ArtifactStore((tmp_path / "s").as_uri()).put(b"model")
    assert ArtifactStore(str(tmp_path / "s")).get(digest, 5) == b"model"
    assert ArtifactStore(f"local://{tmp_path}/s/").get(digest, 5) == b"model"


def test_a_changed_artifact_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    digest = store.put(b"genuine")
    (tmp_path / "store" / digest[:2] / digest).write_bytes(b"forged!")
    with pytest.raises(StoreError) as refusal:
        store.get(digest, 7)
    assert refusal.value.code == "ARTIFACT_CORRUPT"


def test_what_was_damaged_is_whole_again_when_it_is_put_again(store: ArtifactStore, tmp_path: Path) -> None:
    digest = store.put(b"genuine")
    (tmp_path / "store" / digest[:2] / digest).write_bytes(b"forged!")
    store.put(b"genuine")
    assert store.get(digest, 7) == b"genuine"


@pytest.mark.parametrize(("size", "code"), [(6, "ARTIFACT_TOO_LARGE"), (8, "ARTIFACT_CORRUPT")])
def test_an_artifact_of_another_size_than_the_ledger_says_is_refused(
    store: ArtifactStore, size: int, code: str
) -> None:
    digest = store.put(b"genuine")
    with pytest.raises(StoreError) as refusal:
        store.get(digest, size)
    assert refusal.value.code == code


def test_where_only_a_bound_is_known_a_smaller_artifact_counts_and_a_larger_one_does_not(store: ArtifactStore) -> None:
    digest = store.put(b"genuine")
    assert store.get(digest, 8, at_most=True) == b"genuine"
    with pytest.raises(StoreError, match="ARTIFACT_TOO_LARGE"):
        store.get(digest, 6, at_most=True)


@pytest.mark.parametrize("made", [False, True])
def test_a_missing_artifact_is_named(store: ArtifactStore, made: bool) -> None:
    if made:
        store.put(b"another")
    with pytest.raises(StoreError) as refusal:
        store.get("0" * 64, 1)
    assert refusal.value.code == "ARTIFACT_MISSING"


def test_erasing_is_idempotent(store: ArtifactStore) -> None:
    digest = store.put(b"share")
    assert store.holds(digest)
    store.delete(digest)
    store.delete(digest)
    assert not store.holds(digest)


@pytest.mark.parametrize("digest", ["../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_a_path_in_place_of_a_digest_is_refused(store: ArtifactStore, digest: str) -> None:
    with pytest.raises(ValueError, match="digest"):
        store.get(digest, 1)


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError) as refusal:
        ArtifactStore(str(tmp_path / "file" / "store")).put(b"x")
    assert refusal.value.code == "STORE_UNAVAILABLE"


class TestAnArea:
    def test_is_erased_with_all_that_it_holds_and_nothing_else(self, tmp_path: Path) -> None:
        url = str(tmp_path)
        one, other = (ArtifactStore(url, area=("a", name)) for name in ("1", "10"))
        kept = [store.put(b"kept") for store in (other, ArtifactStore(url, area=("a",)), ArtifactStore(url))]
        one.put(b"erased")
        (tmp_path / "a" / "1" / "something").write_bytes(b"that does not belong there")
        one.erase()
        one.erase()
        assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)

    def test_lists_what_lies_in_it_and_not_below(self, tmp_path: Path) -> None:
        ArtifactStore(str(tmp_path), area=("a", "b")).put(b"below")
        held = ArtifactStore(str(tmp_path), area=("a",)).put(b"in it")
        assert ArtifactStore(str(tmp_path), area=("a",)).digests() == [held]
        assert ArtifactStore(str(tmp_path)).digests() == []

    @pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/a", ".hidden", "a\n", "a\0", "*"])
    def test_has_a_name_that_does_not_lead_elsewhere(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ValueError, match="area"):
            ArtifactStore(str(tmp_path), area=(name,))

    def test_that_is_the_whole_store_is_not_erased(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="no area"):
            ArtifactStore(str(tmp_path)).erase()
