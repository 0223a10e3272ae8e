"""A folder in which somebody else can write too: links, pipes and devices are neither followed nor waited for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fedledger.store import ArtifactStore, StoreError

CONTENT = b"sealed"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"), area=("shares", "study"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the artifact would lie."""
    place = tmp_path / "store" / "shares" / "study" / DIGEST[:2] / DIGEST
    place.parent.mkdir(parents=True)
    return place


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder outside the store that holds a file of this name and content."""
    (tmp_path / "outside" / DIGEST[:2]).mkdir(parents=True)
    (tmp_path / "outside" / DIGEST[:2] / DIGEST).write_bytes(CONTENT)
    return tmp_path / "outside"


def a_link(place: Path, outside: Path) -> None:
    place.symlink_to(outside / DIGEST[:2] / DIGEST)


def a_link_in_the_place_of_its_folder(place: Path, outside: Path) -> None:
    place.parent.rmdir()
    place.parent.symlink_to(outside / DIGEST[:2])


def a_link_in_the_place_of_the_area(place: Path, outside: Path) -> None:
    place.parent.rmdir()
    place.parent.parent.rmdir()
    place.parent.parent.symlink_to(outside)


def a_pipe(place: Path, _: Path) -> None:
    os.mkfifo(place)


def a_folder(place: Path, _: Path) -> None:
    place.mkdir()


def a_device(place: Path, _: Path) -> None:
    place.symlink_to("/dev/zero")


HOSTILE = [a_link, a_link_in_the_place_of_its_folder, a_link_in_the_place_of_the_area, a_pipe, a_folder, a_device]
Hostile = Callable[[Path, Path], None]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_is_no_file_of_the_store_is_not_read(
    store: ArtifactStore, place: Path, outside: Path, hostile: Hostile
) -> None:
    hostile(place, outside)
    with pytest.raises(StoreError) as refusal:
        store.get(DIGEST, len(CONTENT))
    assert refusal.value.code == "ARTIFACT_CORRUPT"
    assert not store.holds(DIGEST)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_is_written_or_erased_outside(
    store: ArtifactStore, place: Path, outside: Path, hostile: Hostile
) -> None:
    hostile(place, outside)
    untouched = outside / "ab"
    untouched.mkdir()
    for use in (lambda: store.put(b"another"), lambda: store.put(CONTENT), lambda: store.delete(DIGEST), store.erase):
        try:
            use()
        except StoreError as error:
            assert error.code == "STORE_UNAVAILABLE"
    assert untouched.exists()
    assert [path for path in outside.rglob("*") if path.is_file()] == [outside / DIGEST[:2] / DIGEST]


def test_an_erased_area_takes_links_in_it_away_and_not_what_they_lead_to(
    store: ArtifactStore, place: Path, outside: Path, tmp_path: Path
) -> None:
    place.symlink_to(outside / DIGEST[:2] / DIGEST)
    (place.parent / "folder").symlink_to(outside)
    store.erase()
    assert not place.parent.exists()
    assert (outside / DIGEST[:2] / DIGEST).read_bytes() == CONTENT


def test_a_pipe_in_the_place_of_an_artifact_is_replaced_by_it(store: ArtifactStore, place: Path) -> None:
    os.mkfifo(place)
    store.put(CONTENT)
    assert store.get(DIGEST, len(CONTENT)) == CONTENT


def test_the_store_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")
    store = ArtifactStore(str(tmp_path / "store"), area=("artifacts",))
    assert store.get(store.put(CONTENT), len(CONTENT)) == CONTENT


def test_a_file_of_a_terabyte_is_not_read(store: ArtifactStore, place: Path) -> None:
    with place.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(StoreError) as refusal:
        store.get(DIGEST, len(CONTENT))
    assert refusal.value.code == "ARTIFACT_TOO_LARGE"


def test_a_size_beyond_all_memory_costs_none(store: ArtifactStore, place: Path) -> None:
    place.write_bytes(CONTENT)
    assert store.get(DIGEST, (1 << 53) - 1, at_most=True) == CONTENT
