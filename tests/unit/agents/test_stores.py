"""Validators' stores: an area for the sealed shares of each round, and no URL of another organisation does any harm."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from fedledger.agents.stores import (
    ValidatorStore,
    artifact_areas,
    find_artifact,
    find_model_of,
    validator_stores,
)
from fedledger.store import ArtifactStore, StoreError
from fedledger.training.weights import file_size, save_weights
from fedledger_chaincode.messages.records import ModelRecord, ValidatorRecord
from fedledger_chaincode.messages.task import TaskSpec
from fedledger_chaincode.messages.views import TaskView
from tests.unit.contract.ledger import MSPS, Consortium, task_spec

CHANNEL = "fed.ledger-1"


@pytest.fixture
def store(tmp_path: Path) -> ValidatorStore:
    return ValidatorStore(str(tmp_path / "store"))


class TestTheSharesOfARound:
    def test_lie_in_an_area_of_their_own(self, store: ValidatorStore, tmp_path: Path) -> None:
        digest = store.shares_of(CHANNEL, "study", 3).put(b"sealed")
        (held,) = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert held == tmp_path / "store" / "shares" / CHANNEL / "study" / "0000003" / digest[:2] / digest

    def test_are_erased_and_no_others(self, store: ValidatorStore) -> None:
        others = [
            store.shares_of(CHANNEL, "study", 2),
            store.shares_of(CHANNEL, "study", 4),
            store.shares_of(CHANNEL, "study", 30_000_001),
            store.shares_of(CHANNEL, "study-0", 3),
            store.shares_of(CHANNEL, "study3", 3),
            store.shares_of("fed.ledger", "study", 3),
            store.artifacts,
        ]
        for other in others:
            other.put(b"sealed")
        store.shares_of(CHANNEL, "study", 3).put(b"sealed")
        store.erase(CHANNEL, "study", 3)
        assert store.shares_of(CHANNEL, "study", 3).digests() == []
        assert all(len(other.digests()) == 1 for other in others)

    def test_may_be_erased_again_and_before_there_are_any(self, store: ValidatorStore) -> None:
        store.erase(CHANNEL, "study", 3)
        store.shares_of(CHANNEL, "study", 3).put(b"sealed")
        store.erase(CHANNEL, "study", 3)
        store.erase(CHANNEL, "study", 3)

    def test_are_erased_with_what_else_was_put_there(self, store: ValidatorStore, tmp_path: Path) -> None:
        digest = store.shares_of(CHANNEL, "study", 3).put(b"sealed")
        area = tmp_path / "store" / "shares" / CHANNEL / "study" / "0000003"
        (area / digest[:2] / f"{digest}.0123.part").write_bytes(b"of a participant that was killed")
        store.erase(CHANNEL, "study", 3)
        assert not area.exists()

    def test_of_two_tasks_in_one_store_do_not_touch_each_other(self, store: ValidatorStore) -> None:
        """One participant sends the same bytes to both tasks, so that both areas hold the same digest."""
        digests = {task: store.shares_of(CHANNEL, task, 1).put(b"sealed") for task in ("aaa", "bbb")}
        assert digests["aaa"] == digests["bbb"]
        store.erase(CHANNEL, "aaa", 1)
        assert store.shares_of(CHANNEL, "bbb", 1).get(digests["bbb"], 6) == b"sealed"

    def test_are_not_there_for_whoever_names_the_digests_of_another_task(self, store: ValidatorStore) -> None:
        digest = store.shares_of(CHANNEL, "bbb", 1).put(b"sealed")
        with pytest.raises(StoreError, match="ARTIFACT_MISSING"):
            store.shares_of(CHANNEL, "aaa", 1).get(digest, 6)
        store.shares_of(CHANNEL, "aaa", 1).delete(digest)
        store.erase(CHANNEL, "aaa", 1)
        assert store.shares_of(CHANNEL, "bbb", 1).holds(digest)

    @pytest.mark.parametrize(
        ("channel", "task", "number"),
        [
            ("..", "study", 1),
            (".", "study", 1),
            ("", "study", 1),
            ("a/b", "study", 1),
            (CHANNEL, "..", 1),
            (CHANNEL, "../../artifacts", 1),
            (CHANNEL, "study", -1),
        ],
    )
    def test_do_not_climb_out_of_the_store(self, store: ValidatorStore, channel: str, task: str, number: int) -> None:
        with pytest.raises(ValueError, match="area"):
            store.erase(channel, task, number)

    def test_lie_behind_any_driver(self) -> None:
        store = ValidatorStore("memory://shares-behind-a-driver", ("memory",))
        digest = store.shares_of(CHANNEL, "study", 3).put(b"sealed")
        kept = store.shares_of(CHANNEL, "study", 4).put(b"sealed")
        store.erase(CHANNEL, "study", 3)
        assert not store.shares_of(CHANNEL, "study", 3).holds(digest)
        assert store.shares_of(CHANNEL, "study", 4).holds(kept)


HOSTILE = (
    "nosuch://x",
    "ssh://host/x",
    "simplecache::file:///tmp",
    "file://\0",
    "://",
    "x" * 900,
    "s3://",
)


class TestAHostileUrlOnTheLedger:
    @pytest.fixture
    def view(self) -> TaskView:
        return Consortium.active().view()

    def named(self, view: TaskView, *urls: str) -> TaskView:
        validators = tuple(
            ValidatorRecord.model_construct(task=view.record.spec.task, msp=msp, sealing_key="0" * 64, store=url)
            for msp, url in zip(MSPS, urls, strict=False)
        )
        return view.model_copy(update={"validators": validators})

    @pytest.mark.parametrize("url", HOSTILE)
    def test_does_not_keep_an_artifact_in_another_store_from_being_found(
        self, view: TaskView, tmp_path: Path, url: str
    ) -> None:
        digest = ValidatorStore(str(tmp_path)).artifacts.put(b"model")
        areas = artifact_areas(self.named(view, url, str(tmp_path)))
        assert find_artifact(areas, digest, 5) == b"model"

    @pytest.mark.parametrize("url", HOSTILE)
    def test_is_a_store_that_cannot_be_used(self, view: TaskView, url: str) -> None:
        (store,) = validator_stores(self.named(view, url))
        for use in (lambda: store.shares_of(CHANNEL, "study", 1).put(b"x"), lambda: store.artifacts.put(b"x")):
            with pytest.raises(StoreError):
                use()

    def test_is_opened_where_the_profile_lists_its_protocol(self, view: TaskView) -> None:
        (store,) = validator_stores(self.named(view, "memory://listed"), ("memory",))
        assert store.artifacts.put(b"x")

    def test_is_the_operators_own_word_in_his_profile(self) -> None:
        assert ValidatorStore.own("memory://own").artifacts.put(b"x")
        with pytest.raises(StoreError, match="STORE_NOT_ALLOWED"):
            ValidatorStore("memory://own").artifacts.put(b"x")


class TestAModelFile:
    @pytest.fixture
    def spec(self) -> TaskSpec:
        return task_spec()

    def record(self, spec: TaskSpec, content: bytes, size: int) -> ModelRecord:
        return ModelRecord.model_construct(
            task=spec.task, version=1, model_digest=hashlib.sha256(content).hexdigest(), model_size=size
        )

    def test_has_the_size_of_the_tasks_model_whatever_the_registry_tells(self, spec: TaskSpec, tmp_path: Path) -> None:
        content = b"\0" * 1_000
        store = ArtifactStore(str(tmp_path))
        store.put(content)
        for size in (len(content), 1 << 53):
            with pytest.raises(StoreError, match="registry"):
                find_model_of(spec, self.record(spec, content, size), [store])

    def test_is_found_with_that_size(self, spec: TaskSpec, tmp_path: Path) -> None:
        tensors = spec.model.tensors
        content = save_weights([np.zeros(tensor.shape) for tensor in tensors], tensors)
        assert len(content) == file_size(tensors)
        store = ArtifactStore(str(tmp_path))
        store.put(content)
        assert find_model_of(spec, self.record(spec, content, len(content)), [store]) == content
