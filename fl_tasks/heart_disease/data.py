"""One hospital's records as features; refuses a file that lacks a column or holds what is not a number.

Every constant below is written here, chosen from clinical practice, so that preparing one hospital's
records needs nothing from another's. A missing value becomes the constant's centre (0 after scaling) and
sets an indicator.
"""

from __future__ import annotations

import csv
import difflib
import math
from pathlib import Path

from fedledger.errors import BadInputError
from fedledger.training import Split, stratified_split

TEST_SHARE = 0.3
FOLDER = Path(__file__).parent / "data"

NUMERIC = (
    # column, centre, scale, zero means missing
    ("age", 55.0, 10.0, False),  # years
    ("trestbps", 130.0, 20.0, True),  # resting systolic blood pressure, mmHg; 130 is stage 1 hypertension
    ("chol", 240.0, 50.0, True),  # serum cholesterol, mg/dl; 240 is "high"; recorded as 0 where not measured
    ("thalch", 140.0, 25.0, True),  # highest heart rate reached, 1/min
    ("oldpeak", 1.0, 1.0, False),  # ST depression under exercise, mm; 1 mm is a positive test
    ("ca", 1.0, 1.0, False),  # major vessels coloured by fluoroscopy, 0 to 3
)
CATEGORICAL = (
    # column, categories: one feature each
    ("sex", ("Male",)),  # Female is the reference
    ("cp", ("asymptomatic", "atypical angina", "non-anginal", "typical angina")),
    ("fbs", ("TRUE",)),  # fasting blood sugar above 120 mg/dl
    ("restecg", ("lv hypertrophy", "st-t abnormality")),
    ("exang", ("TRUE",)),  # angina under exercise
    ("slope", ("downsloping", "flat", "upsloping")),
    ("thal", ("fixed defect", "normal", "reversable defect")),
)
REFERENCE = {"sex": "Female", "fbs": "FALSE", "restecg": "normal", "exang": "FALSE"}
"""Categories that have no feature of their own."""
INDICATED = ("trestbps", "chol", "thalch", "oldpeak", "ca", "fbs", "exang", "slope", "thal")
"""Columns with an indicator of missing values."""
LABEL = "num"
"""0: no vessel narrowed by half or more; 1 to 4: heart disease."""

FEATURE_NAMES = (
    *(column for column, *_ in NUMERIC),
    *(f"{column}={category}" for column, categories in CATEGORICAL for category in categories),
    *(f"{column} missing" for column in INDICATED),
)


def load(source: str | Path, seed: int) -> Split:
    """The records of a hospital (``cleveland``) or of a CSV file with the same columns.

    Features are float32[n, 30] in the order of ``FEATURE_NAMES``; label 1 is heart disease. Raises
    BadInputError: DATASET_MISSING, DATASET_COLUMNS, DATASET_VALUE, DATASET_EMPTY.
    """
    path = _path_of(source)
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        _require_columns(reader.fieldnames or (), path)
        rows = [(_features(row, path, line), _label(row, path, line)) for line, row in enumerate(reader, start=2)]
    if not rows:
        raise BadInputError("DATASET_EMPTY", f"{path} holds no records.", "Give a file with at least one.")
    features, labels = zip(*rows, strict=True)
    return stratified_split(features, labels, seed=seed, test_share=TEST_SHARE)


def _path_of(source: str | Path) -> Path:
    path = Path(source)
    if path.suffix == ".csv":
        if path.is_file():
            return path
        raise BadInputError("DATASET_MISSING", f"There is no file {path}.", "Check the path.")
    shipped = sorted(file.stem for file in FOLDER.glob("*.csv"))
    if str(source) in shipped:
        return FOLDER / f"{source}.csv"
    close = difflib.get_close_matches(str(source), shipped, n=1)
    raise BadInputError(
        "DATASET_MISSING",
        f"There is no hospital {str(source)!r} in this task.",
        f"Did you mean {close[0]!r}?" if close else f"Name one of {', '.join(shipped)}, or a .csv file.",
    )


def _require_columns(found: object, path: Path) -> None:
    present = set(found) if isinstance(found, (list, tuple)) else set()
    needed = [*(column for column, *_ in NUMERIC), *(column for column, _ in CATEGORICAL), LABEL]
    missing = [column for column in needed if column not in present]
    if missing:
        raise BadInputError(
            "DATASET_COLUMNS",
            f"{path} has no column {', '.join(missing)}.",
            f"The first line of the file must name the columns {', '.join(needed)}.",
        )


def _features(row: dict[str, str | None], path: Path, line: int) -> list[float]:
    values: list[float] = []
    missing: set[str] = set()
    for column, centre, scale, zero_is_missing in NUMERIC:
        text = (row[column] or "").strip()
        number = _number(text, column, path, line) if text else None
        if number is None or (zero_is_missing and number == 0):
            missing.add(column)
            values.append(0.0)
        else:
            values.append((number - centre) / scale)
    for column, categories in CATEGORICAL:
        text = (row[column] or "").strip()
        if not text:
            missing.add(column)
        elif text not in categories and text != REFERENCE.get(column):
            known = [*categories, *([REFERENCE[column]] if column in REFERENCE else [])]
            raise BadInputError(
                "DATASET_VALUE",
                f"{path}, line {line}: {text!r} is not a value of column {column}.",
                f"Use one of {', '.join(known)}, or leave it empty where it is not known.",
            )
        values.extend(float(text == category) for category in categories)
    values.extend(float(column in missing) for column in INDICATED)
    return values


def _label(row: dict[str, str | None], path: Path, line: int) -> int:
    return int(_number((row[LABEL] or "").strip(), LABEL, path, line) > 0)


def _number(text: str, column: str, path: Path, line: int) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInputError(
            "DATASET_VALUE",
            f"{path}, line {line}: {text!r} in column {column} is not a number.",
            "Write a number" + ("." if column == LABEL else ", or leave it empty where it was not measured."),
        )
    return number
