"""Stores behind fsspec's drivers: only the protocols on the list are opened, and no driver brings an agent down."""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import fsspec
import pytest

from fedledger.identity.profile import DEFAULT_STORES
from fedledger.store import ArtifactStore, StoreError

CONTENT = b"the artifact"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Hostile(fsspec.AbstractFileSystem):
    """A driver whose every call does ``Hostile.deed``."""

    protocol = "hostile"
    cachable = False
    deed: Callable[[], Any] = staticmethod(lambda: None)

    def _do(self, *_: Any, **__: Any) -> Any:
        return type(self).deed()

    open = info = size = exists = pipe_file = mv = rm_file = makedirs = find = rmdir = invalidate_cache = _do


class Serving(fsspec.AbstractFileSystem):
    """A driver that serves one stream for every path and tells ``told`` of its size."""

    protocol = "serving"
    cachable = False
    told: Any = None
    stream: Any = None

    def size(self, path: str) -> Any:
        return type(self).told

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        return type(self).stream


class Counting(io.RawIOBase):
    """An endless file; counts what is read of it."""

    def __init__(self, beginning: bytes = b"") -> None:
        self.rest = beginning
        self.read_bytes = 0

    def read(self, most: int = -1) -> bytes:
        assert most >= 0, "the whole file is asked for"
        piece, self.rest = self.rest[:most].ljust(most, b"\0"), self.rest[most:]
        self.read_bytes += most
        return piece


fsspec.register_implementation("hostile", Hostile, clobber=True)
fsspec.register_implementation("serving", Serving, clobber=True)


def hostile(deed: Callable[[], Any], patience: float = 30.0) -> ArtifactStore:
    Hostile.deed = staticmethod(deed)
    return ArtifactStore(f"hostile://{uuid4().hex}", ("hostile",), area=("shares",), patience=patience)


def serving(stream: Any, told: Any) -> ArtifactStore:
    Serving.stream, Serving.told = stream, told
    return ArtifactStore("serving://x", ("serving",))


def calls(store: ArtifactStore) -> list[Callable[[], Any]]:
    return [
        lambda: store.put(CONTENT),
        lambda: store.get(DIGEST, len(CONTENT)),
        lambda: store.holds(DIGEST),
        lambda: store.delete(DIGEST),
        lambda: store.digests(),
        lambda: store.erase(),
    ]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even its message")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such bucket"),
        NotImplementedError(),
        KeyError("Contents"),
        PermissionError("denied"),
        RuntimeError("loop is closed"),
        TimeoutError(),
        asyncio.CancelledError(),
        AttributeError("'NoneType' object has no attribute 'size'"),
        MemoryError(),
        RecursionError(),
        AssertionError(),
        StopIteration(),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        Unspeakable(),
        Exception("x" * 1_000_000),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_driver_raises_is_a_store_that_cannot_be_used(error: BaseException) -> None:
    def deed() -> Any:
        raise error

    for call in calls(hostile(deed)):
        with pytest.raises(StoreError) as refusal:
            call()
        assert refusal.value.code == "STORE_UNAVAILABLE"
        assert len(refusal.value.message) < 1_000


@pytest.mark.parametrize("answer", [None, "text", -1, [], object()])
def test_an_answer_of_another_type_is_never_an_artifact(answer: Any) -> None:
    with pytest.raises(StoreError):
        hostile(lambda: answer).get(DIGEST, len(CONTENT))


def test_a_driver_that_is_not_there_is_named_with_a_remedy() -> None:
    with pytest.raises(StoreError) as refusal:
        ArtifactStore("nosuch://x", ("nosuch",)).put(CONTENT)
    assert refusal.value.code == "STORE_UNAVAILABLE"
    assert refusal.value.remedy


class TestADriverThatHangs:
    @pytest.fixture
    def answer(self) -> Iterator[threading.Event]:
        answer = threading.Event()
        yield answer
        answer.set()

    def test_is_given_up(self, answer: threading.Event) -> None:
        for call in calls(hostile(answer.wait, patience=0.01)):
            with pytest.raises(StoreError) as refusal:
                call()
            assert refusal.value.code == "STORE_UNAVAILABLE"

    def test_costs_one_thread_however_often_it_is_asked(self, answer: threading.Event) -> None:
        store = hostile(answer.wait, patience=0.01)
        before = threading.active_count()
        for _ in range(20):
            with pytest.raises(StoreError):
                store.holds(DIGEST)
        assert threading.active_count() <= before + 1

    def test_is_used_again_when_it_has_answered(self, answer: threading.Event) -> None:
        store = hostile(answer.wait, patience=0.01)
        with pytest.raises(StoreError):
            store.holds(DIGEST)
        answer.set()
        while any(thread.name.startswith("store hostile") for thread in threading.enumerate()):
            threading.Event().wait(0.01)
        assert store.holds(DIGEST)

    def test_does_not_keep_others_from_being_asked(self, answer: threading.Event) -> None:
        with pytest.raises(StoreError):
            hostile(answer.wait, patience=0.01).holds(DIGEST)
        assert ArtifactStore(f"memory://{uuid4().hex}", ("memory",)).put(CONTENT) == DIGEST


