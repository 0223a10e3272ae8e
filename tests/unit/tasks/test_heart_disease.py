"""The four hospitals' files as they are in reality, and features that need no other hospital."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fedledger.errors import BadInputError
from fedledger.training import TaskDefinition, load_task

RECORDS = {"cleveland": (288, 132), "hungary": (280, 101), "long_beach_va": (190, 142), "switzerland": (117, 109)}
"""Records and cases of heart disease that a hospital holds."""
COLLECTED = {"Cleveland": 303, "Hungary": 294, "VA Long Beach": 200, "Switzerland": 123}
"""Records that each hospital collected, by its name in the files: with those that went into the reference data."""


@pytest.fixture(scope="module")
def task() -> TaskDefinition:
    return load_task("heart-disease")


def rows(task: TaskDefinition, site: str) -> list[dict[str, str]]:
    with (task.folder / "data" / f"{site}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, records: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, records[0].keys())
        writer.writeheader()
        writer.writerows(records)
    return path


@pytest.mark.parametrize("site", RECORDS)
def test_every_record_is_used_once_for_training_or_for_the_test(task: TaskDefinition, site: str) -> None:
    records, cases = RECORDS[site]
    split = task.load_data(site)
    assert len(rows(task, site)) == len(split.train) + len(split.test) == records
    assert split.train.y.sum() + split.test.y.sum() == cases
    # Each record's side is drawn on its own: binomial, of whose deviation this is two and a half.
    assert abs(len(split.test) - 0.3 * records) < 2.5 * (0.21 * records) ** 0.5
    assert split.train.classes == split.test.classes == (0, 1)


def test_the_reference_data_are_records_that_no_hospital_holds(task: TaskDefinition) -> None:
    with (task.folder / "reference.csv").open(newline="") as file:
        reference = list(csv.DictReader(file))
    held = [row for site in RECORDS for row in rows(task, site)]
    names = Counter(row["dataset"] for row in (*held, *reference))
    assert names == COLLECTED
    assert len({row["id"] for row in (*held, *reference)}) == sum(COLLECTED.values())
    assert Counter(row["dataset"] for row in reference) == {
        "Cleveland": 15,
        "Hungary": 14,
        "VA Long Beach": 10,
        "Switzerland": 6,
    }
    examples = task.reference_examples()
    assert (len(examples), examples.y.sum()) == (45, 25)


@pytest.mark.parametrize("site", RECORDS)
def test_the_held_out_records_depend_on_the_seed_and_not_on_the_file(
    task: TaskDefinition, site: str, tmp_path: Path
) -> None:
    copy = tmp_path / f"{site}.csv"
    shutil.copy(task.folder / "data" / f"{site}.csv", copy)
    first, again, other = task.load_data(site), task.load_data(copy), task.override(seed=2).load_data(site)
    assert first.test.x.tobytes() == again.test.x.tobytes()
    assert first.test.x.tobytes() != other.test.x.tobytes()


def test_the_split_never_changes(task: TaskDefinition) -> None:
    digest = hashlib.sha256()
    for site in task.sites:
        digest.update(task.load_data(site).test.x.astype("<f4").tobytes())
    assert digest.hexdigest() == "948585a371cef78c5cfbb239bfc48fb3ba009001dc6fdd1e33750b8527dd74d0"


def test_a_hospitals_features_do_not_depend_on_other_records(task: TaskDefinition, tmp_path: Path) -> None:
    # Each record alone in a file gives the features that it has among its colleagues.
    for site in task.sites:
        records = rows(task, site)
        whole = task.load_data(site)
        known = {row.tobytes() for row in np.concatenate([whole.train.x, whole.test.x])}
        for record in records[:: len(records) // 7]:
            alone = task._data_module.load(write(tmp_path / "one.csv", [record]), task.seed)
            (features,) = np.concatenate([alone.train.x, alone.test.x])
            assert features.tobytes() in known


def test_each_hospital_lacks_what_it_lacks_in_reality(task: TaskDefinition) -> None:
    names = task._data_module.FEATURE_NAMES
    shares = {}
    for site in task.sites:
        split = task.load_data(site)
        x = np.concatenate([split.train.x, split.test.x])
        shares[site] = dict(zip(names, x.mean(axis=0), strict=True))
    for site in ("hungary", "long_beach_va", "switzerland"):
        assert shares[site]["ca missing"] > 0.95
        assert shares[site]["thal missing"] > 0.4
    assert shares["cleveland"]["ca missing"] < 0.03
    # Switzerland wrote 0 for cholesterol that was not measured.
    assert shares["switzerland"]["chol missing"] == 1.0
    assert shares["switzerland"]["chol"] == 0.0
    assert shares["hungary"]["chol missing"] < 0.1
    assert shares["long_beach_va"]["trestbps missing"] > 0.2


def test_a_missing_number_becomes_the_centre_and_sets_its_indicator(task: TaskDefinition, tmp_path: Path) -> None:
    record = dict.fromkeys(rows(task, "cleveland")[0], "")
    x = task.load_data(write(tmp_path / "empty.csv", [record | {"num": "0"}])).train.x[0]
    features = dict(zip(task._data_module.FEATURE_NAMES, x, strict=True))
    for name, value in features.items():
        assert value == (1.0 if name.endswith("missing") else 0.0)


def test_features_are_finite_and_of_moderate_size(task: TaskDefinition) -> None:
    for site in task.sites:
        x = task.load_data(site).train.x
        assert np.isfinite(x).all()
        assert np.abs(x).max() < 10


@pytest.mark.parametrize(
    ("column", "value", "code", "words"),
    [
        ("age", "sixty", "DATASET_VALUE", "line 2: 'sixty' in column age is not a number"),
        ("age", "nan", "DATASET_VALUE", "line 2: 'nan' in column age is not a number"),
        ("chol", "inf", "DATASET_VALUE", "'inf' in column chol"),
        ("cp", "severe", "DATASET_VALUE", "'severe' is not a value of column cp"),
        ("num", "", "DATASET_VALUE", "column num is not a number"),
    ],
)
def test_a_wrong_value_is_refused_with_its_line(
    task: TaskDefinition, tmp_path: Path, column: str, value: str, code: str, words: str
) -> None:
    records = [rows(task, "cleveland")[0] | {column: value}]
    with pytest.raises(BadInputError, match=f"{code}.*{words}"):
        task.load_data(write(tmp_path / "wrong.csv", records))


def test_a_file_without_a_column_is_refused(task: TaskDefinition, tmp_path: Path) -> None:
    records = [{key: value for key, value in row.items() if key != "thal"} for row in rows(task, "hungary")[:5]]
    with pytest.raises(BadInputError, match=r"DATASET_COLUMNS.*no column thal"):
        task.load_data(write(tmp_path / "short.csv", records))


def test_a_file_without_records_is_refused(task: TaskDefinition, tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text(",".join(rows(task, "hungary")[0]) + "\n")
    with pytest.raises(BadInputError, match=r"DATASET_EMPTY"):
        task.load_data(path)


def test_a_site_or_file_that_does_not_exist_is_refused(task: TaskDefinition, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"DATASET_MISSING.*Did you mean 'cleveland'"):
        task.load_data("clevland")
    with pytest.raises(BadInputError, match=r"DATASET_MISSING.*There is no file"):
        task.load_data(tmp_path / "none.csv")
