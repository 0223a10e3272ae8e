"""The artifact store: what comes back is what was put, or an error that says why not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fedledger.store import ArtifactStore, StoreError


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"))


@pytest.mark.parametrize("content", [b"", b"a", b"x" * 100_000])
def test_what_was_put_comes_back_under_its_digest(store: ArtifactStore, content: bytes) -> None:
    digest = store.put(content)
    assert digest == hashlib.sha256(content).hexdigest()
    assert store.get(digest, size=len(content)) == content
    assert store.put(content) == digest
    assert store.digests() == [digest]


def test_a_file_url_and_a_path_name_the_same_store(tmp_path: Path) -> None:
    digest = ArtifactStore((tmp_path / "s").as_uri()).put(b"model")
    assert ArtifactStore(str(tmp_path / "s")).get(digest) == b"model"


def test_a_changed_artifact_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    digest = store.put(b"genuine")
    (tmp_path / "store" / digest[:2] / digest).write_bytes(b"forged!")
    with pytest.raises(StoreError) as refusal:
        store.get(digest)
    assert refusal.value.code == "ARTIFACT_CORRUPT"


def test_an_artifact_larger_than_the_ledger_says_is_not_read(store: ArtifactStore, tmp_path: Path) -> None:
    digest = store.put(b"genuine")
    (tmp_path / "store" / digest[:2] / digest).write_bytes(b"g" * 1_000_000)
    with pytest.raises(StoreError) as refusal:
        store.get(digest, size=7)
    assert refusal.value.code == "ARTIFACT_TOO_LARGE"


def test_a_missing_artifact_is_named(store: ArtifactStore) -> None:
    with pytest.raises(StoreError) as refusal:
        store.get("0" * 64)
    assert refusal.value.code == "ARTIFACT_MISSING"


def test_erasing_is_idempotent(store: ArtifactStore) -> None:
    digest = store.put(b"share")
    store.delete(digest)
    store.delete(digest)
    assert not store.holds(digest)


def test_a_path_in_place_of_a_digest_is_refused(store: ArtifactStore) -> None:
    with pytest.raises(ValueError, match="digest"):
        store.get("../../etc/passwd")


def test_an_unknown_protocol_is_refused_with_a_remedy() -> None:
    with pytest.raises(StoreError) as refusal:
        ArtifactStore("nowhere://x")
    assert refusal.value.code == "STORE_UNAVAILABLE"


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError) as refusal:
        ArtifactStore(str(tmp_path / "file" / "store")).put(b"x")
    assert refusal.value.code == "STORE_UNAVAILABLE"