class TestASizeThatADriverTells:
    @pytest.mark.parametrize("told", [None, len(CONTENT), "12"])
    def test_is_not_what_bounds_the_reading(self, told: Any) -> None:
        stream = Counting(CONTENT)
        with pytest.raises(StoreError) as refusal:
            serving(stream, told).get(DIGEST, len(CONTENT))
        assert refusal.value.code == "ARTIFACT_TOO_LARGE"
        assert stream.read_bytes <= len(CONTENT) + 1

    @pytest.mark.parametrize("told", [0, 1, 1 << 53])
    def test_keeps_a_file_of_another_size_from_being_read(self, told: int) -> None:
        stream = Counting(CONTENT)
        with pytest.raises(StoreError):
            serving(stream, told).get(DIGEST, len(CONTENT))
        assert stream.read_bytes == 0

    @pytest.mark.parametrize("told", [None, len(CONTENT)])
    def test_is_not_needed(self, told: Any) -> None:
        assert serving(io.BytesIO(CONTENT), told).get(DIGEST, len(CONTENT)) == CONTENT

    def test_does_not_make_a_file_that_ends_early_whole(self) -> None:
        with pytest.raises(StoreError) as refusal:
            serving(io.BytesIO(CONTENT[:-1]), len(CONTENT)).get(DIGEST, len(CONTENT))
        assert refusal.value.code == "ARTIFACT_CORRUPT"


class TestAnyDriver:
    @pytest.fixture
    def url(self) -> str:
        return f"memory://{uuid4().hex}/store"

    def store(self, url: str, *area: str) -> ArtifactStore:
        return ArtifactStore(url, ("memory",), area=area)

    def test_keeps_artifacts(self, url: str) -> None:
        store = self.store(url)
        assert store.put(CONTENT) == store.put(CONTENT) == DIGEST
        assert store.get(DIGEST, len(CONTENT)) == CONTENT
        assert store.digests() == [DIGEST]
        store.delete(DIGEST)
        store.delete(DIGEST)
        assert not store.holds(DIGEST)
        with pytest.raises(StoreError, match="ARTIFACT_MISSING"):
            store.get(DIGEST, len(CONTENT))

    def test_gets_a_whole_artifact_in_the_place_of_a_part(self, url: str) -> None:
        store, files = self.store(url), fsspec.filesystem("memory")
        path = f"{url.removeprefix('memory:/')}/{DIGEST[:2]}/{DIGEST}"
        files.pipe_file(path, CONTENT[:3])
        store.put(CONTENT)
        assert store.get(DIGEST, len(CONTENT)) == CONTENT

    def test_erases_one_area_and_nothing_else(self, url: str) -> None:
        erased, longer, kept = self.store(url, "a", "1"), self.store(url, "a", "10"), self.store(url)
        for store in (erased, longer, kept):
            store.put(CONTENT)
        erased.erase()
        erased.erase()
        assert erased.digests() == []
        assert not erased.holds(DIGEST)
        assert longer.digests() == kept.digests() == [DIGEST]


class TestTheListOfProtocols:
    @pytest.mark.parametrize(
        "url",
        [
            "ssh://host/x",
            "sftp://host/x",
            "ftp://host/x",
            "http://host/x",
            "github://owner:repository@main/",
            "git://x",
            "reference://x",
            "zip://x",
            "tar://x",
            "dir://x",
            "memory://x",
            "nosuch://x",
            "FILE:///srv",
            "a://x",
            "://x",
            "/srv/store://x",
        ],
    )
    def test_is_short_by_default(self, url: str) -> None:
        for call in calls(ArtifactStore(url, DEFAULT_STORES, area=("a",))):
            with pytest.raises(StoreError) as refusal:
                call()
            assert refusal.value.code == "STORE_NOT_ALLOWED"
            assert refusal.value.remedy

    @pytest.mark.parametrize("protocol", ["https", "s3", "gs", "az", "abfs"])
    def test_has_the_common_object_stores(self, protocol: str) -> None:
        with pytest.raises(StoreError) as refusal:
            ArtifactStore(f"{protocol}://127.0.0.1:1/x", DEFAULT_STORES, patience=10).holds(DIGEST)
        assert refusal.value.code == "STORE_UNAVAILABLE"

    def test_is_told_with_what_to_add_to_it(self) -> None:
        with pytest.raises(StoreError) as refusal:
            ArtifactStore("sftp://host/x", ("file", "s3")).put(CONTENT)
        assert 'stores = ["file", "s3", "sftp"]' in refusal.value.remedy
        assert "sftp://host/x" in refusal.value.message

    @pytest.mark.parametrize(
        "url",
        [
            "simplecache::file:///srv",
            "filecache::s3://bucket/x",
            "zip::/srv/x.zip",
            "file:///srv/a::b",
            "reference::data:application/json;base64,e30=",
            "dir::file:///",
            "/srv::x",
        ],
    )
    def test_never_lets_drivers_be_chained(self, url: str) -> None:
        known = ("file", "s3", "simplecache", "filecache", "zip", "reference", "dir", "data")
        with pytest.raises(StoreError) as refusal:
            ArtifactStore(url, known).put(CONTENT)
        assert refusal.value.code == "STORE_NOT_ALLOWED"

    @pytest.mark.parametrize("url", ["", "store", "./store", "~/.ssh", "~", "file://store", "file://~/x", "data:,x"])
    def test_takes_no_folder_that_is_another_for_everybody(self, url: str) -> None:
        with pytest.raises(StoreError) as refusal:
            ArtifactStore(url).put(CONTENT)
        assert refusal.value.code == "STORE_UNAVAILABLE"
        assert "absolute" in refusal.value.message

    @pytest.mark.parametrize("url", ["/\0", "file:///" + "x" * 5_000, "/proc/self/store", "/dev/null"])
    def test_lets_folders_through_that_cannot_be_used(self, url: str) -> None:
        with pytest.raises(StoreError, match="STORE_UNAVAILABLE"):
            ArtifactStore(url).put(CONTENT)

    def test_is_not_looked_at_before_a_store_is_used(self) -> None:
        assert ArtifactStore("nosuch://\0::", ()).url == "nosuch://\0::"
